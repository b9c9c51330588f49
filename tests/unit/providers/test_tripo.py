"""The Tripo adapter and the HTTP helper below it, answer by answer.

Tripo 适配器的单元测试。
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.buckets.base import BucketUnavailable
from shared.clock import Deadline, OutOfTime
from shared.providers import http
from shared.providers.base import (
    Ask,
    DownloadFailed,
    InputImage,
    NotReadYet,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    RemoteFile,
    Request,
    Unauthorized,
    UnknownOutcome,
    Wanted,
)
from shared.providers.tripo import api, search
from shared.providers.tripo.adapter import Tripo
from shared.providers.tripo.errors import ERRORS
from shared.providers.tripo.options import OPTIONS, TextOptions
from tests.credentials import keys

KEY = "tsk_secret-of-the-house"
HELD = keys("tripo", main=KEY)
NOW = 1_795_298_400_000
CREATE = Request("/v3/generation/text-to-model", '{"model":"v3.1-20260211"}', "1234567890")
LINK = "https://files.example/a/model.glb?signature=s3cret"


class FixedClock:
    """A clock that stands still, draws what it is told, and counts what was waited."""

    def __init__(self, drawn: int = 5) -> None:
        self.waits: list[float] = []
        self.drawn = drawn

    def now(self) -> int:
        return NOW

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def chance(self) -> float:
        return 0.5

    def token(self, bits: int) -> int:
        return self.drawn


class Wire:
    """Answers in turn what it is given (the last one for ever) and keeps what was sent."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.sent: list[httpx.Request] = []
        self.clock = FixedClock()
        self.tripo = Tripo(credentials=HELD, clock=self.clock, transport=httpx.MockTransport(self))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.sent.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(request)
        assert isinstance(answer, httpx.Response)
        # Streamed, as from a network, and anew each time.
        pieces = answer.pieces() if hasattr(answer, "pieces") else iter([answer.content])
        headers = {k: v for k, v in answer.headers.items() if k.lower() != "content-length"}
        return httpx.Response(answer.status_code, headers=headers, content=pieces)

    @property
    def credential(self) -> str:
        return "main"

    def prepare(self, kind: str = "text-to-3d", **ask: Any) -> Request:
        given = {"prompt": "a chair", "images": {}, "options": {}, **ask}
        return self.tripo.prepare(Ask(kind, **given), self.credential, soon())

    def submit(self, request: Request = CREATE) -> str:
        return self.tripo.submit(request, "key:1", self.credential, soon())

    def check(self, *ids: str) -> Mapping[str, Any]:
        return self.tripo.check(ids, self.credential, soon())

    def find(self, request: Request = CREATE, since: int = NOW) -> Any:
        (found,) = self.tripo.find([Wanted(request, since)], self.credential, soon())
        return found

    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.sent if request.content]


def raw(status: int, headers: Mapping[str, str], *pieces: bytes) -> httpx.Response:
    """A response whose pieces arrive as they are given."""
    response = httpx.Response(status, headers=headers)
    response.pieces = lambda: iter(pieces)  # type: ignore[attr-defined]
    return response


def soon(seconds: float = 30.0) -> Deadline:
    return Deadline.after(seconds)


def ok(data: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"code": 0, "status": "success", "data": data})


def no(status: int, code: int, **headers: str) -> httpx.Response:
    body = {"code": code, "status": "error", "message": "that is wrong", "request_id": "r-1"}
    return httpx.Response(status, json=body, headers=headers)


def picture(size: int = 100, media_type: str = "image/png", claim: int | None = None) -> InputImage:
    data = bytes(range(256)) * (size // 256 + 1)
    claimed = size if claim is None else claim
    return InputImage(media_type, claimed, "0" * 64, lambda: nullcontext(io.BytesIO(data[:size])))


# Keys and addresses.


@pytest.mark.parametrize(
    "url", ["", "tripo", "ftp://x", "https://a:b@x", "https://x?y=1", "https://x:y"]
)
def test_a_base_url_that_cannot_be_right_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        Tripo(credentials=HELD, base_url=url, clock=FixedClock())


def test_the_adapter_shows_no_key() -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(503))
    tripo = Tripo(credentials=HELD, clock=FixedClock(), transport=answer)
    with suppress(ProviderError):
        tripo.find([Wanted(CREATE, NOW)], "main", soon(3))
    assert KEY not in repr(tripo) + str(vars(tripo))


# Options.


@pytest.mark.parametrize("kind", sorted(OPTIONS))
def test_every_option_is_described_with_an_example(kind: str) -> None:
    schema = OPTIONS[kind].model_json_schema()
    assert schema["additionalProperties"] is False
    for name, field in schema["properties"].items():
        assert field.get("description"), name
        assert name in ("pbr",) or field.get("examples"), name


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"quad": True}, "quad"),
        ({"compress": "geometry"}, "compress"),
        ({"texture": "yes"}, "texture"),
        ({"texture": 1}, "texture"),
        ({"face_limit": 0}, "face_limit"),
        ({"face_limit": 3.5}, "face_limit"),
        ({"model_seed": -1}, "model_seed"),
        ({"model_seed": 2**31}, "model_seed"),
        ({"model": "v3;drop"}, "model"),
        ({"texture_quality": "best"}, "texture_quality"),
        ({"negative_prompt": "x" * 256}, "negative_prompt"),
        ({"texture_alignment": "geometry"}, "texture_alignment"),
        ({"texture": False}, "pbr"),
        ({"texture": False, "pbr": True}, "pbr"),
        ({"generate_parts": True}, "generate_parts"),
        ({"generate_parts": True, "pbr": False}, "generate_parts"),
        ({"model": "P1-20260311", "smart_low_poly": True}, "smart_low_poly"),
        ({"model": "P1-20260311", "geometry_quality": "detailed"}, "geometry_quality"),
        ({"model": "P1-20260311", "face_limit": 47}, "face_limit"),
        ({"model": "P1-20260311", "face_limit": 20_001}, "face_limit"),
    ],
)
def test_options_the_provider_would_refuse_are_refused_by_name(
    options: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        TextOptions.model_validate(options)
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]
    with pytest.raises(Rejected, match=rf"options\.{field}") as refused:
        Wire(ok({})).prepare(options=options)
    assert refused.value.code == "options_invalid"


