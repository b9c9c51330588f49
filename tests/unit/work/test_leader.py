"""Who stays: one poll waits for due work, the others leave.

值守权的测试：同一时间只有一个 poll 在等待。
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shared.store.base import StoreUnavailable
from shared.work.leader import Leader
from tests.worlds import World, real_world


@pytest.fixture
def world() -> World:
    return World()


def watch(world: World, name: str, *, timer: bool = False, seconds: float = 900.0) -> Leader:
    return Leader(world.store, world.clock, name, seconds=seconds, take_over=timer)


def test_a_timers_poll_takes_over_from_the_one_that_stays(world: World) -> None:
    first, second = watch(world, "a", timer=True), watch(world, "b", timer=True)
    assert first.stays()
    assert second.stays()
    assert not first.stays()
    assert second.stays()
    first.leave()  # it has nothing to give up any more
    assert second.stays()


def test_a_woken_poll_stays_only_when_nobody_does(world: World) -> None:
    woken = watch(world, "w")
    assert woken.stays()
    assert not watch(world, "x").stays()
    woken.leave()
    assert watch(world, "y").stays()


def test_a_watch_that_died_is_over_when_its_time_is(world: World) -> None:
    assert watch(world, "a", seconds=60).stays()
    world.clock.advance(59_999)
    assert not watch(world, "b").stays()
    world.clock.advance(1)
    assert watch(world, "c").stays()


def test_nobody_stays_twice(tmp_path: Path) -> None:
    with real_world(tmp_path) as world:
        barrier = threading.Barrier(8)

        def ask(number: int) -> bool:
            one = watch(world, f"w{number}", timer=number % 2 == 0)
            barrier.wait(timeout=30)
            one.stays()
            barrier.wait(timeout=30)
            return one.stays()

        for _ in range(5):
            with ThreadPoolExecutor(8) as pool:
                assert sum(pool.map(ask, range(8))) == 1
            world.clock.advance(901_000)


def test_who_cannot_read_the_store_leaves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = watch(world, "a")
    assert one.stays()

    def refuse(*args: Any) -> Any:
        raise StoreUnavailable("not now")

    monkeypatch.setattr(world.store, "get", refuse)
    assert not one.stays()
    one.leave()
