"""Idempotency-Key, Prefer: wait, and what travels along with a request.

幂等、等待与追踪的测试。
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.waiting import Waiters
from tests.functions.gateway import Answer, Context, call, post_form, post_json
from tests.functions.house import Build, House, Working
from tests.functions.pictures import picture

MODELS = "/api/v1/models"
CUP = {"prompt": "a cup"}


def keyed(content: Any = CUP, key: str = "order-1", path: str = MODELS) -> Answer:
    return post_json(path, content, headers={"idempotency-key": key})


def test_the_same_key_gives_the_same_job(house: House) -> None:
    first, again = keyed(), keyed()
    assert (first.status, again.status) == (202, 202)
    assert first.json["id"] == again.json["id"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert (house.rows(), house.woken) == (1, ["poll"])


def test_a_quoted_key_is_the_raw_one(house: House) -> None:
    assert keyed(key="k-1").json["id"] == keyed(key='"k-1"').json["id"]


def test_a_comma_in_a_quoted_key_is_part_of_it(house: House) -> None:
    assert keyed(key='"k,1"').json["id"] == keyed(key='"k,1"').json["id"]


def test_what_is_written_differently_but_means_the_same_is_the_same(house: House) -> None:
    first = keyed({"prompt": "a cup", "metadata": {"a": 1, "b": 2}})
    again = keyed({"metadata": {"b": 2, "a": 1}, "options": {}, "prompt": " a cup "})
    assert first.json["id"] == again.json["id"]


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "a bowl"},
        {**CUP, "options": {"detail": 2}},
        {**CUP, "metadata": {"a": 1}},
        {**CUP, "callback_url": "https://shop.example.com/hook"},
    ],
)
def test_the_same_key_for_another_request_is_unprocessable(house: House, other: Any) -> None:
    keyed()
    answer = keyed(other)
    assert (answer.status, answer.error["code"]) == (422, "idempotency_key_reused")
    assert house.rows() == 1


def test_other_pictures_are_another_request_and_leave_nothing(house: House) -> None:
    headers = {"idempotency-key": "k"}
    first = post_form(MODELS, files=[("image", picture("PNG"))], headers=headers)
    same = post_form(MODELS, files=[("image", picture("PNG"))], headers=headers)
    other = post_form(MODELS, files=[("image", picture("JPEG"))], headers=headers)
    assert first.json["id"] == same.json["id"]
    assert other.status == 422
    assert len(house.objects()) == 1


def test_the_same_key_on_the_other_path_is_another_key(house: House) -> None:
    keyed()
    assert keyed({"kind": "text-to-3d", **CUP}, path="/api/v1/jobs").status == 202
    assert house.rows() == 2


def test_the_same_key_of_another_caller_is_another_key(build_house: Build) -> None:
    house = build_house(api_keys=f"a:{'a' * 20},b:{'b' * 20}")
    ids = {
        post_json(
            MODELS, CUP, headers={"idempotency-key": "k", "authorization": f"Bearer {key * 20}"}
        ).json["id"]
        for key in "ab"
    }
    assert len(ids) == 2
    assert house.rows() == 2


def test_sixteen_at_once_with_one_key_make_one_job(house: House) -> None:
    barrier = threading.Barrier(16)

    def own_loop() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())

    def send(_: int) -> Answer:
        barrier.wait(30)
        headers = {"idempotency-key": "race"}
        return post_form(MODELS, files=[("image", picture())], headers=headers)

    def close_loop(_: int) -> None:
        barrier.wait(30)
        asyncio.get_event_loop().close()

    with ThreadPoolExecutor(16, initializer=own_loop) as pool:
        answers = list(pool.map(send, range(16)))
        list(pool.map(close_loop, range(16)))
    assert {answer.status for answer in answers} == {202}, [answer.body for answer in answers]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert (house.rows(), len(house.objects())) == (1, 1)
    assert house.woken == ["poll"]


def test_a_refused_request_leaves_its_key_free(house: House) -> None:
    assert keyed({"prompt": ""}).status == 400
    assert keyed().status == 202


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=5", "wait=5"),
        ("wait", "wait=20"),
        ("respond-async, wait=10", "wait=10"),
        ('wait="3"; foo', "wait=3"),
        ("WAIT=0", "wait=0"),
        ("wait=999999999", "wait=20"),
    ],
)
def test_prefer_wait_is_applied_up_to_the_limit(house: House, prefer: str, applied: str) -> None:
    begun = house.clock.now()
    answer = post_json(MODELS, CUP, headers={"prefer": prefer})
    assert (answer.status, answer.json["status"]) == (202, "queued")
    assert answer.headers["preference-applied"] == applied
    assert house.clock.now() - begun == 1000 * int(applied.removeprefix("wait="))


@pytest.mark.parametrize("prefer", ["", "wait=", "wait=-1", "wait=soon", "return=minimal", "=;,,"])
def test_a_preference_that_cannot_be_read_is_passed_over(house: House, prefer: str) -> None:
    answer = post_json(MODELS, CUP, headers={"prefer": prefer})
    assert answer.status == 202
    assert "preference-applied" not in answer.headers


def test_a_wait_never_outlasts_the_invocation(house: House) -> None:
    headers = {"content-type": "application/json", "prefer": "wait=20"}
    body = b'{"prompt": "a cup"}'
    answer = call("POST", MODELS, headers=headers, body=body, context=Context(9_900))
    assert answer.headers["preference-applied"] == "wait=6"


def test_a_wait_ends_when_the_job_does(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.bundle.jobs, "_clock", Working(house))
    answer = post_json(MODELS, CUP, headers={"prefer": "wait=20"})
    assert answer.json["status"] == "succeeded"
    assert "retry-after" not in answer.headers


def test_a_stop_ends_a_wait_with_the_job_as_it_stands(build_house: Build) -> None:
    asked: list[float] = []
    house = build_house(waiters=Waiters(4, lambda: len(asked) == 2))
    house.clock.sleep = asked.append  # type: ignore[method-assign]
    answer = post_json(MODELS, CUP, headers={"prefer": "wait=20"})
    assert (answer.status, answer.json["status"]) == (202, "queued")
    assert answer.headers["location"].endswith(answer.json["id"])
    assert len(asked) == 2


def test_who_finds_no_place_to_wait_is_answered_at_once(build_house: Build) -> None:
    waiters = Waiters(1)
    house = build_house(waiters=waiters)
    began = house.clock.now()
    with waiters.place():
        answer = post_json(MODELS, CUP, headers={"prefer": "wait=20"})
    assert (answer.status, answer.json["status"]) == (202, "queued")
    assert "preference-applied" not in answer.headers
    assert house.clock.now() == began


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_request_id_and_traceparent_are_kept_for_webhooks(house: House) -> None:
    answer = post_json(MODELS, CUP, headers={"x-request-id": "req-7", "traceparent": TRACE})
    assert house.job(answer.json["id"]).trace == {"x-request-id": "req-7", "traceparent": TRACE}


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        TRACE.upper(),
        TRACE + "-extra",
        TRACE.replace("00-4", "ff-4"),
        TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        TRACE.replace("00f067aa0ba902b7", "0" * 16),
    ],
)
def test_a_malformed_traceparent_is_dropped(house: House, traceparent: str) -> None:
    answer = post_json(MODELS, CUP, headers={"traceparent": traceparent})
    assert "traceparent" not in house.job(answer.json["id"]).trace


def test_a_traceparent_of_a_later_version_travels_on(house: House) -> None:
    later = "01" + TRACE[2:] + "-more"
    answer = post_json(MODELS, CUP, headers={"traceparent": later})
    assert house.job(answer.json["id"]).trace["traceparent"] == later