def test_parts_without_texture_are_accepted() -> None:
    chosen = {"generate_parts": True, "texture": False, "pbr": False}
    body = json.loads(Wire(ok({})).prepare(options=chosen).body)
    assert {name: body[name] for name in chosen} == chosen


# Bodies.


def test_a_text_create_says_no_more_than_it_must() -> None:
    request = Wire(ok({})).prepare(prompt="一把 chair")
    seed = 5 | 1 << 30
    assert request.path == "/v3/generation/text-to-model"
    assert request.body == (
        f'{{"model":"v3.1-20260211","model_seed":{seed},"prompt":"\\u4e00\\u628a chair"}}'
    )
    assert request.mark == str(seed)


def test_options_equal_to_the_default_are_left_out_and_others_are_sent() -> None:
    chosen = {"texture": True, "texture_quality": "standard", "face_limit": 900, "pbr": False}
    body = json.loads(Wire(ok({})).prepare(options=chosen).body)
    assert body.keys() == {"model", "model_seed", "prompt", "face_limit", "pbr"}


@pytest.mark.parametrize(
    ("chosen", "marked"),
    [
        ({"model_seed": 1}, "image_seed"),
        ({"model_seed": 1, "image_seed": 2}, "texture_seed"),
        ({"model_seed": 1, "image_seed": 2, "texture_seed": 3}, None),
        ({"model_seed": 1, "image_seed": 2, "texture": False, "pbr": False}, None),
    ],
)
def test_the_mark_is_a_seed_the_caller_left_open(chosen: Any, marked: str | None) -> None:
    request = Wire(ok({})).prepare(options=chosen)
    body = json.loads(request.body)
    assert request.mark == (None if marked is None else str(body[marked]))
    assert all(body[name] == value for name, value in chosen.items())


@pytest.mark.parametrize("drawn", [0, 1, 2**31 - 1])
def test_a_mark_is_never_a_small_number(drawn: int) -> None:
    wire = Wire(ok({}))
    wire.clock.drawn = drawn
    assert 2**30 <= int(wire.prepare().mark or "") < 2**31


@pytest.mark.parametrize("prompt", [None, "", "  ", "x" * 1025])
def test_a_prompt_the_provider_would_refuse_is_refused(prompt: str | None) -> None:
    with pytest.raises(Rejected, match="prompt"):
        Wire(ok({})).prepare(prompt=prompt)


def test_a_kind_it_does_not_make_is_refused() -> None:
    with pytest.raises(Rejected, match="does not make"):
        Wire(ok({})).prepare("text-to-image")


def test_views_are_sent_by_position_and_the_front_is_the_mark() -> None:
    wire = Wire(*(ok({"file_token": f"file_token_{n}"}) for n in (1, 2)))
    request = wire.prepare("multiview-to-3d", images={"right": picture(), "front": picture()})
    assert json.loads(request.body) == {
        "inputs": ["file_token_1", None, None, "file_token_2"],
        "model": "v3.1-20260211",
    }
    assert request.mark == "file_token_1"


@pytest.mark.parametrize(
    ("kind", "images"),
    [
        ("image-to-3d", {}),
        ("multiview-to-3d", {"left": picture(), "back": picture()}),
        ("multiview-to-3d", {"front": picture()}),
        ("image-to-3d", {"image": picture(media_type="image/gif")}),
    ],
)
def test_pictures_that_are_missing_or_foreign_are_refused(kind: str, images: Any) -> None:
    wire = Wire(ok({"file_token": "file_token_1"}))
    with pytest.raises(Rejected):
        wire.prepare(kind, images=images)
    assert wire.sent == []


# Uploads.


def test_a_picture_is_uploaded_as_a_form_of_known_length() -> None:
    wire = Wire(ok({"file_token": "file_token_1"}))
    request = wire.prepare("image-to-3d", images={"image": picture(3_000_000, "image/jpeg")})
    (sent,) = wire.sent
    assert json.loads(request.body)["input"] == request.mark == "file_token_1"
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    assert int(sent.headers["Content-Length"]) == len(sent.content)
    assert "Transfer-Encoding" not in sent.headers
    assert b'name="file"; filename="image.jpg"\r\nContent-Type: image/jpeg\r\n\r\n' in sent.content
    assert bytes(range(256)) * 11_000 in sent.content


