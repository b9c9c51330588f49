"""Who may hold a thread only to wait: so many at once, and nobody once the process is to stop.

谁可以占着线程等待：数量有限，进程停止时立即结束。
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PLACES = 16
"""Where nobody says how many threads there are. On Lambda there is one request at a time."""


def _never() -> bool:
    return False


class Waiters:
    """The places of those who wait, and the signal that ends every wait.

    `places` is a share of the threads that answer requests, half of them say: the others stay free
    for those who do not wait. `stopping` is asked again and again while somebody waits; from when
    it is true on nobody waits any longer.

    等待者的名额与停止信号。
    """

    def __init__(self, places: int = PLACES, stopping: Callable[[], bool] = _never) -> None:
        self._places = threading.BoundedSemaphore(max(1, places))
        self._stopping = stopping

    @property
    def stopping(self) -> bool:
        """Whether every wait is to end now.

        是否应立即结束等待。
        """
        return self._stopping()

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Take a place for as long as the `with` lasts; False, at once, if none is free.

        占用一个等待名额。
        """
        free = self._places.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._places.release()
