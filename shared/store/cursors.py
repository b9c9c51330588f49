"""Cursors: where a page of a query ended, as a text that anyone may hand back, broken or not.

分页游标。
"""

from __future__ import annotations

import base64
import json

from shared.store.base import Index, Record, Table, Value


def sort_type(table: Table, index: Index) -> type[str] | type[int]:
    """The type of the values that an index sorts by.

    索引排序值的类型。
    """
    return {"key": str, "due_at": int, **table.fields}[index.sort]


def cursor_after(index: Index, last: Record) -> str:
    """The cursor that goes on after this record.

    生成从某条记录之后继续的游标。
    """
    sort = {"key": last.key, "due_at": last.due_at, **last.fields}[index.sort]
    return base64.urlsafe_b64encode(json.dumps([sort, last.key]).encode()).decode().rstrip("=")


def read_cursor(table: Table, index: Index, cursor: str) -> tuple[Value, str]:
    """The sort value and the key a cursor stands on; `ValueError` if it is malformed.

    解析游标。
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        sort, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError) as error:
        raise ValueError("malformed cursor") from error
    if type(sort) is not sort_type(table, index) or type(key) is not str:
        raise ValueError("malformed cursor")
    if isinstance(sort, int) and abs(sort) >= 2**63:
        raise ValueError("malformed cursor")
    return sort, key
