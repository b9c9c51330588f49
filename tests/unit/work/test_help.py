"""A backlog: a timer's poll hands lanes to further polls, a bounded number of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from shared.jobs.model import Status, lane_of
from shared.store.base import StoreUnavailable
from shared.store.tables import LANES
from shared.work import polling
from tests.worlds import World


@pytest.fixture
def world() -> World:
    return World()


def helped(world: World, most: int) -> list[int]:
    asked: list[int] = []
    ports = dataclasses.replace(world.plain, help=asked.append)
    polling.ask_for_help(ports, most)
    return asked


def jobs_in_every_lane(world: World) -> dict[int, list[str]]:
    lanes: dict[int, list[str]] = {lane: [] for lane in range(LANES)}
    while not all(lanes.values()):
        job_id = world.create()
        lanes[lane_of(job_id)].append(job_id)
    return lanes


def test_a_lane_that_keeps_up_needs_no_help(world: World) -> None:
    jobs_in_every_lane(world)
    world.clock.advance(round(polling.BACKLOG * 1000) - 1000)
    assert helped(world, LANES) == []


@pytest.mark.parametrize("most", range(LANES + 1))
def test_a_lane_in_which_something_waits_too_long_gets_help_within_the_bound(
    world: World, most: int
) -> None:
    jobs_in_every_lane(world)
    world.clock.advance(round(polling.BACKLOG * 1000) + 60_000)
    assert helped(world, most) == list(range(most))


def test_only_the_lanes_that_fall_behind_are_handed_over(world: World) -> None:
    late = world.create()
    world.clock.advance(round(polling.BACKLOG * 1000) + 1000)
    jobs_in_every_lane(world)
    assert helped(world, LANES) == [lane_of(late)]


def test_a_store_that_is_away_asks_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("not now")

    monkeypatch.setattr(world.store, "query", refuse)
    assert helped(world, LANES) == []


def test_a_helper_carries_its_own_lanes_forward_and_no_others(world: World) -> None:
    lanes = jobs_in_every_lane(world)
    polling.poll(world.plain, world.deadline(), lambda: False, lanes=(2,))
    for lane, ids in lanes.items():
        taken = {world.job(job_id).status for job_id in ids}
        assert taken == ({Status.RUNNING} if lane == 2 else {Status.QUEUED})
