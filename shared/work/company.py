"""Who works in this process: how many at once per source, and when somebody must work alone.

Invocations that share a process share its threads and its fate; they share one `Company`, too.

本进程内正在执行的工作：每个来源的并发数，以及必须单独执行的工作。
"""

from __future__ import annotations

import threading
from collections import Counter

from shared.work.courtesy import Courtesy


class Company:
    """Counts what runs. While somebody waits to work alone, or does, nobody else begins. By
    `courtesy` what runs gives way to callers of the same process.

    统计并限制同时执行的工作。
    """

    def __init__(self, courtesy: Courtesy | None = None) -> None:
        self.courtesy = courtesy or Courtesy()
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._waiting = 0
        self._alone = False

    def room(self, name: str, threads: int) -> int:
        """How many more of this source may begin, of `threads` in this process.

        该来源还能开始多少。
        """
        with self._lock:
            if self._alone or self._waiting:
                return 0
            return max(0, threads - self._running[name])

    def enter(self, name: str) -> None:
        """One more of this source has begun.

        开始一项工作。
        """
        with self._lock:
            self._running[name] += 1

    def leave(self, name: str) -> None:
        """One of this source has ended.

        结束一项工作。
        """
        with self._lock:
            self._running[name] -= 1

    def wait(self) -> None:
        """From now on nobody begins, so that somebody can be alone; ended by `stop_waiting`.

        等待单独执行：其他工作暂不开始。
        """
        with self._lock:
            self._waiting += 1

    def stop_waiting(self) -> None:
        """One who waited to be alone does so no more.

        不再等待单独执行。
        """
        with self._lock:
            self._waiting -= 1

    def enter_alone(self) -> bool:
        """Begin alone if nothing else runs; whether that worked.

        若无其他工作则单独开始。
        """
        with self._lock:
            if self._alone or any(self._running.values()):
                return False
            self._alone = True
            return True

    def leave_alone(self) -> None:
        """What ran alone has ended.

        单独执行的工作已结束。
        """
        with self._lock:
            self._alone = False
