"""The poll function and its helpers, called with the events of AWS."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from functions.poll.handler import handler
from shared import events, wiring
from shared.jobs.model import Status, lane_of
from shared.store.tables import LANES
from shared.work import polling
from tests.functions.house import Build, House, created

TIMER = {"detail-type": "Scheduled Event"}
JOBS = 24


class Context:
    aws_request_id = "request-1"
    function_name = "maquette-test-poll"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def late_jobs(house: House) -> list[str]:
    """Jobs in every lane that have waited for too long."""
    ids = [created()["id"] for _ in range(JOBS)]
    assert {lane_of(job_id) for job_id in ids} == set(range(LANES))
    house.clock.advance(round(polling.BACKLOG * 1000) + 1000)
    return ids


def asked_by(event: Any, build_house: Build, **settings: Any) -> list[int]:
    """Which lanes a poll asks help for, called with this event while all are late."""
    house = build_house(**settings)
    asked: list[int] = []
    ports = dataclasses.replace(house.bundle.ports, help=asked.append)
    wiring.install(dataclasses.replace(house.bundle, ports=ports))
    late_jobs(house)
    handler(event, Context())
    return asked


def test_a_timer_s_poll_asks_for_as_much_help_as_the_setting_allows(build_house: Build) -> None:
    assert asked_by(TIMER, build_house, poll_helpers=2) == [0, 1]


def test_without_the_setting_nobody_is_asked(build_house: Build) -> None:
    assert asked_by(TIMER, build_house) == []


@pytest.mark.parametrize("event", [dict(events.WAKE), events.help_event(1), {}])
def test_a_woken_poll_and_a_helper_ask_nobody(build_house: Build, event: Any) -> None:
    assert asked_by(event, build_house, poll_helpers=LANES) == []


@pytest.mark.parametrize("lanes", [[1], [1, 3], [3, 1, 1, 9, -1, "x", True]])
def test_a_helper_carries_the_lanes_it_was_given_and_leaves(
    build_house: Build, lanes: list[Any]
) -> None:
    house = build_house(instant=False)
    ids = late_jobs(house)
    handler({"maquette": "help", "lanes": lanes}, Context())
    mine = {lane for lane in lanes if type(lane) is int}
    for job_id in ids:
        begun = house.job(job_id).status is Status.RUNNING
        assert begun == (lane_of(job_id) in mine)


@pytest.mark.parametrize("lanes", [[], None, "1", [9], {"1": 1}])
def test_a_call_for_help_that_names_no_lane_is_for_all(build_house: Build, lanes: Any) -> None:
    house = build_house(instant=False)
    ids = late_jobs(house)
    handler({"maquette": "help", "lanes": lanes}, Context())
    assert {house.job(job_id).status for job_id in ids} == {Status.RUNNING}
