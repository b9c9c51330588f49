"""A store whose index reads lag behind, as DynamoDB's and a replica's may.

`query` and `claim` see records as they were some writes ago, or not at all; `get` and every
conditional write are the real store's. Whoever works over this works over any store.

索引读取滞后的任务表，用来检验代码不依赖最新的索引。
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from shared.store.base import Conflict, Lease, Page, Record, Store, Table, Value, check_query


def page_of(
    records: Iterable[Record],
    table: Table,
    index: str,
    equals: Mapping[str, Value],
    *,
    low: Value | None = None,
    high: Value | None = None,
    limit: int = 100,
    descending: bool = False,
    cursor: str | None = None,
) -> Page:
    """What `Store.query` must answer if these records are all there are: the plain reading.

    按定义计算查询结果。
    """
    declared = check_query(table, index, equals, limit)

    def sort_of(record: Record) -> Value | None:
        return {"key": record.key, "due_at": record.due_at, **record.fields}.get(declared.sort)

    found = []
    for record in records:
        sort = sort_of(record)
        if (
            sort is None
            or any(record.fields.get(name) != equals[name] for name in declared.equals)
            or (low is not None and sort < low)
            or (high is not None and sort > high)
        ):
            continue
        found.append((sort, record.key, record))
    found.sort(key=lambda entry: entry[:2], reverse=descending)
    if cursor is not None:
        last = _read(cursor)
        found = [entry for entry in found if (entry[:2] < last if descending else entry[:2] > last)]
    more = json.dumps(found[limit - 1][:2]) if len(found) > limit else None
    return Page(tuple(record for *_, record in found[:limit]), more)


def _read(cursor: str) -> tuple[Value, str]:
    read = json.loads(cursor)
    if not isinstance(read, list) or len(read) != 2 or not isinstance(read[1], str):
        raise ValueError("malformed cursor")
    return read[0], read[1]


class StaleStore:
    """Any store, its index reads `lag` writes behind; each index read lets one more through.

    索引滞后若干次写入的任务表。
    """

    def __init__(self, inner: Store, lag: int = 5) -> None:
        self._inner = inner
        self._lag = lag
        self._lock = threading.Lock()
        self._writes: list[tuple[str, Record]] = []
        self._through = 0

    def settle(self) -> None:
        """Let every write so far reach the indexes.

        让索引追上所有写入。
        """
        with self._lock:
            self._through = len(self._writes)

    def get(self, table: Table, key: str) -> Record | None:
        """As the real store.

        读取一条最新的记录。
        """
        return self._inner.get(table, key)

    def put(self, table: Table, record: Record) -> Record:
        """As the real store.

        条件写入一条记录。
        """
        return self.transact([(table, record)])[0]

    def transact(self, writes: Sequence[tuple[Table, Record]]) -> list[Record]:
        """As the real store.

        一次写入多条。
        """
        written = self._inner.transact(writes)
        with self._lock:
            self._writes += [
                (table.name, new) for (table, _), new in zip(writes, written, strict=True)
            ]
            self._through = max(self._through, len(self._writes) - self._lag)
        return written

    def query(
        self,
        table: Table,
        index: str,
        equals: Mapping[str, Value],
        *,
        low: Value | None = None,
        high: Value | None = None,
        limit: int = 100,
        descending: bool = False,
        cursor: str | None = None,
    ) -> Page:
        """What the index says by now.

        按滞后的索引查询。
        """
        return page_of(
            self._indexed(table),
            table,
            index,
            equals,
            low=low,
            high=high,
            limit=limit,
            descending=descending,
            cursor=cursor,
        )

    def first(self, table: Table, index: str, equals: Mapping[str, Value]) -> Value | None:
        """What the index says by now.

        按滞后的索引取最小值。
        """
        page = page_of(self._indexed(table), table, index, equals, limit=1)
        found = page.records[0] if page.records else None
        sort = table.index(index).sort
        known = {"key": found.key, "due_at": found.due_at, **found.fields} if found else {}
        return known.get(sort)

    def claim(
        self,
        table: Table,
        index: str,
        equals: Mapping[str, Value],
        *,
        now: int,
        lease: Callable[[Record], Lease],
        limit: int,
    ) -> list[Record]:
        """Claims what the index says is due; those it is wrong about are lost to the version.

        按滞后的索引认领。
        """
        if limit < 1:
            return []
        due = page_of(self._indexed(table), table, index, equals, high=now, limit=limit)
        claimed = []
        for seen in due.records:
            taken = replace(lease(seen).taken(seen), version=seen.version)
            try:
                claimed.append(self.put(table, taken))
            except Conflict:
                continue
        return claimed

    def expire(self, table: Table, now: int, limit: int) -> int:
        """As the real store.

        删除已过保存期限的记录。
        """
        return self._inner.expire(table, now, limit)

    def check(self) -> None:
        """As the real store.

        检查是否可用。
        """
        self._inner.check()

    def close(self) -> None:
        """As the real store.

        关闭连接。
        """
        self._inner.close()

    def _indexed(self, table: Table) -> list[Record]:
        with self._lock:
            latest: dict[str, Record] = {}
            for name, record in self._writes[: self._through]:
                known = latest.get(record.key)
                # Threads report in any order; the version tells which write was the later.
                if name == table.name and (known is None or known.version < record.version):
                    latest[record.key] = record
            self._through = min(self._through + 1, len(self._writes))
            return list(latest.values())
