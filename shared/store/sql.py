"""The store over SQL: SQLite on one machine, MySQL or TDSQL by another URL.

One SQL table per kind of record, a real index per declared index, the document as JSON text.
Every statement is plain SQL that both understand; what differs between them is in `connect`.

用 SQL 数据库实现的任务表。
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from shared.store.base import (
    Conflict,
    Index,
    Lease,
    Page,
    Record,
    StoreUnavailable,
    Table,
    Value,
)
from shared.store.tables import JOBS, TABLES

SCHEMA_VERSION = "0001"
"""The migration that this code needs the database to stand at."""

_TEXT = 64  # characters of a key or a text field; MySQL must know, and an index entry stays small
_DOCUMENT = 2**22 - 1  # characters; the longest text that MySQL keeps as MEDIUMTEXT in utf8mb4
_FLOOR: Mapping[type, Value] = {int: -(2**63), str: ""}  # below every value, above NULL
_BUSY_SECONDS = 15.0  # how long one SQLite process waits for another one's write
_DEADLOCK = 1213  # MySQL's error number
_DEADLOCKS = 3  # how many to sit out
_MYSQL_IDLE_SECONDS = 280  # below the 300 s after which proxies drop an idle connection

T = TypeVar("T")


# The schema


def _declare(metadata: sa.MetaData, table: Table) -> sa.Table:
    fields = [
        sa.Column(name, sa.String(_TEXT) if kind is str else sa.BigInteger)
        for name, kind in table.fields.items()
    ]
    declared = sa.Table(
        table.name,
        metadata,
        sa.Column("id", sa.String(_TEXT), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("claims", sa.BigInteger, nullable=False),
        *fields,
        sa.Column("document", sa.Text(_DOCUMENT), nullable=False),
        # Keys compare byte by byte on SQLite; so they must on MySQL.
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    for index in table.indexes:
        names = dict.fromkeys((*index.equals, _sort_column(index), "id"))
        sa.Index(f"{table.name}_{index.name}", *(declared.c[name] for name in names))
    return declared


def _sort_column(index: Index) -> str:
    return "id" if index.sort == "key" else index.sort


METADATA = sa.MetaData()
_TABLES = {table.name: _declare(METADATA, table) for table in TABLES}
_ALEMBIC = sa.table("alembic_version", sa.column("version_num", sa.String))


def schema_version(connection: sa.Connection) -> str | None:
    """The migration the database stands at; None if it was never migrated.

    读取数据库当前的结构版本。
    """
    if not sa.inspect(connection).has_table(_ALEMBIC.name):
        return None
    found: str | None = connection.execute(sa.select(_ALEMBIC.c.version_num)).scalar()
    return found


# Connections


def connect(url: str) -> sa.Engine:
    """An engine for the URL, set up so that no commit is lost; connects on first use.

    建立数据库引擎。
    """
    if sa.make_url(url).get_backend_name() != "sqlite":
        return sa.create_engine(
            url,
            hide_parameters=True,
            isolation_level="READ COMMITTED",  # a claim must see what others committed meanwhile
            pool_pre_ping=True,
            pool_recycle=_MYSQL_IDLE_SECONDS,
            max_overflow=-1,
        )
    engine = sa.create_engine(
        url, hide_parameters=True, max_overflow=-1, connect_args={"timeout": _BUSY_SECONDS}
    )
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def writing(engine: sa.Engine) -> sa.Engine:
    """The same engine, its transactions taking SQLite's write lock at once.

    A transaction that reads first and asks for the lock later fails with "database is locked"
    when somebody else wrote in between, however long it would wait.

    返回用于写入的引擎。
    """
    return engine.execution_options(maquette_writes=True)


def _set_up_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # no BEGIN of the driver's own; see `writing`
    _write_ahead(connection)
    # With NORMAL a power cut takes the last commits along. FULL syncs once per commit, and a
    # claim of a hundred jobs is one commit.
    connection.execute("PRAGMA synchronous=FULL")


def _write_ahead(connection: Any) -> None:
    """Readers and a writer do not wait for each other; a property the file keeps."""
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except connection.OperationalError as error:
            # Where two processes change a new file's mode at once, SQLite refuses one of them
            # without waiting.
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("maquette_writes"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _answering() -> Iterator[None]:
    """Turns the driver's "not now" (locked, gone, full) into `StoreUnavailable`."""
    try:
        yield
    except exc.DataError:  # a value no column holds: a mistake of ours
        raise
    except (exc.DatabaseError, exc.InterfaceError) as error:
        raise StoreUnavailable(f"the store does not answer: {error.orig}") from error
    except exc.TimeoutError as error:
        raise StoreUnavailable("the store does not answer: no connection is free") from error


