"""When to look and when to try again: the bounds, the growth and the chance in every pause.

查询与重试间隔的性质。
"""

from __future__ import annotations

import random
from itertools import pairwise
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.estimate import Points
from shared.jobs.lifecycle import next_look
from shared.jobs.lifecycle.transitions import Moment
from shared.jobs.model import Job, JobInput, Pace, Status
from shared.jobs.policy import Policy

POLICY = Policy()
CHANCE = st.floats(0, 1, exclude_max=True)
ELAPSED = st.floats(0, 10_000_000)
LEFT = st.lists(st.floats(0, 10_000_000), min_size=1, max_size=20).map(
    lambda points: tuple(sorted(points))
)
LOOKS = st.integers(0, 10_000)
START = 1_800_000_000_000


def policies() -> st.SearchStrategy[Policy]:
    return st.builds(
        Policy,
        poll_first=st.floats(0.5, 10),
        poll_factor=st.floats(1.05, 3),
        poll_ceiling=st.floats(10, 120),
        retry_first=st.floats(0.5, 10),
        retry_factor=st.floats(1.1, 4),
        retry_ceiling=st.floats(10, 600),
        jitter=st.floats(0, 0.5),
    )


def running(started_at: int = START, **more: object) -> Job:
    return Job(
        "1", "text-to-3d", "tripo", "caller", started_at, JobInput("a chair"),
        status=Status.RUNNING, started_at=started_at, entered_at=started_at, task_id="t", **more,
    )  # fmt: skip


@given(policies(), ELAPSED, CHANCE)
def test_a_look_lies_within_the_jitter_of_first_and_ceiling(
    policy: Policy, elapsed: float, chance: float
) -> None:
    pause = policy.look(elapsed, chance)
    assert policy.poll_first * 1000 * (1 - policy.jitter) - 1 <= pause
    assert pause <= policy.poll_ceiling * 1000 * (1 + policy.jitter) + 1


@given(policies(), ELAPSED, CHANCE, LEFT, LOOKS)
def test_what_is_known_of_the_end_makes_no_pause_shorter_or_longer_than_its_bounds(
    policy: Policy, elapsed: float, chance: float, left: Points, looks: int
) -> None:
    pause = policy.look(elapsed, chance, left, looks)
    assert min(policy.poll_least, policy.poll_longest * (1 - policy.jitter)) * 1000 - 1 <= pause
    assert pause <= policy.poll_longest * 1000 + 1


@given(policies(), CHANCE, LEFT, LOOKS, LOOKS)
def test_the_more_often_a_task_was_looked_at_the_longer_is_the_pause(
    policy: Policy, chance: float, left: Points, one: int, other: int
) -> None:
    fewer, more = sorted((one, other))
    assert policy.look(9.0, chance, left, fewer) <= policy.look(9.0, chance, left, more)


def test_a_task_that_is_always_about_to_end_is_looked_at_ever_more_rarely() -> None:
    elapsed, looks = 0.0, 0
    while elapsed < 3600:
        elapsed += POLICY.look(elapsed, 0.5, (0.0, 0.1), looks) / 1000
        looks += 1
    assert looks < 140
    assert POLICY.look(elapsed, 0.5, (0.0, 0.1), looks) == round(POLICY.poll_longest * 950)


def test_tasks_of_one_instant_are_not_looked_at_in_one() -> None:
    left = tuple(range(60, 90, 2))
    for points in (left, tuple(point / 10 for point in left)):
        pauses = {POLICY.look(0.0, draw / 10, points) for draw in range(10)}
        assert len(pauses) == 10


@given(policies(), st.floats(-100_000, 0), CHANCE)
def test_a_clock_that_runs_behind_makes_no_pause_shorter_than_the_first(
    policy: Policy, elapsed: float, chance: float
) -> None:
    assert policy.look(elapsed, chance) == policy.look(0, chance)


@given(policies(), ELAPSED, ELAPSED, CHANCE)
def test_pauses_between_looks_never_shrink(
    policy: Policy, one: float, other: float, chance: float
) -> None:
    earlier, later = sorted((one, other))
    assert policy.look(earlier, chance) <= policy.look(later, chance)


