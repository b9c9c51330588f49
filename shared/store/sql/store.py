"""The store over SQL: one SQL table per kind of record, a real index per declared index.

Every statement the store sends is written here; the database itself is in `sql_engine`.

用 SQL 数据库实现的任务表。
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import Pool

from shared.store.base import (
    Conflict,
    Index,
    Lease,
    Page,
    Record,
    StoreUnavailable,
    Table,
    Value,
    check_expiry,
    check_query,
    check_writes,
    from_text,
)
from shared.store.cursors import cursor_after, read_cursor, sort_type
from shared.store.sql.engine import (
    SQL_TABLES,
    Turn,
    answering,
    connect,
    is_deadlock,
    note_clock,
    schema_fault,
    schema_version,
    sort_column,
    writing,
)
from shared.store.tables import JOBS

_FLOOR: Mapping[type, Value] = {int: -(2**63), str: ""}  # below every value, above NULL
_DEADLOCKS = 3  # how many to sit out

T = TypeVar("T")

# A forked child must neither use nor close its parent's connections: SQLite's locks and a MySQL
# session belong to the parent. The child keeps the old pools unused, so that nothing closes them.
_OPEN: weakref.WeakSet[SqlStore] = weakref.WeakSet()
_INHERITED: list[Pool] = []


def _after_fork_in_child() -> None:
    for store in list(_OPEN):
        store._start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class SqlStore:
    """`Store` over an SQL database that `infra.migrations` has brought to `SCHEMA_VERSION`.

    Threads may share it, and a process may fork while it is open.

    SQL 任务表。
    """

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        self._writer = writing(self._engine)
        self._lone_writer = self._engine.dialect.name == "sqlite"
        self._turn = self._new_turn()
        _OPEN.add(self)

    def get(self, table: Table, key: str) -> Record | None:
        """The record as last written (never stale), or None.

        读取一条最新的记录。
        """
        columns = SQL_TABLES[table.name].c
        rows = self._read(sa.select(*columns).where(columns.id == key))
        return _record(table, rows[0]) if rows else None

    def put(self, table: Table, record: Record) -> Record:
        """Write if the stored version is `record.version` (0: absent), else raise `Conflict`.

        条件写入一条记录。
        """
        return self.transact([(table, record)])[0]

    def transact(self, writes: Sequence[tuple[Table, Record]]) -> list[Record]:
        """Several puts, all or none; at most 25, each of another record, else `ValueError`.

        一次写入多条，要么全部成功，要么全部不写。
        """
        check_writes(writes)
        rows = [(table, record, _row(table, record.written())) for table, record in writes]

        def work(connection: sa.Connection) -> list[Record]:
            for table, record, row in rows:
                if not _write(connection, SQL_TABLES[table.name], row, record.version):
                    raise Conflict(table.name, record.key)
            return [record.written() for _, record, _ in rows]

        return self._commit(work)

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
        """Records of an index, in its order, sort values within [low, high].

        按索引查询。
        """
        declared = check_query(table, index, equals, limit)
        after = None if cursor is None else read_cursor(table, declared, cursor)
        statement = _select(table, declared, equals, low, high, descending, after)
        rows = self._read(statement.limit(limit + 1))
        records = tuple(_record(table, row) for row in rows[:limit])
        more = len(rows) > limit
        return Page(records, cursor_after(declared, records[-1]) if more else None)

    def first(self, table: Table, index: str, equals: Mapping[str, Value]) -> Value | None:
        """The lowest sort value of an index, None if nothing is found.

        索引中最小的排序值。
        """
        declared = check_query(table, index, equals)
        sort = SQL_TABLES[table.name].c[sort_column(declared)]
        statement = _select(table, declared, equals, None, None, False, None)
        rows = self._read(statement.with_only_columns(sort).limit(1))
        return rows[0][0] if rows else None

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
        """Take due records for this worker, each by one conditional write on the version seen.

        `lease` is called while the transaction is open: it must be quick and touch no store.

        认领到期的记录。
        """
        if limit < 1:
            return []
        due = _select(table, check_query(table, index, equals), equals, None, now, False, None)
        target = SQL_TABLES[table.name]
        # Mostly nothing is due, and asking must not take SQLite's write lock from those who write.
        if not self._read(due.with_only_columns(target.c.id).limit(1)):
            return []

        def work(connection: sa.Connection) -> list[Record]:
            # Others that write wait from here on: SQLite's for its lock, MySQL's for these rows.
            found = connection.execute(due.limit(limit).with_for_update()).all()
            seen = [_record(table, row) for row in found]
            leased = [one.taken(record) for record in seen if (one := lease(record))]
            if leased:
                _take(connection, table, leased)
            return leased

        return self._commit(work)

    def expire(self, table: Table, now: int, limit: int) -> int:
        """Remove records whose time is over, at most `limit`; how many.

        删除已过保存期限的记录。
        """
        check_expiry(table)
        target = SQL_TABLES[table.name]
        over = target.c.due_at <= now
        rows = self._read(sa.select(target.c.id).where(over).limit(limit))
        if not rows:
            return 0
        mine = target.c.id.in_([row.id for row in rows]) & over

        def work(connection: sa.Connection) -> int:
            return connection.execute(sa.delete(target).where(mine)).rowcount

        return self._commit(work)

    def check(self) -> None:
        """Raise `StoreUnavailable` unless the database answers, takes writes and is migrated.

        检查是否可用。
        """
        jobs = SQL_TABLES[JOBS.name]
        # Touches no row, and yet a read-only database refuses it.
        touch = sa.update(jobs).where(jobs.c.id == "").values(claims=jobs.c.claims)
        with answering(), self._turn, self._writer.begin() as connection:
            if wrong := schema_fault(schema_version(connection)):
                raise StoreUnavailable(wrong)
            connection.execute(touch)
            note_clock(connection)

    def close(self) -> None:
        """Let go of connections; calling it twice is harmless.

        关闭连接。
        """
        self._engine.dispose()

    def _read(self, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with answering(), self._engine.connect() as connection:
            return connection.execute(statement).all()

    def _commit(self, work: Callable[[sa.Connection], T]) -> T:
        """Runs `work` in one transaction; anew if MySQL undid it to break a deadlock."""
        with answering():
            for _ in range(_DEADLOCKS):
                try:
                    return self._commit_once(work)
                except exc.OperationalError as error:
                    if not is_deadlock(error):
                        raise
            return self._commit_once(work)

    def _commit_once(self, work: Callable[[sa.Connection], T]) -> T:
        with self._turn, self._writer.begin() as connection:
            return work(connection)

    def _new_turn(self) -> AbstractContextManager[Any]:
        return Turn() if self._lone_writer else nullcontext()

    def _start_afresh(self) -> None:
        _INHERITED.append(self._engine.pool)
        self._engine.dispose(close=False)
        self._turn = self._new_turn()


# The statements


def _select(
    table: Table,
    index: Index,
    equals: Mapping[str, Value],
    low: Value | None,
    high: Value | None,
    descending: bool,
    after: tuple[Value, str] | None,
) -> sa.Select[Any]:
    """Rows of an index, in its order, so written that both databases answer from the index.

    构造索引查询。
    """
    columns = SQL_TABLES[table.name].c
    key, sort = columns.id, columns[sort_column(index)]
    lowest: Any = low
    highest: Any = high
    if low is None and sort is not key:
        # A bound though none was asked for: it keeps out the rows without a sort value.
        lowest = _FLOOR[sort_type(table, index)]
    found = sa.select(*columns).where(*(columns[name] == equals[name] for name in index.equals))
    if after is not None:
        value, last = after
        if descending:
            highest = value if high is None else min(highest, value)
        else:
            lowest = value if lowest is None else max(lowest, value)
        found = found.where(sa.or_(sort != value, key < last if descending else key > last))
    if lowest is not None:
        found = found.where(sort >= lowest)
    if highest is not None:
        found = found.where(sort <= highest)
    order = (key,) if sort is key else (sort, key)
    return found.order_by(*(column.desc() if descending else column for column in order))


def _write(connection: sa.Connection, target: sa.Table, row: dict[str, Any], seen: int) -> bool:
    """Writes what `row` holds if the stored version is the one seen (0: there is no row yet)."""
    if seen == 0:
        try:
            connection.execute(sa.insert(target), row)
        except exc.IntegrityError:
            return False
        return True
    mine = (target.c.id == row["id"]) & (target.c.version == seen)
    return connection.execute(sa.update(target).where(mine), row).rowcount == 1


def _take(connection: sa.Connection, table: Table, leased: list[Record]) -> None:
    """Writes the leases in one round; all rows stand at the version seen, or none is written.

    一次写入全部租约。
    """
    target = SQL_TABLES[table.name]
    mine = (target.c.id == sa.bindparam("seen_id")) & (
        target.c.version == sa.bindparam("seen_version")
    )
    rows = [
        {
            "seen_id": record.key,
            "seen_version": record.version - 1,
            "version": record.version,
            "due_at": record.due_at,
            "claims": record.claims,
            **{name: record.fields.get(name) for name in ("queue", "lane") if name in table.fields},
        }
        for record in leased
    ]
    if connection.execute(sa.update(target).where(mine), rows).rowcount != len(rows):
        raise StoreUnavailable("rows changed although they were locked")


# Records and rows


def _record(table: Table, row: sa.Row[Any]) -> Record:
    values = row._mapping
    return Record(
        key=values["id"],
        document=from_text(values["document"]),
        fields={name: values[name] for name in table.fields},
        due_at=values["due_at"],
        claims=values["claims"],
        version=values["version"],
    )


def _row(table: Table, record: Record) -> dict[str, Any]:
    return {
        "id": record.key,
        "version": record.version,
        "due_at": record.due_at,
        "claims": record.claims,
        **{name: record.fields.get(name) for name in table.fields},
        # ASCII: NUL and every other character survive any column's character set.
        "document": json.dumps(dict(record.document), separators=(",", ":"), allow_nan=False),
    }
