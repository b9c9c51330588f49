"""Inputs on the web as a source of due work: by owner and host, so that none holds up another.

待下载的网络输入：按所有者和主机公平处理。
"""

from __future__ import annotations

from collections import Counter

from shared.clock import Deadline
from shared.inputs.remote import FETCH_SECONDS
from shared.jobs.model import FETCH, Job
from shared.jobs.ports import Ports
from shared.jobs.saving import hand_back
from shared.jobs.sources import JobSource
from shared.outbound.url_policy import host_of
from shared.store.base import Lease
from shared.work.fair_queue import Caps, FairQueue, Key, Level
from shared.work.loop import Unit

CAPS = Caps(total=16, per_owner=8, per_host=4, held=64, held_per_owner=16, held_per_host=8)
_LOOKED_AT = 100
"""Due jobs that one claim looks at: more than one owner may have in hand."""
SAVING = 5.0
"""Seconds that must be left, beside those of a fetch, to save what came of it."""


class Fetches(JobSource):
    """Jobs that wait for a file from the web. What is held waits in a fair queue; what finds no
    place there is put off by its claim.

    等待下载网络输入的任务。
    """

    def __init__(self, ports: Ports, deadline: Deadline) -> None:
        super().__init__(ports, deadline, FETCH, CAPS.total)
        self.needs = FETCH_SECONDS + SAVING
        self._queue_of_held: FairQueue[Job] = FairQueue(CAPS, _key)
        self._flying: dict[Unit, Job] = {}
        self._promised: Counter[Level] = Counter()
        self._placed: dict[str, Lease | None] = {}

    def claim(self, room: int) -> int:
        """Take what is due, as much as the queue has room for, and put off the rest; how many were
        taken or put off.

        领取到期的任务。
        """
        self._promised.clear()
        self._placed.clear()
        for job in self._claimed(_LOOKED_AT):
            self._queue_of_held.add(job)
        return len(self._placed)

    def start(self) -> Unit | None:
        """The next that may be fetched now.

        取出下一个可以下载的任务。
        """
        job = self._queue_of_held.start(self._ports.clock.now())
        if job is None:
            return None
        unit = self._step(job)
        self._flying[unit] = job
        return unit

    def finish(self, unit: Unit) -> None:
        """A fetch has ended.

        一次下载结束。
        """
        self._queue_of_held.finish(self._flying.pop(unit), self._ports.clock.now())

    def held(self) -> int:
        """How many wait for nothing but a thread: 1 stands for any number.

        等待线程的数量。
        """
        return int(self._queue_of_held.ready)

    def hand_back(self) -> None:
        """What was claimed and not begun is due again, as if it had not been claimed.

        交还尚未开始的任务。
        """
        for job in self._queue_of_held.empty():
            hand_back(self._ports, job, begun=False)

    def _put_off(self, job: Job) -> Lease | None:
        # A claim may ask several times for one job: its place is promised once.
        if job.id not in self._placed:
            key, lease = _key(job), None
            if not self._queue_of_held.has_place(key, self._promised):
                turn = self._queue_of_held.turn(key, self._promised, self._ports.clock.now())
                lease = Lease(turn, counted=False)
            self._placed[job.id] = lease
        return self._placed[job.id]


def _key(job: Job) -> Key:
    role = job.input.unfetched
    return job.caller, host_of(job.input.urls[role].url) if role is not None else ""
