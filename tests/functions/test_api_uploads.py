"""Uploads over HTTP: announced, described, deleted, and nobody else's.

上传接口的测试。
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from shared.clock import iso
from shared.config import load
from shared.inputs import uploads
from shared.store.base import Record
from shared.store.tables import UPLOADS
from tests.functions.gateway import Answer, call, get, post_form, post_json
from tests.functions.house import Build, House

DAY = 24 * 3600 * 1000
PHOTO = {"media_type": "image/jpeg", "bytes": 18_303_121}
KEYS = "shop:key-of-the-shop-0001,spy:key-of-the-spy-00001"
SHOP = {"authorization": "Bearer key-of-the-shop-0001"}
SPY = {"authorization": "Bearer key-of-the-spy-00001"}


def announced(**more: Any) -> Answer:
    return post_json("/api/v1/uploads", {**PHOTO, **more})


def put(house: House, upload: Any, data: bytes) -> None:
    """What whoever serves the bucket does with a PUT to the upload's link."""
    key = urlsplit(upload["url"]).path.removeprefix("/_bucket/")
    query = dict(parse_qsl(urlsplit(upload["url"]).query))
    assert house.bundle.bucket.verify("PUT", key, query)  # type: ignore[attr-defined]
    media_type = upload["headers"]["Content-Type"]
    house.bundle.bucket.put_stream(key, [data], media_type=media_type)


def test_an_announced_file_is_answered_with_the_request_that_puts_it(house: House) -> None:
    answer = announced(filename="../Stuhl 椅子.jpg", sha256="AB" * 32)
    assert answer.status == 201
    upload = answer.json
    assert answer.headers["location"].endswith(f"/api/v1/uploads/{upload['id']}")
    assert upload["urls"] == {"self": answer.headers["location"]}
    assert upload["method"] == "PUT"
    assert upload["headers"] == {
        "Content-Type": "image/jpeg",
        "Content-Length": "18303121",
        "x-amz-checksum-sha256": "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=",
    }
    assert f"/uploads/{upload['id']}/" in upload["url"]
    assert (upload["filename"], upload["sha256"]) == ("_Stuhl 椅子.jpg", "ab" * 32)
    assert upload["received"] is False
    assert upload["created_at"] == iso(house.clock.now())
    assert upload["expires_at"] == iso(house.clock.now() + DAY)


def test_it_tells_whether_the_file_was_received(house: House) -> None:
    upload = announced(bytes=3).json
    where = f"/api/v1/uploads/{upload['id']}"
    assert get(where).json == upload
    put(house, upload, b"abc")
    assert get(where).json == {**upload, "received": True}


def test_the_request_is_made_anew_and_ends_with_the_upload(house: House) -> None:
    upload = announced(bytes=3).json
    house.clock.advance(DAY - 60_000)
    again = get(f"/api/v1/uploads/{upload['id']}").json
    put(house, again, b"abc")
    house.clock.advance(60_000)
    for late in (upload, again):
        with pytest.raises(AssertionError):
            put(house, late, b"xyz")


def test_a_deleted_upload_is_gone_with_its_file(house: House) -> None:
    upload = announced(bytes=3).json
    put(house, upload, b"abc")
    where = f"/api/v1/uploads/{upload['id']}"
    deleted = call("DELETE", where)
    assert (deleted.status, deleted.body) == (204, "")
    assert house.bundle.bucket.keys("uploads/") == ()
    for answer in (get(where), call("DELETE", where)):
        assert (answer.status, answer.error["code"]) == (404, "upload_not_found")


def test_an_upload_is_nobody_else_s(build_house: Build) -> None:
    build_house(api_keys=KEYS)
    upload = post_json("/api/v1/uploads", PHOTO, headers=SHOP).json
    where = f"/api/v1/uploads/{upload['id']}"
    for answer in (get(where, headers=SPY), call("DELETE", where, headers=SPY)):
        assert (answer.status, answer.error["code"]) == (404, "upload_not_found")
    assert get(where, headers=SHOP).status == 200
    assert post_json("/api/v1/uploads", PHOTO).status == 401


@pytest.mark.parametrize("identifier", ["x", "01JD8Q5S3V7X2Z4B6D8F0H2K4M", "..%2f..", "0" * 300])
def test_what_is_no_upload_is_not_found(house: House, identifier: str) -> None:
    answer = get(f"/api/v1/uploads/{identifier}")
    assert answer.status == 404


def test_a_day_later_it_has_ended(house: House) -> None:
    upload = announced(bytes=3).json
    where = f"/api/v1/uploads/{upload['id']}"
    house.clock.advance(DAY - 1)
    assert get(where).status == 200
    house.clock.advance(1)
    assert get(where).error["code"] == "upload_not_found"
    assert call("DELETE", where).status == 404


