"""Forms and JSON as browsers, command lines and libraries send them.

各种客户端所发表单的测试。
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
from typing import Any
from urllib.parse import quote

import aiohttp
import httpx
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from functions.api.http import inline
from functions.api.http.multipart import parse
from tests.functions.gateway import Answer, call, get, post_form, post_json, refusal
from tests.functions.house import Build, House
from tests.functions.pictures import picture

MODELS = "/api/v1/models"
PHOTO = picture("JPEG")
END = "--XB--\r\n"


def part(headers: str, data: bytes | str = b"") -> bytes:
    """One part between boundaries XB; the header lines are divided by `|`."""
    content = data.encode() if isinstance(data, str) else data
    return f"--XB\r\n{headers}\r\n\r\n".replace("|", "\r\n").encode() + content + b"\r\n"


def send(*parts: bytes, end: bytes | str = END, before: bytes = b"", path: str = MODELS) -> Answer:
    """POST parts as they are."""
    tail = end.encode() if isinstance(end, str) else end
    content_type = "multipart/form-data; boundary=XB"
    body = before + b"".join(parts) + tail
    return call("POST", path, headers={"content-type": content_type}, body=body)


def disposition(name: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{more}'


FILE = '; filename="a.jpg"|Content-Type: image/jpeg'
UNCHOSEN = '; filename=""|Content-Type: application/octet-stream'


def test_a_page_whose_inputs_are_not_all_filled_sends_what_was_chosen(house: House) -> None:
    answer = send(
        part(disposition("front", FILE), PHOTO),
        part(disposition("left", UNCHOSEN)),
        part(disposition("back", FILE), picture()),
        part(disposition("right", UNCHOSEN)),
        *(part(disposition(name)) for name in ("prompt", "callback_url", "metadata", "detail")),
    )
    assert answer.status == 202, answer.body
    assert answer.json["kind"] == "multiview-to-3d"
    assert sorted(house.job(answer.json["id"]).input.images) == ["back", "front"]


def test_a_page_on_which_nothing_was_chosen_says_what_is_needed(house: House) -> None:
    answer = send(part(disposition("image", UNCHOSEN)), part(disposition("prompt")))
    assert (answer.status, answer.error["param"]) == (400, "prompt")


def test_an_empty_file_that_was_chosen_is_a_fault(house: House) -> None:
    answer = send(part(disposition("image", FILE)))
    assert (answer.status, answer.error["param"]) == (415, "image")


CLIENTS = {
    "Chromium and Firefox": disposition("image", '; filename="a.jpg"|Content-Type: image/jpeg'),
    "Firefox, a quote in the name": disposition("image", '; filename="a%22b;.jpg"'),
    "Safari, Chinese": disposition("image", '; filename="照片.jpg"|Content-Type: image/jpeg'),
    "curl": disposition("image", '; filename="a\\"b.jpg"|Content-Type: image/jpeg'),
    "curl -F image=<a.jpg": disposition("image"),
    "curl -F image=<a.jpg;type=image/jpeg": disposition("image", "|Content-Type: image/jpeg"),
    "Go's mime/multipart": disposition(
        "image", '; filename="a.jpg"|Content-Type: application/octet-stream'
    ),
    "OkHttp": disposition("image", '; filename="a.jpg"|Content-Type: image/jpeg|Content-Length: 9'),
    "OkHttp, without a name": disposition("image", "|Content-Type: application/octet-stream"),
    "Apache HttpClient": disposition(
        "image", '; filename="a.jpg"|Content-Type: image/jpeg|Content-Transfer-Encoding: binary'
    ),
    "Apache HttpClient, extended": disposition(
        "image", '; filename="??.jpg"; filename*="UTF-8\'\'%E7%85%A7%E7%89%87.jpg"'
    ),
    ".NET": "Content-Disposition: form-data; name=image; filename=a.jpg; filename*=utf-8''a.jpg",
    ".NET, the type before": "Content-Type: image/jpeg|Content-Disposition: form-data; name=image",
    "filename* alone": disposition("image", "; filename*=utf-8''%E7%85%A7%E7%89%87.jpg"),
    "the name behind": 'Content-Disposition: form-data; filename="a.jpg"; name="image"',
    "lower case, no blanks": 'content-disposition:form-data;name="image";filename="a.jpg"',
    "a Blob without a name": disposition("image", '; filename="blob"|Content-Type: image/jpeg'),
    "a list in PHP, and in OpenAI's SDKs": disposition("image[]", FILE),
    "an old Windows path": disposition("image", '; filename="C:\\pictures\\a.jpg"'),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_picture_is_a_file_whoever_sends_it(house: House, client: str) -> None:
    answer = send(part(CLIENTS[client], PHOTO))
    assert answer.status == 202, answer.body
    assert answer.json["input"]["image"]["bytes"] == len(PHOTO)


@pytest.mark.parametrize(
    ("before", "end"),
    [
        (b"This is a multi-part message in MIME format.\r\n", END),
        (b"\r\n", END),
        (b"--X\r\n\r\n--XBX\r\n-", END),
        (b"", "--XB--"),
        (b"", "--XB--\r\n\r\nAn epilogue.\r\n--XB\r\n"),
    ],
)
def test_what_stands_around_the_parts_means_nothing(house: House, before: bytes, end: str) -> None:
    before = before if before.endswith(b"\r\n") or not before else before + b"\r\n"
    answer = send(part(disposition("image", FILE), PHOTO), before=before, end=end)
    assert answer.status == 202, answer.body


def test_lines_that_end_without_cr_are_refused_for_what_they_are(house: House) -> None:
    body = part(disposition("prompt"), "a cup").replace(b"\r\n", b"\n")
    for before in (b"", b"A preamble.\n"):
        answer = send(body, before=before, end="--XB--\n")
        assert (answer.status, answer.error["code"]) == (400, "invalid_multipart")
        assert "CRLF" in answer.error["message"]


@pytest.mark.parametrize(
    ("headers", "data"),
    [
        (disposition("prompt", "|Content-Type: text/plain"), "一只杯子".encode()),
        (disposition("prompt", "|Content-Type: text/plain; charset=UTF-8"), "一只杯子".encode()),
        (
            disposition("prompt", '|Content-Type: text/plain;charset="gbk"'),
            "一只杯子".encode("gbk"),
        ),
        (
            disposition(
                "prompt",
                "|Content-Type: text/plain; charset=utf-8|Content-Transfer-Encoding: base64",
            ),
            base64.encodebytes("一只杯子".encode()),
        ),
        (
            disposition("prompt", "|Content-Transfer-Encoding: quoted-printable"),
            b"=E4=B8=80=E5=8F=AA=\r\n=E6=9D=AF=E5=AD=90",
        ),
        (disposition("prompt", "|Content-Transfer-Encoding: 8bit"), "一只杯子".encode()),
        (disposition("prompt", '; filename="blob"|Content-Type: text/plain'), "一只杯子".encode()),
    ],
)
def test_a_text_is_read_as_its_part_says(house: House, headers: str, data: bytes) -> None:
    answer = send(part(headers, data))
    assert answer.status == 202, answer.body
    assert answer.json["input"]["prompt"] == "一只杯子"


@pytest.mark.parametrize("charset", ["UTF-8", "gb18030", "windows-1252"])
def test_the_charset_of_a_page_is_that_of_its_texts(house: House, charset: str) -> None:
    told, text = part(disposition("_charset_"), charset), "ein Stuhl für drei"
    answer = send(part(disposition("prompt"), text.encode(charset.lower())), told)
    assert answer.status == 202, answer.body
    assert answer.json["input"]["prompt"] == text


@pytest.mark.parametrize("charset", ["utf-7", "idna", "punycode", "hex", "unicode_escape", "x\\0y"])
def test_other_charsets_are_refused(house: House, charset: str) -> None:
    part_says = disposition("prompt", f"|Content-Type: text/plain; charset={charset}")
    answer = send(part(part_says, "a cup"))
    assert (answer.status, answer.error["param"]) == (400, "prompt")


def test_metadata_may_be_a_json_part_of_its_own(house: House) -> None:
    for name in ("", '; filename="blob"'):
        sent = disposition("metadata", f"{name}|Content-Type: application/json")
        answer = send(part(sent, '{"order": 7}'), part(disposition("prompt"), "a cup"))
        assert answer.status == 202, answer.body
        assert answer.json["metadata"] == {"order": 7}


def test_a_text_field_sent_as_a_named_file_is_refused(house: House) -> None:
    answer = send(part(disposition("prompt", '; filename="prompt.txt"'), "a cup"))
    assert (answer.status, answer.error["param"]) == (400, "prompt")


def test_two_files_of_one_field_are_refused_by_its_name(house: House) -> None:
    answer = send(part(disposition("image[]", FILE), PHOTO) * 2)
    assert (answer.status, answer.error["param"]) == (400, "image")
    assert answer.error["code"] == "duplicate_field"


def test_requests_httpx_and_aiohttp_are_understood(house: House) -> None:
    url = f"http://127.0.0.1{MODELS}"
    files: list[Any] = [{"image": PHOTO}, {"image": ("a.jpg", PHOTO)}, {"image": (None, PHOTO)}]
    fields = {"metadata": '{"a": 1}', "callback_url": ""}
    sent = []
    for one in files:
        prepared = requests.Request("POST", url, data=fields, files=one).prepare()
        sent.append((prepared.headers["Content-Type"], prepared.body))
        asked = httpx.Request("POST", url, data=fields, files=one)
        sent.append((asked.headers["Content-Type"], asked.read()))
    for more in ({"filename": "照片.jpg"}, {"filename": "a", "content_type": "image/jpeg"}):
        form = aiohttp.FormData(fields, default_to_multipart=True)
        form.add_field("image", PHOTO, **more)
        payload = form()
        sent.append((payload.headers["Content-Type"], _written(payload)))
    for content_type, body in sent:
        answer = call("POST", MODELS, headers={"content-type": content_type}, body=body)
        assert answer.status == 202, (content_type, answer.body)
        assert answer.json["kind"] == "image-to-3d"
        assert answer.json["metadata"] == {"a": 1}


def _written(payload: Any) -> bytes:
    """A body of aiohttp's, as its writer sends it."""
    pieces: list[bytes] = []

    class Writer:
        async def write(self, chunk: bytes) -> None:
            pieces.append(bytes(chunk))

    asyncio.run(payload.write(Writer()))
    return b"".join(pieces)


