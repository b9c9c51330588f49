"""Migrations on a MySQL server, which commits at every CREATE and ALTER."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pymysql.err import OperationalError

from infra.migrations import migrate
from infra.tencent.mariadb import MysqlServer
from shared.store.base import Record, StoreUnavailable
from shared.store.sql.engine import METADATA, SCHEMA_VERSION, connect, schema_version
from shared.store.sql.mysql import arguments
from shared.store.sql.store import SqlStore
from shared.store.tables import JOBS
from tests.said import said
from tests.unit.store.test_sql import shape_of


@pytest.fixture
def empty(mysql: MysqlServer) -> Iterator[str]:
    """The URL of a database of this test's own, without tables."""
    name = f"maquette_migrations_{os.getpid()}"
    mysql.create(name)
    yield mysql.url(name)
    mysql.drop(name)


class Killed(BaseException):
    """The process that migrates ends here."""


def migrate_and_die(url: str, after: int) -> bool:
    """Migrate, with the connection's and the process's end after so many writes; whether it came
    to that."""
    written = 0

    def die(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal written
        # Between two that only read the database is the same.
        written += statement.split()[0] not in ("SELECT", "SHOW", "DESCRIBE")
        if written > after:
            connection.connection.driver_connection._force_close()
            raise Killed

    def listened(given: str, **options: Any) -> sa.Engine:
        engine = connect(given, **options)
        sa.event.listen(engine, "before_cursor_execute", die)
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "connect", listened)
        try:
            migrate.upgrade(url)
        except (Killed, StoreUnavailable):
            return True
    return False


def tables_of(url: str) -> dict[str, Any]:
    engine = connect(url)
    found = sa.inspect(engine)
    shapes = {name: shape_of(found, name) for name in METADATA.tables}
    with engine.connect() as connection:
        assert schema_version(connection) == SCHEMA_VERSION
    engine.dispose()
    return shapes


@pytest.mark.parametrize("first", [1, 2])
def test_a_migration_killed_after_any_write_is_carried_on(
    empty: str, mysql_url: str, first: int
) -> None:
    """Each run is killed two writes further, so that of the two chains one is killed after each; a
    run may say again what changes nothing, one write at most."""
    kills, after = 0, first
    while migrate_and_die(empty, after):
        kills, after = kills + 1, 2
        assert kills < 40, "no run comes any further"
    assert kills > 9
    assert tables_of(empty) == tables_of(mysql_url)
    assert migrate.upgrade(empty) is False


@pytest.mark.parametrize("after", [0, 1, 7, 15])
def test_a_migration_that_was_killed_is_finished_by_the_second_run(
    empty: str, mysql_url: str, after: int
) -> None:
    assert migrate_and_die(empty, after)
    assert migrate.upgrade(empty) is True
    assert tables_of(empty) == tables_of(mysql_url)


def test_migrations_make_what_the_code_declares(mysql_url: str) -> None:
    engine = connect(mysql_url)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []
        # What the comparison says nothing of.
        rows = connection.exec_driver_sql(
            "SELECT table_name, engine, table_collation FROM information_schema.tables "
            "WHERE table_schema = DATABASE() AND table_name <> 'alembic_version'"
        ).all()
    engine.dispose()
    assert {row[0] for row in rows} == set(METADATA.tables)
    assert {tuple(row[1:]) for row in rows} == {("InnoDB", "utf8mb4_bin")}


def test_of_threads_that_migrate_at_once_one_does_and_the_others_wait(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, run = threading.Semaphore(0), migrate._run

    def slow(connection: sa.Connection) -> None:
        assert all(waiting.acquire(timeout=30) for _ in range(3))
        run(connection)

    def notice(statement: str) -> None:
        if "GET_LOCK" in statement:
            waiting.release()

    monkeypatch.setattr(migrate, "_run", slow)
    with said(notice), ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(migrate.upgrade, [empty] * 3)) == [False, False, True]
    SqlStore(empty).check()


def test_where_there_are_no_locks_by_name_it_is_said_and_migrated(
    empty: str, log_records: list[logging.LogRecord]
) -> None:
    with said(lambda statement: statement.replace("GET_LOCK(", "NO_LOCK(")):
        assert migrate.upgrade(empty) is True
    SqlStore(empty).check()
    (told,) = (one.getMessage() for one in log_records if one.name == "maquette.migrations")
    assert "no locks by name" in told


def test_who_migrates_waits_for_the_server_longer_than_who_serves() -> None:
    url = sa.make_url("mysql://maquette@db.internal/maquette")
    serving, migrating = arguments(url), arguments(url, patient=True)
    # The lock by name alone may be waited for that long, and an index of a large table longer.
    assert migrating["read_timeout"] > 10 * migrate._LOCK_SECONDS > serving["read_timeout"]


def test_a_migrated_database_is_left_alone_by_who_may_not_change_tables(
    mysql: MysqlServer, empty: str
) -> None:
    """The functions have no right to change tables; only the one that migrates has."""
    name, user = sa.make_url(empty).database, f"reader_{os.getpid()}"
    mysql.run(f"CREATE USER {user}@'%' IDENTIFIED BY '密码 p@ss'")
    try:
        mysql.run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO {user}@'%'")
        url = sa.make_url(empty).set(username=user, password="密码 p@ss")
        as_reader = url.render_as_string(hide_password=False)
        with pytest.raises(StoreUnavailable, match="denied") as refused:
            migrate.upgrade(as_reader)
        assert "p@ss" not in str(refused.value)
        migrate.upgrade(empty)
        assert migrate.upgrade(as_reader) is False
        store = SqlStore(as_reader)
        store.check()
        assert store.put(JOBS, Record("k", {})).version == 1
        with pytest.raises(OperationalError, match="denied"):
            store._engine.raw_connection().cursor().execute("DROP TABLE jobs")
        store.close()
    finally:
        mysql.run(f"DROP USER {user}@'%'")
