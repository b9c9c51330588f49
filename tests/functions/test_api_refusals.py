"""What is refused: a clear 4xx that names the field, and nothing kept.

拒绝无效请求的测试。
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from functions.api.handler import handler
from tests.functions.gateway import (
    Answer,
    Context,
    call,
    event,
    form_body,
    post_form,
    post_json,
)
from tests.functions.house import Build, House
from tests.functions.pictures import SVG, bomb, picture

MODELS = "/api/v1/models"


@pytest.fixture(autouse=True)
def _nothing_is_kept(house: House) -> Iterator[None]:
    """Every test of this file ends as it began: no row, no object, nobody woken."""
    yield
    assert (house.rows(), house.objects(), house.woken) == (0, [], [])
    assert house.rows("idempotency") == 0


def refused(answer: Answer, param: str, status: int = 400, code: str | None = None) -> None:
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.error["param"] == param, answer.body
    assert code is None or answer.error["code"] == code
    assert answer.json["retryable"] is False


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n\t\u3000"}, "prompt"),
        ({"prompt": "x" * 10_000}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"prompt": "a\0b"}, "prompt"),
        ({"prompt": "a", "kind": "image-to-3d"}, "image"),
        ({"prompt": "a", "kind": "image-to-4d"}, "kind"),
        ({"prompt": "a", "kind": "k" * 65}, "kind"),
        ({"prompt": "a", "provider": "nobody"}, "provider"),
        ({"image": "not Base64!"}, "image"),
        ({"prompt": "a", "colour": "red"}, "colour"),
        ({"prompt": "a", "": 1}, "body"),
        ({"prompt": "a", "n\0l": 1}, "body"),
        ({"prompt": "a", "options": []}, "options"),
        ({"prompt": "a", "options": {"detail": 0}}, "options.detail"),
        ({"prompt": "a", "options": {"detail": "3"}}, "options.detail"),
        ({"prompt": "a", "options": {"detail": True}}, "options.detail"),
        ({"prompt": "a", "options": {"finish": "matt"}}, "options.finish"),
        ({"prompt": "a", "options": {"style": "a\0b"}}, "options"),
        ({"prompt": "a", "options": {"style": "\ud800"}}, "options"),
        ({"prompt": "a", "metadata": "text"}, "metadata"),
        ({"prompt": "a", "metadata": {"k": "x" * 16_400}}, "metadata"),
        ({"prompt": "a", "metadata": {"k": "图" * 5_500}}, "metadata"),
        ({"prompt": "a", "metadata": {"k\0": 1}}, "metadata"),
        ({"prompt": "a", "metadata": {"k": ["\udfff"]}}, "metadata"),
        ({"prompt": "a", "metadata": {"k": 10**30}}, "body"),
        ({"prompt": "a", "metadata": {"a": [[[[[[[[[1]]]]]]]]]}}, "metadata"),
        ({"prompt": "a", "callback_url": 1}, "callback_url"),
        ({"prompt": "a", "callback_url": ""}, "callback_url"),
        ({"prompt": "a", "callback_url": "ftp://example.com"}, "callback_url"),
        ({"prompt": "a", "callback_url": "http://169.254.169.254/latest"}, "callback_url"),
        ({"prompt": "a", "callback_url": "https://user:pw@example.com/"}, "callback_url"),
        ({"prompt": "a", "callback_url": "https://example.com/" + "x" * 3000}, "callback_url"),
    ],
)
def test_a_json_field_at_fault_is_named(house: House, content: Any, param: str) -> None:
    refused(post_json(MODELS, content), param)
    if "kind" not in content:
        content = {"kind": "text-to-3d", **content}
    refused(post_json("/api/v1/jobs", content), param)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"null", "body"),
        (b"[1]", "body"),
        (b'"text"', "body"),
        (b'{"prompt": "a"} x', "body"),
        (b'{"prompt": "a", "prompt": "b"}', "prompt"),
        (b'{"prompt": "a", "metadata": {"k": 1, "k": 2}}', "k"),
        (b'{"prompt": "\\ud800"}', "prompt"),
        (b'{"prompt": "\\u0000"}', "prompt"),
        (b'{"prompt": "\xff"}', "body"),
        (b'{"prompt": "a\nb"}', "body"),
        (b'{"prompt": "a", "metadata": {"k": NaN}}', "body"),
        (b'{"prompt": "a", "metadata": {"k": -Infinity}}', "body"),
        (b'{"prompt": "a", "metadata": {"k": 1e999}}', "body"),
        (b'{"prompt": "a", "metadata": {"k": %s}}' % (b"9" * 100_000), "body"),
        (b'{"prompt": "a", "options": {"scale": 1e400}}', "body"),
        (b"[" * 100_000 + b"]" * 100_000, "body"),
        (b'{"metadata": {"k": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "body"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "body"),
        ('{"prompt": "a"}'.encode("utf-16"), "body"),
    ],
)
def test_malformed_json_is_refused(house: House, body: bytes, param: str) -> None:
    refused(post_json(MODELS, body), param)


def test_json_beyond_a_mebibyte_is_too_large(house: House) -> None:
    body = json.dumps({"prompt": "a", "metadata": {"k": "x" * 2**20}}).encode()
    refused(post_json(MODELS, body), "body", 413, "too_large")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 415, "image_format_unsupported"),
        (SVG, 415, "image_format_unsupported"),
        (b"GIF89a" + bytes(40), 415, "image_format_unsupported"),
        (b"\xff\xd8\xff", 400, None),
        (picture("JPEG", (640, 480))[:-200], 400, "image_truncated"),
        (picture("PNG", (640, 480))[:-30], 400, "image_truncated"),
        (bomb(), 400, "image_too_many_pixels"),
        (picture("PNG", (6400, 21)), 400, "image_too_large"),
        (picture("PNG", (19, 300)), 400, "image_too_small"),
    ],
)
def test_a_picture_that_cannot_be_used_is_refused(
    house: House, data: bytes, status: int, code: str | None
) -> None:
    refused(post_form(MODELS, files=[("image", data)]), "image", status, code)
    files = [("front", picture()), ("back", data)]
    refused(post_form(MODELS, files=files), "back", status, code)


def test_a_picture_of_too_many_bytes_is_refused(build_house: Build) -> None:
    build_house(image_bytes=1000)
    data = picture() + bytes(1000)
    refused(post_form(MODELS, files=[("image", data)]), "image", 413, "image_too_many_bytes")


def test_a_format_the_operator_left_out_is_refused(build_house: Build) -> None:
    build_house(image_formats="image/png,image/jpeg")
    refused(post_form(MODELS, files=[("image", picture("WEBP"))]), "image", 415)


IMAGE = [("image", picture())]
Files = Sequence[tuple[str, bytes]]


@pytest.mark.parametrize(
    ("fields", "files", "param"),
    [
        ([], [], "prompt"),
        ([("prompt", "a")], IMAGE, "prompt"),
        ([("prompt", "a")] * 2, [], "prompt"),
        ([("prompt", b"\xff\xfe")], [], "prompt"),
        ([("prompt", b"a\0")], [], "prompt"),
        ([("colour", "red")], IMAGE, "colour"),
        ([("detail", "many")], IMAGE, "detail"),
        ([("detail", "10")], IMAGE, "detail"),
        ([("scale", "nan")], IMAGE, "scale"),
        ([("scale", "inf")], IMAGE, "options"),
        ([("options", '{"detail": 1}'), ("detail", "1")], IMAGE, "detail"),
        ([("options", "[1]")], IMAGE, "options"),
        ([("options", "{")], IMAGE, "options"),
        ([("metadata", '{"a": NaN}')], IMAGE, "metadata"),
        ([("metadata", "[" * 100_000)], IMAGE, "metadata"),
        ([("metadata", '{"a": "' + "x" * 17_000 + '"}')], IMAGE, "metadata"),
        ([("metadata", '{"a": "\\u0000"}')], IMAGE, "metadata"),
        ([("kind", "multiview-to-3d")], IMAGE, "image"),
        ([("kind", "text-to-3d"), ("prompt", "a")], IMAGE, "image"),
        ([("image", "text")], IMAGE, "image"),
        ([], IMAGE * 2, "image"),
        ([], [("front", picture())], "left"),
        ([], [("left", picture()), ("right", picture())], "front"),
        ([], [*IMAGE, ("front", picture())], "front"),
        ([], [("photo", picture())], "photo"),
        ([], [("prompt", b"a cup")], "prompt"),
    ],
)
def test_a_form_field_at_fault_is_named(
    house: House, fields: Any, files: Files, param: str
) -> None:
    refused(post_form(MODELS, fields, files), param)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no parts at all",
        form_body([("prompt", "a cup")])[:-6],
        form_body([("prompt", "a cup")]).replace(b"\r\n", b"\n"),
        form_body([("prompt", "a cup")]).replace(b'; name="prompt"', b""),
        form_body([("prompt", "a cup")]).replace(b"Content-Disposition", b"Content-Type"),
        form_body([("prompt", "a cup")]).replace(b'"prompt"', b'"\xff"'),
        form_body([("prompt", "a cup")]).replace(b'"prompt"', b'"' + b"p" * 9000 + b'"'),
        form_body([(f"field{number}", "x") for number in range(100)]),
    ],
)
def test_malformed_forms_are_refused(house: House, body: bytes) -> None:
    refused(post_form(MODELS, body=body), "body", 400, "invalid_multipart")


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 300,
    ],
)
def test_a_form_without_a_usable_boundary_is_refused(house: House, content_type: str) -> None:
    answer = call("POST", MODELS, headers={"content-type": content_type}, body=form_body())
    refused(answer, "Content-Type", 400, "invalid_multipart")


def test_a_form_of_too_much_text_is_too_large(house: House) -> None:
    refused(post_form(MODELS, [("prompt", "x" * (2**20 + 1))]), "prompt", 413)


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/mixed"],
)
def test_other_content_types_are_refused(house: House, content_type: str) -> None:
    answer = post_json(MODELS, {"prompt": "a cup"}, headers={"content-type": content_type})
    refused(answer, "Content-Type", 415, "content_type_unsupported")


def test_a_compressed_body_is_refused(house: House) -> None:
    answer = post_json(MODELS, {"prompt": "a cup"}, headers={"content-encoding": "gzip"})
    refused(answer, "Content-Encoding", 415)


@pytest.mark.parametrize("announced", ["100", "10000", "0", "9" * 5000, "many", "-1"])
def test_a_body_above_the_limit_is_refused_whatever_is_announced(
    build_house: Build, announced: str
) -> None:
    build_house(body_bytes=5000, image_bytes=5000)
    answer = post_form(MODELS, [("prompt", "x" * 6000)], headers={"content-length": announced})
    refused(answer, "body", 413, "too_large")


def test_an_announced_size_above_the_limit_is_refused_unread(build_house: Build) -> None:
    build_house(body_bytes=5000, image_bytes=5000)
    answer = post_json(MODELS, {"prompt": "a cup"}, headers={"content-length": "5001"})
    refused(answer, "body", 413, "too_large")


@pytest.mark.parametrize("key", ["", '"', '""', "x" * 256, "a b", "schlüssel", "a\tb"])
def test_an_idempotency_key_at_fault_is_named(house: House, key: str) -> None:
    answer = post_json(MODELS, {"prompt": "a cup"}, headers={"idempotency-key": key})
    refused(answer, "Idempotency-Key")


TWO_LINES: dict[str, dict[str, Any]] = {
    # HTTP APIs and Function URLs join a header's lines by commas; a REST API keeps them apart.
    "2.0": {"headers": {"content-type": "application/json", "idempotency-key": "order-1,order-2"}},
    "2.0, quoted": {
        "headers": {"content-type": "application/json", "idempotency-key": '"order-1","order-2"'}
    },
    "1.0": {
        "version": "1.0",
        "resource": "/{proxy+}",
        "path": MODELS,
        "httpMethod": "POST",
        "headers": {"content-type": "application/json", "idempotency-key": "order-2"},
        "multiValueHeaders": {
            "content-type": ["application/json"],
            "idempotency-key": ["order-1", "order-2"],
        },
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"identity": {"sourceIp": "203.0.113.9"}},
    },
}


@pytest.mark.parametrize("gateway", TWO_LINES)
def test_two_idempotency_keys_are_refused_behind_every_gateway(house: House, gateway: str) -> None:
    body = event("POST", MODELS, body=b'{"prompt": "a cup"}')
    got = handler({**body, **TWO_LINES[gateway]}, Context())
    problem = json.loads(got["body"])["error"]
    assert (got["statusCode"], problem["param"]) == (400, "Idempotency-Key")
    assert problem["code"] == "idempotency_key_invalid"


@pytest.mark.parametrize("prefer", ["wait=1000000000", "respond-async, wait=" + "9" * 5000])
def test_a_wait_of_too_many_digits_is_refused(house: House, prefer: str) -> None:
    answer = post_json(MODELS, {"prompt": "a cup"}, headers={"prefer": prefer})
    refused(answer, "Prefer")
