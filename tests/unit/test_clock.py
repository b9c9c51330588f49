"""Time and ids: ids sort by time, times read back as they were, a deadline is kept.

测试时间、编号与截止时间。
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import Deadline, OutOfTime, SystemClock, iso, new_id
from tests.fakes import FakeClock

LAST = 253_402_300_799_999
"""The last millisecond of the year 9999."""
instants = st.integers(0, LAST)
randoms = st.integers(0, 2**80 - 1)


@dataclass
class Fixed:
    """A clock that stands still, its one token known."""

    instant: int
    number: int

    def now(self) -> int:
        return self.instant

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")

    def chance(self) -> float:
        return 0.5

    def token(self, bits: int) -> int:
        assert bits == 80
        return self.number


@given(instants, randoms)
def test_an_id_has_26_characters_that_none_mistakes(instant: int, number: int) -> None:
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", new_id(Fixed(instant, number)))


@given(st.tuples(instants, randoms), st.tuples(instants, randoms))
def test_ids_sort_by_time_then_by_chance(one: tuple[int, int], other: tuple[int, int]) -> None:
    made, next_made = new_id(Fixed(*one)), new_id(Fixed(*other))
    assert (made < next_made) == (one < other)
    assert (made == next_made) == (one == other)


def test_an_id_is_a_ulid() -> None:
    # The example of the ULID specification's own text form: 01ARZ3NDEKTSV4RRFFQ69G5FAV.
    number = int("d6764c61efb99302bd5b", 16)
    assert new_id(Fixed(1469922850259, number)) == "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def test_ids_made_at_once_by_many_are_all_different() -> None:
    clock = SystemClock()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id(clock), range(5000)))
    assert len(set(made)) == 5000


@given(instants)
def test_a_time_is_written_in_utc_with_milliseconds_and_reads_back(instant: int) -> None:
    text = iso(instant)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert round(moment.timestamp() * 1000) == instant


@given(st.lists(instants, max_size=5))
def test_times_sort_as_their_texts_do(times: list[int]) -> None:
    assert [iso(instant) for instant in sorted(times)] == sorted(map(iso, times))


def test_a_time_looks_like_this() -> None:
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert iso(1_795_294_800_007) == "2026-11-21T21:00:00.007Z"


seconds = st.floats(-1000, 1000)


@given(seconds, seconds)
def test_a_deadline_is_over_when_no_more_is_left_than_needed(left: float, need: float) -> None:
    deadline = Deadline(lambda: left)
    if left > need:
        deadline.check(need)
    else:
        with pytest.raises(OutOfTime):
            deadline.check(need)


@given(seconds, seconds)
def test_a_time_out_never_goes_past_the_deadline_nor_to_nothing(left: float, want: float) -> None:
    limit = Deadline(lambda: left).limit(want)
    assert limit >= 0.1
    assert limit == 0.1 or limit <= min(left, want)


def test_what_is_left_is_asked_anew_each_time() -> None:
    clock = FakeClock()
    end = clock.now() + 5000
    deadline = Deadline(lambda: (end - clock.now()) / 1000)
    deadline.check(4.9)
    clock.sleep(5)
    with pytest.raises(OutOfTime):
        deadline.check()


def test_a_deadline_of_seconds_counts_down() -> None:
    deadline = Deadline.after(60)
    first = deadline.remaining()
    assert 50 < deadline.remaining() <= first <= 60
    with pytest.raises(OutOfTime):
        Deadline.after(0).check()


def test_the_systems_clock_gives_what_it_promises() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.sleep(-1)
    assert 1_700_000_000_000 < before <= clock.now()
    assert all(0 <= clock.chance() < 1 for _ in range(100))
    assert all(0 <= clock.token(8) < 256 for _ in range(100))