@pytest.mark.parametrize("field", ["upload_url", "presigned_url"])
def test_a_large_picture_goes_to_storage_without_the_key(
    monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    monkeypatch.setattr(api, "MULTIPART_BYTES", 1000)
    presigned = {"file_token": "file_token_9", field: "https://store.example/x?sig=1"}
    wire = Wire(ok(presigned), httpx.Response(200))
    request = wire.prepare("image-to-3d", images={"image": picture(1001)})
    asked, put = wire.sent
    assert request.mark == "file_token_9"
    assert (asked.url.path, json.loads(asked.content)) == ("/v3/files/presign", {"format": "png"})
    assert (put.method, str(put.url)) == ("PUT", "https://store.example/x?sig=1")
    assert "Authorization" not in put.headers
    assert put.headers["Content-Type"] == "image/png"
    assert put.headers["Content-Length"] == "1001"


def test_a_refused_upload_link_is_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "MULTIPART_BYTES", 0)
    presigned = ok({"file_token": "file_token_9", "upload_url": "https://store.example/x?sig=1"})
    wire = Wire(presigned, httpx.Response(403, text="<Error/>"), presigned, httpx.Response(204))
    assert wire.prepare("image-to-3d", images={"image": picture()}).mark == "file_token_9"


@pytest.mark.parametrize("claim", [99, 101])
def test_a_picture_of_another_length_than_recorded_is_not_sent_as_if_whole(claim: int) -> None:
    wire = Wire(ok({"file_token": "file_token_1"}))
    with pytest.raises(ProviderUnavailable, match="length"):
        wire.prepare("image-to-3d", images={"image": picture(100, claim=claim)})


def test_trouble_with_the_bucket_is_not_blamed_on_the_provider() -> None:
    def fail() -> Any:
        raise BucketUnavailable("the bucket is away")

    image = InputImage("image/png", 5, "0" * 64, fail)
    with pytest.raises(BucketUnavailable):
        Wire(ok({})).prepare("image-to-3d", images={"image": image})


@pytest.mark.parametrize("data", [None, {}, [], {"file_token": 5}, {"file_token": ""}])
def test_an_upload_without_a_token_has_failed(data: Any) -> None:
    with pytest.raises(ProviderUnavailable):
        Wire(ok(data)).prepare("image-to-3d", images={"image": picture()})


def test_a_refused_upload_is_final_and_sent_once() -> None:
    wire = Wire(no(400, 2004))
    with pytest.raises(Rejected):
        wire.prepare("image-to-3d", images={"image": picture()})
    assert len(wire.sent) == 1


# Creating: the table of errors, and everything that is not in it.


@pytest.mark.parametrize(("row", "kind"), ERRORS.items(), ids=str)
def test_every_row_of_the_table_means_what_it_says(row: Any, kind: type[ProviderError]) -> None:
    status, code = row
    # 200 and 418 have no row of their own, so that the code decides.
    statuses = (200, 418, 500) if status is None else (status,)
    for each in statuses:
        if (each, code) in ERRORS and (each, code) != row:
            continue
        wire = Wire(no(each, 9999 if code is None else code))
        with pytest.raises(kind) as caught:
            wire.submit()
        assert type(caught.value) is kind
        assert caught.value.code == str(9999 if code is None else code)
        assert caught.value.message.endswith(": that is wrong")
        assert caught.value.raw.endswith(": that is wrong (request r-1)")
        assert len(wire.sent) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 2, Unauthorized),
        (401, 1000, Unauthorized),
        (400, 31337, Rejected),
        (200, 31337, Rejected),
        (404, 2019, Rejected),
        (500, 31337, UnknownOutcome),
        (502, 502, UnknownOutcome),
        (504, 504, UnknownOutcome),
        (301, 31337, UnknownOutcome),
    ],
)
def test_a_code_outside_the_table_is_definite_only_below_500(
    status: int, code: int, kind: type[ProviderError]
) -> None:
    with pytest.raises(ProviderError) as caught:
        Wire(no(status, code)).submit()
    assert type(caught.value) is kind


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 404, 413, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    "body",
    [
        *("", "<html>", "[]", "null", '"x"', "{}", "\ud83d{", '{"message":"no"}'),
        *('{"code":0}', '{"code":"1004"}', '{"code":true}', '{"status":"error"}'),
        *('{"code":0,"data":{"task_id":""}}', '{"code":0,"data":["t"]}'),
    ],
)
def test_whatever_is_not_in_tripos_format_is_an_unknown_outcome(status: int, body: str) -> None:
    content = body.encode("utf-8", "replace")
    with pytest.raises(UnknownOutcome):
        Wire(httpx.Response(status, content=content)).submit()


@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_error_that_names_a_task_is_an_unknown_outcome(status: int) -> None:
    body = {"code": 1004, "message": "no", "data": {"task_id": "abc"}}
    with pytest.raises(UnknownOutcome):
        Wire(httpx.Response(status, json=body)).submit()


@pytest.mark.parametrize("task_id", [None, 5, "", "a b", "x" * 129, "ä", ["a"], "a/../b"])
def test_a_task_id_that_cannot_be_one_is_an_unknown_outcome(task_id: Any) -> None:
    with pytest.raises(UnknownOutcome):
        Wire(ok({"task_id": task_id})).submit()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (httpx.ConnectError("x"), ProviderUnavailable),
        (httpx.ConnectTimeout("x"), ProviderUnavailable),
        (httpx.PoolTimeout("x"), ProviderUnavailable),
        (httpx.ProxyError("x"), ProviderUnavailable),
        (httpx.ReadTimeout("x"), UnknownOutcome),
        (httpx.ReadError("x"), UnknownOutcome),
        (httpx.WriteTimeout("x"), UnknownOutcome),
        (httpx.WriteError("x"), UnknownOutcome),
        (httpx.RemoteProtocolError("x"), UnknownOutcome),
        (httpx.LocalProtocolError("x"), UnknownOutcome),
        (httpx.DecodingError("x"), UnknownOutcome),
        (RuntimeError("x"), UnknownOutcome),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, Exception) else "",
)
def test_only_a_connection_that_was_never_made_is_definite(
    fault: Exception, kind: type[ProviderError]
) -> None:
    wire = Wire(fault)
    with pytest.raises(ProviderError) as caught:
        wire.submit()
    assert type(caught.value) is kind
    assert len(wire.sent) == 1
    assert wire.clock.waits == []


