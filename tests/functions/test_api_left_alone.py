"""One record that cannot be read, or that newer code has written, seen from outside: who asks for
it is told to ask later, everybody else notices nothing, the operator is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.jobs.model import FORMAT
from shared.store.tables import JOBS
from tests.emf import read, totals
from tests.functions.gateway import call, get, post_json
from tests.functions.house import Build, House, created

UNREADABLE = {"status": "dreaming"}
NEWER = {"format": FORMAT + 1}


def spoil(house: House, job_id: str, **members: Any) -> None:
    record = house.bundle.store.get(JOBS, job_id)
    assert record is not None
    house.bundle.store.put(JOBS, replace(record, document={**record.document, **members}))


@pytest.mark.parametrize("members", [UNREADABLE, NEWER, {**NEWER, **UNREADABLE}])
def test_it_is_listed_or_passed_over_and_all_others_go_on(
    house: House, members: dict[str, Any]
) -> None:
    ids = [created(f"cup {number}")["id"] for number in range(3)]
    spoil(house, ids[1], **members)
    house.carry()
    answer = get("/api/v1/jobs?limit=9&order=asc")
    assert answer.status == 200
    readable = [ids[0], ids[2]] if "status" in members else ids
    assert {job["id"] for job in answer.json["data"]} == set(readable)
    for job_id in (ids[0], ids[2]):
        assert house.job(job_id).status.value == "succeeded"
    left = house.bundle.store.get(JOBS, ids[1])
    assert left is not None
    assert left.document.items() >= members.items()
    assert left.claims == 0


def test_what_cannot_be_read_answers_503_and_says_nothing_of_what_it_holds(house: House) -> None:
    job_id = created()["id"]
    spoil(house, job_id, **UNREADABLE)
    path = f"/api/v1/jobs/{job_id}"
    answers = [get(path), get(f"{path}/deliveries"), post_json(f"{path}/cancel", {})]
    answers += [post_json(f"{path}/retry", {}), call("DELETE", path)]
    for answer in answers:
        assert (answer.status, answer.json["error"]["code"]) == (503, "record_unreadable")
        assert "dreaming" not in answer.body


def test_what_newer_code_has_written_is_shown_and_not_changed(house: House) -> None:
    job_id = created()["id"]
    spoil(house, job_id, **NEWER, of_tomorrow={"a": 1})
    path = f"/api/v1/jobs/{job_id}"
    assert get(path).json["status"] == "queued"
    answer = post_json(f"{path}/cancel", {})
    assert (answer.status, answer.json["error"]["code"]) == (503, "record_newer")
    assert int(answer.headers["retry-after"]) > 0
    spoil(house, job_id, status="failed", error=None)
    for answer in (post_json(f"{path}/retry", {}), call("DELETE", path)):
        assert (answer.status, answer.json["error"]["code"]) == (503, "record_newer")
    kept = house.bundle.store.get(JOBS, job_id)
    assert kept is not None
    assert kept.document["of_tomorrow"] == {"a": 1}


def test_the_operator_is_told_of_what_cannot_be_read(
    build_house: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    house = build_house(metrics="emf")
    job_id = created()["id"]
    spoil(house, job_id, **UNREADABLE)
    house.carry(1)
    house.bundle.metrics.flush()
    assert totals(read(capfd.readouterr().out), "RecordsSetAside", "reason") == {"unreadable": 1}
    assert job_id in str(get("/ready").json)
