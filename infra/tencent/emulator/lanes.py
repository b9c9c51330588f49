"""Asynchronous events: each waits for its turn, is tried again, or is dropped.

异步事件的排队与重试。
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from infra.tencent.emulator.deployed import Deployed, Outcome

RETRY_SECONDS = 1.0
"""The platform waits a minute; nobody at this machine wants to."""


@dataclass(frozen=True)
class Waiting:
    """An event that waits: what it is, when it came, which try comes next.

    等待中的事件。
    """

    event: Any
    request_id: str
    born: float
    tries: int = 1


class Lane:
    """One function's asynchronous events; `run` runs one of them, `note` is told what is dropped.

    No more than `at_once` run at a time. Once `over` is set nothing begins.

    一个函数的异步事件队列。
    """

    def __init__(
        self,
        run: Callable[[Deployed, Any, str], Outcome],
        note: Callable[[Deployed, str], None],
        over: threading.Event,
        *,
        at_once: int,
        retry_seconds: float = RETRY_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._note = note
        self._over = over
        self._at_once = at_once
        self._retry_seconds = retry_seconds
        self._monotonic = monotonic
        self._waiting: deque[Waiting] = deque()
        self._running = 0
        self._lock = threading.Lock()

    def send(self, function: Deployed, event: Any, request_id: str) -> None:
        """Take an event; it runs in the background.

        接收一个事件。
        """
        with self._lock:
            self._waiting.append(Waiting(event, request_id, self._monotonic()))
            if self._running >= self._at_once:
                return
            self._running += 1
        threading.Thread(
            target=self._work, args=(function,), name=f"lane-{function.name}", daemon=True
        ).start()

    def _work(self, function: Deployed) -> None:
        while True:
            with self._lock:
                if self._over.is_set() or not self._waiting:
                    self._running -= 1
                    return
                one = self._waiting.popleft()
            self._attempt(function, one)

    def _attempt(self, function: Deployed, one: Waiting) -> None:
        """Run an event once; if it fails it waits again, for as often as the function says.

        执行一次，失败则按次数重试。
        """
        if self._monotonic() - one.born > function.event_age:
            self._note(function, f"{one.request_id} is dropped: it is too old")
            return
        outcome = self._run(function, one.event, one.request_id)
        if outcome.error is None or self._over.is_set():
            return
        if one.tries > function.retries:
            self._note(function, f"{one.request_id} is dropped: {outcome.error}")
            return
        self._over.wait(self._retry_seconds)
        with self._lock:
            self._waiting.append(replace(one, tries=one.tries + 1))
