"""When a message is tried again, and when it is given up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.deliveries.model import Delivery, DeliveryStatus
from shared.deliveries.schedule import LONGEST_WAIT, WAITS, Outcome, next_try, replay

NOW = 1_800_000_000_000
HOUR = 3_600_000
DELIVERY = Delivery(
    id="evt_1",
    job_id="job_1",
    url="https://receiver.example/",
    event="job.succeeded",
    body="{}",
    created_at=NOW,
    due_at=NOW,
    claims=2,
)


def answered(status: int | None, retry_after: int | None = None) -> Outcome:
    error = None if status else "connection refused"
    return Outcome(NOW, status, error, 12, retry_after)


def failed(times: int) -> Delivery:
    delivery = DELIVERY
    for _ in range(times):
        delivery = next_try(delivery, answered(500), NOW, 0.0)
    return delivery


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_delivers(status: int) -> None:
    after = next_try(DELIVERY, answered(status), NOW, 0.5)
    assert after.status is DeliveryStatus.DELIVERED
    assert after.due_at is None
    assert after.claims == 0
    assert after.tries[0].status == status


@pytest.mark.parametrize("status", [None, 199, 301, 302, 307, 400, 404, 429, 500, 503])
def test_anything_else_is_tried_again(status: int | None) -> None:
    after = next_try(DELIVERY, answered(status), NOW, 0.0)
    assert after.status is DeliveryStatus.PENDING
    assert after.due_at == NOW + 5000
    assert after.claims == 0


def test_410_is_the_end() -> None:
    after = next_try(DELIVERY, answered(410, retry_after=5), NOW, 0.0)
    assert after.status is DeliveryStatus.DEAD
    assert after.due_at is None


def test_the_waits_are_those_of_the_standard() -> None:
    waits = [(failed(times).due_at or 0) - NOW for times in range(1, 10)]
    minutes = [wait / 60_000 for wait in waits]
    assert minutes == [5 / 60, 5, 30, 120, 300, 600, 840, 1200, 1440]


def test_after_the_tenth_failure_the_message_is_dead_and_all_its_tries_are_kept() -> None:
    assert failed(9).status is DeliveryStatus.PENDING
    dead = failed(10)
    assert dead.status is DeliveryStatus.DEAD
    assert dead.due_at is None
    assert len(dead.tries) == len(WAITS) == 10


@given(times=st.integers(0, 8), chance=st.floats(0, 1, exclude_max=True))
def test_jitter_adds_a_tenth_at_most(times: int, chance: float) -> None:
    after = next_try(failed(times), answered(500), NOW, chance)
    wait = (after.due_at or 0) - NOW
    assert WAITS[times + 1] <= wait <= WAITS[times + 1] * 1.1


def test_a_longer_retry_after_wins_over_the_schedule() -> None:
    assert next_try(DELIVERY, answered(429, 90_000), NOW, 0.0).due_at == NOW + 90_000


def test_a_shorter_retry_after_does_not_hurry_the_schedule() -> None:
    assert next_try(failed(3), answered(503, 1000), NOW, 0.0).due_at == NOW + 2 * HOUR


def test_retry_after_asks_for_a_day_at_most() -> None:
    after = next_try(DELIVERY, answered(503, 400 * HOUR), NOW, 0.0)
    assert after.due_at == NOW + LONGEST_WAIT


def test_a_delivery_that_has_ended_is_not_tried_again() -> None:
    with pytest.raises(ValueError, match="dead, not pending"):
        next_try(failed(10), answered(200), NOW, 0.0)


def test_a_replay_is_the_same_message_with_a_whole_schedule_before_it() -> None:
    dead = replace(failed(10), version=21)
    again = replay(dead, NOW + HOUR)
    assert (again.id, again.body, again.version) == (dead.id, dead.body, 21)
    assert again.status is DeliveryStatus.PENDING
    assert again.due_at == NOW + HOUR
    assert next_try(again, answered(500), NOW, 0.0).status is DeliveryStatus.PENDING