# A forked child must neither use nor close its parent's connections: SQLite's locks and a MySQL
# session belong to the parent. The child keeps the old pools unused, so that nothing closes them.
_OPEN: weakref.WeakSet[SqlStore] = weakref.WeakSet()
_INHERITED: list[Pool] = []


def _after_fork_in_child() -> None:
    for store in list(_OPEN):
        store._start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


# The store


class SqlStore:
    """`Store` over an SQL database that `infra.migrations` has brought to `SCHEMA_VERSION`.

    Keys and text fields are at most 64 characters, and numbers whole; others raise `ValueError`.
    Threads may share it, and a process may fork while it is open.

    SQL 任务表。
    """

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        self._writer = writing(self._engine)
        # SQLite's waiting is polling, and unfair; among threads a lock hands over at once.
        self._lone_writer = self._engine.dialect.name == "sqlite"
        self._turn = self._new_turn()
        _OPEN.add(self)

    def get(self, table: Table, key: str) -> Record | None:
        """The record as last written (never stale), or None.

        读取一条最新的记录。
        """
        columns = _TABLES[table.name].c
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
        if len(writes) > 25:
            raise ValueError(f"a transaction has at most 25 writes, not {len(writes)}")
        if len({(table.name, record.key) for table, record in writes}) < len(writes):
            raise ValueError("a transaction writes each record once")
        rows = [(table, record, _row(table, record)) for table, record in writes]

        def work(connection: sa.Connection) -> list[Record]:
            for table, record, row in rows:
                if not _write(connection, _TABLES[table.name], row, record.version):
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
        if limit < 1:
            raise ValueError("limit must be at least 1")
        declared = table.index(index)
        after = None if cursor is None else _read_cursor(cursor, _sort_type(table, declared))
        statement = _select(table, declared, equals, low, high, descending, after)
        rows = self._read(statement.limit(limit + 1))
        records = tuple(_record(table, row) for row in rows[:limit])
        more = len(rows) > limit
        return Page(records, _cursor(declared, records[-1]) if more else None)

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
        """Take due records for this worker, each by one conditional write on the version seen.

        `lease` is called while the transaction is open: it must be quick and touch no store.

        认领到期的记录。
        """
        if limit < 1:
            return []
        statement = _select(table, table.index(index), equals, None, now, False, None).limit(limit)

        def work(take: _Take, connection: sa.Connection) -> list[Record]:
            seen = [_record(table, row) for row in connection.execute(statement)]
            leased = [_leased(record, lease(record)) for record in seen]
            return take(connection, _TABLES[table.name], leased) if leased else []

        try:
            return self._commit(partial(work, _take_together))
        except _Overtaken:
            return self._commit(partial(work, _take_singly))

    def check(self) -> None:
        """Raise `StoreUnavailable` unless the database answers, takes writes and is migrated.

        检查是否可用。
        """
        jobs = _TABLES[JOBS.name]
        # Touches no row, and yet a read-only database refuses it.
        touch = sa.update(jobs).where(jobs.c.id == "").values(claims=jobs.c.claims)
        with _answering(), self._turn, self._writer.begin() as connection:
            found = schema_version(connection)
            if found != SCHEMA_VERSION:
                raise StoreUnavailable(
                    f"the database is at schema {found or 'none'}, this code needs "
                    f"{SCHEMA_VERSION}: run `python -m infra.migrations.migrate <database URL>`"
                )
            connection.execute(touch)

    def close(self) -> None:
        """Let go of connections; calling it twice is harmless.

        关闭连接。
        """
        self._engine.dispose()

    def _read(self, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with _answering(), self._engine.connect() as connection:
            return connection.execute(statement).all()

    def _commit(self, work: Callable[[sa.Connection], T]) -> T:
        """Runs `work` in one transaction; anew if MySQL undid it to break a deadlock."""
        with _answering():
            for _ in range(_DEADLOCKS):
                try:
                    return self._commit_once(work)
                except exc.OperationalError as error:
                    if not _is_deadlock(error):
                        raise
            return self._commit_once(work)

    def _commit_once(self, work: Callable[[sa.Connection], T]) -> T:
        with self._turn, self._writer.begin() as connection:
            return work(connection)

    def _new_turn(self) -> AbstractContextManager[Any]:
        return threading.Lock() if self._lone_writer else nullcontext()

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
    """Rows of an index, in its order, so written that both databases answer from the index."""
    if set(equals) != set(index.equals):
        raise ValueError(f"index {index.name} wants {index.equals}, not {tuple(equals)}")
    columns = _TABLES[table.name].c
    key, sort = columns.id, columns[_sort_column(index)]
    lowest: Any = low
    highest: Any = high
    if low is None and sort is not key:
        # A bound though none was asked for: it keeps out the rows without a sort value.
        lowest = _FLOOR[_sort_type(table, index)]
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
    """Writes one row if its stored version is the one seen (0: there is none)."""
    if seen == 0:
        try:
            connection.execute(sa.insert(target), row)
        except exc.IntegrityError:
            return False
        return True
    mine = (target.c.id == row["id"]) & (target.c.version == seen)
    return connection.execute(sa.update(target).where(mine), row).rowcount == 1


class _Overtaken(Exception):
    """Not every row stood at the version seen when the update came."""


_Take = Callable[[sa.Connection, sa.Table, list[Record]], list[Record]]


def _take_together(
    connection: sa.Connection, target: sa.Table, leased: list[Record]
) -> list[Record]:
    """One round for all. A count says how many were taken, not which: all of them, or undo."""
    taken = connection.execute(_lease(target), [_lease_row(record) for record in leased])
    if taken.rowcount != len(leased):
        raise _Overtaken
    return leased


def _take_singly(connection: sa.Connection, target: sa.Table, leased: list[Record]) -> list[Record]:
    """One update a row, so that each says for itself whether it was taken."""
    statement = _lease(target)
    return [r for r in leased if connection.execute(statement, _lease_row(r)).rowcount == 1]


def _lease(target: sa.Table) -> sa.Update:
    mine = (target.c.id == sa.bindparam("seen_id")) & (
        target.c.version == sa.bindparam("seen_version")
    )
    changed = ("version", "due_at", "claims")
    return sa.update(target).where(mine).values(**{c: sa.bindparam(f"new_{c}") for c in changed})


def _lease_row(record: Record) -> dict[str, Value | None]:
    return {
        "seen_id": record.key,
        "seen_version": record.version - 1,
        "new_version": record.version,
        "new_due_at": record.due_at,
        "new_claims": record.claims,
    }


def _is_deadlock(error: exc.OperationalError) -> bool:
    return error.orig is not None and error.orig.args[:1] == (_DEADLOCK,)


# Records and rows


def _leased(record: Record, lease: Lease) -> Record:
    claims = record.claims + 1 if lease.counted else record.claims
    return replace(record.written(), due_at=lease.due_at, claims=claims)


def _record(table: Table, row: sa.Row[Any]) -> Record:
    values = row._mapping
    return Record(
        key=values["id"],
        document=json.loads(values["document"]),
        fields={name: values[name] for name in table.fields},
        due_at=values["due_at"],
        claims=values["claims"],
        version=values["version"],
    )


def _row(table: Table, record: Record) -> dict[str, Any]:
    """The row that writes this record; `ValueError` for what a column would not hold."""
    if not 0 < len(record.key) <= _TEXT:
        raise ValueError(f"a key has 1 to {_TEXT} characters, not {len(record.key)}")
    for name, value in record.fields.items():
        if name not in table.fields:
            raise ValueError(f"table {table.name} has no field {name}")
        if value is not None and not isinstance(value, table.fields[name]):
            raise ValueError(f"{table.name}.{name} is {table.fields[name].__name__}: {value!r}")
        if isinstance(value, str) and len(value) > _TEXT:
            raise ValueError(f"{table.name}.{name} has at most {_TEXT} characters")
    return {
        "id": record.key,
        "version": record.version + 1,
        "due_at": record.due_at,
        "claims": record.claims,
        **{name: record.fields.get(name) for name in table.fields},
        # ASCII: NUL and every other character survive any column's character set.
        "document": json.dumps(dict(record.document), separators=(",", ":"), allow_nan=False),
    }


# Cursors


def _sort_type(table: Table, index: Index) -> type[str] | type[int]:
    return {"key": str, "due_at": int, **table.fields}[index.sort]


def _cursor(index: Index, last: Record) -> str:
    sort = {"key": last.key, "due_at": last.due_at, **last.fields}[index.sort]
    return base64.urlsafe_b64encode(json.dumps([sort, last.key]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, kind: type[str] | type[int]) -> tuple[Value, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        sort, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError) as error:
        raise ValueError("malformed cursor") from error
    if type(sort) is not kind or type(key) is not str:
        raise ValueError("malformed cursor")
    if isinstance(sort, int) and abs(sort) >= 2**63:
        raise ValueError("malformed cursor")
    return sort, key
