"""Picture jobs through the handlers, by a service on the wire; their doors, and what /info says.

图片任务从提交到完成的测试。
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from infra.local.standins.qwen_service import QwenService, Refusal
from tests.functions.gateway import Answer, get, post_form, post_json
from tests.functions.house import Build, House, Working, local
from tests.functions.pictures import picture

KEY = "a-key-nobody-may-see"


@pytest.fixture
def service() -> Iterator[QwenService]:
    with QwenService(seconds=0, key=KEY) as service:
        yield service


@pytest.fixture
def house(build_house: Build, service: QwenService) -> House:
    return build_house(QWEN_IMAGE_BASE_URL=service.url, QWEN_IMAGE_API_KEY=KEY)


def creates(service: QwenService) -> list[dict[str, Any]]:
    return [one for one in service.log() if (one["method"], one["path"]) == ("POST", "/jobs")]


def ended(house: House, made: Answer) -> dict[str, Any]:
    assert made.status == 202, made.body
    house.carry()
    return dict(get(f"/api/v1/jobs/{made.json['id']}").json)


def content(house: House, job_id: str, number: int) -> bytes:
    with house.bundle.bucket.open(house.job(job_id).artifacts[number].key) as reader:
        return reader.read()


# The whole way.


def test_words_become_a_picture_and_a_thumbnail(house: House, service: QwenService) -> None:
    options = {"width": 96, "height": 64, "seed": 7, "steps": 4}
    asked = {"kind": "text-to-image", "prompt": "a teapot 茶壶", "options": options}
    job = ended(house, post_json("/api/v1/jobs", asked))
    assert (job["status"], job["provider"], job["progress"]) == ("succeeded", "qwen-image", 100)
    image, thumbnail = job["artifacts"]
    assert (image["role"], image["name"], image["media_type"]) == (
        *("image", "image.png"),
        "image/png",
    )
    assert image["facts"] == {"width": 96, "height": 64, "format": "png", "mode": "RGB"}
    assert (thumbnail["role"], thumbnail["name"]) == ("thumbnail", "thumbnail.webp")
    (made,) = service.jobs.values()
    data = content(house, job["id"], 0)
    assert data == made.picture(0)
    assert image["sha256"] == hashlib.sha256(data).hexdigest()
    assert Image.open(io.BytesIO(content(house, job["id"], 1))).size == (96, 64)
    (sent,) = creates(service)
    assert sent["body"] == {"kind": "text-to-image", "prompt": "a teapot 茶壶", **options}
    assert job["receipt"]["creates"] == 1
    assert get(local(image["url"])).status == 307


def test_n_pictures_are_n_artifacts_each_with_a_thumbnail(house: House) -> None:
    asked = {"kind": "text-to-image", "prompt": "cups", "options": {"n": 2, "seed": 1}}
    job = ended(house, post_json("/api/v1/jobs", asked))
    assert [item["name"] for item in job["artifacts"]] == [
        *("image.png", "thumbnail.webp", "image-2.png", "thumbnail-2.webp"),
    ]
    assert job["artifacts"][0]["sha256"] != job["artifacts"][2]["sha256"]
    result = get(f"/api/v1/models/{job['id']}/result").json
    assert result["link"] == job["artifacts"][0]["url"]
    assert result["preview"] == job["artifacts"][1]["url"]
    assert result["format"] == "png"


def test_a_picture_and_words_become_a_picture(house: House, service: QwenService) -> None:
    source = picture("JPEG", (128, 96))
    fields = [("kind", "image-to-image"), ("prompt", "in blue"), ("strength", "0.4")]
    made = post_form("/api/v1/jobs", fields, [("image", source)])
    job = ended(house, made)
    assert job["status"] == "succeeded"
    (sent,) = service.jobs.values()
    assert sent.body["strength"] == 0.4
    # The service got the very bytes that were kept, and the record of the job holds none of them.
    assert (
        hashlib.sha256(base64.b64decode(sent.body["image"])).hexdigest()
        == (job["input"]["image"]["sha256"])
    )
    attempt = house.job(job["id"]).attempt
    assert attempt is None or len(attempt.body) < 300


@pytest.mark.parametrize("fault", ["drop_after", "error_502_after", "error_500"])
def test_an_unanswered_create_is_asked_for_again_with_its_key(
    house: House, service: QwenService, fault: str
) -> None:
    service.faults = {fault: {"rate": 1, "scope": "create", "times": 1}}
    fields = [("kind", "image-to-image"), ("prompt", "in blue")]
    made = post_form("/api/v1/jobs", fields, [("image", picture())])
    job = ended(house, made)
    assert job["status"] == "succeeded"
    assert len(creates(service)) == 2
    assert len(service.jobs) == 1
    assert job["receipt"]["creates"] == 1


def test_a_spoiled_picture_is_fetched_again(house: House, service: QwenService) -> None:
    service.faults = {"short_file": {"rate": 1, "scope": "download", "times": 1}}
    job = ended(house, post_json("/text-to-image", {"prompt": "a cup"}))
    assert job["status"] == "succeeded"
    notes = [entry["note"] for entry in job["history"] if entry["note"]]
    assert any("fetched afresh" in note for note in notes)


def test_a_service_that_is_loading_is_waited_for(house: House, service: QwenService) -> None:
    service.refuses = Refusal(503, "not_ready", "the model is loading", wait=90)
    made = post_json("/text-to-image", {"prompt": "a cup"})
    before = house.clock.now()
    house.carry(1)
    waiting = house.job(made.json["id"])
    assert waiting.status.value == "queued"
    assert waiting.due_at is not None
    assert waiting.due_at - before >= 90_000
    service.refuses = None
    assert ended(house, made)["status"] == "succeeded"


def test_a_refusal_of_the_service_ends_the_job_with_its_words(house: House) -> None:
    job = ended(house, post_json("/text-to-image", {"prompt": "something forbidden"}))
    assert job["status"] == "failed"
    assert job["error"]["provider"]["code"] == "prompt_refused"


def test_a_running_picture_can_be_canceled(build_house: Build) -> None:
    with QwenService(seconds=600) as slow:
        house = build_house(QWEN_IMAGE_BASE_URL=slow.url)
        made = post_json("/text-to-image", {"prompt": "a cup"})
        house.carry(1)
        assert house.job(made.json["id"]).status.value == "running"
        assert post_json(f"/api/v1/jobs/{made.json['id']}/cancel", {}).json["status"] == "canceling"
        house.carry()
        assert house.job(made.json["id"]).status.value == "canceled"
        (stopped,) = slow.jobs.values()
        assert stopped.canceled_at is not None


# What is asked for.


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ({"prompt": " "}, "prompt"),
        ({"prompt": "a cup", "width": 1000}, "width"),
        ({"prompt": "a cup", "options": {"steps": 1}}, "options.steps"),
        ({"prompt": "a cup", "strength": 0.5}, "strength"),
        ({"prompt": "a cup", "n": "2"}, "n"),
        ({"prompt": "a cup", "n": 2, "options": {"n": 2}}, "n"),
        ({"prompt": "a cup", "kind": "text-to-3d"}, "kind"),
        ({"prompt": "a cup", "image": "iVBORw0KGgo="}, "image"),
        ({"prompt": "a cup", "provider": "throwaway"}, "provider"),
    ],
)
def test_a_wrong_field_is_named(
    house: House, service: QwenService, content: dict[str, Any], param: str
) -> None:
    answer = post_json("/text-to-image", content)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert house.rows() == 0


@pytest.mark.parametrize(
    ("image", "status"),
    [
        ("not base64!", 400),
        ("ä", 400),
        (5, 400),
        (base64.b64encode(b"<svg/>").decode(), 415),
        (base64.b64encode(picture()[:-20]).decode(), 400),
        (None, 400),
    ],
)
def test_a_wrong_picture_is_named(house: House, image: Any, status: int) -> None:
    answer = post_json("/image-to-image", {"prompt": "in blue", "image": image})
    assert (answer.status, answer.error["param"]) == (status, "image")


def test_where_nobody_makes_pictures_it_is_said(build_house: Build) -> None:
    build_house()
    answer = post_json("/text-to-image", {"prompt": "a cup"})
    assert (answer.status, answer.error["code"]) == (422, "kind_not_made")
    assert (answer.json["retryable"], answer.error["param"]) == (False, "kind")
    assert answer.error["message"] == (
        "Nobody makes text-to-image here; qwen-image with QWEN_IMAGE_BASE_URL set would."
    )


def test_where_only_pictures_are_made_a_model_is_refused(
    build_house: Build, service: QwenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build_house(QWEN_IMAGE_BASE_URL=service.url, QWEN_IMAGE_API_KEY=KEY)
    monkeypatch.delitem(house.bundle.providers, "throwaway")
    answer = post_json("/api/v1/models", {"prompt": "a cup"})
    assert (answer.status, answer.error["code"]) == (422, "kind_not_made")
    assert "tripo with TRIPO_API_KEY set" in answer.error["message"]


# The doors.


@pytest.mark.parametrize("sent", ["json", "form"])
def test_a_door_makes_the_same_job(house: House, service: QwenService, sent: str) -> None:
    if sent == "json":
        fields: dict[str, Any] = {"prompt": "a cup", "width": 96, "guidance": 2.5, "n": 1}
        made = post_json("/text-to-image", fields)
    else:
        texts = [("prompt", "a cup"), ("width", "96"), ("guidance", "2.5"), ("n", "1")]
        made = post_form("/text-to-image", texts)
    job = ended(house, made)
    assert (job["kind"], job["status"]) == ("text-to-image", "succeeded")
    assert job["input"]["options"] == {"width": 96, "guidance": 2.5, "n": 1}
    assert made.headers["location"] == job["urls"]["self"]


@pytest.mark.parametrize("sent", ["json", "form"])
def test_a_picture_is_sent_to_its_door_as_a_file_or_in_base64(house: House, sent: str) -> None:
    data = picture()
    if sent == "json":
        text = base64.b64encode(data).decode()
        made = post_json("/image-to-image", {"prompt": "in blue", "image": text, "strength": 0.5})
    else:
        texts = [("prompt", "in blue"), ("strength", "0.5")]
        made = post_form("/image-to-image", texts, [("image", data)])
    job = ended(house, made)
    assert (job["kind"], job["status"]) == ("image-to-image", "succeeded")
    assert job["input"]["image"]["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("sent", ["json", "form"])
def test_a_mask_is_sent_beside_its_picture(house: House, service: QwenService, sent: str) -> None:
    files = {"image": picture("JPEG", (128, 96)), "mask": picture("PNG", (128, 96))}
    if sent == "json":
        texts = {role: base64.b64encode(data).decode() for role, data in files.items()}
        made = post_json("/image-to-image", {"prompt": "in blue", **texts})
    else:
        made = post_form("/image-to-image", [("prompt", "in blue")], [*files.items()])
    job = ended(house, made)
    assert job["status"] == "succeeded"
    (got,) = service.jobs.values()
    for role, data in files.items():
        assert base64.b64decode(got.body[role]) == data
        assert job["input"][role]["sha256"] == hashlib.sha256(data).hexdigest()


def test_a_mask_of_another_size_or_kind_is_refused(house: House) -> None:
    files = [("image", picture("PNG", (128, 96))), ("mask", picture("PNG", (96, 128)))]
    other = post_form("/image-to-image", [("prompt", "in blue")], files)
    mask = base64.b64encode(picture()).decode()
    words = post_json("/text-to-image", {"prompt": "a cup", "mask": mask})
    alone = post_json("/image-to-image", {"prompt": "a cup", "mask": mask})
    told = [(answer.status, answer.error["param"]) for answer in (other, words, alone)]
    assert told == [(400, "mask"), (400, "mask"), (400, "image")]
    assert house.rows() == 0


def test_an_idempotency_key_holds_at_a_door(house: House) -> None:
    headers = {"idempotency-key": "order-7"}
    first = post_json("/text-to-image", {"prompt": "a cup"}, headers=headers)
    again = post_json("/text-to-image", {"prompt": "a cup"}, headers=headers)
    other = post_json("/text-to-image", {"prompt": "a jug"}, headers=headers)
    assert first.json["id"] == again.json["id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert other.status == 422
    assert house.rows() == 1


@pytest.fixture
def waiting(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """A house where the work goes on while a caller waits."""
    monkeypatch.setattr(house.bundle.jobs, "_clock", Working(house))
    return house


def test_who_waits_gets_the_finished_job(waiting: House) -> None:
    answer = post_json("/text-to-image", {"prompt": "a cup"}, headers={"prefer": "wait=20"})
    assert (answer.status, answer.json["status"]) == (200, "succeeded")
    assert answer.headers["preference-applied"] == "wait=20"


def test_who_waits_for_a_picture_is_led_to_it(waiting: House) -> None:
    headers = {"prefer": "wait=20", "accept": "image/png,image/*;q=0.8"}
    answer = post_json("/text-to-image", {"prompt": "a cup"}, headers=headers)
    assert (answer.status, answer.json["status"]) == (303, "succeeded")
    assert answer.headers["location"] == answer.json["artifacts"][0]["url"]
    assert get(local(answer.headers["location"])).status == 307


@pytest.mark.parametrize("accept", ["*/*", "application/json", "image/png, application/json"])
def test_who_reads_json_gets_json(waiting: House, accept: str) -> None:
    headers = {"prefer": "wait=20", "accept": accept}
    answer = post_json("/text-to-image", {"prompt": "a cup"}, headers=headers)
    assert (answer.status, answer.json["status"]) == (200, "succeeded")


def test_without_a_wait_nobody_is_led_to_a_picture(house: House) -> None:
    answer = post_json("/text-to-image", {"prompt": "a cup"}, headers={"accept": "image/png"})
    assert (answer.status, answer.json["status"]) == (202, "queued")


def test_a_job_that_failed_in_the_wait_is_shown(waiting: House) -> None:
    headers = {"prefer": "wait=20", "accept": "image/png"}
    answer = post_json("/text-to-image", {"prompt": "a doomed cup"}, headers=headers)
    assert (answer.status, answer.json["status"]) == (200, "failed")


def test_info_tells_kinds_providers_and_limits(house: House) -> None:
    told = get("/info").json
    kinds = {kind["name"]: kind for kind in told["kinds"]}
    assert kinds["image-to-image"] == {
        "name": "image-to-image",
        "makes": "image",
        "takes_prompt": True,
        "inputs": {"image": "picture", "mask": "picture"},
        "images": ["image", "mask"],
        "needs": ["image"],
        "providers": ["qwen-image"],
    }
    assert kinds["text-to-3d"]["providers"] == ["throwaway"]
    assert set(told["providers"]) == {"throwaway", "qwen-image"}
    assert told["limits"]["prompt_characters"] == house.bundle.settings.prompt_characters


def test_info_and_doors_want_an_api_key(build_house: Build) -> None:
    build_house(api_keys="shop:an-api-key-of-the-shop")
    assert get("/info").status == 401
    assert post_json("/text-to-image", {"prompt": "a cup"}).status == 401


def test_the_document_shows_the_options_of_pictures(house: House) -> None:
    parts = get("/openapi.json").json["components"]["schemas"]
    options = parts["Options.qwen-image.image-to-image"]["properties"]
    assert {"width", "steps", "seed", "n", "strength"} <= set(options)
    assert set(parts["TextToImageForm"]["properties"]) & {"image", "front"} == set()