def test_a_create_sends_the_kept_text_and_closes_its_connection() -> None:
    wire = Wire(ok({"task_id": "t-1"}))
    assert wire.submit() == "t-1"
    (sent,) = wire.sent
    assert sent.content == CREATE.body.encode()
    assert str(sent.url) == "https://openapi.tripo3d.ai/v3/generation/text-to-model"
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    assert sent.headers["Connection"] == "close"


def test_a_redirected_create_is_not_followed() -> None:
    wire = Wire(httpx.Response(307, headers={"Location": "https://elsewhere.example/"}))
    with pytest.raises(UnknownOutcome):
        wire.submit()
    assert len(wire.sent) == 1


def test_a_credential_that_is_no_longer_configured_sends_nothing() -> None:
    wire = Wire(ok({}))
    with pytest.raises(Unauthorized):
        wire.tripo.submit(CREATE, "key:1", "tripo-00000000", soon())
    assert wire.sent == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
ENVELOPE = st.fixed_dictionaries(
    {},
    optional={
        "code": st.sampled_from([0, 1000, 1004, 2000, 2010, -1, 10**30]) | JSON,
        "status": st.sampled_from(["success", "error"]) | JSON,
        "message": JSON,
        "data": st.fixed_dictionaries({"task_id": JSON}) | JSON,
    },
)
BODY = (
    st.binary(max_size=60)
    | (ENVELOPE | JSON).map(lambda value: json.dumps(value).encode())
    | st.sampled_from([b"[" * 100_000, b'{"a":' * 50_000, b"9" * 10_000, b'{"code":1e999}', b"NaN"])
)


@settings(max_examples=150, deadline=None)
@given(
    status=st.integers(200, 599),
    body=BODY,
    retry_after=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)
def test_whatever_is_answered_a_create_is_sent_once_and_ends_in_the_family(
    status: int, body: bytes, retry_after: str
) -> None:
    wire = Wire(httpx.Response(status, content=body, headers={"Retry-After": retry_after}))
    with suppress(ProviderError):
        assert wire.submit()
    assert len(wire.sent) == 1


TASK = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["queued", "success", "FAILED", "banned", "dreaming"]) | JSON,
        "progress": JSON,
        "output": st.fixed_dictionaries({"model_url": JSON}) | JSON,
        "credits_consumed": JSON,
        "completed_at": st.sampled_from(["2026-11-21T00:00:00Z", "then"]) | JSON,
        "error_code": JSON,
        "error_message": JSON,
        "running_left_time": JSON,
        "input": JSON,
    },
)
LISTS = st.fixed_dictionaries(
    {},
    optional={
        "tasks": st.fixed_dictionaries({"a": TASK | JSON}) | st.lists(TASK, max_size=2) | JSON,
        "missed": st.lists(st.sampled_from(["b", 5])) | JSON,
        "items": st.lists(st.fixed_dictionaries({"task_id": st.sampled_from(["a", 5])}) | JSON),
    },
)


@settings(max_examples=100, deadline=None)
@given(status=st.sampled_from([200, 200, 200, 400, 404, 429, 500]), data=LISTS | JSON, junk=BODY)
def test_whatever_is_answered_reading_ends_in_the_family(
    status: int, data: Any, junk: bytes
) -> None:
    content = json.dumps({"code": 0, "data": data}).encode()
    for answer in (httpx.Response(status, content=content), httpx.Response(200, content=junk)):
        for call in (lambda wire: wire.check("a", "b"), lambda wire: wire.find()):
            with suppress(ProviderError):
                call(Wire(answer))


# Reading states.


def state(**task: Any) -> Any:
    return Wire(ok({"tasks": {"t": task}, "missed": []})).check("t").get("t")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("queued", "waiting"),
        ("running", "running"),
        ("RUNNING", "running"),
        ("unknown", "running"),
        ("dreaming", "running"),
        ("failed", "failed"),
        ("banned", "failed"),
        ("expired", "failed"),
        ("cancelled", "canceled"),
    ],
)
def test_each_status_has_its_meaning(said: str, meant: str) -> None:
    assert state(status=said).status == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [(-5, 0), (0, 0), (42.7, 42), (100, 100), (900, 100), (None, None), ("7", None), (True, None)],
)
def test_progress_is_kept_between_0_and_100(said: Any, meant: int | None) -> None:
    assert state(status="running", progress=said).progress == meant


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        ({"model_url": LINK, "pbr_model": "https://x/other"}, LINK),
        ({"pbr_model_url": LINK, "base_model_url": "https://x/base"}, LINK),
        ({"pbr_model": LINK, "model": "https://x/other"}, LINK),
        ({"model": LINK, "base_model": "https://x/base"}, LINK),
        ({"base_model_url": LINK, "model_url": ""}, LINK),
        ({"base_model": LINK, "model_url": None, "model": "ftp://x"}, LINK),
    ],
)
def test_the_best_model_among_the_outputs_is_taken(output: Any, wanted: str) -> None:
    assert state(status="success", output=output).files == (
        RemoteFile("model", wanted, "model/gltf-binary"),
    )


