"""The proof's time, which runs ahead of the machine's, and the servers that follow it.

验证所用的时钟，以及跟随它的服务器。
"""

from __future__ import annotations

import json
import random
import secrets
import time
import urllib.request
from multiprocessing.sharedctypes import Synchronized
from typing import Any

_MOVED_SECONDS = 300.0


class ShiftedClock:
    """The machine's clock plus a shift that all lives of one slot share; sleeping only shifts.

    可快进的时钟。
    """

    def __init__(self, shift: Synchronized[int]) -> None:
        self._shift = shift

    def now(self) -> int:
        """Milliseconds since 1970, shifted.

        当前时间（毫秒）。
        """
        return time.time_ns() // 1_000_000 + self._shift.value

    def set(self, now: int) -> None:
        """Make it so late (ms since 1970), for all lives of the slot.

        把时钟拨到指定时间。
        """
        with self._shift.get_lock():
            self._shift.value = now - time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Move the clock forward instead of waiting.

        快进而不是等待。
        """
        with self._shift.get_lock():
            self._shift.value += max(0, round(seconds * 1000))

    def chance(self) -> float:
        """A random number in [0, 1).

        随机数。
        """
        return random.random()

    def token(self, bits: int) -> int:
        """An unguessable number.

        随机整数。
        """
        return secrets.randbits(bits)


def move_clock(standin: str, seconds: float) -> None:
    """Move the stand-in's clock forward; one whose time is real is given the time it needs.

    快进替身的时钟。
    """
    ask(f"{standin}/_clock", {"advance": seconds}, seconds=_MOVED_SECONDS)


def ask(url: str, body: Any = None, *, seconds: float = 30.0) -> Any:
    """One JSON request to a server of this machine.

    向本机服务发送一次请求。
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        return json.load(answer)