def test_null_means_left_out(house: House) -> None:
    optional = ("kind", "provider", "options", "metadata", "callback_url", "image", "front")
    content = {"prompt": "a cup", **dict.fromkeys(optional)}
    answer = post_json(MODELS, content)
    assert answer.status == 202, answer.body
    assert answer.json["input"] == {"prompt": "a cup", "options": {}}
    options = {"detail": None, "style": None, "scale": 0.5}
    answer = post_json(MODELS, {"prompt": "a cup", "options": options, "metadata": {"a": None}})
    assert answer.status == 202, answer.body
    assert answer.json["input"]["options"] == {"scale": 0.5}
    assert answer.json["metadata"] == {"a": None}
    form = post_form(MODELS, [("prompt", "a cup"), ("options", '{"detail": null}')])
    assert form.status == 202, form.body


def test_what_is_null_is_as_if_it_were_not_there(house: House) -> None:
    assert post_json(MODELS, {"prompt": None}).error["param"] == "prompt"
    assert post_json("/api/v1/jobs", {"kind": None, "prompt": "a"}).error["param"] == "kind"
    assert post_json(MODELS, {"prompt": "a", "colour": None}).error["param"] == "colour"


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                ["Content-Disposition", "Content-Type", "Content-Transfer-Encoding", "X"]
            ),
            st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))
            | st.from_regex(
                r"form-data; (name|filename)\*?[0-9]?\*?=\"?[a-z']{0,9}[%A-F0-9']{0,9}\"?;?",
                fullmatch=True,
            ),
        ),
        max_size=4,
    ),
    data=st.binary(max_size=30),
)
def test_any_headers_of_a_part_are_read_or_refused(
    headers: list[tuple[str, str]], data: bytes
) -> None:
    lines = "\r\n".join(f"{name}: {value}" for name, value in headers)
    body = b"--XB\r\n" + lines.encode() + b"\r\n\r\n" + data + b"\r\n--XB--\r\n"
    found = refusal(lambda: parse(body, "multipart/form-data; boundary=XB"))
    assert found is None or found.code == "invalid_multipart"


