"""The store over SQL: one SQL table per kind of record, a real index per declared index.

What is said to the database is in `statements`, how in `session`, what a commit is in `commits`;
the database itself is in `engine`.

用 SQL 数据库实现的任务表。
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.pool import Pool

from shared.store.base import (
    Conflict,
    Index,
    JsonText,
    Lease,
    Page,
    Record,
    StoreUnavailable,
    Table,
    Value,
    check_expiry,
    check_query,
    check_writes,
)
from shared.store.cursors import cursor_after, read_cursor
from shared.store.sql import engine as database
from shared.store.sql.commits import Commits, GroupCommit, OwnTransactions, Work
from shared.store.sql.session import Kept, Row, Session, answering, lent
from shared.store.sql.statements import Range, Statement, Statements, lowest
from shared.store.tables import JOBS

_DUE = Range(low=True, high=True)
_LARGEST_CLAIM = 128  # rows written by one statement, where each statement is a round trip

T = TypeVar("T")

# A forked child must neither use nor close its parent's connections: SQLite's locks and a MySQL
# session belong to the parent. The child keeps the old pools unused, so that nothing closes them.
_OPEN: weakref.WeakSet[SqlStore] = weakref.WeakSet()
_INHERITED: list[Pool | Kept] = []


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
        self._engine = database.connect(url)
        self._statements = Statements(self._engine.dialect)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        self._writes_rows_at_once = not self._is_sqlite  # SQLite has no round trips to save
        self._commits = self._new_commits()
        self._writer = Kept(self._engine)
        _OPEN.add(self)

    def get(self, table: Table, key: str) -> Record | None:
        """The record as last written (never stale), or None.

        读取一条最新的记录。
        """
        rows = self._read(self._statements.get(table), {"id": key})
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
        texts = check_writes(writes)
        if not writes:
            return []
        rows = [
            (table, record, _row(table, record, text))
            for (table, record), text in zip(writes, texts, strict=True)
        ]

        def work(session: Session) -> list[Record]:
            for table, record, row in rows:
                if not self._write(session, table, row):
                    raise Conflict(table.name, record.key)
            return [record.written() for _, record, _ in rows]

        return self._commit(work)

    def put_each(self, writes: Sequence[tuple[Table, Record]]) -> list[Record | None]:
        """Several puts, each by itself, in one commit; None for one that lost.

        一次提交中逐条写入。
        """
        rows = [
            (table, record, _row(table, record, check_writes([(table, record)])[0]))
            for table, record in writes
        ]

        def work(session: Session) -> list[Record | None]:
            return [
                record.written() if self._write(session, table, row) else None
                for table, record, row in rows
            ]

        return self._commit(work) if rows else []

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
        bounds = _bounds(table, declared, low, high, after, descending)
        shape = Range("low" in bounds, "high" in bounds, after is not None, descending)
        asked = {**equals, **bounds, "limit": limit + 1}
        rows = self._read(self._statements.select(table, declared, shape), asked)
        records = tuple(_record(table, row) for row in rows[:limit])
        more = len(rows) > limit
        return Page(records, cursor_after(declared, records[-1]) if more else None)

    def first(self, table: Table, index: str, equals: Mapping[str, Value]) -> Value | None:
        """The lowest sort value of an index, None if nothing is found.

        索引中最小的排序值。
        """
        declared = check_query(table, index, equals)
        bounds = _bounds(table, declared, None, None, None, False)
        statement = self._statements.first(table, declared, Range(low="low" in bounds))
        rows = self._read(statement, {**equals, **bounds})
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

        `lease` is called while the transaction is open, maybe in the thread of another claim or
        save: it must be quick and touch no store.

        认领到期的记录。
        """
        if limit < 1:
            return []
        declared = check_query(table, index, equals)
        asked = {**equals, "low": lowest(table, declared), "high": now, "limit": limit}
        # Mostly nothing is due, and asking must not take SQLite's write lock from those who write;
        # elsewhere reading locks what it finds, and it would be a round trip for nothing.
        if self._is_sqlite and not self._read(self._statements.first(table, declared, _DUE), asked):
            return []
        due = self._statements.select(table, declared, _DUE, lock=True)

        def work(session: Session) -> list[Record]:
            # Others that write wait from here on: SQLite's for its lock, MySQL's for these rows.
            seen = [_record(table, row) for row in session.rows(due, asked)]
            leased = [one.taken(record) for record in seen if (one := lease(record))]
            if leased:
                self._take(session, table, leased)
            return leased

        return self._commit(work)

    def expire(self, table: Table, now: int, limit: int) -> int:
        """Remove records whose time is over, at most `limit`; how many.

        删除已过保存期限的记录。
        """
        check_expiry(table)
        over = {"now": now, "limit": limit}
        if not self._read(self._statements.expired(table), over):
            return 0
        statement = self._statements.expire(table)
        return self._commit(lambda session: session.change(statement, over))

    def check(self) -> None:
        """Raise `StoreUnavailable` unless the database answers, takes writes and is migrated.

        检查是否可用。
        """
        with answering(self._engine), self._engine.connect() as connection:
            if wrong := database.schema_fault(database.schema_version(connection)):
                raise StoreUnavailable(wrong)
            database.note_clock(connection)
        touch = self._statements.touch(JOBS)
        self._commit(lambda session: session.change(touch, {}))

    def close(self) -> None:
        """Let go of connections; calling it twice is harmless.

        关闭连接。
        """
        self._writer.close()
        self._engine.dispose()

    def _read(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        with answering(self._engine), lent(self._engine) as session:
            return session.rows(statement, values)

    def _commit(self, work: Work[T]) -> T:
        with answering(self._engine):
            return self._commits.run(work)

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with self._writer.lent() if self._is_sqlite else lent(self._engine) as session:
            if self._is_sqlite:
                # A transaction that reads first and asks for the write lock later fails with
                # "database is locked" when somebody else wrote in between, however long it waits.
                session.say("BEGIN IMMEDIATE")
            yield session
            session.commit()

    def _write(self, session: Session, table: Table, row: Mapping[str, Any]) -> bool:
        """Writes what `row` holds if the stored version is the one seen (0: there is no row)."""
        if row["seen"] == 0:
            try:
                session.change(self._statements.insert(table), row)
            except self._engine.dialect.loaded_dbapi.IntegrityError:
                return False
            return True
        return session.change(self._statements.update(table), row) == 1

    def _take(self, session: Session, table: Table, leased: list[Record]) -> None:
        """Writes the leases in one round; all rows stand at the version seen, or none is written.

        一次写入全部租约。
        """
        rows = [_lease_row(record) for record in leased]
        if not self._writes_rows_at_once:
            met = session.change_each(self._statements.take(table), rows)
        else:
            met = sum(self._take_at_once(session, table, part) for part in _parts(rows))
        if met != len(rows):
            raise StoreUnavailable("rows changed although they were locked")

    def _take_at_once(self, session: Session, table: Table, rows: list[dict[str, Any]]) -> int:
        # What all have in common is said once: these statements grow with the square of the rest.
        varied = frozenset(name for name in rows[0] if any(r[name] != rows[0][name] for r in rows))
        values = rows[0] | {
            f"{name}_{n}": row[name] for n, row in enumerate(rows) for name in (*varied, "new_id")
        }
        return session.change(self._statements.take_all(table, len(rows), varied), values)

    def _new_commits(self) -> Commits:
        if not self._is_sqlite:
            return OwnTransactions(self._transaction, database.is_deadlock)
        driver = self._engine.dialect.loaded_dbapi
        return GroupCommit(
            self._transaction,
            lambda error: isinstance(error, driver.Error),
            database.BUSY_SECONDS,
        )

    def _start_afresh(self) -> None:
        _INHERITED.extend((self._engine.pool, self._writer))
        self._engine.dispose(close=False)
        self._writer = Kept(self._engine)
        self._commits = self._new_commits()


def _bounds(
    table: Table,
    index: Index,
    low: Value | None,
    high: Value | None,
    after: tuple[Value, str] | None,
    descending: bool,
) -> dict[str, Any]:
    """The bounds of a query as a statement's parameters.

    查询边界对应的参数。
    """
    bounds: dict[str, Any] = {"low": low, "high": high}
    if low is None and index.sort != "key":
        # A bound though none was asked for: it keeps out the rows without a sort value.
        bounds["low"] = lowest(table, index)
    if after is not None:
        value, last = after
        bounds |= {"last_value": value, "last_key": last}
        if descending:
            bounds["high"] = value if high is None else min(high, value)
        else:
            least = bounds["low"]
            bounds["low"] = value if least is None else max(least, value)
    return {name: bound for name, bound in bounds.items() if bound is not None}


# Records and rows


def _record(table: Table, row: Row) -> Record:
    fields = dict(zip(table.fields, row[4:-1]))  # noqa: B905 - `strict` costs as much again
    return Record(row[0], JsonText(row[-1]), fields, row[2], row[3], row[1])


def _row(table: Table, record: Record, text: str) -> dict[str, Any]:
    """What a write of this record says: its row's new values, and the version seen.

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


def _lease_row(record: Record) -> dict[str, Any]:
    """What a claim says of a record that it takes.

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


def _parts(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The rows in parts of a power of two each, the last of them filled up by one of its own again:
    so few statements need to be known."""
    for start in range(0, len(rows), _LARGEST_CLAIM):
        part = rows[start : start + _LARGEST_CLAIM]
        yield part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
