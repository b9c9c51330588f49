"""Stand-ins for tests that keep the real interfaces.

测试用的替身。
"""

from __future__ import annotations

import random
import threading


class FakeClock:
    """A clock that moves only when told to, with chance and tokens that repeat from run to run.

    `start` is milliseconds since 1970; `chance` fixes every random number, else they come from
    a seeded generator. Safe to share between threads.

    由测试控制的时钟。
    """

    def __init__(self, start: int = 1_800_000_000_000, chance: float | None = None) -> None:
        self._now = start
        self._chance = chance
        self._random = random.Random(7)
        self._lock = threading.Lock()

    def now(self) -> int:
        """Milliseconds since 1970-01-01 UTC.

        当前时间（毫秒）。
        """
        with self._lock:
            return self._now

    def advance(self, milliseconds: int) -> None:
        """Let this much time pass.

        让时间前进。
        """
        with self._lock:
            self._now += milliseconds

    def sleep(self, seconds: float) -> None:
        """Waiting takes no real time: the clock moves, by a millisecond or more.

        等待即前进，不耗费真实时间。
        """
        if seconds > 0:
            self.advance(max(1, round(seconds * 1000)))

    def chance(self) -> float:
        """A number in [0, 1): the fixed one, or the generator's next.

        返回可重复的随机数。
        """
        with self._lock:
            return self._random.random() if self._chance is None else self._chance

    def token(self, bits: int) -> int:
        """The generator's next whole number of at most this many bits.

        返回可重复的随机整数。
        """
        with self._lock:
            return self._random.getrandbits(bits)
