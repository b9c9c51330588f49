"""The loop at its end: what it cannot begin is given back, what was never read is told.

测试循环结束时交还未开始的工作。
"""

from __future__ import annotations

import pytest

from shared.clock import Deadline
from shared.store.base import StoreUnavailable
from shared.work.alarm import Alarm
from shared.work.company import Company
from shared.work.loop import HeldUnits, Loop, Unit
from tests.fakes import FakeClock


class Claimed(HeldUnits):
    """A source that has just claimed one unit when the time runs out."""

    name = group = "claimed"
    threads = 1
    lasting = True
    needs = 10.0

    def __init__(self, left: list[float], unit: Unit) -> None:
        super().__init__()
        self._left, self._unit, self._taken = left, unit, False

    def next_due(self) -> int | None:
        return None if self._taken else 0

    def claim(self, room: int) -> int:
        self._taken = True
        self._units.append(self._unit)
        self._left[0] = 9.0  # a stop was asked for meanwhile: nine seconds are left
        return 1


@pytest.mark.parametrize("alone", [False, True])
def test_what_there_is_no_time_to_begin_is_given_back_and_the_loop_ends(alone: bool) -> None:
    left, done = [60.0], []
    unit = Unit(lambda: done.append("run"), lambda: done.append("back"), alone)
    source = Claimed(left, unit)
    loop = Loop(lambda: (source,), FakeClock(), Deadline(lambda: left[0]))
    assert loop.run() == 0
    assert done == ["back"]


def test_who_waits_to_be_alone_when_the_time_runs_out_is_given_back() -> None:
    left, done = [60.0], []
    company = Company()
    company.enter("others")  # somebody else is at work, and will be for long

    class Alone(Claimed):
        def start(self) -> Unit | None:
            unit = super().start()
            left[0] = 9.0 if unit is not None else left[0]
            return unit

        def claim(self, room: int) -> int:
            found = super().claim(room)
            left[0] = 60.0
            return found

    unit = Unit(lambda: done.append("run"), lambda: done.append("back"), alone=True)
    source = Alone(left, unit)
    loop = Loop(lambda: (source,), FakeClock(), Deadline(lambda: left[0]), company=company)
    assert loop.run() == 0
    assert done == ["back"]


class Locked(Claimed):
    """A source of nothing, that cannot even be read where it is locked."""

    def __init__(self, name: str, locked: bool) -> None:
        super().__init__([60.0], Unit(lambda: None))
        self.name = name
        self._locked = locked

    def next_due(self) -> int | None:
        if self._locked:
            raise StoreUnavailable("not now")
        return None


def test_who_could_read_no_queue_at_all_says_so_at_the_end() -> None:
    sources = (Locked("one", True), Locked("two", True))
    loop = Loop(lambda: sources, FakeClock(), Deadline(lambda: 60.0))
    with pytest.raises(StoreUnavailable, match="not now"):
        loop.run()


def test_a_queue_that_cannot_be_read_beside_one_that_can_is_no_error() -> None:
    sources = (Locked("one", True), Locked("two", False))
    assert Loop(lambda: sources, FakeClock(), Deadline(lambda: 60.0)).run() == 0


class Slow(HeldUnits):
    """A source whose next unit takes longer than there is time for; `looks` counts its queries."""

    group = "slow"
    threads = 1
    lasting = True

    def __init__(self, name: str, needs: float, due: int | None) -> None:
        super().__init__()
        self.name, self.needs, self.due, self.looks = name, needs, due, 0

    def next_due(self) -> int | None:
        self.looks += 1
        return self.due

    def claim(self, room: int) -> int:
        return 0


@pytest.mark.parametrize("due", [None, 0])
def test_a_source_there_is_no_more_time_for_makes_nobody_look_around_faster(
    due: int | None,
) -> None:
    clock = FakeClock()
    end = clock.now() + 60_000
    rounds: list[int] = []
    sources = (Slow("slow", 50.0, due), Slow("others", 15.0, end + 1))
    loop = Loop(
        lambda: sources,
        clock,
        Deadline(lambda: (end - clock.now()) / 1000),
        lambda: True,
        alarm=Alarm(clock.sleep),
        each_round=lambda: rounds.append(clock.now()),
    )
    loop.run()
    after = [at for at in rounds if end - 50_000 < at < end - 15_000]
    # One look a second at the other source, and no more than that.
    assert 30 <= len(after) <= 40
