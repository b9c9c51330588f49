"""Work lets callers pass: who waits for an answer goes before what nobody watches.

Where the functions share one process, as on one machine, they share one interpreter: each step of
thirty that run at once holds up an answer a little, at each place where the answer has to wait.

同一进程中，后台工作为等待应答的调用方让路。
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FEW = 4
"""Units of work that run at once while callers are answered."""
PATIENCE = 0.25
"""Seconds that a unit waits at most for the callers; and how long one of them counts: who waits
for a job's end waits for the work itself."""


class Courtesy:
    """One for all of a process. While callers wait no more than a few units run at once.

    `monotonic` is the time in seconds.

    控制后台工作为请求让路。
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._change = threading.Condition()
        self._callers: dict[int, float] = {}
        self._last = 0
        self._running = 0

    def arrives(self) -> Callable[[], None]:
        """A caller has asked; what is returned is to be called when it has its answer.

        有调用方到来；应答后调用返回的函数。
        """
        with self._change:
            self._last = me = self._last + 1
            self._callers[me] = self._monotonic()
        return lambda: self._leaves(me)

    def _leaves(self, caller: int) -> None:
        with self._change:
            self._callers.pop(caller, None)
            if not self._callers:
                self._change.notify_all()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One unit's turn to run: at once, unless callers wait and a few run already.

        一项工作的执行时段。
        """
        with self._change:
            end = self._monotonic() + PATIENCE
            while self._gives_way() and (left := end - self._monotonic()) > 0:
                self._change.wait(left)
            self._running += 1
        try:
            yield
        finally:
            with self._change:
                self._running -= 1
                self._change.notify()

    def _gives_way(self) -> bool:
        """Whether a unit has to wait: the callers are in the order in which they came."""
        if self._running < FEW or not self._callers:
            return False
        newest = next(reversed(self._callers.values()))
        return self._monotonic() - newest < PATIENCE
