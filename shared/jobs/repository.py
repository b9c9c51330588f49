"""Jobs over the store: written once, above every adapter.

任务的存取，与具体数据库无关。
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from shared import context
from shared.deliveries import model as deliveries
from shared.deliveries.model import Delivery
from shared.deliveries.repository import next_due as next_delivery
from shared.jobs.model import Job, Queue, from_record, to_record
from shared.store.base import Conflict, Lease, Record, Store, Table
from shared.store.due import earliest_due
from shared.store.tables import DELIVERIES, IDEMPOTENCY, JOBS, LANES

log = logging.getLogger("maquette.jobs")

Observer = Callable[[Job | None, Job], None]
"""Told of every saved change: the job before (None: it is new) and after."""


def _nobody(old: Job | None, new: Job) -> None:
    """Hears of changes and does nothing."""


@dataclass(frozen=True)
class IdempotencyKey:
    """What a caller's Idempotency-Key stands for: where it is kept, and the request's print.

    调用方的幂等键。
    """

    key: str
    fingerprint: str


@dataclass(frozen=True)
class JobPage:
    """Part of a list of jobs, whether more may follow, and after which id to go on.

    任务列表的一页。
    """

    jobs: tuple[Job, ...]
    has_more: bool
    last_seen: str | None


class JobRepository:
    """Reads and writes jobs. `event_of` makes the delivery of a job that has just ended;
    `observe` hears of every change that was saved.

    任务的读写。
    """

    def __init__(
        self, store: Store, event_of: Callable[[Job], Delivery], observe: Observer = _nobody
    ) -> None:
        self._store = store
        self._event_of = event_of
        self._observe = observe

    def get(self, job_id: str) -> Job | None:
        """The job as last written, or None.

        读取任务。
        """
        record = self._store.get(JOBS, job_id)
        return None if record is None else from_record(record)

    def save(self, old: Job, new: Job) -> Job:
        """Write `new` if the job still is `old`, else raise `Conflict`.

        A save that ends the job writes its delivery in the same transaction: nothing else does.

        条件保存任务；结束时在同一事务写入通知。
        """
        new = replace(new, version=old.version)
        writes = [(JOBS, to_record(new))]
        if new.status.terminal and not old.status.terminal and new.callback_url is not None:
            writes.append((DELIVERIES, deliveries.to_record(self._event_of(new))))
        if len(writes) == 1:
            record = self._store.put(*writes[0])
        else:
            record = self._store.transact(writes)[0]
        return self._saved(old, record)

    def create(self, job: Job, key: IdempotencyKey | None) -> Job:
        """Write a new job, with its idempotency record; `Conflict` if that key was taken.

        写入新任务及其幂等记录。
        """
        writes: list[tuple[Table, Record]] = [(JOBS, to_record(job))]
        if key is not None:
            document = {"fingerprint": key.fingerprint, "job_id": job.id, "at": job.created_at}
            writes.append((IDEMPOTENCY, Record(key.key, document)))
        return self._saved(None, self._store.transact(writes)[0])

    def known_key(self, key: IdempotencyKey) -> tuple[str, str] | None:
        """The fingerprint and the job's id that an idempotency key already stands for.

        查询已用过的幂等键。
        """
        record = self._store.get(IDEMPOTENCY, key.key)
        if record is None:
            return None
        return record.document["fingerprint"], record.document["job_id"]

    def save_retry(self, old: Job, marked: Job, fresh: Job) -> Job:
        """Write a retry and the mark on the job it is of, both or none; `Conflict` as in `save`.

        同时写入重试任务和旧任务上的标记。
        """
        marked = replace(marked, version=old.version)
        records = self._store.transact([(JOBS, to_record(fresh)), (JOBS, to_record(marked))])
        return self._saved(None, records[0])

    def claim(
        self,
        queue: Queue,
        now: int,
        lease: Callable[[Job], Lease],
        limit: int,
        *,
        total: int | None = None,
        lanes: Iterable[int] = range(LANES),
    ) -> list[Job]:
        """Take up to `limit` due jobs of a queue per lane, up to `total` of these lanes together.

        认领到期的任务。
        """
        claimed: list[Job] = []
        for lane in lanes:
            room = limit if total is None else min(limit, total - len(claimed))
            if room <= 0:
                break
            records = self._store.claim(
                JOBS,
                "due",
                {"queue": queue.value, "lane": lane},
                now=now,
                lease=lambda record: lease(from_record(record)),
                limit=room,
            )
            claimed.extend(from_record(record) for record in records)
        return claimed

    def next_due(self, queues: Sequence[Queue], lanes: Iterable[int] = range(LANES)) -> int | None:
        """When (ms) the next job of these queues and lanes is due, None if none is unfinished.

        最近的到期时间。
        """
        return earliest_due(self._store, JOBS, [queue.value for queue in queues], tuple(lanes))

    def delivery_due(self) -> int | None:
        """When (ms) the next delivery is due, None if none is waiting.

        最近一条通知的到期时间。
        """
        return next_delivery(self._store)

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
        rest = [record for record in page.records if record.key != after]
        more = page.cursor is not None or len(rest) > scan
        jobs = [from_record(record) for record in rest[:scan]]
        kept = [job for job in jobs if kind is None or job.kind == kind]
        if len(kept) > limit:
            return JobPage(tuple(kept[:limit]), True, kept[limit - 1].id)
        return JobPage(tuple(kept), more, jobs[-1].id if jobs else None)

    def _saved(self, old: Job | None, record: Record) -> Job:
        new = from_record(record)
        if old is None or old.status is not new.status:
            why = f" ({new.error.code})" if new.error else ""
            with context.job(new.id):
                log.info("%s is %s%s", new.id, new.status.value, why)
        try:
            self._observe(old, new)
        except Exception:  # what is saved is saved, whatever an observer makes of it
            log.warning("%s: a change could not be observed", new.id, exc_info=True)
        return new


_SCANNED = 500


__all__ = ["Conflict", "IdempotencyKey", "JobPage", "JobRepository", "Observer"]
