"""The SQL database below the store: its tables, its engines, what each kind of database needs.

SQLite on one machine, MySQL or TDSQL by another URL. Statements are plain SQL that both
understand; what differs between them is in `connect`.

SQL 数据库的表结构和连接设置。
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.pool import ConnectionPoolEntry

from shared import skew
from shared.store.base import TEXT_LENGTH, Index, Table
from shared.store.sql import mysql
from shared.store.tables import TABLES

SCHEMA_VERSION = "0004"
"""The migration that this code needs the database to stand at."""

# Characters; the longest text that MySQL keeps as MEDIUMTEXT in utf8mb4, and tells as that.
_DOCUMENT = sa.Text(2**22 - 1).with_variant(MEDIUMTEXT(), "mysql")
BUSY_SECONDS = 4.0
"""How long a write waits for another process's, and before that as long for this process's own:
whoever meets both hears of it in time to answer a caller."""
_MODE_SECONDS = 1.0  # how long the mode of a new SQLite file is asked for again
_POOL: Mapping[str, Any] = {"max_overflow": -1, "pool_size": 16, "pool_use_lifo": True}
"""The one used last first: SQLite's keeps the pages it has read, as long as nobody writes."""


def _declare(metadata: sa.MetaData, table: Table) -> sa.Table:
    """A kind of record as an SQL table: a column for each field, an index for each index.

    声明一张表。
    """
    fields = [
        sa.Column(name, sa.String(TEXT_LENGTH) if kind is str else sa.BigInteger)
        for name, kind in table.fields.items()
    ]
    declared = sa.Table(
        table.name,
        metadata,
        sa.Column("id", sa.String(TEXT_LENGTH), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("claims", sa.BigInteger, nullable=False),
        *fields,
        sa.Column("document", _DOCUMENT, nullable=False),
        # Keys compare byte by byte on SQLite; so they must on MySQL.
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    for index in table.indexes:
        names = dict.fromkeys((*index.equals, sort_column(index), "id"))
        sa.Index(f"{table.name}_{index.name}", *(declared.c[name] for name in names))
    if table.keep_seconds is not None:
        sa.Index(f"{table.name}_expiry", declared.c.due_at)
    return declared


def sort_column(index: Index) -> str:
    """The column that an index's results are ordered by.

    索引的排序列。
    """
    return "id" if index.sort == "key" else index.sort


def leased_columns(table: sa.Table) -> list[str]:
    """The columns that a lease may change.

    租约会改动的列。
    """
    return [n for n in ("version", "due_at", "claims", "queue", "lane") if n in table.c]


METADATA = sa.MetaData()
SQL_TABLES = {table.name: _declare(METADATA, table) for table in TABLES}
_ALEMBIC = sa.table("alembic_version", sa.column("version_num", sa.String))


def schema_version(connection: sa.Connection) -> str | None:
    """The migration the database stands at; None if it was never migrated.

    读取数据库当前的结构版本。
    """
    if not sa.inspect(connection).has_table(_ALEMBIC.name):
        return None
    found: str | None = connection.execute(sa.select(_ALEMBIC.c.version_num)).scalar()
    return found


def schema_fault(found: str | None) -> str | None:
    """What keeps this code from a database that stands at this migration, and what to do; None if
    nothing does.

    A newer one is nothing wrong: migrations only widen, and code of the version before goes on
    beside the new until traffic has moved.

    数据库结构不能使用时的说明。
    """
    if found is not None and found >= SCHEMA_VERSION:
        return None
    return (
        f"the database is at schema {found or 'none'}, this code needs {SCHEMA_VERSION}: run "
        "`python -m infra.migrations.migrate <database URL>`"
    )


def newer_fault(found: str | None) -> str | None:
    """Why a database that stands at this migration cannot be brought to what this code knows; None
    if it is not newer.

    数据库比代码新时的说明。
    """
    if found is None or found <= SCHEMA_VERSION:
        return None
    return (
        f"the database is at schema {found}, newer than this code, which knows "
        f"{SCHEMA_VERSION}: bring the code up to date, the database stays as it is"
    )


def server_fault(connection: sa.Connection) -> str | None:
    """What is wrong with how the database's server is set up; None if nothing.

    数据库服务器的设置问题。
    """
    return None if connection.dialect.name == "sqlite" else mysql.packet_fault(connection)


def note_clock(connection: sa.Connection) -> None:
    """Compare the database's clock with this machine's, where they are two.

    比较数据库与本机的时钟。
    """
    if connection.dialect.name != "sqlite":
        theirs = connection.exec_driver_sql("SELECT UTC_TIMESTAMP(3)").scalar()
        assert isinstance(theirs, datetime)
        skew.saw("store", round(theirs.replace(tzinfo=timezone.utc).timestamp() * 1000))


def connect(url: str, *, patient: bool = False) -> sa.Engine:
    """An engine for the URL, set up so that no commit is lost; connects on first use. One that is
    `patient` waits for MySQL as long as a change of its tables may take.

    Raises `sqlalchemy.exc.ArgumentError` for a URL of neither database, `ValueError` for one whose
    options ask for what is not there.

    建立数据库引擎。
    """
    parsed = sa.make_url(url)
    if parsed.drivername in ("mysql", "mysql+pymysql"):
        engine = sa.create_engine(
            mysql.driver_url(parsed),
            hide_parameters=True,
            pool_recycle=mysql.IDLE_SECONDS // 2,
            pool_reset_on_return=None,  # nothing is open then: see `session`
            **_POOL,
            paramstyle="format",  # by their places: statements are kept as text, see `statements`
            connect_args=mysql.arguments(parsed, patient=patient),
        )
        mysql.listen(engine)
        return engine
    if parsed.drivername != "sqlite":
        raise sa.exc.ArgumentError(f"{parsed.drivername} is neither sqlite nor mysql")
    engine = sa.create_engine(
        url, hide_parameters=True, **_POOL, connect_args={"timeout": BUSY_SECONDS}
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
    """Readers and a writer do not wait for each other; a property the file keeps.

    启用 WAL 模式。
    """
    end = time.monotonic() + _MODE_SECONDS
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