@pytest.mark.parametrize("output", [None, {}, [], "x", {"rendered_image_url": LINK}])
def test_success_without_a_model_is_a_failure_once_it_had_time(output: Any) -> None:
    failed = state(status="success", output=output, completed_at="2026-11-01T00:00:00Z")
    assert (failed.status, failed.error[0]) == ("failed", "no_model_in_result")
    assert state(status="success", output=output).status == "failed"
    just_now = datetime.fromtimestamp(NOW / 1000 - 5, timezone.utc).isoformat()
    assert state(status="success", output=output, completed_at=just_now).status == "running"


@pytest.mark.parametrize(
    ("task", "error"),
    [
        ({"status": "failed", "error_code": 2018, "error_message": "no"}, ("2018", "no")),
        ({"status": "failed", "error_msg": "why"}, ("task_failed", "why")),
        ({"status": "failed"}, ("task_failed", "the task failed without a reason")),
        ({"status": "banned"}, ("2008", "refused by the provider's content policy")),
        (
            {"status": "expired", "error_code": True},
            ("expired", "the task expired at the provider"),
        ),
    ],
)
def test_a_failure_keeps_the_providers_words(task: Any, error: tuple[str, str]) -> None:
    assert state(**task).error == error


@pytest.mark.parametrize("task", [None, 5, [], {}, {"status": None}, {"status": 3}])
def test_a_task_that_cannot_be_read_is_left_out(task: Any) -> None:
    wire = Wire(ok({"tasks": {"t": task, "u": {"status": "queued"}}, "missed": ["v"]}))
    states = wire.check("t", "u", "v", "w")
    assert {id: state.status for id, state in states.items()} == {"u": "waiting", "v": "missing"}


def test_a_list_of_tasks_is_read_like_a_mapping() -> None:
    wire = Wire(ok({"tasks": [{"task_id": "t", "status": "queued"}, 5]}))
    assert wire.check("t")["t"].status == "waiting"


def test_what_was_read_is_kept_when_a_later_hundred_fails() -> None:
    first = ok({"tasks": {"id0": {"status": "queued"}}, "missed": []})
    wire = Wire(first, no(400, 1004))
    assert list(wire.check(*(f"id{n}" for n in range(101)))) == ["id0"]


def test_no_tasks_cost_no_request() -> None:
    wire = Wire(ok({}))
    assert wire.check() == {}
    assert wire.sent == []


@pytest.mark.parametrize("answer", [no(400, 1004), no(403, 2010), no(404, 4001), no(404, 2001)])
def test_a_refused_question_says_nothing_about_the_tasks(answer: httpx.Response) -> None:
    with pytest.raises(ProviderUnavailable):
        Wire(answer).check("t")


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 599])
def test_a_check_tolerates_passing_statuses(status: int) -> None:
    wire = Wire(httpx.Response(status, text="<html>"), ok({"missed": ["t"]}))
    assert wire.check("t")["t"].status == "missing"
    assert wire.clock.waits == [0.5]


def test_a_check_waits_as_long_as_it_is_asked_to_but_not_for_ever() -> None:
    wire = Wire(no(429, 1007, **{"Retry-After": "3"}), ok({"missed": ["t"]}))
    assert wire.check("t")
    assert wire.clock.waits == [3.0]
    wire = Wire(no(429, 1007, **{"Retry-After": "60"}))
    with pytest.raises(RateLimited) as caught:
        wire.check("t")
    assert (caught.value.retry_after, wire.clock.waits, len(wire.sent)) == (60.0, [], 1)


# Finding.


def usage(*rows: tuple[str, Any], bare: bool = False) -> httpx.Response:
    items = [{"task_id": id} | ({} if at is None else {"created_at": at}) for id, at in rows]
    return ok(items) if bare else ok({"items": items})


def at(seconds_ago: float) -> str:
    return datetime.fromtimestamp(NOW / 1000 - seconds_ago, timezone.utc).isoformat()


class Account:
    """An account's usage and tasks, in pages of `cap` however many are asked for."""

    def __init__(self, tasks: Mapping[str, tuple[Any, Any]], cap: int = 50, **kind: Any) -> None:
        self.tasks, self.cap, self.kind = tasks, cap, kind
        self.listed: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v3/account/usage":
            start = int(request.url.params["offset"]) if self.kind.get("pages", True) else 0
            rows = [(id, when) for id, (when, _) in self.tasks.items()]
            return usage(*rows[start : start + self.cap], bare=self.kind.get("bare", False))
        ids = json.loads(request.content)["task_ids"]
        self.listed += ids
        return ok({"tasks": {id: {"input": self.tasks[id][1]} for id in ids}, "missed": []})


TEXT = Request(
    "/v3/generation/text-to-model", '{"model_seed":1234567890,"prompt":"a b"}', "1234567890"
)


@pytest.mark.parametrize(
    "given",
    [
        {"model_seed": 1234567890},
        {"model_seed": "1234567890"},
        {"model_seed": 1.23456789e9},
        {"options": [{"deep": {"seed": 1234567890}}]},
        {"model_seed": 1234567890, "prompt": "a  b "},
    ],
)
def test_a_mark_is_found_wherever_it_lies(given: Any) -> None:
    wire = Wire(Account({"other": (at(1), {"model_seed": 7}), "mine": (at(2), given)}))
    assert wire.find(TEXT) == ("mine",)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"model_seed": 123456789},
        {"model_seed": 1234567890, "prompt": "another"},
        {"prompt": "a b 1234567890"},
        {"model_seed": True},
    ],
)
def test_a_task_without_the_mark_is_not_taken(given: Any) -> None:
    assert Wire(Account({"other": (at(1), given)})).find(TEXT) == ()


