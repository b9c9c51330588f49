"""What ends a loop's waiting early: work that ended, or a wake-up within this process.

提前唤醒等待中的循环。
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable


class Alarm:
    """Wakes every loop of this process that waits. `sleep` takes the place of real waiting where
    time is a test's own.

    唤醒本进程内所有等待的循环。
    """

    def __init__(self, sleep: Callable[[float], None] | None = None) -> None:
        self._sleep = sleep
        self._lock = threading.Lock()
        self._listeners: weakref.WeakSet[Listener] = weakref.WeakSet()

    def ring(self) -> None:
        """Wake them all: there may be something to claim.

        唤醒全部循环。
        """
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.ring(news=True)

    def listen(self) -> Listener:
        """A loop's own ear; it is forgotten with the loop.

        为一个循环建立监听。
        """
        listener = Listener(self._sleep)
        with self._lock:
            self._listeners.add(listener)
        return listener


class Listener:
    """One loop's waiting.

    一个循环的等待。
    """

    def __init__(self, sleep: Callable[[float], None] | None) -> None:
        self._sleep = sleep
        self._event = threading.Event()
        self._news = False

    def ring(self, *, news: bool = False) -> None:
        """End the waiting; `news` if it was a wake-up, and no work that ended.

        结束等待。
        """
        self._news = self._news or news
        self._event.set()

    def wait(self, seconds: float, *, idle: bool) -> bool:
        """Wait so long, or until rung; whether it was by a wake-up. `idle`: nothing is in flight,
        so that a test's own time may pass instead.

        等待一段时间或直到被唤醒。
        """
        if idle and self._sleep is not None:
            self._sleep(seconds)
        else:
            self._event.wait(seconds)
        self._event.clear()
        news, self._news = self._news, False
        return news
