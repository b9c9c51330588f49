"""What a delivery is: one webhook event on its way to one URL, and the record it is kept as.

一次回调通知的定义。
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from shared.store.base import Record
from shared.store.tables import LANES

QUEUE = "send"
"""The queue that due deliveries lie in."""


class DeliveryStatus(str, Enum):
    """Where a delivery stands: still tried, taken by its receiver, or given up.

    通知的状态。
    """

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True)
class Try:
    """One try to deliver: when (ms), the HTTP status or why there was none, how long it took.

    一次投递尝试。
    """

    at: int
    status: int | None
    error: str | None
    milliseconds: int


@dataclass(frozen=True)
class Delivery:
    """One webhook event for one URL; `id` is its `webhook-id`, `body` is frozen as text.

    `trace` holds the headers (traceparent, x-request-id) that travel along. Times are
    milliseconds since 1970 UTC.

    一次回调通知。
    """

    id: str
    job_id: str
    url: str
    event: str
    body: str
    created_at: int
    trace: Mapping[str, str] = field(default_factory=dict)
    status: DeliveryStatus = DeliveryStatus.PENDING
    tries: tuple[Try, ...] = ()
    due_at: int | None = None
    claims: int = 0
    version: int = 0


_OUTSIDE = ("id", "due_at", "claims", "version")


def to_record(delivery: Delivery) -> Record:
    """The record a delivery is kept as.

    把通知变成记录。
    """
    document = dataclasses.asdict(delivery)
    for name in _OUTSIDE:
        del document[name]
    document["status"] = delivery.status.value
    pending = delivery.status is DeliveryStatus.PENDING
    return Record(
        key=delivery.id,
        document=document,
        fields={
            "queue": QUEUE if pending else None,
            "lane": zlib.crc32(delivery.id.encode()) % LANES if pending else None,
            "job_id": delivery.job_id,
        },
        due_at=delivery.due_at if pending else None,
        claims=delivery.claims,
        version=delivery.version,
    )


def from_record(record: Record) -> Delivery:
    """The delivery a record holds.

    从记录还原通知。
    """
    kept = record.document
    return Delivery(
        id=record.key,
        job_id=kept["job_id"],
        url=kept["url"],
        event=kept["event"],
        body=kept["body"],
        created_at=kept["created_at"],
        trace=kept.get("trace", {}),
        status=DeliveryStatus(kept["status"]),
        tries=tuple(_try(item) for item in kept.get("tries", ())),
        due_at=record.due_at,
        claims=record.claims,
        version=record.version,
    )


def _try(kept: Mapping[str, Any]) -> Try:
    # Members that newer code wrote are passed over.
    return Try(kept["at"], kept["status"], kept["error"], kept["milliseconds"])
