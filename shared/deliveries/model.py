"""What a delivery is: one webhook event on its way to one URL, and the record it is kept as.

一次回调通知的定义。
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from shared.records import Codec
from shared.store.base import Record

FORMAT = 2
"""The format of a delivery's document: 1 had lanes, no caller and no number."""

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
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Delivery:
    """One webhook event for one URL; `id` is its `webhook-id`, `body` is text made by `frozen`.

    `caller` is whose it is ("" in records of format 1). `trace` holds the headers (traceparent,
    x-request-id) that travel along. Times are milliseconds since 1970 UTC.

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
    caller: str = ""
    format: int = FORMAT
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def payload(self) -> bytes:
        """The bytes of the body, which are signed and sent at every try: always the same.

        通知正文的字节。
        """
        return _bytes(self.body)


def frozen(event: Mapping[str, Any]) -> str:
    """An event as the body of a delivery: JSON text that stands for exactly one row of bytes.

    Half a surrogate pair, which no bytes stand for, becomes a question mark here and now.

    把事件固定为通知正文。
    """
    return _bytes(json.dumps(event, ensure_ascii=False, separators=(",", ":"))).decode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


_OUTSIDE = ("id", "due_at", "claims", "version")


def to_record(delivery: Delivery) -> Record:
    """The record a delivery is kept as; raises `Unreadable` for one of a newer format.

    把通知变成记录。
    """
    pending = delivery.status is DeliveryStatus.PENDING
    return Record(
        key=delivery.id,
        document=_CODEC.dump(delivery),
        fields={
            "queue": QUEUE if pending else None,
            "lane": 0 if pending else None,
            "job_id": delivery.job_id,
            "caller": delivery.caller or None,
            "status": delivery.status.value,
        },
        due_at=delivery.due_at if pending else None,
        claims=delivery.claims,
        version=delivery.version,
    )


def from_record(record: Record, *, own: bool = False) -> Delivery:
    """The delivery a record holds; raises `Unreadable`, and if it is to be this code's `own` to
    send and write, also for one of a newer format.

    从记录还原通知。
    """
    load = _CODEC.load_own if own else _CODEC.load
    return load(
        record, id=record.key, due_at=record.due_at, claims=record.claims, version=record.version
    )


_CODEC = Codec(Delivery, "deliveries", known=FORMAT, outside=_OUTSIDE)