def test_a_file_token_is_found_within_a_text() -> None:
    request = Request("/v3/generation/image-to-model", '{"input":"file_abc-1"}', "file_abc-1")
    given = {"file": {"object": "tmp/file_abc-1.png"}}
    assert Wire(Account({"mine": (at(1), given)})).find(request) == ("mine",)


@pytest.mark.parametrize("kind", [{}, {"bare": True}, {"cap": 7}, {"pages": False, "cap": 30}])
def test_find_reads_usage_of_every_shape(kind: Any) -> None:
    tasks: dict[str, Any] = {f"t{n}": (at(n), {"model_seed": n}) for n in range(30)}
    tasks["t29"] = (None, {"model_seed": 1234567890})
    assert Wire(Account(tasks, **kind)).find(TEXT) == ("t29",)


@pytest.mark.parametrize("order", [1, -1])
def test_find_stops_at_old_tasks_only_where_the_newest_come_first(order: int) -> None:
    rows = {f"t{n}": (at(60 * n), {"model_seed": 10**9 * (n == 1)}) for n in range(300)}
    account = Account(dict(list(rows.items())[::order]))
    wire = Wire(account)
    wanted = Request("/x", "{}", "1000000000")
    assert wire.find(wanted) == ("t1",)
    assert len(account.listed) == 6
    pages = [request for request in wire.sent if request.url.path == "/v3/account/usage"]
    assert len(pages) == (2 if order == 1 else 7)


@pytest.mark.parametrize(
    "answers",
    [
        [ok({"items": None})],
        [ok({"items": [{"task_id": 5}]})],
        [ok("?")],
        [no(400, 1004)],
        [usage(("t", at(1))), usage(), ok({"tasks": {}, "missed": []})],
        [usage(("t", at(1))), usage(), ok({"tasks": {"t": {"input": None}}})],
        [usage(("t", at(1))), usage(), no(500, 1000)],
    ],
)
def test_a_search_that_cannot_be_finished_is_no_search(answers: Any) -> None:
    with pytest.raises(ProviderUnavailable):
        Wire(*answers).find(TEXT)


def test_a_search_without_end_is_given_up() -> None:
    endless = iter(range(10**6))

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v3/account/usage":
            return usage(*((f"t{next(endless)}", at(1)) for _ in range(50)))
        ids = json.loads(request.content)["task_ids"]
        return ok({"tasks": {id: {"input": {}} for id in ids}, "missed": []})

    wire = Wire(answer)
    with pytest.raises(NotReadYet, match="far enough"):
        wire.find(TEXT)
    assert len(wire.sent) <= search.REQUESTS_A_MINUTE


def test_tasks_of_another_key_are_passed_over() -> None:
    answers = usage(("t", at(1))), usage(), ok({"tasks": {}, "missed": ["t"]})
    assert Wire(*answers).find(TEXT) == ()


def test_a_request_without_a_mark_is_not_looked_for() -> None:
    wire = Wire(ok({}))
    assert wire.find(Request("/x", "{}", None)) == ()
    assert wire.sent == []


