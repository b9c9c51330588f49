"""A store whose index reads lag behind, as DynamoDB's and a replica's may.

`query`, `first` and `claim` see records as they were some writes ago, or not at all; `get` and
every conditional write are the real store's. Whoever works over this works over any store.

索引读取滞后的任务表，用来检验代码不依赖最新的索引。
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from shared.store.base import Record, Store, Table
from tests.contract.plain import PlainStore


class StaleStore(PlainStore):
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

    def indexed(self, table: Table) -> list[Record]:
        """What has reached the indexes by now.

        已进入索引的记录。
        """
        with self._lock:
            latest: dict[str, Record] = {}
            for name, record in self._writes[: self._through]:
                known = latest.get(record.key)
                # Threads report in any order; the version tells which write was the later.
                if name == table.name and (known is None or known.version < record.version):
                    latest[record.key] = record
            self._through = min(self._through + 1, len(self._writes))
            return list(latest.values())

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
