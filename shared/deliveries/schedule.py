"""When a delivery is tried again, and when it is given up. Pure: time and chance are arguments.

回调的重试时间表。
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.deliveries.model import Delivery, DeliveryStatus, Try

_SECOND = 1000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE

WAITS = (
    0,
    5 * _SECOND,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
"""Milliseconds before each try, counted from the one before it (Standard Webhooks 1.0.0,
"Retry schedule"). There are as many tries as entries."""

LONGEST_WAIT = 24 * _HOUR
"""The most that a receiver's Retry-After can ask for, in milliseconds."""

_JITTER = 0.1


@dataclass(frozen=True)
class Outcome:
    """What one try came to: an HTTP status, or in `error` why there was none.

    `at` (ms since 1970) is when it began, `retry_after` (ms) what the receiver asked to wait.

    一次投递的结果。
    """

    at: int
    status: int | None
    error: str | None
    milliseconds: int
    retry_after: int | None = None

    @property
    def taken(self) -> bool:
        """Whether the receiver took the message: only 2xx says so, a redirect does not.

        接收方是否已收下。
        """
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused_for_good(self) -> bool:
        """Whether the receiver wants no more of it: 410 Gone.

        接收方是否要求不再发送。
        """
        return self.status == 410


def next_try(delivery: Delivery, outcome: Outcome, now: int, chance: float) -> Delivery:
    """The pending delivery after a try: delivered, dead, or due again.

    It is due after the schedule's next wait or the receiver's Retry-After, whichever is later,
    plus up to a tenth of it (`chance` is in [0, 1)), so that receivers that failed together are
    not all called at the same moment again. `now` is milliseconds since 1970.

    根据一次投递的结果决定下一步。
    """
    if delivery.status is not DeliveryStatus.PENDING:
        raise ValueError(f"delivery {delivery.id} is {delivery.status.value}, not pending")
    tried = Try(outcome.at, outcome.status, outcome.error, outcome.milliseconds)
    after = replace(delivery, tries=(*delivery.tries, tried), claims=0, due_at=None)
    if outcome.taken:
        return replace(after, status=DeliveryStatus.DELIVERED)
    if outcome.refused_for_good or len(after.tries) >= len(WAITS):
        return replace(after, status=DeliveryStatus.DEAD)
    asked = min(outcome.retry_after or 0, LONGEST_WAIT)
    wait = max(WAITS[len(after.tries)], asked)
    return replace(after, due_at=now + round(wait * (1 + _JITTER * chance)))


def replay(delivery: Delivery, now: int) -> Delivery:
    """The same message, due at once with a whole schedule of tries before it.

    Its id and body stay, so a receiver that keeps ids sees that it is the same event.

    重新投递同一条通知。
    """
    return replace(delivery, status=DeliveryStatus.PENDING, tries=(), due_at=now, claims=0)
