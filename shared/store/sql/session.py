"""A connection lent for one piece of work: statements as text, straight to the driver.

SQLAlchemy keeps the connections; its way of running a statement costs twenty times what SQLite
takes to answer it.

直接通过驱动执行语句的数据库会话。
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import PoolProxiedConnection

from shared.store.base import StoreUnavailable
from shared.store.sql.rows import Row
from shared.store.sql.statements import Statement


class Session:
    """One connection, for as long as it is lent; errors are the driver's own. `written` counts the
    rows that were written so far.

    借出的一个数据库连接。
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.written = 0

    def rows(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """All rows that a query finds.

        查询并返回全部行。
        """
        return self.found(statement.text, statement.values(values))

    def found(self, text: str, values: Sequence[Any]) -> list[Row]:
        """As `rows`, for a statement that is text.

        执行查询文本。
        """
        return list(self._run(text, values).fetchall())

    def change(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Run a statement that writes; how many rows it met.

        执行写入语句，返回命中的行数。
        """
        return self.run(statement.text, statement.values(values))

    def run(self, text: str, values: Sequence[Any]) -> int:
        """As `change`, for a statement that is text.

        执行写入文本。
        """
        return self._counted(self._run(text, values))

    def change_each(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> int:
        """Run a statement once for each of the rows; how many rows it met in all.

        对每组参数执行一次语句。
        """
        cursor = self._connection.cursor()
        cursor.executemany(statement.text, [statement.values(row) for row in rows])
        return self._counted(cursor)

    def say(self, text: str) -> None:
        """Run a statement that has no parameters and no answer.

        执行一条无参数的语句。
        """
        self._run(text, ())

    def commit(self) -> None:
        """Make what was written last.

        提交。
        """
        self._connection.commit()

    def rollback(self) -> None:
        """Undo what was written.

        回滚。
        """
        self._connection.rollback()

    def _counted(self, cursor: Any) -> int:
        met = int(cursor.rowcount)
        self.written += max(0, met)
        return met

    def _run(self, text: str, values: Sequence[Any]) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(text, values)
        return cursor


class MysqlSession(Session):
    """A session with MySQL, which sends no statement that is larger than the server takes: such a
    one would be answered by the connection's end, as if the server were gone.

    与 MySQL 的会话，不发送超过上限的语句。
    """

    def _run(self, text: str, values: Sequence[Any]) -> Any:
        """Say a statement; `ValueError` if it is too large.

        执行语句。
        """
        cursor = self._connection.cursor()
        said = cursor.mogrify(text, values)
        size = 1 + (len(said) if said.isascii() else len(said.encode()))
        most = self._connection.max_allowed_packet
        if size > most:
            raise ValueError(
                f"the database takes {most} bytes at once, and this write has {size}: "
                "its max_allowed_packet must be larger"
            )
        cursor.execute(said)
        return cursor


@contextmanager
def lent(engine: sa.Engine) -> Iterator[Session]:
    """A connection of the engine's pool, for a transaction that whoever borrows it ends. One that
    the driver complained of is given up: nobody knows what state it is in.

    借用一个连接，出错则弃用。
    """
    connection = engine.raw_connection()
    try:
        session = Session if engine.dialect.name == "sqlite" else MysqlSession
        yield session(connection.driver_connection)
    except engine.dialect.loaded_dbapi.Error:
        connection.invalidate()
        raise
    finally:
        connection.close()


class Kept:
    """Lends one connection again and again, to one borrower at a time, without the pool's taking
    back and handing out: SQLite's writer keeps the pages it has read and written.

    反复借出同一个连接。
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: PoolProxiedConnection | None = None
        self._closed = 0

    @contextmanager
    def lent(self) -> Iterator[Session]:
        """As `lent`; whatever is raised inside, the connection goes back to the pool, which undoes
        what was not committed.

        借用该连接。
        """
        connection, self._connection = self._connection, None
        closed, connection = self._closed, connection or self._engine.raw_connection()
        is_good = False
        try:
            yield Session(connection.driver_connection)
            is_good = closed == self._closed
        except self._engine.dialect.loaded_dbapi.Error:
            # The error holds the cursors that it went through, and closing waits for these: their
            # transaction, and its lock, would last for as long as somebody looks at the error.
            with suppress(Exception):
                connection.rollback()
            connection.invalidate()
            raise
        finally:
            if is_good:
                self._connection = connection
            else:
                connection.close()

    def close(self) -> None:
        """Give the connection back, at the end of the loan if it is lent.

        归还连接。
        """
        self._closed += 1
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@contextmanager
def answering(engine: sa.Engine) -> Iterator[None]:
    """Turns the driver's "not now" (locked, gone, full) into `StoreUnavailable`.

    把数据库驱动的错误变成“不可用”。
    """
    driver = engine.dialect.loaded_dbapi
    try:
        yield
    except driver.DataError:  # a value no column holds: a mistake of ours
        raise
    except (driver.DatabaseError, driver.InterfaceError) as error:
        raise StoreUnavailable(f"the store does not answer: {error}") from error
    except exc.DBAPIError as error:  # while a connection was made
        raise StoreUnavailable(f"the store does not answer: {error.orig}") from error
    except exc.TimeoutError as error:
        raise StoreUnavailable("the store does not answer: no connection is free") from error
