"""A small world for jobs: store, bucket, a faulty generator, one time, and workers in it.

供任务测试使用的小世界：任务表、存储、会出错的生成服务、统一的时间与工作进程。
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from pydantic import SecretStr

from shared.buckets.base import BucketUnavailable
from shared.buckets.folder import FolderBucket
from shared.clock import Deadline, new_id
from shared.deliveries import model as deliveries
from shared.deliveries.model import Delivery
from shared.inputs.content import ContentRules
from shared.inputs.keeping import InputKeeper
from shared.inputs.references import UrlRef
from shared.inputs.uploads import UploadRepository
from shared.jobs import lifecycle
from shared.jobs.kinds import KINDS
from shared.jobs.lifecycle.transitions import Moment
from shared.jobs.model import FETCH, PROCESS, Job, from_record, queues_of
from shared.jobs.policy import Policy
from shared.jobs.ports import Ports
from shared.jobs.presentation import event_at_end
from shared.jobs.repository import JobRepository, task_of
from shared.jobs.rests import Rests
from shared.jobs.service import JobService, NewJob
from shared.jobs.steps import advance
from shared.jobs.steps.check import check
from shared.links import Links
from shared.notices import Notices
from shared.providers.credentials import Credential, KeptCredentials
from shared.store.base import Record, Store, StoreUnavailable
from shared.store.sql.store import SqlStore
from shared.store.tables import DELIVERIES, JOBS
from shared.work.alarm import Alarm
from tests.databases import empty_database
from tests.fakes import FakeClock
from tests.faulty import FaultyProvider, Step, Stopping
from tests.memory import MemoryBucket, MemoryStore
from tests.web import TimedOut, Web

CALLER = "caller"
LINKS = Links("https://maquette.example", b"secret")
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
INVOCATION = 300.0
"""Seconds that each worker's invocation lasts."""


class OffClock:
    """The world's time as a worker's clock shows it, some milliseconds off.

    有偏差的时钟。
    """

    def __init__(self, clock: FakeClock, off: int) -> None:
        self._clock = clock
        self._off = off

    def now(self) -> int:
        return self._clock.now() + self._off

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)

    def chance(self) -> float:
        return self._clock.chance()

    def token(self, bits: int) -> int:
        return self._clock.token(bits)


