"""Records as rows, and rows as records.

记录与数据行之间的转换。
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.store.base import JsonText, Record, Table

Row = Sequence[Any]
"""A row as it is read, with its columns in the table's order."""
Written = Mapping[str, Any]
"""A row as it is to be: its columns with `new_` before their names, and `seen`, the version that it
stands at until then (0: there is none)."""


def record_of(table: Table, row: Row) -> Record:
    """The record that a row holds.

    把数据行变成记录。
    """
    fields = dict(zip(table.fields, row[4:-1]))  # noqa: B905 - `strict` costs as much again
    return Record(row[0], JsonText(row[-1]), fields, row[2], row[3], row[1])


def row_of(table: Table, record: Record, text: str) -> Written:
    """What a write of this record says; `text` is its document.

    写入语句的参数。
    """
    return {
        "seen": record.version,
        "new_id": record.key,
        "new_version": record.version + 1,
        "new_due_at": record.due_at,
        "new_claims": record.claims,
        **{f"new_{name}": record.fields.get(name) for name in table.fields},
        "new_document": text,
    }


def lease_of(record: Record) -> Written:
    """What a claim says of a record that it takes; `record` is as it is to be.

    租约语句的参数。
    """
    fields = record.fields
    return {
        "seen": record.version - 1,
        "new_id": record.key,
        "new_version": record.version,
        "new_due_at": record.due_at,
        "new_claims": record.claims,
        # What a table without queues has no columns for, its statement does not ask for.
        "new_queue": fields.get("queue"),
        "new_lane": fields.get("lane"),
    }
