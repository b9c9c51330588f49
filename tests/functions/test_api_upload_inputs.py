"""Uploads as inputs of jobs: whose they are, what they hold, and what a later PUT changes.

以上传文件作为任务输入的测试。
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from shared.inputs.uploads import Announced, Upload
from tests.functions.gateway import Answer, call, get, post_json
from tests.functions.house import Build, House
from tests.functions.meddling import kept, remodelling, send, with_meddled_bucket
from tests.functions.pictures import SVG, bomb, picture
from tests.model_files import WHOLE, binary_stl, obj

DAY = 24 * 3600 * 1000
OTHER = {"authorization": "Bearer the-key-of-another-shop-0123456789"}
OURS = {"authorization": "Bearer the-key-of-our-own-shop-0123456789"}
KEYS = "ours:the-key-of-our-own-shop-0123456789,other:the-key-of-another-shop-0123456789"


@pytest.fixture
def build(build_house: Build, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    with remodelling(build_house, monkeypatch) as build:
        yield build


@pytest.fixture
def house(build: Build) -> House:
    return build()


def announced(house: House, data: bytes, media_type: str, **more: Any) -> Upload:
    caller = more.pop("caller", None) or house.job(made_by_us(house)).caller
    return house.bundle.uploads.open(caller, Announced(media_type, len(data), **more))


def made_by_us(house: House) -> str:
    return str(post_json("/api/v1/models", {"prompt": "a cup"}).json["id"])


def put(house: House, upload: Upload, data: bytes) -> None:
    house.bundle.bucket.put_stream(upload.key, [data], media_type=upload.media_type)


def uploaded(house: House, data: bytes, media_type: str = "image/png", **more: Any) -> Upload:
    upload = announced(house, data, media_type, **more)
    put(house, upload, data)
    return upload


def reference(upload: Upload) -> dict[str, str]:
    return {"upload_id": upload.id}


def refused(answer: Answer, status: int, param: str, code: str) -> None:
    assert answer.status == status, answer.body
    assert (answer.error["param"], answer.error["code"]) == (param, code)


DOORS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "models": ("/api/v1/models", {}, ("image",)),
    "models, views": ("/api/v1/models", {}, ("front", "left", "back", "right")),
    "jobs": ("/api/v1/jobs", {"kind": "image-to-3d"}, ("image",)),
    "a picture and its mask": ("/image-to-image", {"prompt": "blue"}, ("image", "mask")),
}


@pytest.mark.parametrize("form", [False, True], ids=["JSON", "form"])
@pytest.mark.parametrize("door", DOORS)
def test_an_uploaded_picture_is_an_input_at_every_door_and_role(
    house: House, door: str, form: bool
) -> None:
    path, fields, roles = DOORS[door]
    data = picture()
    upload = uploaded(house, data)
    answer = send(path, {**fields, **dict.fromkeys(roles, reference(upload))}, form)
    assert answer.status == 202, answer.body
    for role in roles:
        assert answer.json["input"][role] == {
            "media_type": "image/png",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "width": 64,
            "height": 48,
            "source": {"upload_id": upload.id},
        }
        assert kept(house, answer.json["id"], role) == data


@pytest.mark.parametrize("name", ["GLB", "FBX", "OBJ", "STL"])
def test_an_uploaded_model_is_an_input_in_each_format(house: House, name: str) -> None:
    media_type, data = WHOLE[name]
    upload = uploaded(house, data, media_type)
    asked = {"kind": "remodel-3d", "model": reference(upload)}
    answer = post_json("/api/v1/jobs", asked)
    assert answer.status == 202, answer.body
    assert answer.json["input"]["model"] == {
        "media_type": media_type,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "source": {"upload_id": upload.id},
    }
    assert kept(house, answer.json["id"], "model") == data
    house.carry()
    assert get(f"/api/v1/jobs/{answer.json['id']}").json["status"] == "succeeded"


def ask(upload: Upload, *, headers: dict[str, str] | None = None) -> Answer:
    return post_json("/api/v1/models", {"image": reference(upload)}, headers=headers)


def test_several_jobs_may_use_one_upload(house: House) -> None:
    upload = uploaded(house, picture())
    assert [ask(upload).status for _ in range(3)] == [202] * 3


def test_a_picture_taken_sideways_is_kept_upright(house: House) -> None:
    upload = uploaded(house, picture("JPEG", (64, 48), turned=6), "image/jpeg")
    job = ask(upload).json
    assert (job["input"]["image"]["width"], job["input"]["image"]["height"]) == (48, 64)
    with Image.open(io.BytesIO(kept(house, job["id"], "image"))) as image:
        assert image.size == (48, 64)


def test_a_photo_of_40_megapixels_just_works(house: House) -> None:
    data = picture("JPEG", (7296, 5472), turned=6)
    answer = ask(uploaded(house, data, "image/jpeg"))
    assert answer.status == 202, answer.body
    shown = answer.json["input"]["image"]
    # Tripo takes 6000 a side at most, so it is made smaller.
    assert (shown["width"], shown["height"]) == (4500, 6000)
    house.carry()
    assert get(f"/api/v1/jobs/{answer.json['id']}").json["status"] == "succeeded"


def test_a_picture_is_taken_for_what_it_is_and_not_what_it_was_said_to_be(house: House) -> None:
    upload = uploaded(house, picture("WEBP"), "image/png")
    assert ask(upload).json["input"]["image"]["media_type"] == "image/webp"


def test_what_was_not_put_yet_is_409(house: House) -> None:
    upload = announced(house, picture(), "image/png")
    answer = ask(upload)
    refused(answer, 409, "image.upload_id", "upload_not_received")
    assert answer.json["retryable"] is True
    put(house, upload, picture())
    assert ask(upload).status == 202


def test_an_upload_that_is_not_there_is_404(house: House) -> None:
    for upload_id in ("", "x", "01AAAAAAAAAAAAAAAAAAAAAAAA", "../../etc"):
        answer = post_json("/api/v1/models", {"image": {"upload_id": upload_id}})
        refused(answer, 404, "image.upload_id", "upload_not_found")


def test_another_callers_upload_is_404(build: Build) -> None:
    house = build(api_keys=KEYS)
    ours = post_json("/api/v1/models", {"prompt": "a cup"}, headers=OURS).json["id"]
    upload = uploaded(house, picture(), caller=house.job(ours).caller)
    refused(ask(upload, headers=OTHER), 404, "image.upload_id", "upload_not_found")
    assert ask(upload, headers=OURS).status == 202


def test_an_upload_that_has_ended_or_was_deleted_is_404(house: House) -> None:
    ended, deleted = uploaded(house, picture()), uploaded(house, picture())
    assert call("DELETE", f"/api/v1/uploads/{deleted.id}").status == 204
    refused(ask(deleted), 404, "image.upload_id", "upload_not_found")
    assert ask(ended).status == 202
    house.clock.advance(DAY)
    refused(ask(ended), 404, "image.upload_id", "upload_not_found")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 415, "image_format_unsupported"),
        (b"hello", 415, "image_format_unsupported"),
        (SVG, 415, "image_format_unsupported"),
        (picture()[:-20], 400, "image_truncated"),
        (picture(size=(10, 10)), 400, "image_too_small"),
        (bomb(), 400, "image_too_many_pixels"),
    ],
)
def test_what_is_no_picture_is_refused_and_not_kept(
    house: House, data: bytes, status: int, code: str
) -> None:
    refused(ask(uploaded(house, data)), status, "image", code)
    assert house.objects() == []


@pytest.mark.parametrize(
    ("data", "said", "status", "code"),
    [
        (b"hello", "model/obj", 415, "model_format_unsupported"),
        (picture(), "model/obj", 415, "model_format_unsupported"),
        (obj(), "model/stl", 415, "format_unsupported"),
        (binary_stl()[:-1], "model/stl", 415, "model_format_unsupported"),
        (WHOLE["GLB"][1][:-4], "model/gltf-binary", 400, "model_broken"),
        (WHOLE["FBX"][1][:-40], "application/vnd.autodesk.fbx", 400, "model_truncated"),
        (b"v 1 2 3\n", "model/obj", 400, "model_broken"),
        (picture(), "image/png", 415, "format_unsupported"),
    ],
)
def test_what_is_no_model_is_refused_and_not_kept(
    house: House, data: bytes, said: str, status: int, code: str
) -> None:
    asked = {"kind": "remodel-3d", "model": reference(uploaded(house, data, said))}
    refused(post_json("/api/v1/jobs", asked), status, "model", code)
    assert house.objects() == []


def test_a_model_is_no_picture(house: House) -> None:
    refused(ask(uploaded(house, obj(), "model/obj")), 415, "image", "format_unsupported")


def test_more_bytes_than_are_allowed_are_refused_whoever_put_them(build: Build) -> None:
    house = build(image_bytes=500, model_bytes=100)
    refused(ask(uploaded(house, bytes(501))), 413, "image", "image_too_many_bytes")
    model = uploaded(house, bytes(101), "model/obj")
    asked = {"kind": "remodel-3d", "model": reference(model)}
    refused(post_json("/api/v1/jobs", asked), 413, "model", "model_too_many_bytes")


def test_bytes_that_are_not_those_announced_are_refused(house: House) -> None:
    digest = hashlib.sha256(picture()).hexdigest()
    right = uploaded(house, picture(), sha256=digest)
    assert ask(right).status == 202
    wrong = uploaded(house, picture("JPEG"), sha256=digest)
    refused(ask(wrong), 400, "image", "checksum_mismatch")
    model = uploaded(house, obj(), "model/obj", sha256=digest)
    asked = {"kind": "remodel-3d", "model": reference(model)}
    refused(post_json("/api/v1/jobs", asked), 400, "model", "checksum_mismatch")


def test_the_same_upload_under_the_same_key_is_the_same_request(house: House) -> None:
    upload, other = uploaded(house, picture()), uploaded(house, picture())
    headers = {"idempotency-key": "once"}
    first = ask(upload, headers=headers)
    assert ask(upload, headers=headers).json["id"] == first.json["id"]
    assert ask(other, headers=headers).status == 422
    house.clock.advance(DAY - 1)
    assert ask(upload, headers=headers).json["id"] == first.json["id"]


# PUTs beside the check.

TWO = {
    "image": ("image-to-3d", "image/png", picture(), picture(size=(48, 64))),
    "model": ("remodel-3d", "model/stl", binary_stl(2), binary_stl(3)),
}


@pytest.mark.parametrize("broken", [False, True], ids=["another whole file", "a broken file"])
def test_a_put_between_any_two_calls_changes_nothing_of_what_was_checked(
    build: Build, broken: bool
) -> None:
    house, bucket = with_meddled_bucket(build)
    role = "image"
    kind, media_type, first, second = TWO[role]
    later = second[:-1] if broken else second
    ends = set()
    place = 0
    while True:
        upload = uploaded(house, first, media_type)
        place += 1
        bucket.calls = 0

        def meddle(number: int, at: int = place, into: Upload = upload) -> None:
            if number >= at:  # again and again, until the job is made
                put(house, into, later if number % 2 == at % 2 else first)

        bucket.meddle = meddle
        answer = post_json("/api/v1/jobs", {"kind": kind, role: reference(upload)})
        bucket.meddle = lambda number: None
        put(house, upload, b"whatever comes after the check")
        if answer.status == 202:
            shown = answer.json["input"][role]
            data = kept(house, answer.json["id"], role)
            assert data in ((first,) if broken else (first, second))
            assert (shown["sha256"], shown["bytes"]) == (
                *(hashlib.sha256(data).hexdigest(), len(data)),
            )
            with Image.open(io.BytesIO(data)) as image:
                assert image.size == (shown["width"], shown["height"])
            ends.add(data)
        else:
            assert broken, answer.body
            assert answer.error["param"] == role
            ends.add(b"refused")
        if bucket.calls < place:
            break
    # The race was won by both, at one place or another.
    assert ends == {first, b"refused" if broken else second}


@pytest.mark.parametrize("role", TWO)
def test_an_upload_deleted_between_any_two_calls_is_404_or_kept_whole(
    build: Build, role: str
) -> None:
    house, bucket = with_meddled_bucket(build)
    kind, media_type, data, _ = TWO[role]
    ends = set()
    place = 0
    while True:
        upload = uploaded(house, data, media_type)
        place += 1
        bucket.calls = 0

        def meddle(number: int, at: int = place, gone: Upload = upload) -> None:
            if number == at:
                house.bundle.uploads.delete(gone.caller, gone.id)
                house.bundle.bucket.delete(gone.key)

        bucket.meddle = meddle
        answer = post_json("/api/v1/jobs", {"kind": kind, role: reference(upload)})
        bucket.meddle = lambda number: None
        if bucket.calls < place:
            break
        ends.add(answer.status)
        if answer.status == 202:
            assert kept(house, answer.json["id"], role) == data
        else:
            refused(answer, 404, f"{role}.upload_id", "upload_not_found")
    assert ends == {202, 404}


def test_two_roles_of_one_upload_are_each_what_they_say(build: Build) -> None:
    house, bucket = with_meddled_bucket(build)
    first, second = picture(), picture(size=(48, 64))
    upload = uploaded(house, first)
    turns = iter([first, second] * 20)
    bucket.meddle = lambda number: put(house, upload, next(turns))
    answer = post_json("/api/v1/models", {"front": reference(upload), "left": reference(upload)})
    bucket.meddle = lambda number: None
    assert answer.status == 202, answer.body
    for role in ("front", "left"):
        data = kept(house, answer.json["id"], role)
        assert hashlib.sha256(data).hexdigest() == answer.json["input"][role]["sha256"]


def test_a_reference_in_a_form_may_have_blanks_around_it(house: House) -> None:
    upload = uploaded(house, picture())
    text = f"\n {json.dumps(reference(upload))} \n"
    assert send("/api/v1/models", {"image": text}, form=True).status == 202
