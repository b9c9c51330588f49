"""One look at many tasks, in pieces that a task which spoils its company cannot spoil for long.

A provider may refuse a whole batch for one task in it, and an adapter may break on one answer. What
broke is split at once. What was refused is asked about in smaller pieces at the next look, down to
one, and in larger ones as soon as that goes well; an outage costs one request a look.

批量查询：个别坏任务不会拖累同批的其他任务。
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

from shared.clock import Deadline
from shared.providers.base import ProviderError, ProviderUnavailable, TaskState

MOST_DOUBTED = 20_000
"""Tasks remembered for having been in a piece that failed; the oldest are forgotten first."""
MOST_REQUESTS = 40
"""Requests of one look: three tasks that break it are found among a hundred."""

MOST_FRUITLESS = 8
"""Requests of a look of which none goes well: then it is not one task that breaks it."""

Ask = Callable[[Sequence[str]], Mapping[str, TaskState]]


class Broken(ProviderUnavailable):
    """The adapter itself failed: what it raised is no provider's answer.

    适配器自身出错。
    """


class Doubts:
    """How often each task was in a piece that failed, since it was last read; for this process.

    每个任务最近连续所在批次失败的次数。
    """

    def __init__(self) -> None:
        # The count, and which of all failures was the last: what failed last is asked last.
        self._known: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._failures = 0
        self._lock = threading.Lock()

    def of(self, task_ids: Iterable[str]) -> dict[str, int]:
        """The count of each task, the least doubted first.

        各任务的失败次数，由少到多。
        """
        with self._lock:
            known = {one: self._known.get(one, (0, 0)) for one in task_ids}
        return {one: known[one][0] for one in sorted(known, key=lambda one: known[one])}

    def add(self, task_ids: Iterable[str]) -> None:
        """These were in a piece that failed, or were not asked about because another had.

        记录失败。
        """
        with self._lock:
            self._failures += 1
            for one in task_ids:
                count, _ = self._known.pop(one, (0, 0))
                self._known[one] = (min(16, count + 1), self._failures)
            while len(self._known) > MOST_DOUBTED:
                self._known.popitem(last=False)

    def clear(self, task_ids: Iterable[str]) -> None:
        """These were read.

        清除记录。
        """
        with self._lock:
            for one in task_ids:
                self._known.pop(one, None)


class Look:
    """One look at tasks: `read` asks piece by piece, and gives the states that could be read.

    一次批量查询。
    """

    def __init__(self, ask: Ask, doubts: Doubts, limit: int, deadline: Deadline) -> None:
        self._ask = ask
        self._doubts = doubts
        self._limit = limit
        self._deadline = deadline
        self._states: dict[str, TaskState] = {}
        self._asked = 0
        self._went_well = False

    def read(self, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """The states, the least doubted tasks first; raises what was raised if nothing went well.

        分批读取状态。
        """
        failure: ProviderError | None = None
        doubts = self._doubts.of(task_ids)
        waiting, level, size, failed = list(doubts), 0, 1, 0
        while waiting and self._may_ask():
            if doubts[waiting[0]] != level:
                level, size = doubts[waiting[0]], 1
            alike = [one for one in waiting if doubts[one] == level]
            piece = alike[: max(size, self._limit >> level)]
            waiting = waiting[len(piece) :]
            broken = self._piece(piece)
            failure, failed = failure or broken, failed + 1 if broken else 0
            size = 1 if broken else min(self._limit, 2 * len(piece))
            refused = broken is not None and not isinstance(broken, Broken)
            if refused and not self._went_well:
                # Perhaps it is the provider: then this one request is all that it costs.
                self._doubts.add(waiting)
                self._doubts.add(piece)
                break
            if refused and failed > 1:
                break
        if failure is not None and not self._went_well:
            raise failure
        return self._states

    def _piece(self, piece: Sequence[str]) -> ProviderError | None:
        """Read a piece, and say what went wrong; what breaks the adapter is halved until it is
        alone.

        查询一批；出错则对半拆分。
        """
        self._asked += 1
        try:
            self._states.update(self._ask(piece))
        except Broken as error:
            self._doubts.add(piece)
            half = len(piece) // 2
            for part in (piece[:half], piece[half:]) if half else ():
                if self._may_ask():
                    self._piece(part)
            return error
        except ProviderError as error:
            if self._went_well:
                self._doubts.add(piece)
            return error
        self._doubts.clear(piece)
        self._went_well = True
        return None

    def _may_ask(self) -> bool:
        """The first request is the adapter's to refuse; of the others there are only so many."""
        if self._asked == 0:
            return True
        most = MOST_REQUESTS if self._went_well else MOST_FRUITLESS
        return self._asked < most and self._deadline.remaining() > 0
