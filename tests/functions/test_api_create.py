"""POST /api/v1/models and /api/v1/jobs: what is accepted, and what becomes of it.

创建任务的测试。
"""

from __future__ import annotations

import hashlib
import io
import struct

import pytest
from PIL import Image

from tests.functions.gateway import get, post_form, post_json
from tests.functions.house import Build, House
from tests.functions.pictures import picture


def test_a_prompt_becomes_a_queued_job_and_wakes_poll(house: House) -> None:
    answer = post_json("/api/v1/models", {"prompt": " a small robot 小机器人 "})
    assert answer.status == 202
    job = answer.json
    assert (job["kind"], job["status"], job["provider"]) == ("text-to-3d", "queued", "throwaway")
    assert job["input"] == {"prompt": "a small robot 小机器人", "options": {}}
    assert answer.headers["location"] == job["urls"]["self"]
    assert house.woken == ["poll"]
    assert house.rows() == 1


def test_options_metadata_and_callback_url_are_kept(house: House) -> None:
    content = {
        "prompt": "a cup",
        "options": {"detail": 3, "scale": 0.5},
        "metadata": {"order": {"id": 7, "tags": ["a", None]}},
        "callback_url": "https://shop.example.com/hook",
        "provider": "throwaway",
    }
    job = post_json("/api/v1/models", content).json
    assert job["input"]["options"] == {"detail": 3, "scale": 0.5}
    assert job["metadata"] == content["metadata"]
    assert house.job(job["id"]).callback_url == "https://shop.example.com/hook"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_told_by_its_content_and_kept(house: House, kind: str) -> None:
    data = picture(kind)
    answer = post_form("/api/v1/models", files=[("image", data)])
    assert answer.status == 202, answer.body
    assert answer.json["kind"] == "image-to-3d"
    shown = answer.json["input"]["image"]
    assert shown["media_type"] == f"image/{kind.lower()}"
    assert shown["sha256"] == hashlib.sha256(data).hexdigest()
    assert (shown["width"], shown["height"]) == (64, 48)
    assert len(house.objects()) == 1


def test_a_picture_taken_sideways_is_kept_upright(house: House) -> None:
    answer = post_form("/api/v1/models", files=[("image", picture("JPEG", (64, 48), turned=6))])
    assert (answer.json["input"]["image"]["width"], answer.json["input"]["image"]["height"]) == (
        48,
        64,
    )
    key = house.job(answer.json["id"]).input.images["image"].key
    with house.bundle.bucket.open(key) as reader, Image.open(io.BytesIO(reader.read())) as kept:
        assert kept.size == (48, 64)


@pytest.mark.parametrize("odd", [b"\x1a\1\5\0\1\0\0\0", b"\x25\x88\2\0\4\0\0\0"])
def test_a_photo_with_odd_exif_is_kept_upright(house: House, odd: bytes) -> None:
    # A resolution whose denominator is zero, and a position that is a text.
    order = struct.pack("<2HI2H", 0x0112, 3, 1, 8, 0)
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + order + odd
    block += struct.pack("<2I", 38, 0) + bytes(8)
    plain = picture("JPEG", (64, 48))
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    photo = plain[:2] + segment + plain[2:]
    answer = post_form("/api/v1/models", files=[("image", photo)])
    assert answer.status == 202, answer.body
    assert answer.json["input"]["image"]["width"] == 48


def test_a_photo_of_twelve_megapixels_is_accepted(house: House) -> None:
    answer = post_form("/api/v1/models", files=[("image", picture("JPEG", (4000, 3000)))])
    assert answer.status == 202, answer.body


def test_views_become_a_multiview_job(house: House) -> None:
    files = [("front", picture()), ("left", picture("JPEG"))]
    answer = post_form("/api/v1/models", files=files)
    assert answer.status == 202, answer.body
    assert answer.json["kind"] == "multiview-to-3d"
    assert {"front", "left"} <= set(answer.json["input"])
    assert len(house.objects()) == 2


def test_a_form_takes_options_as_json_and_one_by_one(house: House) -> None:
    fields = [
        ("options", '{"detail": 4}'),
        ("scale", "0.25"),
        ("textured", "false"),
        ("style", "12"),
        ("metadata", '{"order": 1}'),
    ]
    answer = post_form("/api/v1/models", fields, [("image", picture())])
    assert answer.status == 202, answer.body
    expected = {"detail": 4, "scale": 0.25, "textured": False, "style": "12"}
    assert answer.json["input"]["options"] == expected
    assert answer.json["metadata"] == {"order": 1}


def test_a_form_may_hold_a_prompt_alone(house: House) -> None:
    answer = post_form("/api/v1/models", [("prompt", "一只红色的杯子")])
    assert answer.status == 202
    assert answer.json["input"]["prompt"] == "一只红色的杯子"


def test_jobs_takes_the_kind_by_name_in_json_and_forms(house: House) -> None:
    text = post_json("/api/v1/jobs", {"kind": "text-to-3d", "prompt": "a cup"})
    image = post_form("/api/v1/jobs", [("kind", "image-to-3d")], [("image", picture())])
    assert (text.status, image.status) == (202, 202)
    assert image.json["kind"] == "image-to-3d"


def test_jobs_without_a_kind_is_refused(house: House) -> None:
    answer = post_json("/api/v1/jobs", {"prompt": "a cup"})
    assert (answer.status, answer.error["param"]) == (400, "kind")


def test_the_longest_prompt_is_accepted(build_house: Build) -> None:
    build_house(prompt_characters=1024)
    assert post_json("/api/v1/models", {"prompt": "图" * 1024}).status == 202


def test_metadata_of_exactly_the_limit_is_accepted(house: House) -> None:
    metadata = {"a": "x" * (16 * 1024 - len('{"a": ""}'))}
    assert post_json("/api/v1/models", {"prompt": "a cup", "metadata": metadata}).status == 202


def test_a_byte_order_mark_before_json_is_passed_over(house: House) -> None:
    assert post_json("/api/v1/models", b'\xef\xbb\xbf{"prompt": "a cup"}').status == 202


def test_without_a_provider_nobody_makes_it_and_that_is_final(
    build_house: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build_house()
    monkeypatch.setattr(house.bundle.jobs, "_providers", {})
    answer = post_json("/api/v1/models", {"prompt": "a cup"})
    assert (answer.status, answer.error["code"]) == (422, "kind_not_made")
    assert "retry-after" not in answer.headers
    assert answer.json["retryable"] is False


def test_the_job_of_a_create_can_be_read_at_its_location(house: House) -> None:
    answer = post_json("/api/v1/models", {"prompt": "a cup"})
    path = answer.headers["location"].removeprefix("http://127.0.0.1:8000")
    assert get(path).json == answer.json
