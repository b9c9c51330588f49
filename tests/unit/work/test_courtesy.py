"""Work gives way to callers, for a moment and not altogether."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from shared.clock import Deadline
from shared.work.company import Company
from shared.work.courtesy import FEW, PATIENCE, Courtesy
from shared.work.loop import HeldUnits, Loop, Unit
from tests.fakes import FakeClock

SOON = 20.0


class Waiting(threading.Condition):
    """Tells of everyone who waits; `pass_time`, where there is one, takes the place of waiting."""

    def __init__(self, pass_time: Callable[[float], None] | None = None) -> None:
        super().__init__()
        self.began = threading.Semaphore(0)
        self._pass_time = pass_time

    def wait(self, timeout: float | None = None) -> bool:
        self.began.release()
        if self._pass_time is None:
            return super().wait(SOON)
        self._pass_time(timeout or 0.0)
        return False


def courtesy(waiting: Waiting, now: list[float] | None = None) -> Courtesy:
    """One whose time stands still unless `now` is moved."""
    time = now or [0.0]
    made = Courtesy(lambda: time[0])
    made._change = waiting
    return made


@contextmanager
def one_more(giving: Courtesy, waiting: Waiting) -> Iterator[threading.Event]:
    """A unit that has to wait for its turn; the event is set when it has it."""
    has_turn = threading.Event()

    def work() -> None:
        with giving.turn():
            has_turn.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert waiting.began.acquire(timeout=SOON)
    assert not has_turn.is_set()
    yield has_turn
    thread.join(SOON)
    assert not thread.is_alive()


def test_while_nobody_asks_any_number_runs_at_once() -> None:
    waiting = Waiting()
    giving = courtesy(waiting)
    giving.arrives()()
    with ExitStack() as turns:
        for _ in range(3 * FEW):
            turns.enter_context(giving.turn())
    assert not waiting.began.acquire(blocking=False)


def test_while_a_caller_waits_the_next_unit_begins_when_one_of_a_few_has_ended() -> None:
    waiting = Waiting()
    giving = courtesy(waiting)
    giving.arrives()
    with ExitStack() as turns:
        for _ in range(FEW - 1):
            turns.enter_context(giving.turn())
        last = giving.turn()
        last.__enter__()
        with one_more(giving, waiting) as has_turn:
            last.__exit__(None, None, None)
            assert has_turn.wait(SOON)


def test_when_the_last_caller_has_its_answer_all_go_on() -> None:
    waiting = Waiting()
    giving = courtesy(waiting)
    leaves = giving.arrives()
    with ExitStack() as turns:
        for _ in range(FEW):
            turns.enter_context(giving.turn())
        with one_more(giving, waiting) as one, one_more(giving, waiting) as other:
            leaves()
            assert one.wait(SOON)
            assert other.wait(SOON)


def test_nobody_waits_for_callers_any_longer_than_a_moment() -> None:
    now = [0.0]

    def pass_time(seconds: float) -> None:
        now[0] += seconds
        giving.arrives()  # they keep coming

    giving = courtesy(Waiting(pass_time), now)
    giving.arrives()
    with ExitStack() as turns:
        for _ in range(FEW + 1):
            turns.enter_context(giving.turn())
        assert now == [PATIENCE]


def test_who_waits_for_a_job_s_end_holds_up_no_work() -> None:
    now = [0.0]
    waiting = Waiting()
    giving = courtesy(waiting, now)
    giving.arrives()
    now[0] = PATIENCE
    with ExitStack() as turns:
        for _ in range(FEW + 1):
            turns.enter_context(giving.turn())
    assert not waiting.began.acquire(blocking=False)


def test_every_unit_of_a_loop_takes_its_turn() -> None:
    taken: list[int] = []

    class Noting(Courtesy):
        @contextmanager
        def turn(self) -> Iterator[None]:
            taken.append(1)
            with super().turn():
                yield

    class Three(HeldUnits):
        name = group = "three"
        threads = 2
        lasting = False
        needs = 0.0
        left = 3

        def next_due(self) -> int | None:
            return 0 if self.left else None

        def claim(self, room: int) -> int:
            number, self.left = self.left, 0
            self._units.extend(Unit(lambda: None) for _ in range(number))
            return number

    source, clock = Three(), FakeClock()
    loop = Loop(lambda: (source,), clock, Deadline.after(100), company=Company(Noting()))
    assert loop.run() == 3
    assert len(taken) == 3
