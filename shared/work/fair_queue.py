"""Deliveries waiting inside one runner, host by host, so that a slow host holds up no other.

按主机排队，避免慢主机拖累其他主机。
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from shared.deliveries.model import Delivery
from shared.deliveries.url_policy import host_of


@dataclass(frozen=True)
class Caps:
    """How many messages at once: in the air in all and to one host, held in all and for one host.

    `held` should stay above `held_per_host` times the hosts that can fill the air between them
    (`total` / `per_host`): then slow hosts cannot take every place while the air has room.

    同时处理的数量上限。
    """

    total: int = 32
    per_host: int = 4
    held: int = 512
    held_per_host: int = 48


_FIRST_GUESS = 50.0
"""How many milliseconds a try is thought to take before a host has answered any."""

_SOONEST = 500
_LATEST = 5 * 60_000


class HostQueues:
    """Who waits, who is in the air, and how long each host takes. Not for several threads.

    各主机的等待队列与进行中的数量。
    """

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._waiting: dict[str, deque[Delivery]] = {}
        self._air: dict[str, dict[str, int]] = {}
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
        step = self._pace_of(host, now) / self._caps.per_host
        queue_ends = now + self._caps.held_per_host * step
        moment = max(self._horizon.get(host, 0.0), queue_ends, now + _SOONEST) + step
        self._horizon[host] = min(moment, now + _LATEST)
        return round(self._horizon[host])

    def add(self, delivery: Delivery) -> None:
        """Hold a claimed delivery until its host's turn.

        放入等待队列。
        """
        self._waiting.setdefault(host_of(delivery.url), deque()).append(delivery)

    def start(self, now: int) -> Delivery | None:
        """The next that may go into the air, hosts taking turns; None if caps forbid any.

        取出下一条可以发送的通知。
        """
        if sum(len(flights) for flights in self._air.values()) >= self._caps.total:
            return None
        free = (host for host in self._waiting if self._in_air(host) < self._caps.per_host)
        host = next(free, None)
        if host is None:
            return None
        queue = self._waiting.pop(host)
        delivery = queue.popleft()
        if queue:
            # Put back at the end: every other host comes first now.
            self._waiting[host] = queue
        self._air.setdefault(host, {})[delivery.id] = now
        return delivery

    def finish(self, delivery: Delivery, now: int) -> None:
        """A delivery that was started is out of the air again, its result saved.

        一条通知处理完毕。
        """
        host = host_of(delivery.url)
        took = now - self._air[host].pop(delivery.id)
        if not self._air[host]:
            del self._air[host]
        self._pace[host] = 0.8 * self._pace.get(host, took) + 0.2 * took

    def empty(self) -> list[Delivery]:
        """Take out all that still wait.

        取出全部等待中的通知。
        """
        left = [delivery for queue in self._waiting.values() for delivery in queue]
        self._waiting.clear()
        return left

    def _in_air(self, host: str) -> int:
        return len(self._air.get(host, ()))

    def _pace_of(self, host: str, now: int) -> float:
        """Milliseconds a try takes; one that has been in the air for longer is news, too."""
        oldest = min(self._air.get(host, {}).values(), default=now)
        return max(self._pace.get(host, _FIRST_GUESS), now - oldest)
