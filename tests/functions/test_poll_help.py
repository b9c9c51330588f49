"""The poll function and its helpers, called with the events of AWS."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from functions.poll.handler import handler
from shared import events, wiring
from shared.clock import new_id
from shared.jobs import polling
from shared.jobs.model import Status
from shared.store.tables import JOBS, OLD_LANES
from tests.functions.house import Build, House, created

TIMER = {"detail-type": "Scheduled Event"}
LATE = 4


class Context:
    aws_request_id = "request-1"
    function_name = "maquette-test-poll"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class Ending(Context):
    """An invocation whose time runs out while it waits for more to do."""

    def __init__(self) -> None:
        self._left = 60_000

    def get_remaining_time_in_millis(self) -> int:
        self._left -= 500
        return max(0, self._left)


def late_jobs(house: House) -> list[str]:
    """Jobs that have waited for too long."""
    ids = [created()["id"] for _ in range(LATE)]
    house.clock.advance(round(polling.BACKLOG * 1000) + 1000)
    return ids


def asked_by(event: Any, build_house: Build, **settings: Any) -> list[str]:
    """Which providers a poll asks help for, called with this event while all are late."""
    house = build_house(**settings)
    asked: list[str] = []
    ports = dataclasses.replace(house.bundle.ports, help=asked.append)
    wiring.install(dataclasses.replace(house.bundle, ports=ports))
    late_jobs(house)
    handler(event, Context())
    return asked


def test_a_timer_s_poll_asks_for_help_where_the_setting_allows_it(build_house: Build) -> None:
    assert asked_by(TIMER, build_house, poll_helpers=2) == ["throwaway"]


def test_without_the_setting_nobody_is_asked(build_house: Build) -> None:
    assert asked_by(TIMER, build_house) == []


@pytest.mark.parametrize("event", [dict(events.WAKE), events.help_event("throwaway"), {}])
def test_a_woken_poll_and_a_helper_ask_nobody(build_house: Build, event: Any) -> None:
    assert asked_by(event, build_house, poll_helpers=4) == []


@pytest.mark.parametrize(("event", "sweeps"), [(TIMER, True), (dict(events.WAKE), False)])
def test_a_timer_s_poll_sweeps_beside_its_jobs(
    build_house: Build, event: Any, sweeps: bool
) -> None:
    house = build_house()
    key = f"inputs/{new_id(house.clock)}/lost.png"
    house.bundle.bucket.put_stream(key, [b"x"], media_type="image/png")
    house.clock.advance(3_600_000)
    (job_id,) = late_jobs(house)[:1]
    handler(event, Context())
    assert (house.bundle.bucket.head(key) is None) == sweeps
    assert house.job(job_id).status is not Status.QUEUED


@pytest.mark.parametrize(
    "named",
    [{"providers": ["throwaway"]}, {"providers": ["throwaway", 3, "gone"]}, {"providers": []},
     {"providers": None}, {"providers": "throwaway"}, {"lanes": [1, 3]}],
)  # fmt: skip
def test_a_helper_carries_the_jobs_it_was_asked_to_and_leaves(
    build_house: Build, named: Any
) -> None:
    house = build_house(instant=False)
    ids = late_jobs(house)
    handler({"maquette": "help", **named}, Context())
    assert {house.job(job_id).status for job_id in ids} == {Status.RUNNING}


def test_a_timer_s_poll_takes_over_what_lies_in_the_queues_of_an_older_version(
    build_house: Build,
) -> None:
    """Nothing else is to be done, so it would leave after a single look."""
    house = build_house(instant=False)
    old = []
    for lane in range(OLD_LANES):
        job_id = created()["id"]
        record = house.bundle.store.get(JOBS, job_id)
        assert record is not None
        fields = {**record.fields, "queue": "step", "lane": lane}
        house.bundle.store.put(JOBS, dataclasses.replace(record, fields=fields))
        old.append(job_id)
    handler(TIMER, Ending())
    assert {house.job(job_id).status for job_id in old} == {Status.RUNNING}
