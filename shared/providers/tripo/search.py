"""Looking for creates that nobody answered: one scan of an account's tasks, shared by all jobs.

The account's list of tasks (its usage) comes in pages, the newest first, and grows while it is
read. What was read is remembered, so that each scan reads what is new and then goes on where the
last one had to stop. A create counts as not there only when all was read, from now back to where it
can have been made.

查找未应答的创建：每个账户一次共享的增量扫描。
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from shared.clock import Clock, Deadline
from shared.providers.base import ProviderError, ProviderUnavailable, Wanted
from shared.providers.tripo.account_tasks import Known, Sought
from shared.providers.tripo.api import USAGE_PAGE, Account
from shared.providers.tripo.options import BATCH
from shared.providers.tripo.tasks import marks_of, prompt_of

USAGE_A_MINUTE = 240
"""Pages of an account's usage that a process reads a minute."""
REQUESTS_A_MINUTE = 290
"""Those, and the reading of inputs, together."""
SLICE_MS = 20_000
"""How long one call reads on; the next goes on from there."""
SCAN_MS = 30_000
"""A scan older than this begins at the top again for a create that was begun since."""
SOUGHT_MS = 1_200_000
"""A create that nobody has asked about for this long is not looked for any more."""
_NEEDS = 2.0
_IDLE_PAGES = 5


class Spent(Exception):
    """The requests of this minute are spent.

    本分钟的请求额度已用完。
    """


