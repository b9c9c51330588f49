"""Time, ids and randomness, from one object that tests can own.

时间、编号和随机数都从这里取，便于测试控制。
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Protocol

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class OutOfTime(Exception):
    """The invocation's time is nearly up; what is in hand must be handed back.

    本次调用的时间快用完了，手上的工作要交还。
    """


class Clock(Protocol):
    """Where "now", waiting and chance come from.

    时间与随机数的来源。
    """

    def now(self) -> int:
        """Milliseconds since 1970-01-01 UTC.

        当前时间（毫秒）。
        """

    def sleep(self, seconds: float) -> None:
        """Wait this many seconds.

        等待若干秒。
        """

    def chance(self) -> float:
        """A random number in [0, 1).

        返回一个随机数。
        """

    def token(self, bits: int) -> int:
        """An unguessable whole number of at most this many bits.

        返回一个难以猜测的随机整数。
        """


class SystemClock:
    """The machine's own clock and randomness.

    真实的系统时钟。
    """

    def now(self) -> int:
        """Milliseconds since 1970-01-01 UTC.

        当前时间（毫秒）。
        """
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Wait this many seconds.

        等待若干秒。
        """
        time.sleep(max(0.0, seconds))

    def chance(self) -> float:
        """A random number in [0, 1).

        返回一个随机数。
        """
        return random.random()

    def token(self, bits: int) -> int:
        """An unguessable whole number of at most this many bits.

        返回一个难以猜测的随机整数。
        """
        return secrets.randbits(bits)


@dataclass(frozen=True)
class Deadline:
    """How long this invocation may still work; `remaining` is asked anew each time.

    本次调用还剩多少时间。
    """

    remaining: Callable[[], float]

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """A deadline this many real seconds from now.

        从现在起若干秒后到期。
        """
        end = time.monotonic() + seconds
        return cls(lambda: end - time.monotonic())

    def within(self, seconds: float) -> Deadline:
        """One that ends so many real seconds from now, or with this one if that is sooner: this one
        may be brought forward meanwhile, where a process is asked to stop.

        取“若干秒后”与本截止时间中较早的一个，后者可能被提前。
        """
        own = Deadline.after(seconds)
        return Deadline(lambda: min(own.remaining(), self.remaining()))

    def check(self, need: float = 0.0) -> None:
        """Raise `OutOfTime` unless more than `need` seconds are left.

        剩余时间不足则抛出异常。
        """
        if self.remaining() <= need:
            raise OutOfTime

    def limit(self, seconds: float) -> float:
        """`seconds`, or what is left if that is less; never below a tenth of a second.

        取给定秒数与剩余秒数中较小的一个。
        """
        return max(0.1, min(seconds, self.remaining()))


def new_id(clock: Clock) -> str:
    """A ULID: 48 bits of time and 80 random ones, 26 characters that sort by time.

    生成按时间排序的唯一编号。
    """
    return _ulid(((clock.now() & ((1 << 48) - 1)) << 80) | clock.token(80))


def first_id(instant: int) -> str:
    """The lowest id that `new_id` could make at an instant (ms since 1970): a bound for lists.

    某一时刻最小的编号。
    """
    return _ulid(min(instant, (1 << 48) - 1) << 80)


def _ulid(number: int) -> str:
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def time_of(identifier: str) -> int | None:
    """When (ms) an id of `new_id` was made; None for a text that is none.

    由编号得到生成时间。
    """
    head = identifier[:10]
    if len(identifier) != 26 or any(digit not in _CROCKFORD for digit in head):
        return None
    number = 0
    for digit in head:
        number = number * 32 + _CROCKFORD.index(digit)
    return number


def iso(instant: int) -> str:
    """Milliseconds since 1970 as `2026-11-21T21:00:00.000Z`.

    把毫秒时间写成标准文本。
    """
    moment = datetime.fromtimestamp(instant / 1000, tz=timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant % 1000:03d}Z"
