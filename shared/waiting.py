"""Waiting that harms nobody: for a job's end and for a lock, never without an end of its own.

Who holds a thread only to wait for a job is one of so many at once, and nobody once the process is
to stop.

有限度的等待：等待任务与等待锁都有上限。
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.errors import Unavailable

PLACES = 16
"""Where nobody says how many threads there are. On Lambda there is one request at a time."""


@contextmanager
def held(lock: threading.Lock, seconds: float) -> Iterator[None]:
    """Hold a lock; raises `Unavailable` if others hold it for longer than `seconds`.

    在限定时间内取得锁。
    """
    if not lock.acquire(timeout=seconds):
        raise Unavailable("Somebody else is at it for too long; ask again.")
    try:
        yield
    finally:
        lock.release()


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
