"""A job that kills whoever works on it, and what that means for the jobs beside it.

会杀死工作进程的任务，以及它对邻居的影响。
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from infra.local.prove.crash import KILLED
from infra.local.prove.trouble import Around, Scene, Trouble
from shared import context
from shared.jobs.model import Job

CULPRIT = 0
"""The killer's number among the jobs of the run."""
_COMPANY_SECONDS = 0.4
"""How long the killer waits until its neighbours are at the same call, and they for it."""


class Killer(Trouble):
    """Job 0 kills its worker at one call, every time, in the midst of its neighbours: they all
    succeed, and it alone is given up.

    第一个任务每次都杀死工作进程：只有它自己被放弃，邻居全部成功。
    """

    def __init__(self, scene: Scene, part: str, method: str) -> None:
        super().__init__(scene)
        self._part, self._method = part, method
        self._culprit = scene.folder / "culprit"
        self._arrived = threading.Event()

    def wrap(self, name: str, part: Any) -> Any:
        """The calls of one method of one part are those that kill.

        包装会致命的调用。
        """
        if not name.startswith(self._part):
            return part
        return Around(part, lambda method: method == self._method, self._meet)

    def created(self, number: int, job_id: str) -> None:
        """Job 0 is the killer, in this life and all later ones.

        记下凶手的编号。
        """
        if number == CULPRIT:
            self._culprit.write_text(job_id)

    def excuses(self, number: int, job: Job) -> bool:
        """The killer must be given up, and nobody else.

        只有凶手可以被放弃。
        """
        return number == CULPRIT and job.error is not None and job.error.code == "worker_lost"

    def _meet(self) -> None:
        at_work = context.job_id.get()
        if at_work is None:
            return
        if self._is_culprit(at_work):
            self._arrived.set()
            time.sleep(_COMPANY_SECONDS)
            os._exit(KILLED)
        if self._arrived.wait(_COMPANY_SECONDS):
            time.sleep(2 * _COMPANY_SECONDS)

    def _is_culprit(self, job_id: str) -> bool:
        return self._culprit.exists() and self._culprit.read_text() == job_id
