"""How much longer a task takes: read off past tasks, its progress, and how far that is trusted.

剩余时间估计的性质。
"""

from __future__ import annotations

import math
import random
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs import estimate
from shared.jobs.estimate import NOTHING, POINTS, Past, Points, Word, past_of

SECONDS = st.floats(0.01, 100_000)
ASCENDING = st.lists(SECONDS, min_size=1, max_size=40).map(lambda given: tuple(sorted(given)))
ERRORS = st.lists(st.floats(-1.5, 1.5), max_size=20).map(lambda given: tuple(sorted(given)))
WORDS = st.builds(Word, st.floats(-10, 100_000), st.floats(0, 1_000))
TOLD = st.tuples(st.floats(-10, 10_000), st.integers(0, 99))


def past(*seconds: float, errors: Points = ()) -> Past:
    weights = [1.0] * len(seconds)
    return past_of(estimate.quantiles(seconds, weights), errors)


HUNDRED = past(*range(80, 121))
"""Tasks of about a hundred seconds."""


@given(ASCENDING, st.floats(0.01, 60), st.floats(0, 1))
def test_one_looks_when_what_has_ended_has_waited_for_what_a_look_is_worth(
    points: Points, worth: float, share: float
) -> None:
    pause = estimate.wait(points, worth, share)
    spread = points[3 * len(points) // 4] - points[len(points) // 4]
    waited = fmean(max(0.0, pause - point) for point in points)
    assert waited == pytest.approx(max(worth, share * spread), rel=1e-6, abs=1e-6)


def test_an_end_that_is_known_is_looked_for_right_after_it() -> None:
    assert estimate.wait((7.0,) * 16, 0.4, 0.1) == pytest.approx(7.4)


def test_where_an_end_is_always_as_likely_the_pause_is_that_of_the_square_root() -> None:
    # Ends once in 1,000 s: by Keller's rule one looks every sqrt(2 * 0.5 * 1000) s.
    points = tuple(-1000 * math.log(1 - (at + 0.5) / 4000) for at in range(4000))
    assert estimate.wait(points, 0.5, 0.0) == pytest.approx(math.sqrt(1000), rel=0.02)


@given(st.lists(st.tuples(SECONDS, st.floats(0.01, 1)), min_size=1, max_size=60))
def test_points_ascend_and_stay_near_the_values(given_values: list[tuple[float, float]]) -> None:
    values, weights = zip(*given_values, strict=True)
    points = estimate.quantiles(values, weights)
    assert len(points) == POINTS
    assert all(one <= other + 1e-9 * other for one, other in pairwise(points))
    assert min(values) * 0.6 <= points[0] <= points[-1] <= max(values) * 1.65


def test_the_points_of_many_values_are_their_quantiles() -> None:
    draws = random.Random(3)
    values = [draws.lognormvariate(3.0, 0.5) for _ in range(4000)]
    points = estimate.quantiles(values, [1.0] * len(values))
    for at, point in enumerate(points):
        share = sum(value <= point for value in values) / len(values)
        assert share == pytest.approx((at + 0.5) / POINTS, abs=0.01)


def test_values_of_more_weight_count_for_more() -> None:
    points = estimate.quantiles([10.0] * 10 + [20.0] * 10, [1.0] * 10 + [9.0] * 10)
    assert sum(point > 15 for point in points) >= 14


def test_of_a_kind_without_past_and_word_nothing_is_known() -> None:
    assert estimate.left(10.0, NOTHING, None) is None


@given(ASCENDING, ERRORS, st.floats(0, 200_000), st.none() | WORDS)
def test_what_is_left_is_never_below_nothing_and_ascends(
    seconds: Points, errors: Points, elapsed: float, word: Word | None
) -> None:
    left = estimate.left(elapsed, past(*seconds, errors=errors), word)
    assert left
    assert all(0 <= one <= other + 1e-9 * other for one, other in pairwise((*left, math.inf)))


def test_a_task_that_has_run_for_a_while_has_the_rest_of_the_longer_ones_before_it() -> None:
    left = estimate.left(100.0, HUNDRED, None)
    assert left is not None
    assert len(left) == POINTS / 2
    assert left[-1] == pytest.approx(HUNDRED.seconds[-1] - 100.0)


def test_a_task_that_is_late_may_end_any_time_and_the_later_the_longer_that_takes() -> None:
    waits = [
        estimate.wait(estimate.left(elapsed, HUNDRED, None) or (), 0.4, 0.02)
        for elapsed in (125.0, 140.0, 200.0, 500.0, 5_000.0)
    ]
    assert waits == sorted(waits)
    assert waits[0] < 5 < 60 < waits[-1]


def test_progress_tells_more_than_the_past_as_soon_as_it_is_narrower() -> None:
    early = estimate.word((0.0, 0), (10.0, 9), 10.0, 0.5)
    later = estimate.word((0.0, 0), (80.0, 79), 80.0, 0.5)
    assert early is not None
    assert later is not None
    told = past(*(100.0 + at / 10 for at in range(40)))
    assert estimate.left(10.0, told, early) == estimate.left(10.0, told, None)
    left = estimate.left(80.0, HUNDRED, later)
    assert left != estimate.left(80.0, HUNDRED, None)
    assert left is not None
    assert 15 < left[0] < left[-1] < 30


def test_a_late_task_goes_by_its_own_word() -> None:
    word = estimate.word((10.0, 5), (400.0, 40), 400.0, 0.5)
    left = estimate.left(400.0, HUNDRED, word)
    assert left is not None
    assert estimate.median(left) == pytest.approx(663, rel=0.1)


def test_progress_is_measured_between_two_looks_and_from_the_beginning_at_first() -> None:
    # Sixty seconds in the queue, then one per cent a second.
    first = estimate.word((0.0, 0), (90.0, 30), 90.0, 0.5)
    second = estimate.word((90.0, 30), (120.0, 60), 120.0, 0.5)
    assert first is not None
    assert second is not None
    assert first.left > 150
    assert second.left == pytest.approx(39.5)
    assert second.grain < 2


def test_time_that_passes_since_a_report_is_gone() -> None:
    now = estimate.word((0.0, 0), (50.0, 50), 50.0, 0.5)
    later = estimate.word((0.0, 0), (50.0, 50), 52.0, 0.5)
    assert now is not None
    assert later is not None
    assert now.left - later.left == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("first", "last", "elapsed"),
    [
        ((0.0, 0), (50.0, 0), 50.0),
        ((10.0, 40), (50.0, 40), 50.0),
        ((50.0, 10), (50.0, 40), 50.0),
        ((60.0, 10), (50.0, 40), 50.0),
        ((0.0, 0), (10.0, 99), 20.0),
        ((0.0, 0), (100.0, 50), 200.0),
    ],
)
def test_progress_that_stands_still_or_goes_backwards_says_nothing(
    first: tuple[float, int], last: tuple[float, int], elapsed: float
) -> None:
    assert estimate.word(first, last, elapsed, 0.5) is None


@given(TOLD, TOLD, st.floats(0, 20_000))
def test_whatever_progress_is_told_it_makes_finite_seconds(
    first: tuple[float, int], last: tuple[float, int], elapsed: float
) -> None:
    word = estimate.word(first, last, elapsed, 0.5)
    assert word is None or (math.isfinite(word.left) and 0 <= word.grain < math.inf)


def test_a_word_that_was_wrong_too_often_does_not_count() -> None:
    word = Word(1.0, 0.1)
    wrong, right = (1.5,) * 12, (0.1,) * 12
    assert estimate.left(50.0, past_of(HUNDRED.seconds, right), word) != estimate.left(
        50.0, HUNDRED, None
    )
    assert estimate.left(50.0, past_of(HUNDRED.seconds, wrong), word) == estimate.left(
        50.0, HUNDRED, None
    )


def test_the_errors_of_the_past_widen_what_a_word_says() -> None:
    sure = estimate.left(50.0, past_of((), (0.0,) * 8), Word(40.0))
    unsure = estimate.left(50.0, past_of((), [at / 20 for at in range(-4, 5)]), Word(40.0))
    assert sure == (40.0,) * 8
    assert unsure is not None
    assert unsure[0] < 33 < 48 < unsure[-1]