def wrapped(data: bytes) -> str:
    return base64.encodebytes(data).decode()


SPELLINGS = {
    "bare": lambda data: base64.b64encode(data).decode(),
    "in lines": wrapped,
    "url-safe, unpadded": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    "data:": lambda data: f"data:image/png;base64,{base64.b64encode(data).decode()}",
    "DATA: with parameters": lambda data: f"DATA:image/png;name=a.png;Base64,{wrapped(data)}",
    "data: escaped": lambda data: f"data:;base64,{quote(base64.b64encode(data).decode(), safe='')}",
    "data: without Base64": lambda data: f"data:image/png,{quote(data)}",
}


@given(data=st.binary(max_size=50), spelling=st.sampled_from(sorted(SPELLINGS)))
def test_a_file_in_a_text_is_read_however_it_is_spelled(data: bytes, spelling: str) -> None:
    assert inline.decode(SPELLINGS[spelling](data), "image") == data


@pytest.mark.parametrize("text", ["a", "abcde", "a cup of tea!", "图", "data:image/png;base64"])
def test_a_text_that_holds_no_file_is_refused_by_its_field(text: str) -> None:
    found = refusal(lambda: inline.decode(text, "image"))
    assert found is not None
    assert found.param == "image"


def noise(side: int) -> bytes:
    """A PNG that no compression makes small."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(7).randbytes(3 * side * side)).save(
        buffer, "PNG", compress_level=0
    )
    return buffer.getvalue()


def test_a_picture_in_json_may_be_as_large_as_the_door_is_wide(build_house: Build) -> None:
    house = build_house(QWEN_IMAGE_BASE_URL="http://127.0.0.1:1")
    data = noise(800)
    image = base64.b64encode(data).decode()
    assert len(image) > 2 * 2**20
    answer = post_json("/image-to-image", {"prompt": "🪑", "image": image})
    assert answer.status == 202, answer.body
    assert house.job(answer.json["id"]).input.images["image"].bytes == len(data)
    # What is no picture is held to the same as ever, however much of it is one.
    for more in ({"metadata": {"k": "x" * 2**20}}, {"options": {"k": [[]] * 250_000}}):
        answer = post_json("/image-to-image", {"prompt": "a", "image": image, **more})
        assert (answer.status, answer.error["param"]) == (413, "body")


BOUNDS = {
    "detail": ("10", "detail must be from 1 to 9; 10 was given."),
    "scale": ("-1.5", "scale must be above 0; -1.5 was given."),
    "style": ("x" * 41, "style may have 40 characters at most; it has 41."),
    "textured": ("perhaps", 'textured must be true or false; "perhaps" was given.'),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_is_told_as_a_bound_in_forms_and_json_alike(house: House, name: str) -> None:
    text, expected = BOUNDS[name]
    value = {"detail": 10, "scale": -1.5}.get(name, text)
    form = post_form(MODELS, [("prompt", "a cup"), (name, text)])
    whole = post_form(MODELS, [("prompt", "a cup"), ("options", json.dumps({name: value}))])
    body = post_json(MODELS, {"prompt": "a cup", "options": {name: value}})
    assert form.error["message"] == expected
    assert whole.error["message"] == body.error["message"] == f"options.{expected}"
    assert (form.error["param"], body.error["param"]) == (name, f"options.{name}")


def test_an_option_that_there_is_not_is_told_with_those_there_are(house: House) -> None:
    answer = post_form(MODELS, [("prompt", "a cup"), ("colour", "red")])
    assert (answer.status, answer.error["param"]) == (400, "colour")
    assert "detail, scale, style, textured" in answer.error["message"]
    answer = post_json(MODELS, {"prompt": "a cup", "options": {"colour": "red"}})
    assert (answer.status, answer.error["param"]) == (400, "options.colour")
    assert "detail, scale, style, textured" in answer.error["message"]


def test_a_number_in_a_query_is_told_its_bounds(house: House) -> None:
    answer = get("/api/v1/jobs", query={"limit": "1000"})
    assert answer.error["message"] == 'limit must be at most 100; "1000" was given.'


@pytest.mark.parametrize("send_it", ["json", "form"])
def test_a_prompt_is_kept_in_its_normal_form(house: House, send_it: str) -> None:
    text = " a cafe\u0301\r\n\tin \u1112\u1161\u11ab\r\n"
    if send_it == "json":
        answer = post_json(MODELS, {"prompt": text})
    else:
        answer = post_form(MODELS, [("prompt", text)])
    assert answer.json["input"]["prompt"] == "a café\n\tin 한"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a\x07cup", "prompt_unusable"),
        ("a\x1b[31mcup", "prompt_unusable"),
        ("\x85", "prompt_unusable"),
        ("\u200b\u3164\ufeff", "prompt_empty"),
        ("a" + "\u0301\u0323" * 20, "prompt_unusable"),
        ("\u0301\u0323" * 20_000, "prompt_too_long"),
        ("\u1112\u1161\u11ab" * 1025, "prompt_too_long"),
    ],
)
def test_a_prompt_of_nothing_or_of_controls_is_refused(house: House, text: str, code: str) -> None:
    for answer in (
        post_json(MODELS, {"prompt": text}),
        post_form("/api/v1/jobs", [("kind", "text-to-3d"), ("prompt", text)]),
    ):
        assert (answer.status, answer.error["param"], answer.error["code"]) == (400, "prompt", code)


@pytest.mark.parametrize(
    ("kind", "names"), [("text-to-3d", {"provider": "tripo"}), ("text-to-image", {})]
)
def test_a_negative_prompt_is_held_to_the_same_rule(
    build_house: Build, kind: str, names: dict[str, str]
) -> None:
    build_house(QWEN_IMAGE_BASE_URL="http://127.0.0.1:1", TRIPO_API_KEY="tsk_a-key-for-tests")
    asked = {"kind": kind, "prompt": "a cup", **names}
    kept = post_json("/api/v1/jobs", {**asked, "options": {"negative_prompt": "cafe\u0301\n"}})
    assert kept.json["input"]["options"] == {"negative_prompt": "café"}
    refused = post_json("/api/v1/jobs", {**asked, "options": {"negative_prompt": "a\x07b"}})
    assert (refused.status, refused.error["param"]) == (400, "options.negative_prompt")
    assert "U+0007" in refused.error["message"]
    long = post_json("/api/v1/jobs", {**asked, "options": {"negative_prompt": "x" * 1025}})
    assert "characters at most; it has 1025." in long.error["message"]


def test_a_prompt_counts_in_its_normal_form(house: House) -> None:
    assert post_json(MODELS, {"prompt": "\u1112\u1161\u11ab" * 1024}).status == 202
