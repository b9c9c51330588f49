"""Inputs on the web at every door: judged by their text at once, fetched before the create, unpaid
if that fails.

网络输入的接口测试。
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functions.gateway import Answer, get, post_json
from tests.functions.house import Build, House
from tests.functions.meddling import remodelling
from tests.functions.pictures import picture
from tests.hostile_urls import HOSTILE
from tests.receivers import Receiver, answer, give

PHOTO = picture("JPEG", (90, 60))


@pytest.fixture
def web() -> Iterator[Receiver]:
    with Receiver(give(PHOTO, content_type="text/html")) as server:
        yield server


@pytest.fixture
def house(build_house: Build) -> House:
    return build_house()


def shown(job_id: str) -> dict[str, Any]:
    return dict(get(f"/api/v1/jobs/{job_id}").json)


def test_what_is_no_model_ends_a_job_that_needs_one(
    build_house: Build, monkeypatch: pytest.MonkeyPatch, web: Receiver
) -> None:
    with remodelling(build_house, monkeypatch) as build:
        house = build()
        made = post_json("/api/v1/jobs", {"kind": "remodel-3d", "model": {"url": web.url()}})
        house.carry()
        assert shown(made.json["id"])["error"]["code"] == "model_format_unsupported"


def test_the_very_list_of_hostile_urls_is_refused_at_once_as_an_input(build_house: Build) -> None:
    house = build_house(stage="prod", api_keys="shop:the-key-of-our-own-shop-0123456789",
                        public_url="https://models.example.com")  # fmt: skip
    ours = {"authorization": "Bearer the-key-of-our-own-shop-0123456789"}
    for url in HOSTILE:
        told = json.dumps(url)
        for value in ({"url": url}, url):
            refused = post_json("/api/v1/models", {"image": value}, headers=ours)
            # A text that does not begin as a URL is Base64, and an empty one is no picture.
            assert refused.status == 400 or (refused.status, value) == (415, ""), told
    assert (house.rows(), house.objects()) == (0, [])


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/latest/meta-data/", "leads to an address that is not public"),
        ("http://router.lan/a.png", "names a host inside a private network"),
        ("https://user:secret@photos.example/a.png", "holds a user name or password"),
    ],
)
def test_the_field_and_the_reason_are_named_and_the_url_is_not_repeated(
    house: House, url: str, why: str
) -> None:
    refused = post_json("/api/v1/models", {"image": {"url": url}})
    assert (refused.status, refused.error["param"]) == (400, "image")
    assert refused.error["message"] == f"image {why}"
    assert url not in refused.body


@pytest.mark.parametrize(
    ("behaviour", "code", "message"),
    [
        (answer(404), "input_unavailable", "image could not be fetched: the server answered 404."),
        (
            give(b"<!doctype html>Log in"),
            "image_format_unsupported",
            "image: this is a web page; send JPEG, PNG or WebP.",
        ),
        (
            give(picture("PNG", (10, 10))),
            "image_too_small",
            "image: the picture is 10 x 10 pixels; no side may be under 20.",
        ),
    ],
)
def test_what_cannot_be_had_or_used_ends_the_job_unpaid_and_says_why(
    house: House, behaviour: Any, code: str, message: str
) -> None:
    with Receiver(behaviour) as server:
        made = post_json("/api/v1/models", {"image": {"url": server.url("/a.png?key=secret")}})
        house.carry()
    job = shown(made.json["id"])
    assert (job["status"], job["error"]["code"], job["error"]["message"]) == (
        "failed",
        code,
        message,
    )
    assert (job["receipt"]["creates"], job["may_be_billed"]) == (0, False)
    assert "secret" not in json.dumps(job)


DEPLOYED = {
    "stage": "prod",
    "api_keys": "shop:the-key-of-our-own-shop-0123456789",
    "public_url": "https://models.example.com",
}
OURS = {"authorization": "Bearer the-key-of-our-own-shop-0123456789"}


def test_an_input_is_fetched_from_a_host_that_is_listed_for_inputs(
    build_house: Build, web: Receiver
) -> None:
    house = build_house(**DEPLOYED, input_hosts="127.0.0.1")
    hook = {"prompt": "a cup", "callback_url": web.url("/hook")}
    assert post_json("/api/v1/models", hook, headers=OURS).error["param"] == "callback_url"
    asked = {"image": {"url": web.url("/a.jpg")}}
    made = post_json("/api/v1/models", asked, headers=OURS)
    house.carry()
    assert house.job(made.json["id"]).status.value == "succeeded"
    assert [one.path for one in web.requests] == ["/a.jpg"]


def test_no_input_is_fetched_from_a_host_that_is_listed_for_webhooks_alone(
    build_house: Build, web: Receiver
) -> None:
    build_house(**DEPLOYED, callback_hosts="127.0.0.1")
    asked = {"image": {"url": web.url("/a.jpg")}}
    assert post_json("/api/v1/models", asked, headers=OURS).error["param"] == "image"
    hook = {"prompt": "a cup", "callback_url": web.url("/hook")}
    assert post_json("/api/v1/models", hook, headers=OURS).status == 202
    assert web.requests == []


def test_a_url_taken_while_its_host_was_listed_is_not_fetched_once_it_no_longer_is(
    build_house: Build, web: Receiver
) -> None:
    house = build_house(stage="local", input_hosts="127.0.0.1")
    made = post_json("/api/v1/models", {"image": {"url": web.url("/a.jpg")}})
    build_house(**DEPLOYED, callback_hosts="127.0.0.1").carry()
    assert house.job(made.json["id"]).status.value == "failed"
    assert web.requests == []


def test_a_repeat_under_the_same_key_is_the_same_job_and_another_url_is_not(
    house: House, web: Receiver
) -> None:
    key = {"idempotency-key": "one"}

    def ask(path: str) -> Answer:
        return post_json("/api/v1/models", {"image": {"url": web.url(path)}}, headers=key)

    first = ask("/a.jpg")
    assert ask("/a.jpg").json["id"] == first.json["id"]
    assert ask("/b.jpg").status == 422
    assert house.rows() == 1


def test_a_deleted_job_leaves_nothing_of_its_url_s_file(
    house: House, web: Receiver, tmp_path: Path
) -> None:
    made = post_json("/api/v1/models", {"image": {"url": web.url("/a.jpg")}})
    house.carry()
    assert len(house.objects()) == 1
    house.bundle.jobs.delete(house.job(made.json["id"]).caller, made.json["id"])
    assert house.objects() == []
    assert [path for path in tmp_path.rglob("incoming/**/*") if path.is_file()] == []
