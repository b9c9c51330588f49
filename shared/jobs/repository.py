"""Jobs over the store: written once, above every adapter.

任务的存取，与具体数据库无关。
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shared import context
from shared.errors import Unavailable
from shared.jobs.model import FETCH, OLD_QUEUES, PROCESS, Job, from_record, queues_of, to_record
from shared.records import Codec, Unreadable, claimed
from shared.store.base import TEXT_LENGTH, Conflict, Lease, Record, Store, Table, Value
from shared.store.tables import IDEMPOTENCY, JOBS, OLD_LANES, TASKS
from shared.values import replace

log = logging.getLogger("maquette.jobs")

Observer = Callable[[Job | None, Job], None]
"""Told of every saved change: the job before (None: it is new) and after."""


Companion = Callable[[Job | None, Job], Iterable[tuple[Table, Record]]]
"""Records that belong to a job's save and are written with it, or not at all: given the job before
(None: it is new) and after."""

OldQueue = tuple[str, int]
"""A queue of format 1 and one of its lanes."""


def _nobody(old: Job | None, new: Job) -> None:
    """Hears of changes and does nothing."""


def _nothing(error: Unreadable) -> None:
    """Hears of what is put aside and does nothing."""


@dataclass(frozen=True)
class IdempotencyKey:
    """What a caller's Idempotency-Key stands for: where it is kept, and the request's prints.

    `fingerprint` is the one that code before format 2 makes of the request and compares, `prints`
    are today's. Two requests are the same if they share any.

    调用方的幂等键。
    """

    key: str
    fingerprint: str
    prints: tuple[str, ...] = ()

    def shares_a_print(self, use: KeyUse) -> bool:
        """Whether this request is the one that the key was used for.

        是否为同一请求。
        """
        return not {self.fingerprint, *self.prints}.isdisjoint({use.fingerprint, *use.prints})


@dataclass(frozen=True)
class KeyUse:
    """What is kept of an Idempotency-Key: the prints of its request, the job that was made, when
    (ms).

    幂等键的使用记录。
    """

    fingerprint: str
    job_id: str
    at: int
    prints: tuple[str, ...] = ()
    format: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


_KEY_USES = Codec(KeyUse, "idempotency", known=1, outside=())


@dataclass(frozen=True)
class JobPage:
    """Part of a list of jobs, whether more may follow, and after which id to go on.

    任务列表的一页。
    """

    jobs: tuple[Job, ...]
    has_more: bool
    last_seen: str | None


class JobRepository:
    """Reads and writes jobs. `companions` say what is written with a save; a `Conflict` then names
    the table that lost. `observe` hears of every change that was saved, `aside` of every record
    that a claim or a list could not read.

    任务的读写。
    """

    old_queues: Sequence[OldQueue] = tuple(
        (queue, lane)
        for queue in OLD_QUEUES
        for lane in range(OLD_LANES)
        if (queue, lane) != (PROCESS, 0)
    )

    def __init__(
        self,
        store: Store,
        companions: Sequence[Companion] = (),
        observe: Observer = _nobody,
        aside: Callable[[Unreadable], None] = _nothing,
    ) -> None:
        self._store = store
        self._companions = companions
        self._observe = observe
        self._tell_aside = aside

    def get(self, job_id: str) -> Job | None:
        """The job as last written, or None; `Unavailable` for one that cannot be read.

        读取任务。
        """
        record = self._store.get(JOBS, job_id)
        if record is None:
            return None
        try:
            return from_record(record)
        except Unreadable as error:
            self._aside(error)
            raise _unavailable(error) from None

    def save(self, old: Job, new: Job) -> Job:
        """Write `new` if the job still is `old`, else raise `Conflict`; `Unavailable` for a job
        that newer code has written.

        条件保存任务，并在同一事务写入附带的记录。
        """
        new = replace(new, version=old.version)
        writes = [self._written(new), *self._beside(old, new)]
        if len(writes) == 1:
            record = self._store.put(*writes[0])
        else:
            record = self._store.transact(writes)[0]
        return self._saved(old, replace(new, version=record.version, looks=0))

    def save_each(self, changes: Sequence[tuple[Job, Job]]) -> list[Job | None]:
        """Save the changes, each by itself and none with anything beside it, in one go: the jobs as
        saved, None for one that is no longer what it was.

        一次保存多个任务的变化。
        """
        changes = [(old, replace(new, version=old.version)) for old, new in changes]
        records = self._store.put_each([self._written(new) for _, new in changes])
        return [
            None
            if record is None
            else self._saved(old, replace(new, version=record.version, looks=0))
            for (old, new), record in zip(changes, records, strict=True)
        ]

    def create(self, job: Job, key: IdempotencyKey | None) -> Job:
        """Write a new job, with its idempotency record; `Conflict` if that key was taken.

        写入新任务及其幂等记录。
        """
        writes = [self._written(job), *self._beside(None, job)]
        if key is not None:
            use = KeyUse(key.fingerprint, job.id, job.created_at, key.prints)
            over = job.created_at + 1000 * (IDEMPOTENCY.keep_seconds or 0)
            writes.append((IDEMPOTENCY, Record(key.key, _KEY_USES.dump(use), due_at=over)))
        record = self._store.transact(writes)[0]
        return self._saved(None, replace(job, version=record.version, looks=0))

    def task_owner(self, provider: str, task_id: str) -> str | None:
        """The id of the job whose task this is; None if it is nobody's.

        查询远端任务属于哪个任务。
        """
        record = self._store.get(TASKS, task_key(provider, task_id))
        return None if record is None else str(record.document.get("job_id"))

    def known_key(self, key: IdempotencyKey) -> KeyUse | None:
        """What an idempotency key already stands for; `Unavailable` if that cannot be read.

        查询已用过的幂等键。
        """
        record = self._store.get(IDEMPOTENCY, key.key)
        if record is None:
            return None
        try:
            return _KEY_USES.load(record)
        except Unreadable as error:
            self._aside(error)
            raise _unavailable(error) from None

    def save_retry(self, old: Job, marked: Job, fresh: Job) -> Job:
        """Write a retry and the mark on the job it is of, both or none; `Conflict` as in `save`.

        同时写入重试任务和旧任务上的标记。
        """
        marked = replace(marked, version=old.version)
        writes = [self._written(fresh), self._written(marked), *self._beside(None, fresh)]
        record = self._store.transact(writes)[0]
        return self._saved(None, replace(fresh, version=record.version, looks=0))

    def claim(self, queue: str, now: int, lease: Callable[[Job], Lease], limit: int) -> list[Job]:
        """Take up to `limit` due jobs of a queue; what cannot be read is put aside by itself.

        认领到期的任务。
        """
        where: dict[str, Value] = {"queue": queue, "lane": 0}
        taken = claimed(
            JOBS.name,
            lambda take: self._store.claim(JOBS, "due", where, now=now, lease=take, limit=limit),
            partial(from_record, own=True),
            lease,
            now,
            self._aside,
        )
        return [
            replace(
                job,
                due_at=record.due_at,
                claims=record.claims,
                version=record.version,
                looks=job.looks + 1,
            )
            for record, job in taken
        ]

    def first_due(self, queue: str) -> int | None:
        """When (ms) the first job of a queue is due, None if none lies there; one query.

        队列中最近的到期时间。
        """
        due = self._store.first(JOBS, "due", {"queue": queue, "lane": 0})
        return due if isinstance(due, int) else None

    def next_due(self, providers: Iterable[str]) -> int | None:
        """When (ms) the first unfinished job of these providers is due, None if there is none; a
        query a queue.

        最近的到期时间。
        """
        queues = [FETCH, PROCESS, *(queue for name in providers for queue in queues_of(name))]
        due = [at for queue in queues if (at := self.first_due(queue)) is not None]
        return min(due, default=None)

    def refile(self, old: OldQueue, now: int, limit: int) -> int:
        """Move what is due in a queue of format 1 to where it belongs now, due at once; how many.

        把旧队列中的任务移到新队列。
        """
        queue, lane = old
        taken = claimed(
            JOBS.name,
            lambda take: self._store.claim(
                JOBS, "due", {"queue": queue, "lane": lane}, now=now, lease=take, limit=limit
            ),
            partial(from_record, own=True),
            lambda job: Lease(now, counted=False, queue=job.queue),
            now,
            self._aside,
        )
        return len(taken)

    def page(
        self,
        caller: str,
        *,
        status: str | None,
        kind: str | None,
        limit: int,
        after: str | None,
        newest_first: bool,
    ) -> JobPage:
        """A caller's jobs by time. With `kind` a bounded number is looked through, so the page
        may be short although more follow.

        列出某个调用方的任务。
        """
        scan = limit if kind is None else max(limit, _SCANNED)
        bounds = {} if after is None else {"high" if newest_first else "low": after}
        page = self._store.query(
            JOBS,
            "by_caller" if status is None else "by_status",
            {"caller": caller} if status is None else {"caller": caller, "status": status},
            # The job named by `after` itself lies on the bound, hence one more.
            limit=scan + 1,
            descending=newest_first,
            **bounds,
        )
        listed = [record for record in page.records if record.key != after]
        more = page.cursor is not None or len(listed) > scan
        jobs = [job for record in listed[:scan] if (job := self._readable(record)) is not None]
        kept = [job for job in jobs if kind is None or job.kind == kind]
        if len(kept) > limit:
            return JobPage(tuple(kept[:limit]), True, kept[limit - 1].id)
        return JobPage(tuple(kept), more, listed[:scan][-1].key if listed else None)

    def _beside(self, old: Job | None, new: Job) -> list[tuple[Table, Record]]:
        return [write for companion in self._companions for write in companion(old, new)]

    def _written(self, job: Job) -> tuple[Table, Record]:
        try:
            return JOBS, to_record(job)
        except Unreadable as error:
            self._aside(error)
            raise _unavailable(error) from None

    def _readable(self, record: Record) -> Job | None:
        try:
            return from_record(record)
        except Unreadable as error:
            self._aside(error)
            return None

    def _aside(self, error: Unreadable) -> None:
        log.warning("left alone: %s", error)
        self._tell_aside(error)

    def _saved(self, old: Job | None, new: Job) -> Job:
        if old is None or old.status is not new.status:
            why = f" ({new.error.code})" if new.error else ""
            with context.job(new.id):
                log.info("%s is %s%s", new.id, new.status.value, why)
        try:
            self._observe(old, new)
        except Exception:  # what is saved is saved, whatever an observer makes of it
            log.warning("%s: a change could not be observed", new.id, exc_info=True)
        return new


def task_key(provider: str, task_id: str) -> str:
    """The key of the record that says whose a task is.

    远端任务归属记录的键。
    """
    key = f"{provider}:{task_id}"
    if len(key) <= TEXT_LENGTH:
        return key
    return f"{provider[:20]}:{hashlib.sha256(key.encode()).hexdigest()[:40]}"


def task_of(old: Job | None, new: Job) -> Iterator[tuple[Table, Record]]:
    """The companion of the save that gives a job its task: the task's owner, written once. A retry
    that takes over a task leaves it to the job it was made for.

    任务获得远端编号时写入的归属记录。
    """
    if old is not None and old.task_id is None and new.task_id is not None:
        document = {"job_id": new.id, "provider": new.provider, "task_id": new.task_id}
        yield TASKS, Record(task_key(new.provider, new.task_id), document)


def _unavailable(error: Unreadable) -> Unavailable:
    if error.newer:
        message = "A newer version of Maquette keeps this job; ask again once all is updated."
        return Unavailable(message, code="record_newer")
    return Unavailable("This job's record cannot be read.", code="record_unreadable")


_SCANNED = 500


__all__ = ["Conflict", "IdempotencyKey", "JobPage", "JobRepository", "Observer"]
