"""A store that has not enough capacity: it refuses half of what it is asked.

任务表容量不足，拒绝一半的请求。
"""

from __future__ import annotations

import random
import threading
from typing import Any

from infra.local.prove.trouble import Around, Scene, Trouble
from shared.store.base import StoreUnavailable

_ASKED = frozenset({"get", "put", "put_each", "transact", "query", "first", "claim"})


class Throttled(Trouble):
    """Every other call of the store is refused, at random: slower is all that it gets.

    任务表随机拒绝一半的调用：只会变慢。
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._dice, self._lock = random.Random(0), threading.Lock()
        self._over = False

    def wrap(self, name: str, part: Any) -> Any:
        """The store, half of the time.

        包装任务表。
        """
        return Around(part, _ASKED.__contains__, self._refuse) if name == "store" else part

    def end(self) -> None:
        """The sweep that comes now is to be whole.

        清扫时不再限流。
        """
        self._over = True

    def _refuse(self) -> None:
        with self._lock:
            refused = not self._over and self._dice.random() < 0.5
        if refused:
            raise StoreUnavailable("throttled")
