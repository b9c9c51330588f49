"""Deliveries over the store: what is due, who takes it, what was sent for a job.

通知记录的读写。
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from shared.deliveries.model import QUEUE, Delivery, from_record, to_record
from shared.records import Unreadable, claimed
from shared.store.base import Conflict, Lease, Store, Value
from shared.store.tables import DELIVERIES

log = logging.getLogger("maquette.deliveries")

_DUE: dict[str, Value] = {"queue": QUEUE, "lane": 0}


@dataclass(frozen=True)
class Claimed:
    """What a claim brought: deliveries leased to this worker, when those that were put off come
    back, and whether more may lie behind what was looked at.

    一次领取的结果。
    """

    leased: tuple[Delivery, ...]
    put_off: tuple[int, ...]
    more: bool


def claim(
    store: Store,
    limit: int,
    *,
    now: int,
    choose: Callable[[Delivery], Lease | None],
    aside: Callable[[Unreadable], None] = lambda error: None,
) -> Claimed:
    """Look at up to `limit` due deliveries and take those that `choose` leases; `now` is
    milliseconds since 1970.

    `choose` is asked once for each: a counted lease takes it, one that counts as nothing puts it
    off, None leaves it. What cannot be read, or is a newer version's to write, is put aside by
    itself, and `aside` hears of it.

    领取到期的通知。
    """
    chosen: dict[str, Lease | None] = {}

    def lease(delivery: Delivery) -> Lease | None:
        if delivery.id not in chosen:
            chosen[delivery.id] = choose(delivery)
        return chosen[delivery.id]

    def tell(error: Unreadable) -> None:
        log.warning("left alone: %s", error)
        aside(error)
        unread.append(error)

    unread: list[Unreadable] = []
    taken = claimed(
        DELIVERIES.name,
        lambda take: store.claim(DELIVERIES, "due", _DUE, now=now, lease=take, limit=limit),
        partial(from_record, own=True),
        lease,
        now,
        tell,
    )
    counted = [(record, one) for record, one in taken if (it := chosen[record.key]) and it.counted]
    return Claimed(
        leased=tuple(
            replace(one, due_at=record.due_at, claims=record.claims, version=record.version)
            for record, one in counted
        ),
        put_off=tuple(it.due_at for it in chosen.values() if it is not None and not it.counted),
        more=len(chosen) + len(unread) >= limit,
    )


def refile(store: Store, lane: int, now: int, limit: int) -> int:
    """Move what is due in a lane of format 1 to where due deliveries lie now; how many.

    把旧分道中的通知移到现在的队列。
    """
    where: dict[str, Value] = {"queue": QUEUE, "lane": lane}
    return len(
        store.claim(
            DELIVERIES,
            "due",
            where,
            now=now,
            lease=lambda record: Lease(now, counted=False, queue=QUEUE),
            limit=limit,
        )
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
    due = store.first(DELIVERIES, "due", _DUE)
    return due if isinstance(due, int) else None


def for_job(store: Store, job_id: str) -> list[Delivery]:
    """Every delivery of a job, in the order of their ids.

    一个任务的全部通知。
    """
    found: list[Delivery] = []
    cursor = None
    while True:
        page = store.query(DELIVERIES, "by_job", {"job_id": job_id}, cursor=cursor)
        for record in page.records:
            try:
                found.append(from_record(record))
            except Unreadable as error:
                log.warning("passed over: %s", error)
        cursor = page.cursor
        if cursor is None:
            return found
