"""Deliveries waiting inside one runner, host by host, so that a slow host holds up no other.

按主机排队，避免慢主机拖累其他主机。
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from shared.deliveries.model import Delivery
from shared.deliveries.targets import host_of


@dataclass(frozen=True)
class Caps:
    """How many messages at once: in the air in all and to one host, held in all and for one host.

    同时处理的数量上限。
    """

    total: int = 32
    per_host: int = 4
    held: int = 256
    held_per_host: int = 64


_FIRST_GUESS = 250.0
"""How many milliseconds a try is thought to take before a host was ever called."""

_SOONEST = 500
_LATEST = 5 * 60_000


class HostQueues:
    """Who waits, who is in the air, and how long each host takes. Not for several threads.

    各主机的等待队列与进行中的数量。
    """

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._waiting: dict[str, deque[Delivery]] = {}
        self._active: Counter[str] = Counter()
        self._pace: dict[str, float] = {}
        self._horizon: dict[str, float] = {}

    @property
    def waiting(self) -> int:
        """How many are held and not yet in the air.

        等待发送的数量。
        """
        return sum(len(queue) for queue in self._waiting.values())

    @property
    def room(self) -> int:
        """How many more may be held.

        还能容纳的数量。
        """
        return max(0, self._caps.held - self.waiting)

    def has_place(self, host: str, promised: int) -> bool:
        """Whether one more for this host may be held, besides those already promised.

        该主机是否还有位置。
        """
        held = len(self._waiting.get(host, ())) + promised
        return held < self._caps.held_per_host

    def turn(self, host: str, now: int) -> int:
        """When one for which there is no place should be due again (ms since 1970).

        Each call names a later moment, at the rate at which the host has been answering: a
        thousand messages for one host become due one after the other, not all again at once.

        推算排不上的通知何时再来。
        """
        step = self._pace.get(host, _FIRST_GUESS) / self._caps.per_host
        queue_ends = now + self._caps.held_per_host * step
        moment = max(self._horizon.get(host, 0.0), queue_ends, now + _SOONEST) + step
        self._horizon[host] = min(moment, now + _LATEST)
        return round(self._horizon[host])

    def add(self, delivery: Delivery) -> None:
        """Hold a claimed delivery until its host's turn.

        放入等待队列。
        """
        self._waiting.setdefault(host_of(delivery.url), deque()).append(delivery)

    def start(self) -> Delivery | None:
        """The next that may go into the air, hosts taking turns; None if caps forbid any.

        取出下一条可以发送的通知。
        """
        if self._active.total() >= self._caps.total:
            return None
        free = (host for host in self._waiting if self._active[host] < self._caps.per_host)
        host = next(free, None)
        if host is None:
            return None
        queue = self._waiting.pop(host)
        delivery = queue.popleft()
        if queue:
            # Put back at the end: every other host comes first now.
            self._waiting[host] = queue
        self._active[host] += 1
        return delivery

    def finish(self, delivery: Delivery, milliseconds: int) -> None:
        """A delivery is out of the air again, after this long.

        一条通知发送完毕。
        """
        host = host_of(delivery.url)
        self._active[host] -= 1
        if not self._active[host]:
            del self._active[host]
        before = self._pace.get(host, float(milliseconds))
        self._pace[host] = 0.8 * before + 0.2 * milliseconds

    def empty(self) -> list[Delivery]:
        """Take out all that still wait.

        取出全部等待中的通知。
        """
        left = [delivery for queue in self._waiting.values() for delivery in queue]
        self._waiting.clear()
        return left
