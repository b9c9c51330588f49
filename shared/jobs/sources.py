"""Jobs as sources of due work: each provider's steps, looks and downloads, and what is to be
processed.

Each has a queue and threads of its own, so that whatever hangs, drips or is refused holds up
nothing else. What is due for a credential that rests is not claimed; a job bound to one moves to
that credential's own queue, which is read when the rest is over.

任务作为工作来源：每个生成服务的提交、查询、下载，以及后处理，各有队列和线程。
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

from shared.clock import Deadline
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Moment, Step
from shared.jobs.model import PROCESS, Job, check_queue, step_queue, store_queue
from shared.jobs.ports import Ports
from shared.jobs.rests import Purpose
from shared.jobs.saving import hand_back
from shared.jobs.steps import advance
from shared.jobs.steps.check import check, look
from shared.jobs.steps.find import find
from shared.metrics import QUEUE_AGE
from shared.providers.base import Provider
from shared.store.base import TEXT_LENGTH, Lease
from shared.values import replace
from shared.work.loop import NAP, WIND_DOWN, HeldUnits, Unit

log = logging.getLogger("maquette.poll")

CREATES = 16
"""Creates of one provider at once; they wait on the network most of the time."""
DOWNLOADS = 8
LOOKS = 4
"""Requests at once that ask a provider for the state of tasks."""
_LONGEST_LOOK = 10_000
"""Milliseconds that the next look waits at most for this one to have been saved."""
_MOMENT = 100
"""Milliseconds that what is claimed ahead may wait for its turn."""
_MOST_AHEAD = 8
_QUIET = 60_000
"""Milliseconds between two looks at a queue of parked jobs that was found empty."""


def parked_queue(queue: str, credential: str) -> str:
    """The queue of the jobs in `queue` that are bound to a credential that rests.

    因凭证休息而暂存任务的队列。
    """
    name = f"{queue}/{credential}"
    return name if len(name) <= TEXT_LENGTH else f"{queue}/{sha256(name.encode()).hexdigest()[:16]}"


class JobSource(HeldUnits):
    """What the sources of jobs share: claiming by lease, and telling how long something waited.

    `queue` is where its jobs lie; `home` where they belong, which is another one for those that
    were parked.

    任务来源的共同部分：领取与等待时间的度量。
    """

    lasting = True
    needs = WIND_DOWN

    def __init__(
        self, ports: Ports, deadline: Deadline, queue: str, threads: int, home: str | None = None
    ) -> None:
        super().__init__()
        self.name = queue
        self.group = queue.partition("/")[0].partition(":")[2] or queue
        self.threads = threads
        self._ports = ports
        self._deadline = deadline
        self._queue = queue
        self._home = home or queue
        self._quiet_until = 0

    def next_due(self) -> int | None:
        """When (ms) the first job of the queue is due.

        队列中最近的到期时间。
        """
        due = self._ports.jobs.first_due(self._queue)
        _measure_age(self._ports, self._queue, due)
        if due is None:
            self._quiet_until = self._ports.clock.now() + _QUIET
        return due

    def is_quiet(self) -> bool:
        """Whether nothing lay there a moment ago: a queue of parked jobs is then left alone.

        队列是否刚刚查过为空。
        """
        return self._ports.clock.now() < self._quiet_until

    def _claimed(self, limit: int, now: int | None = None) -> list[Job]:
        """Up to `limit` due jobs, most urgent first, without those that were only put off.

        领取到期的任务。
        """
        ports, at = self._ports, self._ports.moment()
        lasts = round((max(0.0, self._deadline.remaining()) + ports.policy.lease_margin) * 1000)
        put_off: set[str] = set()
        alone: set[str] = set()

        def lease(job: Job) -> Lease:
            put_off.discard(job.id)
            later = self._put_off(job) or _after_another(job, alone, at.now)
            if later is not None:
                put_off.add(job.id)
                return later
            taken = self._lease(job, Moment(at.now, ports.clock.chance()), lasts)
            return taken if self._home == self._queue else replace(taken, queue=self._home)

        jobs = ports.jobs.claim(self._queue, at.now if now is None else now, lease, limit)
        mine = [job for job in jobs if job.id not in put_off]
        return sorted(mine, key=lambda job: (-job.priority, job.id))

    def _lease(self, job: Job, at: Moment, lasts: int) -> Lease:
        """What the claim of a job that can be worked on does."""
        ports = self._ports
        return lifecycle.lease(job, at, lasts, ports.policy, ports.durations.of(job))

    def _put_off(self, job: Job) -> Lease | None:
        """Where a job that cannot be worked on now goes instead; None if it can be."""
        return None

    def _bound(self, job: Job, purpose: Purpose) -> Lease | None:
        """A job's way out of a queue whose credential rests: into that credential's own."""
        assert job.attempt is not None
        until = self._ports.rests.until(job.provider, job.attempt.credential, purpose)
        if not until:
            return None
        return Lease(until, counted=False, queue=parked_queue(self._home, job.attempt.credential))

    def _step(self, job: Job) -> Unit:
        ports = self._ports
        return Unit(
            run=lambda: advance(ports, job, self._deadline),
            back=lambda: hand_back(ports, job, begun=False),
            alone=lifecycle.runs_alone(job),
        )


def _after_another(job: Job, alone: set[str], now: int) -> Lease | None:
    """Of those that must run alone one is claimed at a time: else the death of one counted for all.

    `alone` is the one of this claim, if there is one yet.
    """
    if not lifecycle.runs_alone(replace(job, claims=job.claims + 1)):
        return None
    alone.update(() if alone else (job.id,))
    return None if job.id in alone else Lease(now + round(NAP * 2000), counted=False)


class Steps(JobSource):
    """What one provider is to be given, and creates of it that were never answered.

    某个生成服务的提交与查找。
    """

    def __init__(
        self, ports: Ports, deadline: Deadline, provider: str, parked: str | None = None
    ) -> None:
        home = step_queue(provider)
        queue = home if parked is None else parked_queue(home, parked)
        super().__init__(ports, deadline, queue, CREATES, home)
        self._provider = provider
        self._searching = 0

    def next_due(self) -> int | None:
        """When (ms) the first job is due that a credential is free for; asks nothing while all
        credentials rest.

        最近的到期时间；凭证全部休息时不查询。
        """
        if self._room():
            return super().next_due()
        now, names = self._ports.clock.now(), self._names()
        if self._ports.rests.refused_since(self._provider, names) is not None:
            due = super().next_due()
            return None if due is None else due + self._patience
        rests = [self._ports.rests.until(self._provider, name, "create") for name in names]
        return max(now + round(NAP * 1000), min(rests, default=0))

    def claim(self, room: int) -> int:
        """Take jobs for which a credential is free; those that have waited for an account for too
        long are taken as well, to end.

        领取可提交的任务。
        """
        free = self._room()
        if free:
            jobs = self._claimed(min(room, free))
        elif self._ports.rests.refused_since(self._provider, self._names()) is not None:
            # Due for so long is made for so long: a job that met the refusal is due as it was.
            jobs = self._claimed(room, self._ports.clock.now() - self._patience)
        else:
            return 0
        self._units.extend(self._units_of(jobs))
        return len(jobs)

    @property
    def _patience(self) -> int:
        return round(self._ports.policy.account * 1000)

    def _names(self) -> Sequence[str]:
        return self._ports.credentials.names(self._provider)

    def _room(self) -> int:
        names = self._names()
        # Without any there is nothing to rest: the jobs are tried, fail to, and end in time.
        return self._ports.rests.room(self._provider, names) if names else CREATES

    def _put_off(self, job: Job) -> Lease | None:
        if job.attempt is None or self._step_of(job) is not Step.FIND:
            return None
        keyed = self._keyed()
        if rest := self._bound(job, "create" if keyed else "read"):
            return rest
        if not keyed and self._searching:
            # One search at a time, shared by all that look for theirs.
            return Lease(self._ports.clock.now() + round(NAP * 2000), counted=False)
        return None

    def _units_of(self, jobs: Iterable[Job]) -> Iterator[Unit]:
        """Units of work for the claimed jobs: searches of one credential together, all else alone.

        把任务分成工作单元。
        """
        sought: dict[str, list[Job]] = defaultdict(list)
        for job in jobs:
            known = job.attempt is not None and self._is_known(job.attempt.credential)
            if self._step_of(job) is Step.FIND and not self._keyed() and known:
                assert job.attempt is not None
                sought[job.attempt.credential].append(job)
            else:
                yield self._step(job)
        for credential, group in sought.items():
            yield self._search(credential, group)

    def _search(self, credential: str, jobs: list[Job]) -> Unit:
        """One search of a credential for the tasks of several jobs.

        一次共同的查找。
        """
        ports, provider = self._ports, self._ports.providers[self._provider]
        self._searching += 1

        def run() -> None:
            try:
                find(ports, provider, credential, jobs, self._deadline)
            finally:
                self._searching -= 1

        def back() -> None:
            self._searching -= 1
            for job in jobs:
                hand_back(ports, job, begun=False)

        return Unit(run, back, alone=any(lifecycle.runs_alone(job) for job in jobs))

    def _step_of(self, job: Job) -> Step:
        return lifecycle.step_of(job, self._ports.clock.now(), self._ports.policy)

    def _keyed(self) -> bool:
        return self._ports.providers[self._provider].key_seconds is not None

    def _is_known(self, credential: str) -> bool:
        return self._ports.credentials.get(self._provider, credential) is not None


class Downloads(JobSource):
    """Results of one provider that are to be stored.

    某个生成服务待下载的结果。
    """

    def __init__(self, ports: Ports, deadline: Deadline, provider: str) -> None:
        super().__init__(ports, deadline, store_queue(provider), DOWNLOADS)

    def claim(self, room: int) -> int:
        """Take jobs whose files are to be fetched.

        领取待下载的任务。
        """
        jobs = self._claimed(room)
        self._units.extend(self._step(job) for job in jobs)
        return len(jobs)


class Looks(JobSource):
    """Tasks of one provider that are to be asked for, many with one request.

    某个生成服务待查询的任务。
    """

    def __init__(
        self, ports: Ports, deadline: Deadline, provider: str, parked: str | None = None
    ) -> None:
        home = check_queue(provider)
        queue = home if parked is None else parked_queue(home, parked)
        super().__init__(ports, deadline, queue, LOOKS, home)
        self._provider = provider
        self._lasted = 0

    def claim(self, room: int) -> int:
        """Take tasks to ask for, as many as fit into `room` requests.

        领取待查询的任务。
        """
        size = self._ports.providers[self._provider].check_limit
        jobs = self._claimed(room * size)
        self._units.extend(self._units_of(jobs))
        return -(-len(jobs) // size)

    def _lease(self, job: Job, at: Moment, lasts: int) -> Lease:
        """To the task's next look, which is not before this one can have been answered and saved:
        where everything takes long, the same task would be asked for again and again meanwhile."""
        taken, soonest = super()._lease(job, at, lasts), at.now + self._lasted
        return taken if taken.due_at >= soonest else replace(taken, due_at=soonest)

    def _put_off(self, job: Job) -> Lease | None:
        return None if job.attempt is None else self._bound(job, "read")

    def _units_of(self, jobs: Sequence[Job]) -> Iterator[Unit]:
        """Checks of what one credential sees, as many tasks at once as the provider takes.

        按凭据分批查询。
        """
        provider = self._ports.providers[self._provider]
        groups: dict[str, list[Job]] = defaultdict(list)
        for job in jobs:
            credential = job.attempt.credential if job.attempt else ""
            if self._ports.credentials.get(provider.name, credential) is not None:
                groups[credential].append(job)
            else:
                log.error("%s: nobody here may ask %s for its task", job.id, job.provider)
                yield Unit(self._unseen(job))
        for credential, group in groups.items():
            for start in range(0, len(group), provider.check_limit):
                batch = group[start : start + provider.check_limit]
                yield Unit(self._check(provider, credential, batch))

    def _check(self, provider: Provider, credential: str, jobs: list[Job]) -> Callable[[], None]:
        """One request for the tasks of these jobs; how long it lasts is noted.

        查询一批任务，并记下所花的时间。
        """
        claimed_at = self._ports.clock.now()

        def run() -> None:
            try:
                check(self._ports, provider, credential, jobs, self._deadline)
            finally:
                lasted = min(self._ports.clock.now() - claimed_at, _LONGEST_LOOK)
                self._lasted = max(lasted, self._lasted // 2)

        return run

    def _unseen(self, job: Job) -> Callable[[], None]:
        return lambda: look(self._ports, job, None)


class Processing(JobSource):
    """What is to be looked at: fetched inputs, and stored results, which are published then. Where
    each takes next to no time, a claim takes as many beside those that begin at once as are done in
    a moment: nobody else would come to them sooner.

    待后处理的任务；处理很快时一次多领取几个。
    """

    def __init__(self, ports: Ports, deadline: Deadline, threads: int) -> None:
        super().__init__(ports, deadline, PROCESS, threads)
        self._lasts = _MOMENT

    def claim(self, room: int) -> int:
        """Take jobs whose files are stored.

        领取待处理的任务。
        """
        ahead = min(_MOST_AHEAD, max(0, _MOMENT // max(1, self._lasts) - 1))
        jobs = self._claimed(room + ahead)
        self._units.extend(self._timed(self._step(job)) for job in jobs)
        return len(jobs)

    def _timed(self, unit: Unit) -> Unit:
        """The unit, which notes how long it lasts: of late ones the slowest counts."""

        def run() -> None:
            begun = self._ports.clock.now()
            try:
                unit.run()
            finally:
                self._lasts = max(self._ports.clock.now() - begun, self._lasts * 3 // 4)

        return replace(unit, run=run)


def _measure_age(ports: Ports, queue: str, due: int | None) -> None:
    """Note how long what is due first in a queue has been waiting; 0 if nothing has to."""
    waited = max(0, ports.clock.now() - due) if due is not None else 0
    ports.metrics.add(QUEUE_AGE, waited / 1000, queue=queue.partition(":")[0])
