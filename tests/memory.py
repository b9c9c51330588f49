"""A store and a bucket in memory that keep to their protocols, for tests that need many of them.

内存中的任务表与对象存储，供大量快速测试使用。
"""

from __future__ import annotations

import io
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from shared.buckets.base import ObjectInfo, ObjectMissing, Reader
from shared.store.base import (
    Conflict,
    Lease,
    Page,
    Record,
    Table,
    Value,
    check_expiry,
    check_writes,
)
from tests.contract.stale import page_of


class MemoryStore:
    """`Store` in memory. Documents are kept as text, so that nobody shares a value with it.

    `calls` counts the calls of each method.

    内存任务表。
    """

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, Record]] = defaultdict(dict)
        self._texts: dict[tuple[str, str], str] = {}
        self._lock = threading.RLock()
        self.calls: Counter[str] = Counter()

    def get(self, table: Table, key: str) -> Record | None:
        with self._lock:
            self.calls["get"] += 1
            record = self._tables[table.name].get(key)
            return None if record is None else self._whole(table, record)

    def put(self, table: Table, record: Record) -> Record:
        with self._lock:
            self.calls["put"] += 1
            return self._write([(table, record)])[0]

    def transact(self, writes: Sequence[tuple[Table, Record]]) -> list[Record]:
        with self._lock:
            self.calls["transact"] += 1
            return self._write(writes)

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
        with self._lock:
            self.calls["query"] += 1
            page = page_of(
                self._tables[table.name].values(),
                table,
                index,
                equals,
                low=low,
                high=high,
                limit=limit,
                descending=descending,
                cursor=cursor,
            )
            return Page(tuple(self._whole(table, one) for one in page.records), page.cursor)

    def first(self, table: Table, index: str, equals: Mapping[str, Value]) -> Value | None:
        with self._lock:
            self.calls["first"] += 1
            page = page_of(self._tables[table.name].values(), table, index, equals, limit=1)
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
        with self._lock:
            self.calls["claim"] += 1
            known = self._tables[table.name]
            page = page_of(known.values(), table, index, equals, high=now, limit=limit)
            claimed = []
            for record in page.records:
                new = lease(self._whole(table, record)).taken(record)
                known[record.key] = new
                claimed.append(self._whole(table, new))
            return claimed

    def expire(self, table: Table, now: int, limit: int) -> int:
        with self._lock:
            self.calls["expire"] += 1
            check_expiry(table)
            known = self._tables[table.name]
            over = [key for key, one in known.items() if one.due_at is not None]
            over = [key for key in over if (known[key].due_at or 0) <= now][:limit]
            for key in over:
                del known[key]
            return len(over)

    def check(self) -> None:
        """It always answers."""

    def close(self) -> None:
        """Nothing is held open."""

    def all(self, table: Table) -> list[Record]:
        """Every record of a table, for invariants.

        某类的全部记录。
        """
        with self._lock:
            return [self._whole(table, record) for record in self._tables[table.name].values()]

    def _write(self, writes: Sequence[tuple[Table, Record]]) -> list[Record]:
        check_writes(writes)
        for table, record in writes:
            known = self._tables[table.name].get(record.key)
            if (known.version if known else 0) != record.version:
                raise Conflict(table.name, record.key)
        for table, record in writes:
            self._texts[table.name, record.key] = json.dumps(record.document)
            bare = replace(record, document={}, version=record.version + 1)
            self._tables[table.name][record.key] = bare
        return [record.written() for _, record in writes]

    def _whole(self, table: Table, record: Record) -> Record:
        return replace(record, document=json.loads(self._texts[table.name, record.key]))


class MemoryBucket:
    """`Bucket` in memory.

    内存对象存储。
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}

    def put_stream(self, key: str, chunks: Iterable[bytes], *, media_type: str) -> ObjectInfo:
        self.objects[key] = (b"".join(chunks), media_type)
        return self._info(key)

    @contextmanager
    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[Reader]:
        if key not in self.objects:
            raise ObjectMissing(key)
        data = self.objects[key][0]
        yield io.BytesIO(data[start : None if length is None else start + length])

    def head(self, key: str) -> ObjectInfo | None:
        return self._info(key) if key in self.objects else None

    def copy(self, source: str, target: str) -> ObjectInfo:
        if source not in self.objects:
            raise ObjectMissing(source)
        self.objects[target] = self.objects[source]
        return self._info(target)

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def keys(self, prefix: str, *, after: str | None = None, limit: int = 1000) -> tuple[str, ...]:
        found = sorted(key for key in list(self.objects) if key.startswith(prefix))
        return tuple([key for key in found if after is None or key > after][:limit])

    def clear_uploads(self, before: int, *, limit: int = 1000) -> int:
        return 0

    def presign_get(self, key: str, *, seconds: int, filename: str | None = None) -> str:
        return f"memory:{key}"

    def presign_put(self, key: str, *, seconds: int, media_type: str) -> str:
        return f"memory:{key}"

    def check(self) -> None:
        """It always answers."""

    def close(self) -> None:
        """Nothing is held open."""

    def _info(self, key: str) -> ObjectInfo:
        data, media_type = self.objects[key]
        return ObjectInfo(key, len(data), media_type)
