"""What waits inside one process, owner by owner and host by host, so that none holds up another.

An owner with many slow hosts takes its own share of what may run at once, and a slow host the share
of a host. Who finds no place is told when to come back, at the pace of whoever has filled it.

按所有者和主机两级排队，避免任何一方拖累其他方。
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

Key = tuple[str, str]
"""Whose something is, and where it goes: owner and host."""

Level = tuple[str, ...]
"""A beginning of a key: everything, one owner, or one host of an owner."""


@dataclass(frozen=True)
class Caps:
    """How many at once are in the air, and held besides: in all, of one owner, for one host of it.

    `held` should stay above `held_per_owner` times the owners that can fill the air between them
    (`total` / `per_owner`): then slow ones cannot take every place while the air has room.

    同时处理的数量上限。
    """

    total: int = 64
    per_owner: int = 16
    per_host: int = 4
    held: int = 192
    held_per_owner: int = 32
    held_per_host: int = 16

    @property
    def in_air(self) -> tuple[int, int, int]:
        """The caps of what is in the air, by the length of a level.

        各级的并发上限。
        """
        return self.total, self.per_owner, self.per_host

    @property
    def waiting(self) -> tuple[int, int, int]:
        """The caps of what is held, by the length of a level.

        各级的等待上限。
        """
        return self.held, self.held_per_owner, self.held_per_host


_FIRST_GUESS = 50.0
"""How many milliseconds one is thought to take before anything is known of its host or owner."""

_REMEMBERED = 16
"""How many of the last ones make up what is usual; more where more run at once."""

_SOONEST = 500
_LATEST = 5 * 60_000


class FairQueue(Generic[T]):
    """Who waits, who is in the air, and how long each host and owner takes. Not for several
    threads. `key_of` says whose an item is and where it goes.

    两级公平队列。
    """

    def __init__(self, caps: Caps, key_of: Callable[[T], Key]) -> None:
        self._caps = caps
        self._key_of = key_of
        self._waiting: dict[str, dict[str, deque[T]]] = {}
        self._held: Counter[Level] = Counter()
        self._air: dict[Level, dict[int, int]] = {}
        self._pace: dict[Level, float] = {}
        self._horizon: dict[Level, float] = {}

    @property
    def waiting(self) -> int:
        """How many are held and not yet in the air.

        等待的数量。
        """
        return self._held[()]

    @property
    def room(self) -> int:
        """How many more may be held.

        还能容纳的数量。
        """
        return max(0, self._caps.held - self.waiting)

    @property
    def ready(self) -> bool:
        """Whether one of those that wait could go into the air.

        是否有可以开始的。
        """
        return self._next() is not None

    def has_place(self, key: Key, promised: Counter[Level]) -> bool:
        """Whether one more of this key may be held besides those `promised`; it is promised then.

        是否还有位置；有则预留。
        """
        if self._full(key, promised):
            return False
        promised.update(_levels(key))
        return True

    def turn(self, key: Key, promised: Counter[Level], now: int) -> int:
        """When one for which there is no place should come back (ms since 1970).

        Each call names a later moment, at the rate at which the owner or the host that has no
        place has been served: a thousand of one host come back one after the other, not all again
        at once.

        推算排不上的条目何时再来。
        """
        return max(self._turn(level, now) for level in self._full(key, promised))

    def add(self, item: T) -> None:
        """Hold an item until its turn.

        放入等待队列。
        """
        owner, host = key = self._key_of(item)
        self._waiting.setdefault(owner, {}).setdefault(host, deque()).append(item)
        self._held.update(_levels(key))

    def start(self, now: int) -> T | None:
        """The next that may go into the air, owners taking turns and hosts within an owner; None if
        caps forbid any.

        取出下一个可以开始的。
        """
        key = self._next()
        if key is None:
            return None
        owner, host = key
        # Put back at the end: every other owner, and every other host of this one, comes first now.
        hosts = self._waiting.pop(owner)
        queue = hosts.pop(host)
        item = queue.popleft()
        if queue:
            hosts[host] = queue
        if hosts:
            self._waiting[owner] = hosts
        for level in _levels(key):
            self._held[level] -= 1
            self._air.setdefault(level, {})[id(item)] = now
        return item

    def finish(self, item: T, now: int) -> None:
        """An item that was started is out of the air again.

        一个条目处理完毕。
        """
        for level in _levels(self._key_of(item)):
            took = now - self._air[level].pop(id(item))
            usual = self._pace.get(level, took)
            # One that stalled says little of a level where many run at once.
            share = 1 / max(_REMEMBERED, self._caps.in_air[len(level)])
            self._pace[level] = usual + share * (took - usual)

    def empty(self) -> list[T]:
        """Take out all that still wait.

        取出全部等待中的条目。
        """
        left = [
            item for hosts in self._waiting.values() for queue in hosts.values() for item in queue
        ]
        self._waiting.clear()
        self._held.clear()
        return left

    def _next(self) -> Key | None:
        """The key whose turn it is, of those that caps allow."""
        return next(self._allowed(), None)

    def _allowed(self) -> Iterator[Key]:
        if not self._has_air(()):
            return
        for owner, hosts in self._waiting.items():
            if self._has_air((owner,)):
                yield from ((owner, host) for host in hosts if self._has_air((owner, host)))

    def _has_air(self, level: Level) -> bool:
        return len(self._air.get(level, ())) < self._caps.in_air[len(level)]

    def _full(self, key: Key, promised: Counter[Level]) -> list[Level]:
        caps = self._caps.waiting
        levels = _levels(key)
        return [one for one in levels if self._held[one] + promised[one] >= caps[len(one)]]

    def _turn(self, level: Level, now: int) -> int:
        step = self._step(level, now)
        queue_ends = now + self._caps.waiting[len(level)] * step
        moment = max(self._horizon.get(level, 0.0), queue_ends, now + _SOONEST) + step
        self._horizon[level] = min(moment, now + _LATEST)
        return round(self._horizon[level])

    def _step(self, level: Level, now: int) -> float:
        """Milliseconds between one that ends and the next.

        Every place in the air gives one in the usual time, except those that have held theirs for
        longer already: one that stalls costs its own place, not everybody's. While nothing has
        ended yet, the longest so far is the usual one.
        """
        flying = [now - since for since in self._air.get(level, {}).values()]
        usual = self._pace.get(level) or max([_FIRST_GUESS, *flying])
        free = self._caps.in_air[len(level)] - len(flying)
        return 1 / (free / usual + sum(1 / max(usual, age) for age in flying))


def _levels(key: Key) -> tuple[Level, Level, Level]:
    return (), key[:1], key
