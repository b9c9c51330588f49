"""A backlog: a timer's poll hands providers to further polls, a bounded number of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from shared.jobs import polling
from shared.jobs.model import Status
from shared.store.base import StoreUnavailable
from tests.worlds import World

OTHERS = ("second", "third")
ALL = ["tripo", *OTHERS]
LATE = round(polling.BACKLOG * 1000) + 1000


@pytest.fixture
def world() -> World:
    return World(others=OTHERS)


def helped(world: World, most: int) -> list[str]:
    asked: list[str] = []
    ports = dataclasses.replace(world.plain, help=asked.append)
    polling.ask_for_help(ports, most)
    return asked


def a_job_each(world: World) -> dict[str, str]:
    return {name: world.create(provider=name) for name in ALL}


def test_a_provider_that_keeps_up_needs_no_help(world: World) -> None:
    a_job_each(world)
    world.clock.advance(LATE - 2000)
    assert helped(world, 3) == []


@pytest.mark.parametrize("most", range(4))
def test_a_provider_for_which_something_waits_too_long_gets_help_within_the_bound(
    world: World, most: int
) -> None:
    a_job_each(world)
    world.clock.advance(LATE)
    assert helped(world, most) == ALL[:most]


def test_only_the_providers_that_fall_behind_are_handed_over(world: World) -> None:
    world.create(provider="second")
    world.clock.advance(LATE)
    a_job_each(world)
    assert helped(world, 3) == ["second"]


def test_a_store_that_is_away_asks_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("not now")

    monkeypatch.setattr(world.store, "first", refuse)
    assert helped(world, 3) == []


def test_a_helper_carries_its_own_provider_forward_and_no_other(world: World) -> None:
    jobs = a_job_each(world)
    polling.poll(world.plain, world.deadline(), lambda: False, providers=["second"])
    for name, job_id in jobs.items():
        begun = Status.RUNNING if name == "second" else Status.QUEUED
        assert world.job(job_id).status is begun