class Budget:
    """So many requests within any minute of the clock; safe to share.

    每分钟的请求额度。
    """

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._taken: deque[int] = deque()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Take one; raises `Spent`.

        使用一次额度。
        """
        with self._lock:
            now = self._clock.now()
            while self._taken and self._taken[0] <= now - 60_000:
                self._taken.popleft()
            if len(self._taken) >= self._most:
                raise Spent
            self._taken.append(now)


@dataclass
class _Scan:
    """One way down the list, begun at `begun` (ms). `bottom` is the position that the first task
    not read had at `asked_at` (ms); tasks come on top at `rate` (a ms), and push it down.
    `idle`: how many pages in a row brought nothing."""

    begun: int
    low: int
    bottom: int = 0
    asked_at: int = 0
    rate: float = 0.0
    unsure: bool = False
    idle: int = 0
    pages: int = 0

    def drift(self, now: int) -> int:
        """How far down it is by now, at least; a page has to overlap what was read."""
        if self.unsure:
            return 0
        return max(0, round(0.85 * self.rate * (now - self.asked_at)) - 3)


class Search:
    """The scan of one account. Calls from several threads share it: one of them reads, and the
    others are answered from what is known.

    一个账户的共享扫描。
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pages = Budget(clock, USAGE_A_MINUTE)
        self._requests = Budget(clock, REQUESTS_A_MINUTE)
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._known = Known()
        self._sought: dict[tuple[str, int], Sought] = {}
        self._scan: _Scan | None = None
        self._fresh_until = 0

    def find(
        self, account: Account, wanted: Sequence[Wanted], deadline: Deadline
    ) -> list[tuple[str, ...] | None]:
        """For each create the ids of the tasks that carry its mark; None as long as the account was
        not read back far enough to tell. Raises what reading raised if nothing can be told.

        查找每个创建对应的任务。
        """
        with self._lock:
            sought = [self._register(one) for one in wanted]
            answers = [self._answer(one) for one in sought]
        if None not in answers or not self._reading.acquire(blocking=False):
            return answers
        failure: ProviderError | None = None
        try:
            self._advance(account, deadline)
        except Spent:
            pass
        except ProviderError as error:
            failure = error
        finally:
            self._reading.release()
        with self._lock:
            answers = [self._answer(one) for one in sought]
        if failure is not None and all(answer is None for answer in answers):
            raise failure
        return answers

    def _register(self, wanted: Wanted) -> Sought | None:
        """What is sought, known from now on to whoever reads; None for what has no mark.

        登记要查找的创建。
        """
        mark = wanted.request.mark
        if mark is None:
            return None
        one = self._sought.get((mark, wanted.since))
        if one is None:
            one = Sought(mark, prompt_of(json.loads(wanted.request.body)), wanted.since)
            self._sought[mark, wanted.since] = one
            self._known.meet(one)
        one.asked_at = self._clock.now()
        if self._scan is not None:
            self._scan.low = min(self._scan.low, one.low)
        return one

    def _answer(self, one: Sought | None) -> tuple[str, ...] | None:
        if one is None:
            return ()
        if one.found:
            return tuple(one.found)
        fresh = self._clock.now() <= self._fresh_until
        return () if fresh and self._known.covers(one) else None

    def _unfound(self) -> list[Sought]:
        with self._lock:
            return [one for one in self._sought.values() if not one.found]

    def _advance(self, account: Account, deadline: Deadline) -> None:
        """Read on; from the list's top where the last scan has ended or is too old.

        继续扫描列表。
        """
        now = self._clock.now()
        if self._scan is None or self._is_outdated(self._scan, now):
            self._scan = self._begin(now)
        try:
            ended = self._read_down(account, self._scan, deadline)
        finally:
            # What is in hand may be it: that is worth a request that is not full.
            self._read_inputs(account, deadline, least=1)
        if ended:
            with self._lock:
                # What took many requests is not asked again before as many may be sent.
                self._fresh_until = self._clock.now() + self._scan.pages * 60_000 // USAGE_A_MINUTE
                self._known.settle(self._scan.low)
                self._scan = None

    def _read_down(self, account: Account, scan: _Scan, deadline: Deadline) -> bool:
        """Read page by page; whether all was read that has to be."""
        begun = self._clock.now()
        while not self._known.top.covers(scan.low):
            late = self._clock.now() - begun > SLICE_MS or deadline.remaining() < _NEEDS
            if late or not self._unfound():
                return False
            self._page(account, scan)
            self._read_inputs(account, deadline, least=BATCH)
        return True

    def _is_outdated(self, scan: _Scan, now: int) -> bool:
        """Whether a scan began before what is looked for now, and not just now."""
        with self._lock:
            latest = max((one.since for one in self._sought.values() if not one.found), default=0)
        return latest > scan.begun and now - scan.begun > SCAN_MS

    def _begin(self, now: int) -> _Scan:
        """A scan from the top, as far back as any create is looked for that somebody asks about."""
        with self._lock:
            self._sought = {
                key: one for key, one in self._sought.items() if now - one.asked_at < SOUGHT_MS
            }
            low = min(one.low for one in self._sought.values())
            self._known.begin(now, low)
        return _Scan(now, low)

    def _page(self, account: Account, scan: _Scan) -> None:
        """Read one page, where the first task that was not read should lie by now.

        读取一页。
        """
        now = self._clock.now()
        drift, elapsed = scan.drift(now), max(1, now - scan.asked_at)
        offset = scan.bottom + drift
        page = account.usage(offset, self._spend_page)
        scan.pages += 1
        with self._lock:
            top = self._known.top
            last = max((n for n, (id, _) in enumerate(page) if id in top.place), default=-1)
            above = last + 1 + top.below(page[last][0]) if last >= 0 else 0
            if last < 0 and top.ids and self._known.is_above(page):
                # More has come than was read: all of this page, and what follows it.
                scan.rate = 1.2 * (drift + len(page)) / elapsed
                return
            if last < 0 and drift:
                # Perhaps more was passed over than had come: once more from where it is certain.
                scan.rate, scan.unsure = scan.rate / 2, True
                return
            if last >= 0:
                scan.rate = max(0, offset + above - scan.bottom) / elapsed
            before = len(top.ids)
            self._known.add(page, above, scan.low)
            scan.bottom, scan.asked_at = offset + above + len(top.ids) - before, now
            scan.idle = scan.idle + 1 if len(top.ids) == before else 0
            scan.unsure = False
            # A server that knows no offset gives its one short page again.
            top.ended = not page or top.ended or (scan.idle > 1 and len(page) < USAGE_PAGE)
        if scan.idle > _IDLE_PAGES:
            raise ProviderUnavailable("the account's tasks cannot be read back")

    def _read_inputs(self, account: Account, deadline: Deadline, least: int) -> None:
        """Read inputs while `least` of them are to be read, and see whose tasks they are.

        批量读取任务输入。
        """
        while self._unfound() and deadline.remaining() >= _NEEDS:
            with self._lock:
                unread = self._known.unread(BATCH)
            if len(unread) < least:
                return
            for task_id, task in account.tasks(unread, self._requests.take):
                given = {} if task is None else task.get("input")
                with self._lock:
                    if isinstance(given, dict):
                        task_marks, prompt = marks_of(given), prompt_of(given)
                        self._known.read(task_id, task_marks, prompt, self._sought.values())
                    else:
                        self._known.unreadable(task_id)

    def _spend_page(self) -> None:
        self._pages.take()
        self._requests.take()