class World:
    """Everything a job's life needs, with what the tests want to know of it.

    任务测试的世界。
    """

    def __init__(
        self,
        store: Store | None = None,
        bucket: Any = None,
        *,
        policy: Policy | None = None,
        credentials: Sequence[str] = ("main",),
        others: Sequence[str] = (),
        **provider: Any,
    ) -> None:
        self.clock = FakeClock()
        self.store: Any = store or MemoryStore()
        self.bucket: Any = bucket or MemoryBucket()
        self.provider = FaultyProvider(self.clock, **provider)
        self.policy = policy or Policy()
        kept = [Credential(name, SecretStr(f"key-of-{name}")) for name in credentials]
        self.providers: dict[str, Any] = {self.provider.name: self.provider}
        for name in others:
            self.providers[name] = FaultyProvider(self.clock, **provider)
            self.providers[name].name = name
        self.credentials = KeptCredentials(dict.fromkeys(self.providers, kept))
        self.woken: list[str] = []
        self.web = Web()
        self.repository = self._repository(self.store)
        self.service = JobService(
            self.repository,
            self.bucket,
            self.providers,
            self.clock,
            self.woken.append,
            lambda: InputKeeper(self.bucket, ContentRules()),
            UploadRepository(self.store, self.clock),
        )
        self.plain = self.worker()

    def worker(self, off: int = 0, *, stopping: bool = False) -> Ports:
        """A worker's ports, its memory empty, its clock `off` milliseconds off."""
        store, bucket, providers = self.store, self.bucket, self.providers
        web: Any = self.web
        if stopping:
            web = Stopping(web, "web", TimedOut)
            store = Stopping(store, "store", StoreUnavailable)
            bucket = Stopping(bucket, "bucket", BucketUnavailable)
            providers = {name: Stopping(one, "provider") for name, one in providers.items()}
        return Ports(
            self._repository(store),
            bucket,
            providers,
            self.credentials,
            OffClock(self.clock, off),
            self.policy,
            self.woken.append,
            Rests(self.store, self.clock),
            Notices(self.store, self.clock),
            lambda: InputKeeper(bucket, ContentRules()),
            lambda: web,
            alarm=Alarm(self.clock.sleep),
        )

    def deadline(self, seconds: float = INVOCATION) -> Deadline:
        """A deadline in the world's own time."""
        end = self.clock.now() + round(seconds * 1000)
        return Deadline(lambda: (end - self.clock.now()) / 1000)

    def create(
        self,
        prompt: str = "a chair",
        *,
        callback: bool = True,
        provider: str | None = None,
        caller: str = CALLER,
        kind: str = "text-to-3d",
        **more: Any,
    ) -> str:
        """A new queued job; its id. Ids of one world sort by the order of creation."""
        self.clock.advance(1)
        url = "https://caller.example/hook" if callback else None
        name = provider or self.provider.name
        words = prompt if KINDS[kind].takes_prompt else None
        new = NewJob(kind, name, words, callback_url=url, **more)
        return self.service.create(caller, new)[0].id

    def create_of(self, *, kind: str = "image-to-3d", caller: str = CALLER, **urls: str) -> str:
        """A new job whose inputs lie on the web, by role; its id."""
        references = {role: UrlRef(url) for role, url in urls.items()}
        return self.create(kind=kind, caller=caller, references=references)

    def job(self, job_id: str) -> Job:
        found = self.repository.get(job_id)
        assert found is not None
        return found

    def jobs(self) -> list[Job]:
        return [from_record(record) for record in records(self.store, JOBS)]

    def deliveries(self, job_id: str) -> list[Delivery]:
        page = self.store.query(DELIVERIES, "by_job", {"job_id": job_id}, low=None)
        return [deliveries.from_record(record) for record in page.records]

    @property
    def queues(self) -> tuple[str, ...]:
        """Every queue that the world's jobs may lie in."""
        return (FETCH, *(queue for name in self.providers for queue in queues_of(name)), PROCESS)

    def next_due(self) -> int | None:
        """When the next unfinished job is due."""
        return self.repository.next_due(self.providers)

    def claim(self, queue: str, ports: Ports | None = None, limit: int = 100) -> list[Job]:
        """What is due in a queue, claimed as `poll` claims it."""
        ports = ports or self.plain
        at = ports.moment()
        lasts = round((INVOCATION + self.policy.lease_margin) * 1000)
        return ports.jobs.claim(
            queue, at.now, lambda job: lifecycle.lease(job, at, lasts, self.policy), limit
        )

    def claim_one(self, job_id: str, off: int = 0) -> Job:
        """Claim this very job, as the claim of a queue would; it must be due."""
        at = Moment(self.clock.now() + off, self.clock.chance())
        record = self.store.get(JOBS, job_id)
        assert record.due_at is not None, f"{job_id} has ended"
        assert record.due_at <= at.now, f"{job_id} is not due"
        lasts = round((INVOCATION + self.policy.lease_margin) * 1000)
        taken = lifecycle.lease(from_record(record), at, lasts, self.policy)
        claimed = replace(taken.taken(record), version=record.version)
        return from_record(self.store.put(JOBS, claimed))

    def step(self, job_id: str) -> Job:
        """Claim one due job and carry it one step; the job after it."""
        self.carry(self.claim_one(job_id), self.plain)()
        return self.job(job_id)

    def begin(self, job_id: str, off: int = 0) -> Step:
        """Claim one due job for a new worker; its step, that stops at every call."""
        return Step(self.carry(self.claim_one(job_id, off), self.worker(off, stopping=True)))

    def carry(self, job: Job, ports: Ports, deadline: Deadline | None = None) -> Callable[[], None]:
        """The work that a claimed job needs."""
        deadline = deadline or self.deadline()
        if not job.watched:
            return lambda: advance(ports, job, deadline)
        provider = ports.providers[job.provider]
        credential = job.attempt.credential if job.attempt else ""
        return lambda: check(ports, provider, credential, [job], deadline)

    def wait(self, job_id: str) -> None:
        """Let time pass until a job is due."""
        due = self.job(job_id).due_at
        assert due is not None
        self.clock.advance(max(0, due - self.clock.now()))

    def until(self, job_id: str, *statuses: str, passes: int = 200) -> Job:
        """Carry one job forward, step by step, until it has one of these statuses."""
        for _ in range(passes):
            job = self.job(job_id)
            if job.status.value in statuses or job.status.terminal:
                break
            self.wait(job_id)
            self.step(job_id)
        assert self.job(job_id).status.value in statuses, self.job(job_id)
        return self.job(job_id)

    def settle(self, passes: int = 400) -> None:
        """Calm workers carry everything to its end as time goes on; fails if that never comes."""
        for provider in self.providers.values():
            provider.scripts.clear()
        ports = self.worker()
        for _ in range(passes):
            for provider in self.providers.values():
                provider.finish_all()
            due = self.next_due()
            if due is None:
                return
            self.clock.advance(max(0, due - self.clock.now()))
            for queue in self.queues:
                for job in self.claim(queue, ports):
                    self.carry(job, ports)()
        raise AssertionError(f"unfinished: {[job for job in self.jobs() if job.queue]}")

    def _repository(self, store: Any) -> JobRepository:
        event = event_at_end(LINKS, lambda: new_id(self.clock))
        return JobRepository(store, (task_of, event))


def records(store: Any, table: Any) -> list[Record]:
    """Every record of a table."""
    if isinstance(store, MemoryStore):
        return store.all(table)
    found = store.query(table, "by_caller", {"caller": CALLER}, limit=1000)
    return list(found.records)


def effort(examples: int, thorough: int, steps: int = 40) -> settings:
    """How hard hypothesis looks: the second number if HYPOTHESIS_PROFILE is `thorough`."""
    return settings(
        max_examples=thorough if THOROUGH else examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def published(world: World, job: Job) -> bool:
    """Whether every artifact of a job lies in the bucket, whole."""
    if not job.artifacts:
        return False
    for artifact in job.artifacts:
        with world.bucket.open(artifact.key) as reader:
            data = reader.read()
        if len(data) != artifact.bytes or hashlib.sha256(data).hexdigest() != artifact.sha256:
            return False
    return True


@contextmanager
def real_world(folder: Path, **more: Any) -> Iterator[World]:
    """A world over SQLite and a folder."""
    store = SqlStore(empty_database(folder / "maquette.db"))
    clock = FakeClock()
    bucket = FolderBucket(folder / "bucket", base_url="http://localhost", secret=b"s", clock=clock)
    try:
        yield World(store, bucket, **more)
    finally:
        store.close()
