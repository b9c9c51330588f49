"""Look-ups of host names: a bounded number at once, with a share for every owner and every host.

The system's own resolver has no time-out to set: a look-up goes on after its caller has left, and
keeps its thread until the system gives up. So threads are counted, and the names of one owner that
nobody answers for take none of another's.

域名解析：限制并发总数，并为每个所有者和主机设定份额。
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from shared.clock import Deadline
from shared.outbound.url_policy import Resolver, TargetUnresolved


@dataclass(frozen=True)
class Shares:
    """How many look-ups at once: in all, for one owner, and for one of its hosts.

    同时解析的数量上限。
    """

    total: int = 64
    per_owner: int = 8
    per_host: int = 2


class Resolvers:
    """Asks `resolver` in threads of its own, as many as `shares` allow; for many callers at once.

    有上限的域名解析器。
    """

    def __init__(self, resolver: Resolver, shares: Shares | None = None) -> None:
        self._resolver = resolver
        self._shares = shares or Shares()
        self._changed = threading.Condition()
        self._busy: Counter[tuple[str, ...]] = Counter()

    @property
    def busy(self) -> int:
        """How many look-ups go on, those that nobody waits for any more included.

        正在进行的解析数。
        """
        with self._changed:
            return self._busy[()]

    def look_up(self, owner: str, host: str, port: int, seconds: float) -> Sequence[str]:
        """The addresses of a host, within so many seconds, waiting for a free thread included.

        Raises `TargetUnresolved` when they are over, and what the resolver itself raises.

        在限定时间内解析域名。
        """
        budget = Deadline.after(seconds)
        answer: SimpleQueue[Sequence[str] | Exception] = SimpleQueue()
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(owner, host), seconds):
                raise TargetUnresolved("too many host names are being resolved")
            self._count(owner, host, 1)
        self._begin(owner, host, port, answer)
        try:
            found = answer.get(timeout=max(0.0, budget.remaining()))
        except Empty:
            raise TargetUnresolved("the host name was not resolved in time") from None
        if isinstance(found, Exception):
            raise found
        return found

    def _begin(
        self, owner: str, host: str, port: int, answer: SimpleQueue[Sequence[str] | Exception]
    ) -> None:
        """Ask in a thread; what is found, or the error, is put where it is waited for.

        在线程中开始解析。
        """

        def ask() -> None:
            try:
                answer.put(self._resolver(host, port))
            except Exception as problem:
                answer.put(problem)
            finally:
                self._end(owner, host)

        try:
            # A daemon: the process must be able to end while a name server is silent.
            threading.Thread(target=ask, name="resolve", daemon=True).start()
        except RuntimeError:
            # The system has no thread left.
            self._end(owner, host)
            raise

    def _end(self, owner: str, host: str) -> None:
        with self._changed:
            self._count(owner, host, -1)
            self._changed.notify_all()

    def _has_room(self, owner: str, host: str) -> bool:
        return (
            self._busy[()] < self._shares.total
            and self._busy[owner,] < self._shares.per_owner
            and self._busy[owner, host] < self._shares.per_host
        )

    def _count(self, owner: str, host: str, change: int) -> None:
        for key in ((), (owner,), (owner, host)):
            self._busy[key] += change
            if not self._busy[key]:
                del self._busy[key]
