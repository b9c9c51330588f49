"""Inputs by reference at every door: another job's artifact, in JSON and in forms.

引用已有文件作为输入的测试。
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.buckets.base import BucketUnavailable
from tests.functions.gateway import Answer, call, get, post_form, post_json
from tests.functions.house import Build, House, finished
from tests.functions.meddling import Meddled, kept, remodelling, send, with_meddled_bucket
from tests.functions.pictures import picture
from tests.models import box_model
from tests.receivers import Receiver, give

KEY = "a-key-nobody-may-see"
OTHER = {"authorization": "Bearer the-key-of-another-shop-0123456789"}
OURS = {"authorization": "Bearer the-key-of-our-own-shop-0123456789"}


@pytest.fixture
def build(build_house: Build, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    with remodelling(build_house, monkeypatch) as build:
        yield build


@pytest.fixture
def house(build: Build) -> House:
    return build()


DOORS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "models, one picture": ("/api/v1/models", {}, ("image",)),
    "models, views": ("/api/v1/models", {}, ("front", "left", "back", "right")),
    "jobs": ("/api/v1/jobs", {"kind": "image-to-3d"}, ("image",)),
    "jobs, views": ("/api/v1/jobs", {"kind": "multiview-to-3d"}, ("front", "right")),
    "jobs, a picture and its mask": (
        "/api/v1/jobs",
        {"kind": "image-to-image", "prompt": "blue"},
        ("image", "mask"),
    ),
    "image-to-image": ("/image-to-image", {"prompt": "blue"}, ("image",)),
    "image-to-image with a mask": ("/image-to-image", {"prompt": "blue"}, ("image", "mask")),
    "a model": ("/api/v1/jobs", {"kind": "remodel-3d"}, ("model",)),
}


@pytest.mark.parametrize("form", [False, True], ids=["JSON", "form"])
@pytest.mark.parametrize("door", DOORS)
def test_another_jobs_file_is_an_input_at_every_door_and_role(
    house: House, door: str, form: bool
) -> None:
    parent = finished(house)
    path, fields, roles = DOORS[door]
    wanted = "model" if roles == ("model",) else "preview"
    (artifact,) = [item for item in parent["artifacts"] if item["role"] == wanted]
    reference = {"job_id": parent["id"], "role": wanted}
    answer = send(path, {**fields, **dict.fromkeys(roles, reference)}, form)
    assert answer.status == 202, answer.body
    for role in roles:
        shown = answer.json["input"][role]
        assert shown["sha256"] == artifact["sha256"]
        assert (shown["media_type"], shown["bytes"]) == (
            *(artifact["media_type"], artifact["bytes"]),
        )
        assert shown["source"] == {**reference, "index": 0}
        data = kept(house, answer.json["id"], role)
        assert hashlib.sha256(data).hexdigest() == artifact["sha256"]
    house.carry()
    assert get(f"/api/v1/jobs/{answer.json['id']}").json["status"] == "succeeded"


@pytest.mark.parametrize("form", [False, True], ids=["JSON", "form"])
@pytest.mark.parametrize("as_text", [False, True], ids=["object", "text"])
@pytest.mark.parametrize("door", DOORS)
def test_a_url_is_an_input_at_every_door_and_role(
    house: House, door: str, as_text: bool, form: bool
) -> None:
    path, fields, roles = DOORS[door]
    file = box_model() if roles == ("model",) else picture("JPEG", (90, 60))
    with Receiver(give(file, content_type="text/html")) as web:
        url = web.url("/file?token=secret")
        given = url if as_text else {"url": url}
        answer = send(path, {**fields, **dict.fromkeys(roles, given)}, form)
        assert answer.status == 202, answer.body
        source = {"url": web.url("/file") + "?…"}
        assert [answer.json["input"][role] for role in roles] == [{"source": source}] * len(roles)
        assert web.requests == []
        house.carry()
        assert len(web.requests) == len(roles)
    job = get(f"/api/v1/jobs/{answer.json['id']}")
    assert job.json["status"] == "succeeded", job.body
    assert "secret" not in job.body
    for role in roles:
        shown = job.json["input"][role]
        assert shown["source"] == source
        assert (shown["bytes"], shown["sha256"]) == (len(file), hashlib.sha256(file).hexdigest())
        assert kept(house, answer.json["id"], role) == file


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_reference_and_a_file_may_stand_side_by_side(house: House, place: str) -> None:
    parent = finished(house)
    reference = json.dumps({"job_id": parent["id"], "role": "preview", "index": 0})
    roles = ("left", "front") if place == "before" else ("front", "left")
    answer = post_form("/api/v1/models", [(roles[0], reference)], [(roles[1], picture())])
    assert answer.status == 202, answer.body
    assert "source" in answer.json["input"][roles[0]]
    assert "source" not in answer.json["input"][roles[1]]


def refused(answer: Answer, status: int, param: str, code: str) -> None:
    assert answer.status == status, answer.body
    assert (answer.error["param"], answer.error["code"]) == (param, code)


def ask(reference: Any, *, headers: dict[str, str] | None = None) -> Answer:
    return post_json("/api/v1/models", {"image": reference}, headers=headers)


NO_REFERENCES: list[tuple[Any, str, str]] = [
    ({}, "image", "invalid_input"),
    ([], "image", "invalid_input"),
    ({"job_id": "x"}, "image.role", "invalid_input"),
    ({"job_id": 7, "role": "model"}, "image.job_id", "invalid_input"),
    ({"job_id": "x", "role": ["model"]}, "image.role", "invalid_input"),
    ({"job_id": "x", "role": "model", "index": -1}, "image.index", "invalid_input"),
    ({"job_id": "x", "role": "model", "index": 1.5}, "image.index", "invalid_input"),
    ({"job_id": "x", "role": "model", "index": "0"}, "image.index", "invalid_input"),
    ({"job_id": "x", "role": "model", "index": True}, "image.index", "invalid_input"),
    ({"job_id": "x", "role": "model", "indx": 0}, "image.indx", "unknown_field"),
    ({"upload_id": "x", "job_id": "y"}, "image.job_id", "unknown_field"),
    ({"upload_id": None}, "image", "invalid_input"),
    ({"upload_id": "x" * 65}, "image.upload_id", "invalid_input"),
    ({"url": "ftp://example.com/a.jpg"}, "image.url", "invalid_input"),
    ({"url": 7}, "image.url", "invalid_input"),
    ("ftp://example.com/a.jpg", "image", "invalid_input"),
]


@pytest.mark.parametrize("form", [False, True], ids=["JSON", "form"])
def test_what_is_no_reference_is_refused_naming_the_member(house: House, form: bool) -> None:
    for reference, param, code in NO_REFERENCES:
        refused(send("/api/v1/models", {"image": reference}, form), 400, param, code)
    assert house.objects() == []


def test_a_text_to_3d_job_takes_no_reference(house: House) -> None:
    reference = {"job_id": "x", "role": "model"}
    asked = {"kind": "text-to-3d", "prompt": "a cup", "image": reference}
    refused(post_json("/api/v1/jobs", asked), 400, "image", "invalid_input")


def test_a_job_that_is_not_there_is_404(house: House) -> None:
    for job_id in ("", "x", "01AAAAAAAAAAAAAAAAAAAAAAAA", "../../etc/passwd", "图", "01a\n"):
        answer = ask({"job_id": job_id, "role": "model"})
        refused(answer, 404, "image.job_id", "job_not_found")


def test_another_callers_job_is_404_as_if_it_were_not_there(build: Build) -> None:
    house = build(
        api_keys="ours:the-key-of-our-own-shop-0123456789,other:the-key-of-another-shop-0123456789"
    )
    made = post_json("/api/v1/models", {"prompt": "a cup"}, headers=OURS)
    house.carry()
    reference = {"job_id": made.json["id"], "role": "preview"}
    answer = ask(reference, headers=OTHER)
    refused(answer, 404, "image.job_id", "job_not_found")
    nobodys = ask({**reference, "job_id": "01AAAAAAAAAAAAAAAAAAAAAAAA"}, headers=OTHER)
    assert (
        nobodys.error["message"].replace("01AAAAAAAAAAAAAAAAAAAAAAAA", made.json["id"])
        == (answer.error["message"])
    )
    assert ask(reference, headers=OURS).status == 202


def test_an_unfinished_job_has_no_files_yet(house: House) -> None:
    made = post_json("/api/v1/models", {"prompt": "a cup"})
    answer = ask({"job_id": made.json["id"], "role": "preview"})
    refused(answer, 409, "image.job_id", "not_finished")
    assert answer.json["retryable"] is True


def test_a_job_that_did_not_succeed_has_no_files_ever(house: House) -> None:
    made = post_json("/api/v1/models", {"prompt": "a cup"})
    assert call("POST", f"/api/v1/jobs/{made.json['id']}/cancel").status == 200
    answer = ask({"job_id": made.json["id"], "role": "preview"})
    refused(answer, 409, "image.job_id", "job_canceled")
    assert answer.json["retryable"] is False


def test_a_deleted_jobs_files_are_gone(house: House) -> None:
    parent = finished(house)
    assert call("DELETE", f"/api/v1/jobs/{parent['id']}").status == 200
    answer = ask({"job_id": parent["id"], "role": "preview"})
    refused(answer, 410, "image.job_id", "artifact_deleted")


def test_a_role_or_index_that_the_job_does_not_have_is_named(house: House) -> None:
    parent = finished(house)
    role = ask({"job_id": parent["id"], "role": "video"})
    refused(role, 400, "image.role", "artifact_not_found")
    assert "model, preview" in role.error["message"]
    index = ask({"job_id": parent["id"], "role": "preview", "index": 1})
    refused(index, 400, "image.index", "artifact_not_found")


def test_a_model_is_no_picture_and_a_picture_no_model(house: House) -> None:
    parent = finished(house)
    answer = ask({"job_id": parent["id"], "role": "model"})
    refused(answer, 415, "image", "format_unsupported")
    asked = {"kind": "remodel-3d", "model": {"job_id": parent["id"], "role": "preview"}}
    refused(post_json("/api/v1/jobs", asked), 415, "model", "format_unsupported")
    assert house.objects() == []


def test_the_index_counts_files_of_one_role(house: House) -> None:
    parent = finished_pictures(house, 2)
    second = [item for item in parent["artifacts"] if item["role"] == "image"][1]
    reference = {"job_id": parent["id"], "role": "image", "index": 1}
    answer = ask(reference)
    assert answer.status == 202, answer.body
    assert answer.json["input"]["image"]["sha256"] == second["sha256"]


def finished_pictures(house: House, number: int) -> dict[str, Any]:
    """A job that made so many pictures."""
    asked = {"prompt": "cups", "n": number, "seed": 1}
    made = post_json("/text-to-image", asked)
    assert made.status == 202, made.body
    house.carry()
    return dict(get(f"/api/v1/jobs/{made.json['id']}").json)


def test_a_mask_by_reference_is_of_its_pictures_size(house: House) -> None:
    parent = finished(house)
    mask = json.dumps({"job_id": parent["id"], "role": "preview"})
    fields = [("prompt", "blue"), ("mask", mask)]
    answer = post_form("/image-to-image", fields, [("image", picture(size=(64, 48)))])
    refused(answer, 400, "mask", "invalid_input")
    assert house.objects() == []


# What becomes of the parent later changes nothing.


def test_deleting_the_parent_later_changes_nothing(house: House) -> None:
    parent = finished(house)
    child = ask({"job_id": parent["id"], "role": "preview"}).json
    before = kept(house, child["id"], "image")
    assert call("DELETE", f"/api/v1/jobs/{parent['id']}").status == 200
    assert kept(house, child["id"], "image") == before
    house.carry()
    assert get(f"/api/v1/jobs/{child['id']}").json["status"] == "succeeded"


def test_deleting_the_child_leaves_the_parents_file(house: House) -> None:
    parent = finished(house)
    child = ask({"job_id": parent["id"], "role": "preview"}).json
    house.carry()
    assert call("DELETE", f"/api/v1/jobs/{child['id']}").status == 200
    (artifact,) = [one for one in house.job(parent["id"]).artifacts if one.role == "preview"]
    assert house.bundle.bucket.head(artifact.key) is not None
    assert ask({"job_id": parent["id"], "role": "preview"}).status == 202


@pytest.fixture
def meddled(build: Build) -> tuple[House, Meddled]:
    return with_meddled_bucket(build)


@pytest.mark.parametrize(
    ("role", "asked"),
    [
        ("preview", {"kind": "image-to-3d"}),
        ("model", {"kind": "remodel-3d"}),
    ],
)
def test_a_parent_deleted_between_any_two_calls_is_gone_or_copied_whole(
    meddled: tuple[House, Meddled], role: str, asked: dict[str, Any]
) -> None:
    house, bucket = meddled
    name = "image" if role == "preview" else "model"
    ends = []
    place = 0
    while True:
        parent = finished(house)
        (artifact,) = [item for item in parent["artifacts"] if item["role"] == role]
        place += 1
        bucket.calls = 0

        def meddle(number: int, at: int = place, job_id: str = parent["id"]) -> None:
            if number == at:
                house.bundle.jobs.delete(house.job(job_id).caller, job_id)

        bucket.meddle = meddle
        reference = {"job_id": parent["id"], "role": role}
        answer = post_json("/api/v1/jobs", {**asked, name: reference})
        bucket.meddle = lambda number: None
        if bucket.calls < place:
            break
        ends.append(answer.status)
        if answer.status == 202:
            data = kept(house, answer.json["id"], name)
            assert hashlib.sha256(data).hexdigest() == artifact["sha256"]
            house.carry()
            assert get(f"/api/v1/jobs/{answer.json['id']}").json["status"] == "succeeded"
        else:
            refused(answer, 410, f"{name}.job_id", "artifact_deleted")
            assert house.job(parent["id"]).deleted_at is not None
    assert set(ends) == {202, 410}


def test_a_bucket_that_fails_leaves_no_input_behind(
    meddled: tuple[House, Meddled],
) -> None:
    house, bucket = meddled
    parent = finished(house)
    reference = {"job_id": parent["id"], "role": "model"}
    bucket.calls = 0
    place = 0
    while True:
        place += 1
        bucket.calls = 0

        def meddle(number: int, at: int = place) -> None:
            if number == at:
                raise BucketUnavailable("it does not answer")

        bucket.meddle = meddle
        answer = post_json("/api/v1/jobs", {"kind": "remodel-3d", "model": reference})
        bucket.meddle = lambda number: None
        if answer.status == 202:
            break
        assert (answer.status, answer.json["retryable"]) == (503, True)
        assert house.objects() == []
    assert place > 2


# Idempotency.


def keyed(reference: Any, key: str = "once", **more: Any) -> Answer:
    return post_json(
        "/api/v1/models", {"image": reference, **more}, headers={"idempotency-key": key}
    )


def test_the_same_reference_under_the_same_key_is_the_same_request(house: House) -> None:
    parent = finished(house)
    reference = {"job_id": parent["id"], "role": "preview"}
    first = keyed(reference)
    again = keyed({**reference, "index": 0})
    assert again.json["id"] == first.json["id"]
    form = post_form(
        "/api/v1/models", [("image", json.dumps(reference))], headers={"idempotency-key": "once"}
    )
    assert form.json["id"] == first.json["id"]
    assert len(house.objects()) == 1
    other = keyed({**reference, "role": "model"})
    assert other.status == 422


def test_a_repeat_is_answered_although_what_it_points_at_is_gone(house: House) -> None:
    parent = finished(house)
    reference = {"job_id": parent["id"], "role": "preview"}
    first = keyed(reference)
    assert call("DELETE", f"/api/v1/jobs/{parent['id']}").status == 200
    assert keyed(reference).json["id"] == first.json["id"]
    assert keyed(reference, "another").status == 410


def test_a_refused_reference_does_not_use_up_its_key(house: House) -> None:
    made = post_json("/api/v1/models", {"prompt": "a cup"})
    reference = {"job_id": made.json["id"], "role": "preview"}
    assert keyed(reference).status == 409
    house.carry()
    assert keyed(reference).status == 202


def test_a_retry_of_a_job_with_a_reference_keeps_its_input(house: House) -> None:
    parent = finished(house)
    reference = {"job_id": parent["id"], "role": "preview"}
    child = ask(reference).json
    assert call("POST", f"/api/v1/jobs/{child['id']}/cancel").status == 200
    retry = call("POST", f"/api/v1/jobs/{child['id']}/retry")
    assert retry.status in (200, 202), retry.body
    assert retry.json["input"] == child["input"]
