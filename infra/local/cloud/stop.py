"""Stopping: asked for once, and then how long what is in flight may still take.

停止过程：请求停止以及剩余的宽限时间。
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

GRACE = 9.0
"""Seconds that work in flight is given. Below what a create needs (10 s) and below what `poll`
and `postprocess` need to claim anything (15 s): what runs is finished, nothing new begins."""


class Stop:
    """Whether this process is to stop, and how many seconds are left of its grace.

    停止状态。
    """

    def __init__(
        self, grace: float = GRACE, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._grace = grace
        self._monotonic = monotonic
        self._end: float | None = None
        self._asked = threading.Event()
        self.signal: int | None = None

    @property
    def asked(self) -> bool:
        """Whether stopping was asked for.

        是否已请求停止。
        """
        return self._asked.is_set()

    def ask(self, number: int | None = None) -> None:
        """Stop; `number` is the signal that asked. Asking again changes nothing.

        请求停止。
        """
        if self._end is None:
            self._end = self._monotonic() + self._grace
            self.signal = number
            self._asked.set()

    def remaining(self) -> float:
        """Seconds of grace left, endless before stopping was asked for; never below zero.

        剩余的宽限秒数。
        """
        return float("inf") if self._end is None else max(0.0, self._end - self._monotonic())

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until stopping is asked for, at most this long; whether it was.

        等待停止请求。
        """
        return self._asked.wait(seconds)


def on_signals(
    stop: Stop, *, last: Callable[[], None] = lambda: None, say: Callable[[str], None] | None = None
) -> None:
    """The first SIGINT or SIGTERM asks for a stop; the second calls `last` and ends it all.

    `say` is told what the first one begins.

    注册信号处理：第一次优雅停止，第二次立即退出。
    """
    reading, writing = os.pipe()
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if seen:
            last()
            os._exit(128 + number)
        seen.append(number)
        # Not stop.ask here: the interrupted code may hold the very lock that it needs.
        os.write(writing, bytes([number]))

    def forward() -> None:
        stop.ask(os.read(reading, 1)[0])
        if say is not None:
            say("Stopping: what is in flight is brought to an end. Once more ends it at once.")

    threading.Thread(target=forward, name="signals", daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
