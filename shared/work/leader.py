"""Who stays: one invocation of `poll` keeps waiting for due work, the others leave.

A timer's invocation always takes over; a woken one only where nobody stays. So work begun right
after a quiet time is looked after within seconds, not at the next full minute, and still no more
than one invocation waits.

保证同一时间只有一个 poll 在等待。
"""

from __future__ import annotations

from shared.clock import Clock
from shared.store.base import Conflict, Record, Store, StoreUnavailable
from shared.store.tables import RUNNERS

_KEY = "poll"


class Leader:
    """One invocation's part in deciding who stays; `holder` is its own name.

    一次调用对值守权的争取。
    """

    def __init__(
        self, store: Store, clock: Clock, holder: str, *, seconds: float, take_over: bool
    ) -> None:
        self._store = store
        self._clock = clock
        self._holder = holder
        self._seconds = seconds
        self._take_over = take_over
        self._asked = False
        self._mine = False

    def stays(self) -> bool:
        """Whether this invocation is the one to stay; the first call tries to become it.

        本次调用是否继续值守。
        """
        try:
            if not self._asked:
                self._asked = True
                self._mine = self._take()
            elif self._mine:
                record = self._store.get(RUNNERS, _KEY)
                self._mine = record is not None and record.document.get("holder") == self._holder
        except StoreUnavailable:
            return False
        return self._mine

    def leave(self) -> None:
        """Let the next woken invocation stay.

        交出值守权。
        """
        if not self._mine:
            return
        try:
            record = self._store.get(RUNNERS, _KEY)
            if record is not None and record.document.get("holder") == self._holder:
                self._write(record, 0)
        except (Conflict, StoreUnavailable):
            pass  # somebody else stays by now, or will when this one's time is over

    def _take(self) -> bool:
        """Whether this one leads now: nobody else does, or it takes over.

        尝试成为领导者。
        """
        now = self._clock.now()
        record = self._store.get(RUNNERS, _KEY)
        until = record.document.get("until") if record is not None else None
        if isinstance(until, int) and until > now and not self._take_over:
            return False
        try:
            self._write(record, now + round(self._seconds * 1000))
        except Conflict:
            return False
        return True

    def _write(self, seen: Record | None, until: int) -> None:
        document = {"holder": self._holder, "until": until}
        self._store.put(RUNNERS, Record(_KEY, document, version=seen.version if seen else 0))
