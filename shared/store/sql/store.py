"""The store over SQL: one SQL table per kind of record, a real index per declared index.

What is said to the database is in `statements` and `many`, how in `session`, what a commit is in
`commits`, how due rows are taken in `claims`; the database itself is in `engine`.

用 SQL 数据库实现的任务表。
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.pool import Pool

from shared.store.base import (
    Conflict,
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
from shared.store.sql import mysql
from shared.store.sql.claims import Claim, take_what_stands
from shared.store.sql.commits import Commits, GroupCommit, OwnTransactions, Work
from shared.store.sql.engine import SQL_TABLES
from shared.store.sql.many import Many, write_at_once
from shared.store.sql.rows import Row, Written, lease_of, record_of, row_of
from shared.store.sql.session import Kept, Session, answering, lent
from shared.store.sql.statements import Range, Statement, Statements, bounds_of, lowest
from shared.store.tables import JOBS

_DUE = Range(low=True, high=True)

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
        self._many = Many(self._engine.dialect)
        self._writes_rows_at_once = not self._is_sqlite  # SQLite has no round trips to save
        self._skips_locked = not self._is_sqlite  # until the server says that it cannot
        self._commits = self._new_commits()
        self._writer = Kept(self._engine)
        _OPEN.add(self)

    def get(self, table: Table, key: str) -> Record | None:
        """The record as last written (never stale), or None.

        读取一条最新的记录。
        """
        rows = self._read(self._statements.get(table), {"id": key})
        return record_of(table, rows[0]) if rows else None

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
        rows = [
            (table, row_of(table, record, text))
            for (table, record), text in zip(writes, texts, strict=True)
        ]

        def judge(written: Iterable[bool]) -> None:
            for (table, record), is_written in zip(writes, written, strict=False):
                if not is_written:
                    raise Conflict(table.name, record.key)

        if self._writes_rows_at_once and len(rows) > 1:
            write_at_once(self._commit, self._many, rows, judge)
        elif rows:
            # One after the other: `judge` stops at the first that lost.
            each = self._one_by_one(rows)
            self._commit(lambda session: judge(each(session)), one=len(rows) == 1)
        return [record.written() for _, record in writes]

    def put_each(self, writes: Sequence[tuple[Table, Record]]) -> list[Record | None]:
        """Several puts, each by itself, in one commit; None for one that lost.

        一次提交中逐条写入。
        """
        rows = [
            (table, row_of(table, record, check_writes([(table, record)])[0]))
            for table, record in writes
        ]
        differ = len({(table.name, row["new_id"]) for table, row in rows}) == len(rows)
        if self._writes_rows_at_once and differ and len(rows) > 1:
            written = write_at_once(self._commit, self._many, rows, lambda _: None)
        elif rows:
            each = self._one_by_one(rows)
            written = self._commit(lambda session: list(each(session)), one=len(rows) == 1)
        else:
            written = []
        return [
            record.written() if is_written else None
            for (_, record), is_written in zip(writes, written, strict=True)
        ]

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
        bounds = bounds_of(table, declared, low, high, after, descending)
        shape = Range("low" in bounds, "high" in bounds, after is not None, descending)
        asked = {**equals, **bounds, "limit": limit + 1}
        rows = self._read(self._statements.select(table, declared, shape), asked)
        records = tuple(record_of(table, row) for row in rows[:limit])
        more = len(rows) > limit
        return Page(records, cursor_after(declared, records[-1]) if more else None)

    def first(self, table: Table, index: str, equals: Mapping[str, Value]) -> Value | None:
        """The lowest sort value of an index, None if nothing is found.

        索引中最小的排序值。
        """
        declared = check_query(table, index, equals)
        bounds = bounds_of(table, declared, None, None, None, False)
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
        claim = Claim(table, asked, lease)
        due = self._statements.select(table, declared, _DUE)
        if self._is_sqlite:
            # Mostly nothing is due, and asking must not take the write lock from those who write.
            first = self._statements.first(table, declared, _DUE)
            return self._claim_in_a_transaction(claim, due) if self._read(first, asked) else []
        if self._skips_locked:
            try:
                skipping = self._statements.select(table, declared, _DUE, lock=True)
                return self._claim_in_a_transaction(claim, skipping)
            except StoreUnavailable as error:
                if not mysql.cannot_skip(error.__cause__):
                    raise
                self._skips_locked = False
        with answering(self._engine), lent(self._engine) as session:
            leased = claim.leased(session.rows(due, asked))
            return take_what_stands(session, self._many, table, leased)

    def _claim_in_a_transaction(self, claim: Claim, due: Statement) -> list[Record]:
        """Claim what a statement finds and locks, until the transaction's end.

        在事务中认领。
        """

        def work(session: Session) -> list[Record]:
            # Others that write wait from here on: SQLite's for its lock, MySQL's for these rows.
            leased = claim.leased(session.rows(due, claim.asked))
            if leased and not self._take(session, claim.table, leased):
                raise StoreUnavailable("rows changed although they were locked")
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
        return self._commit(lambda session: session.change(statement, over), one=True)

    def check(self) -> None:
        """Raise `StoreUnavailable` unless the database answers, takes writes and is migrated.

        检查是否可用。
        """
        with answering(self._engine), self._engine.connect() as connection:
            wrong = database.schema_fault(database.schema_version(connection))
            if wrong := wrong or database.server_fault(connection):
                raise StoreUnavailable(wrong)
            database.note_clock(connection)
        touch = self._statements.touch(JOBS)
        self._commit(lambda session: session.change(touch, {}), one=True)

    def close(self) -> None:
        """Let go of connections; calling it twice is harmless.

        关闭连接。
        """
        self._writer.close()
        self._engine.dispose()

    def _read(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        with answering(self._engine), lent(self._engine) as session:
            return session.rows(statement, values)

    def _commit(self, work: Work[T], *, one: bool = False) -> T:
        with answering(self._engine):
            return self._commits.run(work, one=one)

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        """A transaction, undone by whatever is raised inside.

        一个事务。
        """
        if self._is_sqlite:
            with self._writer.lent() as session:
                # A transaction that reads first and asks for the write lock later fails with
                # "database is locked" when somebody else wrote in between, however long it waits.
                session.say("BEGIN IMMEDIATE")
                yield session
                session.commit()
            return
        with lent(self._engine) as session:
            session.say("BEGIN")
            try:
                yield session
            except self._engine.dialect.loaded_dbapi.Error:
                raise  # the connection is given up, and its transaction with it
            except BaseException:
                session.rollback()
                raise
            session.commit()

    def _one_by_one(self, rows: Sequence[tuple[Table, Written]]) -> Work[Iterator[bool]]:
        return lambda session: (self._write(session, table, row) for table, row in rows)

    def _write(self, session: Session, table: Table, row: Written) -> bool:
        """Writes what `row` holds if the stored version is the one seen (0: there is no row)."""
        if row["seen"] == 0:
            try:
                session.change(self._statements.insert(table), row)
            except self._engine.dialect.loaded_dbapi.IntegrityError:
                return False
            return True
        return session.change(self._statements.update(table), row) == 1

    def _take(self, session: Session, table: Table, leased: Sequence[Record]) -> bool:
        """Writes the leases in one round; False if a row is no longer at the version seen.

        一次写入全部租约。
        """
        rows = [lease_of(record) for record in leased]
        if self._writes_rows_at_once:
            return self._many.take(session, SQL_TABLES[table.name], rows)
        return session.change_each(self._statements.take(table), rows) == len(rows)

    def _new_commits(self) -> Commits:
        if not self._is_sqlite:
            single = partial(lent, self._engine)
            return OwnTransactions(self._transaction, single, mysql.is_deadlock)
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