# Retry-After.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("9" * 400, 3600.0),
        ("99999999999", 3600.0),
        (format_datetime(datetime.fromtimestamp(NOW / 1000 + 90, timezone.utc)), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW / 1000 - 90, timezone.utc)), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("7, 8", None),
        ("", None),
        ("Mon, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_read_or_left(text: str, seconds: float | None) -> None:
    assert http.retry_after({"Retry-After": text}, NOW) == seconds


@given(st.text(max_size=40))
def test_retry_after_is_never_out_of_bounds(text: str) -> None:
    seconds = http.retry_after({"Retry-After": text}, NOW)
    assert seconds is None or 0 <= seconds <= 3600


# Bounds and secrets.


def endless_json() -> httpx.Response:
    response = httpx.Response(200)

    def stream() -> Iterator[bytes]:
        yield b'{"code":0,"data":"'
        while True:
            yield b"x" * (1 << 20)

    response.pieces = stream  # type: ignore[attr-defined]
    return response


def test_a_body_without_end_is_not_read_to_the_end() -> None:
    wire = Wire(endless_json())
    with pytest.raises(ProviderUnavailable, match="too large"):
        wire.check("t")
    with pytest.raises(UnknownOutcome):
        wire.submit()


def test_without_time_nothing_is_asked() -> None:
    wire = Wire(ok({"missed": ["t"]}))
    with pytest.raises(ProviderUnavailable, match="no time"):
        wire.tripo.check(["t"], wire.credential, soon(0))
    assert wire.sent == []


def test_a_body_that_drips_is_left_at_the_deadline() -> None:
    left = iter([9.0] * 8)
    wire = Wire(endless_json())
    with pytest.raises(ProviderUnavailable, match="time ran out"):
        wire.tripo.check(["t"], wire.credential, Deadline(lambda: next(left, 0.0)))
    assert len(wire.sent) == 1


def test_an_upload_stops_at_the_deadline() -> None:
    left = iter([9.0] * 5)
    wire = Wire(ok({"file_token": "file_token_1"}))
    ask = Ask("image-to-3d", None, {"image": picture(3_000_000)}, {})
    with pytest.raises(ProviderUnavailable, match="time ran out"):
        wire.tripo.prepare(ask, wire.credential, Deadline(lambda: next(left, 0.0)))


def test_a_key_in_the_providers_own_words_is_not_repeated() -> None:
    body = {"code": 1002, "message": f"Key {KEY} is wrong, see https://x.example/a?sig=abc now"}
    with pytest.raises(Unauthorized) as caught:
        Wire(httpx.Response(401, json=body)).submit()
    message = caught.value.message
    assert "is wrong, see https://x.example/a?… now" in message
    assert KEY not in message


def test_a_download_logs_no_signature(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wire = Wire(httpx.Response(200, content=b"glTF"), httpx.Response(403))
    fetch(wire)
    with pytest.raises(DownloadFailed) as caught:
        fetch(wire)
    assert "s3cret" not in caplog.text + str(caught.value)


# Downloads.


def fetch(wire: Wire, url: str = LINK, deadline: Deadline | None = None) -> bytes:
    file = RemoteFile("model", url, "model/gltf-binary")
    with wire.tripo.download(file, "main", deadline or soon()) as download:
        return b"".join(download.chunks)


def test_a_file_comes_in_chunks_of_a_mebibyte() -> None:
    wire = Wire(raw(200, {}, *[b"x" * 65536] * 40))
    with wire.tripo.download(
        RemoteFile("model", LINK, "model/gltf-binary"), "main", soon()
    ) as download:
        sizes = [len(chunk) for chunk in download.chunks]
    assert sizes == [1 << 20, 1 << 20, 1 << 19]
    (sent,) = wire.sent
    assert sent.headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in sent.headers


def test_neither_the_key_nor_a_cookie_reaches_a_link_on_the_providers_own_host() -> None:
    cookie = {"Set-Cookie": "session=1; Path=/"}
    wire = Wire(raw(200, cookie, b'{"data":{"missed":["t"]}}'), raw(200, cookie, b"x"))
    wire.check("t")
    for _ in range(2):
        fetch(wire, "https://openapi.tripo3d.ai/model.glb")
    for sent in wire.sent[1:]:
        assert KEY not in str(sent.headers.raw)
        assert "Cookie" not in sent.headers


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 206, 304, 416, 429, 500, 503])
def test_only_some_statuses_mean_that_the_link_expired(status: int) -> None:
    with pytest.raises(DownloadFailed, match=str(status)) as caught:
        fetch(Wire(httpx.Response(status)))
    assert caught.value.expired is (status in {400, 401, 403, 404, 410})


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/html"},
        {"Content-Type": "Text/HTML; charset=utf-8"},
        {"Content-Type": "application/json"},
        {"Content-Type": "application/xml"},
        {"Content-Encoding": "br"},
    ],
)
def test_an_answer_that_is_no_file_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(DownloadFailed):
        fetch(Wire(raw(200, headers, b"<html>")))


@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "model/gltf-binary", "", "text/plain", "x"]
)
def test_servers_may_call_a_file_many_things(kind: str) -> None:
    assert fetch(Wire(httpx.Response(200, headers={"Content-Type": kind}, content=b"x"))) == b"x"


@pytest.mark.parametrize(
    "url",
    ["", "x", "file:///etc/passwd", "ftp://x/y", "https://a:b@x/y", "https://x:y/", "https:///y"],
)
def test_a_link_that_is_no_plain_url_is_refused(url: str) -> None:
    wire = Wire(httpx.Response(200))
    with pytest.raises(DownloadFailed):
        fetch(wire, url)
    assert wire.sent == []


def redirect(to: str) -> httpx.Response:
    return httpx.Response(302, headers={"Location": to})


def test_three_redirects_are_followed_and_a_fourth_is_not() -> None:
    hops = [redirect(f"/{n}") for n in range(4)]
    assert fetch(Wire(*hops[:3], httpx.Response(200, content=b"x"))) == b"x"
    wire = Wire(*hops, httpx.Response(200, content=b"x"))
    with pytest.raises(DownloadFailed, match="more than 3"):
        fetch(wire)
    assert len(wire.sent) == 4


@pytest.mark.parametrize(
    "to",
    ["http://files.example/x", "http://127.0.0.1/x", "ftp://x", "https://x:y/", "https://a:b@x/"],
)
def test_a_redirect_to_somewhere_less_safe_is_refused(to: str) -> None:
    wire = Wire(redirect(to), httpx.Response(200, content=b"x"))
    with pytest.raises(DownloadFailed):
        fetch(wire)
    assert len(wire.sent) == 1


def test_a_redirect_from_https_to_http_is_fine_on_loopback() -> None:
    wire = Wire(redirect("http://127.0.0.1/x"), httpx.Response(200, content=b"x"))
    assert fetch(wire, "https://localhost/y") == b"x"


def test_a_file_of_unknown_length_is_left_once_it_is_too_large() -> None:
    wire = Wire(endless_json())
    wire.tripo = Tripo(
        credentials=HELD,
        clock=wire.clock,
        max_download_bytes=3 << 20,
        transport=httpx.MockTransport(wire),
    )
    with pytest.raises(DownloadFailed, match="more than 3145728 bytes"):
        fetch(wire)


ZIPPED = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize("size", [1, 70_000])
def test_a_file_that_comes_as_gzip_is_unzipped(size: int) -> None:
    model = b"glTF" * 400_000
    zipped = gzip.compress(model, mtime=0)
    pieces = [zipped[at : at + size] for at in range(0, len(zipped), size)]
    for name in ("gzip", "X-GZip"):
        assert fetch(Wire(raw(200, {"Content-Encoding": name}, *pieces))) == model