@pytest.mark.parametrize(
    ("more", "status", "code", "param"),
    [
        ({"media_type": "image/gif"}, 415, "media_type_unsupported", "media_type"),
        ({"media_type": "text/html"}, 415, "media_type_unsupported", "media_type"),
        ({"media_type": "image/jpeg\r\nX: 1"}, 415, "media_type_unsupported", "media_type"),
        ({"media_type": None}, 400, "invalid_input", "media_type"),
        ({"bytes": None}, 400, "invalid_input", "bytes"),
        ({"bytes": 0}, 400, "invalid_input", "bytes"),
        ({"bytes": -1}, 400, "invalid_input", "bytes"),
        ({"bytes": "12"}, 400, "invalid_input", "bytes"),
        ({"bytes": 1.5}, 400, "invalid_input", "bytes"),
        ({"bytes": 2**60}, 400, "invalid_input", "bytes"),
        ({"bytes": 20 * 2**20 + 1}, 400, "too_large", "bytes"),
        ({"media_type": "model/stl", "bytes": 150 * 2**20 + 1}, 400, "too_large", "bytes"),
        ({"sha256": "ab"}, 400, "invalid_input", "sha256"),
        ({"sha256": "z" * 64}, 400, "invalid_input", "sha256"),
        ({"filename": "x" * 256}, 400, "invalid_input", "filename"),
        ({"filename": 7}, 400, "invalid_input", "filename"),
        ({"url": "https://a.example"}, 400, "unknown_field", "url"),
    ],
)
def test_what_cannot_be_uploaded_is_refused_by_its_field(
    house: House, more: dict[str, Any], status: int, code: str, param: str
) -> None:
    answer = announced(**more)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (status, code, param)
    assert house.rows("uploads") == 0


@pytest.mark.parametrize(
    ("media_type", "most"),
    [
        ("image/png", 20 * 2**20),
        ("image/webp", 20 * 2**20),
        ("model/gltf-binary", 150 * 2**20),
        ("application/vnd.autodesk.fbx", 150 * 2**20),
        ("model/obj", 150 * 2**20),
        ("model/stl", 150 * 2**20),
    ],
)
def test_pictures_and_models_are_taken_up_to_their_limits(
    house: House, media_type: str, most: int
) -> None:
    answer = announced(media_type=media_type, bytes=most, sha256=None, filename=None)
    assert answer.status == 201, answer.body
    assert answer.json["headers"] == {"Content-Type": media_type, "Content-Length": str(most)}


def test_a_size_may_be_written_as_any_whole_number(house: House) -> None:
    answer = post_json("/api/v1/uploads", b'{"media_type": "image/png", "bytes": 2.80e2}')
    assert (answer.status, answer.json["bytes"]) == (201, 280)


def test_only_formats_that_this_deployment_takes_are_uploaded(build_house: Build) -> None:
    build_house(image_formats="image/png")
    assert announced().error["code"] == "media_type_unsupported"
    assert announced(media_type="image/png").status == 201


def test_the_file_itself_does_not_belong_into_the_announcement(house: House) -> None:
    answer = post_form("/api/v1/uploads", files=[("file", b"x")])
    assert (answer.status, answer.error["code"]) == (415, "content_type_unsupported")


def test_a_caller_has_a_bounded_number_of_open_uploads(
    build_house: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads.UploadRepository.__init__, "__defaults__", (3,))
    house = build_house(api_keys=KEYS)

    def announce(caller: dict[str, str]) -> Answer:
        house.clock.advance(1)
        return post_json("/api/v1/uploads", PHOTO, headers=caller)

    made = [announce(SHOP) for _ in range(3)]
    assert [answer.status for answer in made] == [201] * 3
    full = announce(SHOP)
    assert (full.status, full.error["code"], full.json["retryable"]) == (429, "uploads_open", True)
    assert 0 < int(full.headers["retry-after"]) <= 120
    assert announce(SPY).status == 201
    assert call("DELETE", f"/api/v1/uploads/{made[1].json['id']}", headers=SHOP).status == 204
    assert announce(SHOP).status == 201
    assert announce(SHOP).status == 429
    house.clock.advance(DAY)
    assert [announce(SHOP).status for _ in range(4)] == [201, 201, 201, 429]


def test_the_links_are_no_secret_of_the_log(house: House, log_records: list[Any]) -> None:
    upload = announced().json
    signature = dict(parse_qsl(urlsplit(upload["url"]).query))["signature"]
    get(f"/api/v1/uploads/{upload['id']}")
    assert all(signature not in record.getMessage() for record in log_records)


def test_an_upload_that_newer_code_wrote_is_read_and_left_alone(house: House) -> None:
    upload = announced(bytes=3).json
    record = house.bundle.store.get(UPLOADS, upload["id"])
    assert record is not None
    newer = {**record.document, "format": uploads.FORMAT + 1, "parts": [1, 2]}
    house.bundle.store.put(
        UPLOADS, Record(record.key, newer, record.fields, record.due_at, version=record.version)
    )
    where = f"/api/v1/uploads/{upload['id']}"
    assert get(where).status == 200
    refused = call("DELETE", where)
    assert (refused.status, refused.error["code"]) == (503, "record_newer")
    kept = house.bundle.store.get(UPLOADS, upload["id"])
    assert kept is not None
    assert json.dumps(dict(kept.document)) == json.dumps(newer)


def test_the_model_limit_is_a_setting(build_house: Build) -> None:
    build_house(model_bytes=1000)
    assert announced(media_type="model/obj", bytes=1000).status == 201
    assert announced(media_type="model/obj", bytes=1001).status == 400
    assert load({}, **_NEEDED).model_bytes == 150 * 2**20


_NEEDED = {
    "store_url": "sqlite:///x",
    "bucket_url": "file:///x",
    "link_secret": "x" * 32,
    "webhook_secrets": "whsec_" + "YWFh" * 11,
}
