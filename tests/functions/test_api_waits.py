"""Waiting for a job's end, at creates and at reads; 200 where it has ended, 202 where it has not.

等待任务结束的测试。
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.waiting import Waiters
from tests.functions.gateway import Answer, Context, call, get, post_json
from tests.functions.house import Build, House, Working, created, finished

MODELS = "/api/v1/models"
CUP = {"prompt": "a cup"}


def paths(job_id: str) -> list[str]:
    return [f"/api/v1/jobs/{job_id}", f"{MODELS}/{job_id}/status", f"{MODELS}/{job_id}/result"]


def asked(way: str, path: str, seconds: int) -> Answer:
    """A read that waits, by the query or by the header."""
    if way == "query":
        return get(f"{path}?wait={seconds}")
    return get(path, headers={"prefer": f"wait={seconds}"})


WAYS = pytest.mark.parametrize("way", ["query", "header"])
READS = pytest.mark.parametrize("number", range(3), ids=["job", "status", "result"])


def status_of(answer: Answer) -> str:
    found = json.loads(answer.body)
    return str(found.get("job", found)["status"] if answer.status == 409 else found["status"])


@WAYS
@READS
def test_a_read_waits_until_the_job_has_ended(
    house: House, way: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = paths(created()["id"])[number]
    monkeypatch.setattr(house.bundle.jobs, "_clock", Working(house))
    answer = asked(way, path, 20)
    assert (answer.status, status_of(answer)) == (200, "succeeded")
    assert answer.headers["preference-applied"] == "wait=20"
    assert "retry-after" not in answer.headers


@WAYS
@READS
@pytest.mark.parametrize(("seconds", "held"), [(3, 3), (0, 0), (3600, 20)])
def test_a_read_waits_no_longer_than_it_may(
    house: House, way: str, number: int, seconds: int, held: int
) -> None:
    path = paths(created()["id"])[number]
    begun = house.clock.now()
    answer = asked(way, path, seconds)
    assert answer.status == (409 if number == 2 else 200)
    assert status_of(answer) == "queued"
    assert house.clock.now() - begun == 1000 * held
    assert answer.headers["preference-applied"] == f"wait={held}"
    assert int(answer.headers["retry-after"]) >= 1


@READS
def test_a_read_that_does_not_ask_to_wait_does_not(house: House, number: int) -> None:
    begun = house.clock.now()
    answer = get(paths(created()["id"])[number])
    assert house.clock.now() == begun
    assert "preference-applied" not in answer.headers


def test_a_read_never_outlasts_the_invocation(house: House) -> None:
    path = paths(created()["id"])[0]
    answer = call("GET", f"{path}?wait=20", context=Context(9_900))
    assert answer.headers["preference-applied"] == "wait=6"


def test_the_query_goes_before_the_header(house: House) -> None:
    path = paths(created()["id"])[0]
    answer = get(f"{path}?wait=2", headers={"prefer": "wait=9"})
    assert answer.headers["preference-applied"] == "wait=2"


@READS
@pytest.mark.parametrize("wait", ["-1", "3601", "soon", "1.5", "", "9" * 5000])
def test_a_wait_that_cannot_be_meant_is_refused_by_its_name(
    house: House, number: int, wait: str
) -> None:
    answer = get(f"{paths(created()['id'])[number]}?wait={wait}")
    assert (answer.status, answer.error["param"]) == (400, "wait")


def test_who_finds_no_place_to_wait_reads_at_once(build_house: Build) -> None:
    waiters = Waiters(1)
    house = build_house(waiters=waiters)
    path = paths(created()["id"])[0]
    begun = house.clock.now()
    with waiters.place():
        answer = get(f"{path}?wait=20")
    assert (answer.status, answer.json["status"]) == (200, "queued")
    assert "preference-applied" not in answer.headers
    assert house.clock.now() == begun


def test_a_stranger_is_not_waited_for(build_house: Build) -> None:
    house = build_house()
    begun = house.clock.now()
    assert get(f"/api/v1/jobs/{'0' * 26}?wait=20").status == 404
    assert house.clock.now() == begun


def test_a_create_whose_job_ended_within_the_wait_is_answered_by_200(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.bundle.jobs, "_clock", Working(house))
    answer = post_json(MODELS, CUP, headers={"prefer": "wait=20"})
    assert (answer.status, answer.json["status"]) == (200, "succeeded")
    assert answer.headers["location"] == answer.json["urls"]["self"]
    assert "retry-after" not in answer.headers


def test_a_create_whose_job_goes_on_is_answered_by_202(house: House) -> None:
    for headers in ({}, {"prefer": "wait=3"}):
        assert post_json(MODELS, CUP, headers=headers).status == 202


def test_a_repeat_is_answered_as_its_job_stands(house: House) -> None:
    def again() -> Answer:
        return post_json(MODELS, CUP, headers={"idempotency-key": "order-1"})

    first, second = again(), again()
    assert (first.status, second.status) == (202, 202)
    house.carry()
    third = again()
    assert (third.status, third.json["status"]) == (200, "succeeded")
    assert third.json["id"] == first.json["id"]
    assert third.headers["idempotency-replayed"] == "true"


def test_a_retry_asked_for_again_is_answered_as_it_stands(
    build_house: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build_house(instant=False)
    job: dict[str, Any] = created()
    assert call("POST", f"/api/v1/jobs/{job['id']}/cancel").json["status"] == "canceled"
    path = f"/api/v1/jobs/{job['id']}/retry"
    first = call("POST", path)
    assert first.status == 202
    assert call("POST", f"/api/v1/jobs/{first.json['id']}/cancel").json["status"] == "canceled"
    again = call("POST", path)
    assert (again.status, again.json["id"]) == (200, first.json["id"])
    assert house.rows() == 2


def test_a_finished_job_is_read_at_once(house: House) -> None:
    job = finished(house)
    begun = house.clock.now()
    for path in paths(job["id"]):
        assert get(f"{path}?wait=20").status == 200
    assert house.clock.now() == begun
