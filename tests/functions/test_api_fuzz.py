"""Whatever is sent: never a fault of ours, and never a trace of what was refused.

对接口的随机测试。
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from functions.api.handler import handler
from functions.api.http.bodies import json_object
from functions.api.http.headers import idempotency_key
from functions.api.http.multipart import parse
from functions.api.http.security import identify
from shared import config
from shared.errors import Unauthenticated
from tests.functions.gateway import (
    BOUNDARY,
    Answer,
    Context,
    event,
    form_body,
    get,
    post_form,
    post_json,
    refusal,
)
from tests.functions.house import LINK_SECRET, WEBHOOK_SECRET, House
from tests.functions.pictures import picture

fuzz = settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TEXTS = st.text(st.characters(exclude_categories=()), max_size=40)
"""Any text: NUL, lone surrogates and unassigned characters too."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["prompt", "kind", "provider", "options", "metadata", "callback_url", "detail", "image"]
)
PROMPTS = st.just("a cup") | VALUES
IMAGE = picture()


def is_sound(house: House, before: tuple[int, int], answer: Answer) -> None:
    """No fault of ours; a refusal is a problem and left nothing; an accepted job can be read."""
    assert answer.status < 500, answer.body
    if answer.status == 202:
        job = answer.json
        assert get(f"/api/v1/jobs/{job['id']}").json == job
        return
    assert (house.rows(), len(house.objects())) == before
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.error["message"]
    answer.body.encode()


def stock(house: House) -> tuple[int, int]:
    return house.rows(), len(house.objects())


@fuzz
@given(content=VALUES | st.dictionaries(NAMES | TEXTS, VALUES), path=st.sampled_from("mj"))
def test_any_json_is_answered(house: House, content: Any, path: str) -> None:
    before = stock(house)
    where = {"m": "/api/v1/models", "j": "/api/v1/jobs"}[path]
    is_sound(house, before, post_json(where, content))


@fuzz
@given(
    prompt=PROMPTS,
    options=st.dictionaries(st.sampled_from(["detail", "scale", "style"]) | TEXTS, VALUES),
    metadata=VALUES,
)
def test_any_options_and_metadata_are_answered(
    house: House, prompt: Any, options: Any, metadata: Any
) -> None:
    before = stock(house)
    content = {"prompt": prompt, "options": options, "metadata": metadata}
    is_sound(house, before, post_json("/api/v1/models", content))


@fuzz
@given(body=st.binary(max_size=200))
@example(b"\xef\xbb\xbf")
def test_any_bytes_as_json_are_answered(house: House, body: bytes) -> None:
    before = stock(house)
    is_sound(house, before, post_json("/api/v1/models", body))


@fuzz
@given(
    fields=st.lists(
        st.tuples(NAMES | st.from_regex(r"[a-z\[\]\";=.]{0,12}", fullmatch=True), st.binary())
    ),
    files=st.lists(
        st.tuples(
            st.sampled_from(["image", "front", "left", "prompt", "x"]),
            st.binary(max_size=60) | st.just(IMAGE),
        ),
        max_size=4,
    ),
)
def test_any_form_is_answered(house: House, fields: Any, files: Any) -> None:
    before = stock(house)
    is_sound(house, before, post_form("/api/v1/models", fields, files))


WHOLE = form_body([("prompt", "a cup"), ("metadata", '{"a": 1}')], [("image", IMAGE)])


@fuzz
@given(place=st.integers(0, len(WHOLE)), cut=st.integers(0, 40), put=st.binary(max_size=20))
def test_a_form_damaged_anywhere_is_answered(
    house: House, place: int, cut: int, put: bytes
) -> None:
    before = stock(house)
    body = WHOLE[:place] + put + WHOLE[place + cut :]
    is_sound(house, before, post_form("/api/v1/models", body=body))


@fuzz
@given(place=st.integers(0, len(IMAGE)), put=st.binary(max_size=8))
def test_a_picture_damaged_anywhere_is_answered(house: House, place: int, put: bytes) -> None:
    before = stock(house)
    data = IMAGE[:place] + put + IMAGE[place + len(put) :]
    is_sound(house, before, post_form("/api/v1/models", files=[("image", data)]))