@given(policies())
def test_pauses_between_looks_grow_by_the_factor_until_the_ceiling(policy: Policy) -> None:
    elapsed, pauses = 0.0, []
    while not pauses or pauses[-1] < policy.poll_ceiling * 1000 - 1:
        pauses.append(policy.look(elapsed, 0.5))
        elapsed += pauses[-1] / 1000
        assert len(pauses) < 200
    for one, other in pairwise(pauses[:-1]):
        assert other / one == pytest.approx(policy.poll_factor, rel=0.01)
    assert policy.look(elapsed, 0.5) == round(policy.poll_ceiling * 1000)


def test_a_minute_of_work_costs_about_ten_looks_and_ten_minutes_about_thirty() -> None:
    def looks(seconds: float) -> int:
        elapsed, count = 0.0, 0
        while elapsed < seconds:
            elapsed += POLICY.look(elapsed, 0.5) / 1000
            count += 1
        return count

    assert 8 <= looks(60) <= 12
    assert 25 <= looks(600) <= 32


def test_ten_thousand_draws_have_the_right_mean_and_fill_their_range() -> None:
    draws = random.Random(11)
    pauses = [POLICY.look(20.0, draws.random()) for _ in range(10_000)]
    assert mean(pauses) == pytest.approx(8_000, rel=0.003)
    assert (min(pauses), max(pauses)) == (pytest.approx(7_200, abs=5), pytest.approx(8_800, abs=5))
    failures = [POLICY.pause(4, draws.random()) for _ in range(10_000)]
    assert mean(failures) == pytest.approx(16_000, rel=0.003)


@given(policies(), st.integers(-3, 2_000), CHANCE)
def test_a_retry_waits_between_first_and_ceiling(
    policy: Policy, failures: int, chance: float
) -> None:
    pause = policy.pause(failures, chance)
    assert min(policy.retry_first, policy.retry_ceiling) * 1000 * (1 - policy.jitter) - 1 <= pause
    assert pause <= policy.retry_ceiling * 1000 * (1 + policy.jitter) + 1


def test_retries_wait_twice_as_long_each_time() -> None:
    pauses = [POLICY.pause(failures, 0.5) for failures in range(10)]
    assert pauses == [2000, 2000, 4000, 8000, 16000, 32000, 64000, 120000, 120000, 120000]


@given(policies(), st.integers(0, 50), CHANCE, st.floats(0, 100_000))
def test_a_providers_own_word_is_never_undercut(
    policy: Policy, failures: int, chance: float, hint: float
) -> None:
    pause = policy.pause(failures, chance, hint)
    assert pause >= round(hint * 1000) - 1
    assert pause <= max(hint, policy.retry_ceiling) * 1000 * (1 + policy.jitter) + 1


@given(CHANCE, st.integers(-40_000, 20_000_000), st.none() | st.integers(-10_000_000, 10_000_000))
def test_no_look_lies_past_the_deadline_while_that_is_ahead(
    chance: float, later: int, eta: int | None
) -> None:
    now, end = START + later, START + 7_200_000
    pace = Pace(START, START, ends_at=None if eta is None else now + eta)
    look = next_look(running(pace=pace), Moment(now, chance), POLICY)
    assert now < look <= now + 40_001
    if now < end:
        assert look <= end


def test_a_running_job_is_looked_at_on_its_very_deadline() -> None:
    end = START + 7_200_000
    assert next_look(running(), Moment(end - 100), POLICY) == end


def test_a_providers_estimate_leads_to_a_look_at_about_that_time() -> None:
    now = START + 20_000
    for seconds in (4, 12, 30):
        job = running(pace=Pace(START, START, ends_at=now + seconds * 1000))
        pause = next_look(job, Moment(now), POLICY) - now
        assert 0.75 * seconds <= pause / 1000 <= 1.1 * seconds


def test_an_estimate_that_has_passed_is_none() -> None:
    now = START + 20_000
    job = running(pace=Pace(START, START, ends_at=now - 1))
    assert next_look(job, Moment(now), POLICY) - now == POLICY.look(20.0, 0.5)
