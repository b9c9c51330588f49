"""Deliveries over the store: what is due, who takes it, what was sent for a job.

通知记录的读写。
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.deliveries.model import QUEUE, Delivery, from_record, to_record
from shared.store.base import Conflict, Lease, Record, Store, Value
from shared.store.due import earliest_due
from shared.store.tables import DELIVERIES


@dataclass(frozen=True)
class Claimed:
    """What a claim brought: deliveries leased to this worker, and when those put off come back.

    一次领取的结果。
    """

    leased: tuple[Delivery, ...]
    put_off: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many records the claim touched.

        涉及的记录数。
        """
        return len(self.leased) + len(self.put_off)


def claim(
    store: Store,
    lane: int,
    limit: int,
    *,
    now: int,
    until: int,
    later: Callable[[Delivery], int | None],
) -> Claimed:
    """Take due deliveries of one lane until `until`; all times are milliseconds since 1970.

    `later` is asked once for each: None leases it, an instant puts it off until then. Putting
    off is the same one write and counts as no claim.

    领取一条分道中到期的通知。
    """
    moments: dict[str, int | None] = {}

    def lease(record: Record) -> Lease:
        if record.key not in moments:
            moments[record.key] = later(from_record(record))
        moment = moments[record.key]
        return Lease(until, counted=True) if moment is None else Lease(moment, counted=False)

    where: dict[str, Value] = {"queue": QUEUE, "lane": lane}
    records = store.claim(DELIVERIES, "due", where, now=now, lease=lease, limit=limit)
    return Claimed(
        leased=tuple(from_record(record) for record in records if moments[record.key] is None),
        put_off=tuple(at for record in records if (at := moments[record.key]) is not None),
    )


def save(store: Store, delivery: Delivery) -> bool:
    """Write unless somebody else has since the delivery was read; then theirs stands: False.

    有条件地保存一条通知。
    """
    try:
        store.put(DELIVERIES, to_record(delivery))
    except Conflict:
        return False
    return True


def next_due(store: Store) -> int | None:
    """When the next pending delivery is due (ms since 1970), leased ones included; None: never.

    下一条通知的到期时间。
    """
    return earliest_due(store, DELIVERIES, [QUEUE])


def for_job(store: Store, job_id: str) -> list[Delivery]:
    """Every delivery of a job, in the order of their ids.

    一个任务的全部通知。
    """
    found: list[Delivery] = []
    cursor = None
    while True:
        page = store.query(DELIVERIES, "by_job", {"job_id": job_id}, cursor=cursor)
        found.extend(from_record(record) for record in page.records)
        cursor = page.cursor
        if cursor is None:
            return found
