"""A store and a bucket in memory that keep to their protocols, for tests that need many of them.

内存中的任务表与对象存储，供大量快速测试使用。
"""

from __future__ import annotations

import io
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from shared.buckets.base import ObjectInfo, ObjectMissing, PresignedPut, Reader
from shared.buckets.names import put_headers
from shared.store.base import (
    Conflict,
    JsonText,
    Page,
    Record,
    Table,
    Value,
    check_expiry,
    check_writes,
    to_text,
)
from tests.contract.plain import PlainStore


class MemoryStore(PlainStore):
    """`Store` in memory. Documents are kept as text, so that nobody shares a value with it.

    `calls` counts the calls of each method.

    内存任务表。
    """

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, Record]] = defaultdict(dict)
        self._texts: dict[tuple[str, str], str] = {}
        self._lock = threading.RLock()
        self._inside = False
        self.calls: Counter[str] = Counter()

    def get(self, table: Table, key: str) -> Record | None:
        with self._called("get"):
            record = self._tables[table.name].get(key)
            return None if record is None else self.whole(table, record)

    def put(self, table: Table, record: Record) -> Record:
        with self._called("put"):
            return super().put(table, record)

    def transact(self, writes: Sequence[tuple[Table, Record]]) -> list[Record]:
        with self._called("transact"):
            check_writes(writes)
            for table, record in writes:
                known = self._tables[table.name].get(record.key)
                if (known.version if known else 0) != record.version:
                    raise Conflict(table.name, record.key)
            for table, record in writes:
                self._texts[table.name, record.key] = to_text(record.document)
                self._tables[table.name][record.key] = replace(record.written(), document={})
            return [record.written() for _, record in writes]

    def query(self, table: Table, index: str, equals: Mapping[str, Value], **options: Any) -> Page:
        with self._called("query"):
            return super().query(table, index, equals, **options)

    def first(self, table: Table, index: str, equals: Mapping[str, Value]) -> Value | None:
        with self._called("first"):
            return super().first(table, index, equals)

    def claim(self, table: Table, index: str, equals: Mapping[str, Value], **how: Any) -> Any:
        with self._called("claim"):
            return super().claim(table, index, equals, **how)

    def expire(self, table: Table, now: int, limit: int) -> int:
        with self._called("expire"):
            check_expiry(table)
            known = self._tables[table.name]
            over = [key for key, one in known.items() if one.due_at is not None]
            over = [key for key in over if (known[key].due_at or 0) <= now][:limit]
            for key in over:
                del known[key]
            return len(over)

    def indexed(self, table: Table) -> list[Record]:
        return [*self._tables[table.name].values()]

    def all(self, table: Table) -> list[Record]:
        """Every record of a table, for invariants.

        某类的全部记录。
        """
        with self._lock:
            return [self.whole(table, record) for record in self.indexed(table)]

    @contextmanager
    def _called(self, method: str) -> Iterator[None]:
        """One call at a time, counted; what it calls in turn is not."""
        with self._lock:
            outer, self._inside = self._inside, True
            self.calls[method] += not outer
            try:
                yield
            finally:
                self._inside = outer

    def whole(self, table: Table, record: Record) -> Record:
        return replace(record, document=JsonText(self._texts[table.name, record.key]))


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

    def presign_put(
        self, key: str, *, seconds: int, media_type: str, size: int, sha256: str | None = None
    ) -> PresignedPut:
        return PresignedPut(f"memory:{key}", put_headers(media_type, size, sha256))

    def check(self) -> None:
        """It always answers."""

    def close(self) -> None:
        """Nothing is held open."""

    def _info(self, key: str) -> ObjectInfo:
        data, media_type = self.objects[key]
        return ObjectInfo(key, len(data), media_type)