def test_a_small_gzip_that_holds_a_large_file_is_left_once_it_is_too_large() -> None:
    wire = Wire(raw(200, ZIPPED, gzip.compress(bytes(64 << 20), mtime=0)))
    wire.tripo = Tripo(
        credentials=HELD,
        clock=wire.clock,
        max_download_bytes=3 << 20,
        transport=httpx.MockTransport(wire),
    )
    with pytest.raises(DownloadFailed, match="more than 3145728 bytes"):
        fetch(wire)


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        (b"glTF and no gzip at all", True),
        (gzip.compress(b"x" * 1000, mtime=0)[:-9], False),
        (gzip.compress(b"", mtime=0), False),
    ],
)
def test_a_gzip_that_holds_no_whole_file_is_no_file(body: bytes, broken: bool) -> None:
    with pytest.raises(DownloadFailed) as caught:
        fetch(Wire(raw(200, ZIPPED, body)))
    assert caught.value.broken is broken


def dripping(pieces: int, size: int, seconds: float) -> tuple[Wire, Deadline]:
    """A file whose pieces each take so long, and the deadline whose time that is."""
    left = [10_000.0]

    def drip() -> Iterator[bytes]:
        for _ in range(pieces):
            left[0] -= seconds
            yield bytes(size)

    response = httpx.Response(200)
    response.pieces = drip  # type: ignore[attr-defined]
    return Wire(response), Deadline(lambda: left[0])


@pytest.mark.parametrize(
    ("size", "seconds", "whole"),
    [(1, 5, False), (16_000, 1, False), (17_000, 1, True), (400_000, 19, True), (9, 0.0001, True)],
)
def test_a_file_that_only_drips_is_left(size: int, seconds: float, whole: bool) -> None:
    wire, deadline = dripping(100, size, seconds)
    if whole:
        assert len(fetch(wire, deadline=deadline)) == 100 * size
        return
    with pytest.raises(DownloadFailed, match="bytes/s"):
        fetch(wire, deadline=deadline)
    # After half a minute of it, and not after all of it.
    assert 10_000 - deadline.remaining() <= 36


def test_whoever_reads_a_file_may_be_as_slow_as_they_like() -> None:
    wire, _ = dripping(100, 50_000, 0)
    left = [10_000.0]
    file = RemoteFile("model", LINK, "model/gltf-binary")
    with wire.tripo.download(file, "main", Deadline(lambda: left[0])) as download:
        for _ in download.chunks:
            left[0] -= 60


def test_an_empty_file_is_no_file() -> None:
    with pytest.raises(DownloadFailed, match="empty"):
        fetch(Wire(httpx.Response(200, content=b"")))


def test_a_failed_download_shows_no_signature() -> None:
    for answer in (httpx.ReadError(LINK), httpx.Response(403), redirect("http://x/?sig=s3cret")):
        with pytest.raises(DownloadFailed) as caught:
            fetch(Wire(answer))
        assert "s3cret" not in caught.value.message


def test_the_deadline_is_looked_at_between_pieces() -> None:
    left = iter([9.0] * 6 + [0.0] * 100)
    wire = Wire(endless_json())
    with pytest.raises(OutOfTime):
        fetch(wire, deadline=Deadline(lambda: next(left)))


# Real sockets, for what no pretended transport can show.


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that hands every connection to `answer` and counts none of them twice."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.fixture
def live() -> Iterator[Callable[[str], Tripo]]:
    with ExitStack() as stack:

        def make(url: str) -> Tripo:
            tripo = Tripo(credentials=HELD, base_url=url, clock=FixedClock())
            stack.callback(tripo.close)
            return tripo

        yield make


def test_every_create_has_a_connection_of_its_own(live: Callable[[str], Tripo]) -> None:
    seen: list[bytes] = []
    body = b'{"code":0,"data":{"task_id":"t"}}'

    def answer(connection: socket.socket) -> None:
        # Keeps the connection open by its own account, and closes it behind the client's back.
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with server(answer) as url:
        tripo = live(url)
        for _ in range(20):
            assert tripo.submit(CREATE, "k", "main", soon()) == "t"
    assert len(seen) == 20
    assert all(b"connection: close" in request.lower() for request in seen)


@pytest.mark.parametrize("length", [b"Content-Length: 9999999\r\n", b"Connection: close\r\n"])
@pytest.mark.parametrize("drips", [0, 8, 1000])
def test_a_file_that_stalls_is_left_at_the_deadline(
    live: Callable[[str], Tripo], drips: int, length: bytes
) -> None:
    # Eight drips last for most of the deadline: a time-out that began anew with the last of them
    # would end long after it.
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + length + b"\r\nglTF")
        for _ in range(drips):
            if over.wait(0.05):
                return
            connection.sendall(b"x")
        over.wait(5)

    with server(answer) as url:
        start = time.monotonic()
        file = RemoteFile("model", f"{url}/x", "model/gltf-binary")
        with pytest.raises(OutOfTime), live(url).download(file, "main", soon(0.5)) as download:
            list(download.chunks)
        took = time.monotonic() - start
        over.set()
    assert took < 0.75


def test_a_half_sent_file_is_noticed(live: Callable[[str], Tripo]) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nglTF\r\n")

    with server(answer) as url:
        file = RemoteFile("model", f"{url}/x?signature=s3cret", "model/gltf-binary")
        with pytest.raises(DownloadFailed), live(url).download(file, "main", soon()) as download:
            list(download.chunks)


def test_a_success_tells_how_long_it_took() -> None:
    times = {"created_at": "2026-04-28T12:00:00Z", "completed_at": "2026-04-28T12:01:30Z"}
    assert state(status="success", output={"model_url": LINK}, **times).seconds == 90.0
    assert state(status="success", output={"model_url": LINK}).seconds is None
