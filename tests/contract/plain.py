"""`Store` read plainly: what its methods must answer, over whatever holds the records.

按定义实现的任务表接口，供测试用的各种任务表继承。
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.store.base import (
    Conflict,
    Lease,
    Page,
    Record,
    Table,
    Value,
    check_query,
    check_writes,
)


class PlainStore:
    """All of `Store` over `get`, `transact` and `indexed`, the records that the indexes show (they
    may lack their documents, which `whole` then adds).

    任务表接口的朴素实现。
    """

    def get(self, table: Table, key: str) -> Record | None:
        """The record as last written, or None.

        读取一条最新的记录。
        """
        raise NotImplementedError

    def transact(self, writes: Sequence[tuple[Table, Record]]) -> list[Record]:
        """Several puts, all or none.

        一次写入多条。
        """
        raise NotImplementedError

    def indexed(self, table: Table) -> Iterable[Record]:
        """The records of a table as its indexes have them.

        索引中可见的记录。
        """
        raise NotImplementedError

    def whole(self, table: Table, record: Record) -> Record:
        """One of the indexed records with its document.

        带有文档的记录。
        """
        return record

    def put(self, table: Table, record: Record) -> Record:
        """One conditional write.

        条件写入一条记录。
        """
        return self.transact([(table, record)])[0]

    def put_each(self, writes: Sequence[tuple[Table, Record]]) -> list[Record | None]:
        """Several conditional writes, each by itself.

        逐条条件写入。
        """
        for write in writes:
            check_writes([write])
        written: list[Record | None] = []
        for table, record in writes:
            try:
                written.append(self.put(table, record))
            except Conflict:
                written.append(None)
        return written

    def query(self, table: Table, index: str, equals: Mapping[str, Value], **options: Any) -> Page:
        """What the index says.

        按索引查询。
        """
        page = page_of(self.indexed(table), table, index, equals, **options)
        return Page(tuple(self.whole(table, record) for record in page.records), page.cursor)

    def first(self, table: Table, index: str, equals: Mapping[str, Value]) -> Value | None:
        """The lowest sort value that the index has.

        索引中最小的排序值。
        """
        records = page_of(self.indexed(table), table, index, equals, limit=1).records
        return sort_of(records[0], table.index(index).sort) if records else None

    def claim(
        self,
        table: Table,
        index: str,
        equals: Mapping[str, Value],
        *,
        now: int,
        lease: Callable[[Record], Lease | None],
        limit: int,
    ) -> list[Record]:
        """Claims what the index says is due; those it is wrong about are lost to the version.

        认领到期的记录。
        """
        if limit < 1:
            return []
        claimed = []
        due = page_of(self.indexed(table), table, index, equals, high=now, limit=limit)
        for seen in (self.whole(table, record) for record in due.records):
            given = lease(seen)
            if given is None:
                continue
            taken = replace(given.taken(seen), version=seen.version)
            try:
                claimed += self.transact([(table, taken)])
            except Conflict:
                continue
        return claimed

    def check(self) -> None:
        """It always answers.

        总是可用。
        """

    def close(self) -> None:
        """Nothing is held open.

        没有需要关闭的连接。
        """


def sort_of(record: Record, sort: str) -> Value | None:
    """The value by which an index sorts a record.

    记录的排序值。
    """
    return {"key": record.key, "due_at": record.due_at, **record.fields}.get(sort)


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

    found = []
    for record in records:
        sort = sort_of(record, declared.sort)
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
