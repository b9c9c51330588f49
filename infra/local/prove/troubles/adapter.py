"""An adapter with a fault of its own: it raises what no protocol speaks of.

适配器自身有缺陷，抛出意料之外的异常。
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from infra.local.prove.trouble import Scene, Trouble
from shared.jobs.model import Job, Status
from shared.providers.tripo.adapter import Tripo

METHODS = ("prepare", "submit", "check", "download")
"""Those that every job's way goes through; `cancel` and `find` need a way of their own."""
TIMES = 3
CURSED = 0
"""The number of the job whose task cannot be read."""


class KeyErrors(Trouble):
    """One method of the adapter makes its call and raises KeyError, three times: the job goes on
    as if the answer had been lost, and is paid for once.

    某个方法三次抛出 KeyError：任务照常继续，只付费一次。
    """

    def __init__(self, scene: Scene, method: str) -> None:
        super().__init__(scene)
        self._method = method

    def spoil(self) -> None:
        """Change the adapter itself, below all that is put around it.

        直接改动适配器。
        """
        found, lock, raised = getattr(Tripo, self._method), threading.Lock(), Counter[str]()

        def broken(*args: Any, **named: Any) -> Any:
            answer = found(*args, **named)
            with lock:
                raised[self._method] += 1
            if raised[self._method] <= TIMES:
                raise KeyError("data")
            return answer

        setattr(Tripo, self._method, broken)


class Cursed(Trouble):
    """A batch of looks raises whenever job 0's task is in it: the others succeed all the same, and
    job 0 ends by its deadlines.

    一批查询因某个任务而失败：其余任务仍然成功，该任务按期限结束。
    """

    def spoil(self) -> None:
        """Change the adapter itself, below all that is put around it.

        直接改动适配器。
        """
        submit, check = Tripo.submit, Tripo.check
        cursed: set[str] = set()

        def submitting(self: Tripo, request: Any, *rest: Any, **named: Any) -> str:
            task = submit(self, request, *rest, **named)
            if '"cursed 0"' in request.body:
                cursed.add(task)
            return task

        def checking(self: Tripo, task_ids: Sequence[str], *rest: Any, **named: Any) -> Any:
            states = check(self, task_ids, *rest, **named)
            if cursed & set(task_ids):
                raise KeyError("data")
            return states

        Tripo.submit, Tripo.check = submitting, checking  # type: ignore[method-assign]

    def excuses(self, number: int, job: Job) -> bool:
        """Nobody can say how the cursed one went on; that it ends is what is asked.

        该任务只要求结束。
        """
        return number == CURSED and job.status is Status.EXPIRED
