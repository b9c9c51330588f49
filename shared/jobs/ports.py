"""What jobs need of the world outside, in one place.

任务流转所需的外部接口。
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.buckets.base import Bucket
from shared.clock import Clock
from shared.jobs.durations import Durations
from shared.jobs.lifecycle import Moment
from shared.jobs.model import Job
from shared.jobs.policy import Policy
from shared.jobs.repository import JobRepository
from shared.jobs.rests import Rests
from shared.metrics import OFF, Metrics
from shared.notices import Notices
from shared.providers.base import Provider
from shared.providers.credentials import Credentials
from shared.work.alarm import Alarm
from shared.work.company import Company

if TYPE_CHECKING:
    from shared.inputs.keeping import InputKeeper
    from shared.inputs.remote import Fetcher

_ERRANDS = 600.0
"""Seconds between two times that a timer's `poll` does all errands at once."""


class Debts:
    """Claimed jobs that could not be given back while the store did not answer; for this process.

    因任务表不可用而暂未交还的任务。
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def add(self, job: Job) -> None:
        """Remember a job as it was claimed.

        记下一个任务。
        """
        with self._lock:
            self._jobs[job.id] = job

    def take(self) -> list[Job]:
        """All that are remembered; they are forgotten.

        取出全部任务。
        """
        with self._lock:
            jobs, self._jobs = list(self._jobs.values()), {}
        return jobs


class Seldom:
    """Says when something that is done now and then is to be done again; for this process.

    控制少见的工作隔多久做一次。
    """

    def __init__(self, seconds: float) -> None:
        self._pause = round(seconds * 1000)
        self._lock = threading.Lock()
        self._again: int | None = None

    def is_time(self, now: int) -> bool:
        """Whether it is to be done now (ms): the first time, and when the pause is over.

        现在是否该做。
        """
        with self._lock:
            if self._again is not None and now < self._again:
                return False
            self._again = now + self._pause
            return True


@dataclass(frozen=True)
class Ports:
    """All that jobs need of the world outside.

    `wake` tells a function that work waits, `help` asks for one more `poll` for a provider; neither
    may fail. `keeper` checks and keeps inputs, `fetcher` brings those from the web: both are made
    on first use. Files of up to `measure_below` bytes are verified from a local copy, larger ones
    by ranges; `draws_previews` says whether models get one. `bells` wake other functions if there
    is work for them, `errands` are small things that a poll does now and then: each is given the
    time (ms), and costs one query where there is nothing to do. `absent` are providers that are
    known and not configured here, `key_variables` the settings that hold each one's keys. `rests`,
    `notices`, `debts`, `company` and `alarm` are one for all of a process.

    任务流转所需的外部接口。
    """

    jobs: JobRepository
    bucket: Bucket
    providers: Mapping[str, Provider]
    credentials: Credentials
    clock: Clock
    policy: Policy
    wake: Callable[[str], None]
    rests: Rests
    notices: Notices
    keeper: Callable[[], InputKeeper]
    fetcher: Callable[[], Fetcher]
    bells: Sequence[Callable[[int], object]] = ()
    errands: Sequence[Callable[[int], object]] = ()
    help: Callable[[str], None] = lambda provider: None
    measure_below: int = 64 * 2**20
    draws_previews: bool = True
    metrics: Metrics = OFF
    absent: Sequence[str] = ()
    debts: Debts = field(default_factory=Debts)
    durations: Durations = field(default_factory=Durations)
    errands_once_more: Seldom = field(default_factory=lambda: Seldom(_ERRANDS))
    company: Company = field(default_factory=Company)
    alarm: Alarm = field(default_factory=Alarm)
    key_variables: Mapping[str, str] = field(default_factory=dict)

    def moment(self) -> Moment:
        """Now, with a chance drawn for it.

        当前时刻。
        """
        return Moment(self.clock.now(), self.clock.chance())