HEADERS = st.sampled_from(
    [
        "authorization",
        "content-type",
        "content-length",
        "content-encoding",
        "host",
        "idempotency-key",
        "origin",
        "prefer",
        "traceparent",
        "x-forwarded-port",
        "x-request-id",
    ]
)
HEADER_VALUES = st.text(st.characters(codec="latin-1"), max_size=60) | st.sampled_from(
    ["multipart/form-data; boundary=x", "application/json", "wait=", '"', "Bearer ", ";;=,"]
)


@fuzz
@given(headers=st.dictionaries(HEADERS, HEADER_VALUES, max_size=5))
@example(headers={"x-forwarded-port": "x"})
def test_any_header_is_answered(house: House, headers: dict[str, str]) -> None:
    before = house.rows()
    for sent in (
        event("POST", "/api/v1/models", headers=headers, body=b'{"prompt": "a cup"}'),
        event("GET", "/api/v1/jobs", headers=headers),
    ):
        sent["headers"].setdefault("content-type", "application/json")
        answer = handler(sent, Context())
        assert answer["statusCode"] < 500, answer
        if answer["statusCode"] >= 400:
            assert json.loads(answer["body"])["error"]["message"]
    assert house.rows() - before <= 1


@fuzz
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PATCH"]),
    path=TEXTS | TEXTS.map("/api/v1/jobs/{}".format) | TEXTS.map("/api/v1/jobs/1/{}".format),
    query=TEXTS | TEXTS.map("limit={}".format) | TEXTS.map("after={}".format),
)
def test_any_path_and_query_are_answered(house: House, method: str, path: str, query: str) -> None:
    sent = event(method, "/" + path.lstrip("/"), query=query)
    assert handler(sent, Context())["statusCode"] < 500
    sent = event(method, "/api/v1/jobs", query=query)
    assert handler(sent, Context())["statusCode"] < 500


@given(value=VALUES)
def test_json_is_read_as_the_standard_reader_reads_it_or_refused(value: Any) -> None:
    body = json.dumps({"value": value}).encode()
    refused = refusal(lambda: json_object(body))
    if refused is None:
        assert json_object(body) == json.loads(body)
    else:
        assert refused.param in ("value", "body", *_keys(value))


def _keys(value: Any) -> list[str]:
    if isinstance(value, list):
        return [key for item in value for key in _keys(item)]
    if isinstance(value, dict):
        return [*value, *(key for item in value.values() for key in _keys(item))]
    return []


@given(
    parts=st.lists(
        st.tuples(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), st.binary(max_size=300)),
        max_size=8,
    )
)
def test_a_forms_parts_come_out_as_they_were_put_in(parts: list[tuple[str, bytes]]) -> None:
    found = parse(form_body([], parts), f"multipart/form-data; boundary={BOUNDARY}")
    assert [(part.name, part.data) for part in found] == parts


@given(key=st.text(st.characters(codec="latin-1"), max_size=300))
def test_an_idempotency_key_is_visible_ascii_or_refused(key: str) -> None:
    headers = [(b"idempotency-key", key.encode("latin-1"))]
    request = Request({"type": "http", "method": "POST", "headers": headers})
    refused = refusal(lambda: idempotency_key(request))
    if refused is not None:
        assert refused.param == "Idempotency-Key"
        return
    read = idempotency_key(request)
    assert read is not None
    assert 1 <= len(read) <= 255
    assert all("!" <= one <= "~" for one in read)
    assert read in key


NAMED = {"alice": "alice-key-of-20-chars", "bob": "bob-key-of-20-chars.."}


@given(key=TEXTS | st.sampled_from([*NAMED.values(), *NAMED, "alice:" + NAMED["alice"]]))
def test_only_a_whole_key_names_its_caller(key: str) -> None:
    given_settings = config.load(
        {},
        store_url="sqlite://",
        bucket_url="file:///nowhere",
        link_secret=LINK_SECRET,
        webhook_secrets=WEBHOOK_SECRET,
        api_keys=",".join(f"{name}:{one}" for name, one in NAMED.items()),
    )
    try:
        assert NAMED[identify(given_settings, key)] == key
    except Unauthenticated:
        assert key not in NAMED.values()
