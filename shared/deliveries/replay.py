"""Sending again what was sent before: one delivery, or those of a time and status.

A replay keeps the `webhook-id` and the body; it begins a whole new schedule. One that is asked for
twice at once is begun once: who comes second finds it begun.

重新投递：单条，或按时间和状态批量。
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace

from shared.clock import Clock, Deadline, first_id
from shared.deliveries import schedule
from shared.deliveries.model import Delivery, DeliveryStatus, from_record, to_record
from shared.errors import NotFound, Unavailable
from shared.records import Unreadable
from shared.store.base import Conflict, Record, Store
from shared.store.tables import DELIVERIES

log = logging.getLogger("maquette.deliveries")

MOST = 100
"""How many one call replays at most."""
SECONDS = 5.0
"""How long one call goes on at most; what is left is for the next."""

_CLOCKS = 60_000
"""Milliseconds by which an id's own time may be off the event's: other machines made them."""
_ATTEMPTS = 5
_ID = re.compile(r"[!-~]{1,64}")


@dataclass(frozen=True)
class Range:
    """Which of a caller's deliveries: those of a status, from `since` to `until` (ms, both
    included; None: no bound), after the one of the id `after`.

    批量重投的范围。
    """

    status: DeliveryStatus = DeliveryStatus.DEAD
    since: int | None = None
    until: int | None = None
    after: str | None = None
    limit: int = MOST


@dataclass(frozen=True)
class Replayed:
    """How many were replayed, and the id to go on after; None if that was all.

    批量重投的结果。
    """

    count: int
    next: str | None


def replay(store: Store, caller: str, job_id: str, delivery_id: str, now: int) -> Delivery:
    """Send one delivery of a caller's job again, due at once; the delivery as it then stands.

    Whose job that is has been checked. Raises `NotFound`, and `Unavailable` for one that cannot be
    read or is a newer version's to write.

    重新投递一条通知。
    """
    record = store.get(DELIVERIES, delivery_id) if _ID.fullmatch(delivery_id) else None
    if record is None:
        raise _unknown(delivery_id)
    try:
        if from_record(record).job_id != job_id:
            raise _unknown(delivery_id)
        return _again(store, record, caller, now)[0]
    except Unreadable as error:
        log.warning("not replayed: %s", error)
        raise Unavailable("This delivery cannot be written here; ask again later.") from None


def replay_range(store: Store, caller: str, wanted: Range, clock: Clock) -> Replayed:
    """Send a caller's deliveries of a time and status again, oldest first, as many as one call may.

    What cannot be read, or is a newer version's to write, is passed over.

    按时间和状态批量重新投递。
    """
    budget = Deadline.after(SECONDS)
    records, more = _page(store, caller, wanted)
    count = 0
    for place, record in enumerate(records, start=1):
        try:
            if _within(from_record(record), wanted):
                count += _again(store, record, caller, clock.now())[1]
        except Unreadable as error:
            log.warning("not replayed: %s", error)
        if budget.remaining() <= 0 and place < len(records):
            return Replayed(count, record.key)
    return Replayed(count, records[-1].key if more else None)


def _page(store: Store, caller: str, wanted: Range) -> tuple[list[Record], bool]:
    """Up to `limit` records by their ids, whose time is about that of the event; whether more
    follow.

    读取一页投递记录。
    """
    low = first_id(max(0, (wanted.since or 0) - _CLOCKS))
    high = None if wanted.until is None else first_id(max(0, wanted.until) + _CLOCKS)
    page = store.query(
        DELIVERIES,
        "by_status",
        {"caller": caller, "status": wanted.status.value},
        # The one named by `after` itself lies on the bound, hence one more.
        limit=wanted.limit + 1,
        low=max(low, wanted.after or ""),
        high=high,
    )
    records = [record for record in page.records if record.key != wanted.after]
    more = len(records) > wanted.limit or (page.cursor is not None and bool(records))
    return records[: wanted.limit], more


def _within(delivery: Delivery, wanted: Range) -> bool:
    # The index may lag.
    return (
        delivery.status is wanted.status
        and (wanted.since is None or delivery.created_at >= wanted.since)
        and (wanted.until is None or delivery.created_at <= wanted.until)
    )


def _again(store: Store, record: Record, caller: str, now: int) -> tuple[Delivery, bool]:
    """The delivery on a new schedule, and whether that is this call's doing.

    重新安排一次投递。
    """
    for _ in range(_ATTEMPTS):
        delivery = from_record(record)
        if delivery.status is DeliveryStatus.PENDING and not delivery.tries:
            return delivery, False
        # Those of format 1 learn here whose they are.
        fresh = replace(schedule.replay(delivery, now), caller=caller)
        try:
            return from_record(store.put(DELIVERIES, to_record(fresh))), True
        except Conflict:
            found = store.get(DELIVERIES, record.key)
            if found is None:
                raise _unknown(record.key) from None
            record = found
    raise Unavailable("This delivery is being sent just now; ask again.")


def _unknown(delivery_id: str) -> NotFound:
    return NotFound(f"There is no delivery {delivery_id[:64]!r}.", code="delivery_not_found")
