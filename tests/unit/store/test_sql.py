"""The SQL store below its protocol: query plans, migrations, forks, failures."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.mysql.reserved_words import (
    RESERVED_WORDS_MARIADB,
    RESERVED_WORDS_MYSQL,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from infra.migrations import migrate
from shared.store.base import Index, Lease, Record, StoreUnavailable, Table, Value
from shared.store.sql import engine
from shared.store.sql.engine import (
    METADATA,
    SCHEMA_VERSION,
    SQL_TABLES,
    connect,
    leased_columns,
)
from shared.store.sql.many import Many
from shared.store.sql.mysql import SETTINGS
from shared.store.sql.mysql import arguments as mysql_arguments
from shared.store.sql.rows import lease_of
from shared.store.sql.session import Session
from shared.store.sql.statements import Range, Statements
from shared.store.sql.store import SqlStore
from shared.store.tables import DELIVERIES, IDEMPOTENCY, JOBS, TABLES
from tests.statements import at_each_loan, statements_of

QUEUE = {"queue": "x", "lane": 1}
INDEXES = [(table, index) for table in TABLES for index in table.indexes]
DUE = [(table, index) for table, index in INDEXES if index.sort == "due_at"]


def lease(_record: Record) -> Lease:
    return Lease(1000, counted=True)


def value_for(table: Table, name: str) -> Value:
    return 1 if table.fields[name] is int else "x"


def equals_for(table: Table, index: Index) -> dict[str, Value]:
    return {name: value_for(table, name) for name in index.equals}


def fill(store: SqlStore, table: Table, count: int) -> list[Record]:
    fields = {name: value_for(table, name) for name in table.fields}
    records = [Record(f"k{n:04}", {"n": n}, fields, due_at=n // 3) for n in range(count)]
    return [store.put(table, record) for record in records]


def plan_of(store: SqlStore, statement: str) -> str:
    with store._engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
    return " / ".join(row[-1] for row in rows)


def assert_answered_by_the_index(plan: str, table: Table, index: Index) -> None:
    assert f"USING INDEX {table.name}_{index.name} (" in plan, plan
    assert plan.startswith("SEARCH"), plan
    assert "TEMP B-TREE" not in plan
    assert " / " not in plan, "one walk along one index"
    for name in index.equals:
        assert f"{name}=?" in plan, plan


# Query plans


@pytest.mark.parametrize(
    ("table", "index"), INDEXES, ids=[f"{table.name}-{index.name}" for table, index in INDEXES]
)
def test_the_first_of_an_index_is_read_from_the_index_alone(
    store: SqlStore, table: Table, index: Index
) -> None:
    fill(store, table, 6)
    with statements_of(store) as sent:
        first = store.first(table, index.name, equals_for(table, index))
    assert first == ("k0000" if index.sort == "key" else 0)
    (statement,) = sent
    plan = plan_of(store, statement)
    assert f"USING COVERING INDEX {table.name}_{index.name} (" in plan


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize(
    ("table", "index"), INDEXES, ids=[f"{table.name}-{index.name}" for table, index in INDEXES]
)
def test_a_query_walks_its_index_without_sorting_or_scanning(
    store: SqlStore, table: Table, index: Index, bounded: bool, descending: bool
) -> None:
    fill(store, table, 6)
    bounds = {} if not bounded else {"low": 0, "high": 9}
    if bounded and index.sort == "key":
        bounds = {"low": "a", "high": "z"}
    query = (table, index.name, equals_for(table, index))
    with statements_of(store) as sent:
        page = store.query(*query, limit=2, descending=descending, **bounds)
        store.query(*query, limit=2, descending=descending, cursor=page.cursor, **bounds)
    assert len(sent) == 2
    for statement in sent:
        plan = plan_of(store, statement)
        assert_answered_by_the_index(plan, table, index)
        sort = "id" if index.sort == "key" else index.sort
        assert f"{sort}>?" in plan or sort == "id", "starts past the rows without a value"
        # SQLite's walk gives ties in key order even unasked; MySQL's must be asked.
        down = " DESC" if descending else ""
        order = dict.fromkeys([f"{table.name}.{sort}{down}", f"{table.name}.id{down}"])
        assert f"ORDER BY {', '.join(order)}" in statement


@pytest.mark.parametrize(
    ("table", "index"), DUE, ids=[f"{table.name}-{index.name}" for table, index in DUE]
)
def test_a_claim_walks_its_index_and_writes_by_key(
    store: SqlStore, table: Table, index: Index
) -> None:
    fill(store, table, 6)
    query = (table, index.name, equals_for(table, index))
    with statements_of(store) as sent:
        assert len(store.claim(*query, now=1, lease=lease, limit=4)) == 4
    peek, begin, select, *updates = sent
    assert begin == "BEGIN IMMEDIATE"
    for read, using in ((peek, "USING COVERING INDEX"), (select, "USING INDEX")):
        plan = plan_of(store, read)
        assert "due_at>? AND due_at<?" in plan
        assert_answered_by_the_index(plan.replace(using, "USING INDEX"), table, index)
    assert len(updates) == 4
    plan = plan_of(store, updates[0])
    assert plan == f"SEARCH {table.name} USING INDEX sqlite_autoindex_{table.name}_1 (id=?)"


def test_a_page_reads_no_more_rows_than_it_gives_wherever_it_starts(store: SqlStore) -> None:
    fill(store, JOBS, 60)
    steps = []
    for descending in (False, True):
        cursor = None
        for _ in range(5):
            with counted_steps(store) as count:
                page = store.query(
                    JOBS,
                    "due",
                    QUEUE | {"queue": "x"},
                    limit=10,
                    descending=descending,
                    cursor=cursor,
                )
            steps.append(count[0])
            cursor = page.cursor
    assert max(steps) < 2 * min(steps)


@contextmanager
def counted_steps(store: SqlStore) -> Iterator[list[int]]:
    """How many instructions of SQLite's machine run meanwhile, in tens."""
    count = [0]

    def tick() -> None:
        count[0] += 1

    with at_each_loan(store, lambda connection: connection.set_progress_handler(tick, 10)):
        yield count


def test_a_claim_of_nothing_takes_no_write_lock(store: SqlStore, database_url: str) -> None:
    fill(store, JOBS, 6)
    other = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with statements_of(store) as sent:
        for lane in range(8):
            idle = QUEUE | {"lane": lane}
            assert store.claim(JOBS, "due", idle, now=-1, lease=lease, limit=100) == []
    other.execute("ROLLBACK")
    other.close()
    assert [statement.split()[0] for statement in sent] == ["SELECT"] * 8


# Claims where others may write in between, as on MySQL


def test_leases_are_written_all_or_none(store: SqlStore) -> None:
    seen = fill(store, JOBS, 4)
    lent: list[Any] = []

    def overtaken(record: Record) -> Lease:
        # Stands for a commit that the locks should have kept out.
        lent[-1].execute("UPDATE jobs SET version = 9 WHERE id = 'k0001'")
        return lease(record)

    with at_each_loan(store, lent.append), pytest.raises(StoreUnavailable, match="locked"):
        store.claim(JOBS, "due", QUEUE, now=9, lease=overtaken, limit=9)
    assert [store.get(JOBS, record.key).version for record in seen] == [1, 1, 1, 1]


def test_on_mysql_a_claim_locks_what_it_reads_and_writes_it_in_one_statement() -> None:
    # By its driver: what it takes is not what the dialect alone would write.
    dialect = connect("mysql://maquette@db.internal/maquette").dialect
    statements, many = Statements(dialect), Many(dialect)
    index, shape = JOBS.index("due"), Range(low=True, high=True)
    assert "FOR UPDATE" not in statements.select(JOBS, index, shape).text
    locking = statements.select(JOBS, index, shape, lock=True).text
    assert locking.endswith("FOR UPDATE SKIP LOCKED")
    rows = [lease_of(Record(f"k{n}", {}, QUEUE, due_at=n, version=7 + n)) for n in range(2)]
    target = SQL_TABLES["jobs"]
    text, values = many.update(target, rows, leased_columns(target))
    assert text == (
        "UPDATE jobs SET version = version + 1, "
        "due_at = CASE id WHEN %s THEN %s WHEN %s THEN %s END, "
        "claims = %s, queue = %s, lane = %s "
        "WHERE id IN (%s, %s) AND version = CASE id WHEN %s THEN %s WHEN %s THEN %s END"
    )
    assert values == ["k0", 0, "k1", 1, 0, "x", 1, "k0", "k1", "k0", 6, "k1", 7]


def test_a_claim_s_rows_written_in_one_statement_are_those_written_one_by_one(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one by one", "at once"):
        for number in range(7):
            fields = {"queue": name, "lane": 0}
            record = store.put(JOBS, Record(f"{name}{number}", {}, fields, due_at=number))
            if number == 3:
                store.put(JOBS, record)  # versions differ, too

    def claimed(name: str) -> list[Record]:
        def own(record: Record) -> Lease:
            number = int(record.key[-1])
            return Lease(100 + number, number % 2 == 0, "other" if number > 4 else None)

        store.claim(JOBS, "due", {"queue": name, "lane": 0}, now=9, lease=own, limit=9)
        return [replace(store.get(JOBS, f"{name}{n}"), key=str(n)) for n in range(7)]

    expected = claimed("one by one")
    assert {record.version for record in expected} == {2, 3}
    monkeypatch.setattr(store, "_writes_rows_at_once", True)
    found = claimed("at once")
    moved = {"queue": "at once", "lane": 0}
    assert found == [
        replace(one, fields={**one.fields, **moved}) if one.fields["queue"] != "other" else one
        for one in expected
    ]


# Failures


def test_a_lock_held_too_long_is_an_unavailable_store(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.01)
    store = SqlStore(database_url)
    record = store.put(JOBS, Record("k", {}))
    other = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.put(JOBS, record)
    with pytest.raises(StoreUnavailable):
        store.check()
    assert store.get(JOBS, "k").version == 1
    other.execute("ROLLBACK")
    other.close()
    assert store.put(JOBS, record).version == 2
    store.close()


def test_a_full_disk_is_an_unavailable_store_and_keeps_what_there_was(store: SqlStore) -> None:
    record = store.put(JOBS, Record("k", {}))

    full = at_each_loan(store, lambda connection: connection.execute("PRAGMA max_page_count=1"))
    with full, pytest.raises(StoreUnavailable, match="full") as raised:
        store.put(JOBS, replace(record, document={"secret": "value" * 80_000}))
    assert "value" not in str(raised.value.__cause__), "what is stored stays out of the logs"
    assert store.get(JOBS, "k").version == 1


def test_a_file_that_cannot_be_opened_is_an_unavailable_store(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'no folder' / 'x.db'}")
    with pytest.raises(StoreUnavailable):
        store.check()
    with pytest.raises(StoreUnavailable):
        store.get(JOBS, "k")


def test_a_file_that_is_no_database_is_an_unavailable_store(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(StoreUnavailable):
        SqlStore(f"sqlite:///{tmp_path / 'x.db'}").check()


def test_a_database_that_takes_no_writes_is_an_unavailable_store(store: SqlStore) -> None:
    store.check()
    read_only = at_each_loan(store, lambda connection: connection.execute("PRAGMA query_only=ON"))
    with read_only, pytest.raises(StoreUnavailable, match="readonly"):
        store.check()


def test_an_unmigrated_database_is_named_with_what_to_run(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'new.db'}")
    with pytest.raises(StoreUnavailable, match=r"schema none.*infra\.migrations\.migrate"):
        store.check()


def test_a_database_of_another_version_is_named(store: SqlStore) -> None:
    store.check()
    with engine.writing(store._engine).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(StoreUnavailable, match=f"0000.*{SCHEMA_VERSION}"):
        store.check()


def test_who_waits_for_this_processs_own_writers_is_told_in_time_as_well(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.01)
    store = SqlStore(database_url)
    writing, told = threading.Event(), threading.Event()

    def slow(session: Session) -> None:
        writing.set()
        assert told.wait(30)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(store._commit, slow)
        assert writing.wait(30)
        for write in (
            lambda: store.put(JOBS, Record("k", {})),
            store.check,
            lambda: store.transact([(JOBS, Record("k", {}))]),
        ):
            with pytest.raises(StoreUnavailable, match="others wait"):
                write()
        told.set()
        first.result(30)
    # The turn is free again.
    assert store.put(JOBS, Record("k", {})).version == 1
    store.close()


def test_mysql_never_waits_without_end() -> None:
    arguments = mysql_arguments(sa.make_url("mysql://maquette@db.internal/maquette"))
    assert {"connect_timeout", "read_timeout", "write_timeout"} <= set(arguments)
    # What waits for rows or tables is told by the server, before the socket's patience is over.
    locks = [int(found) for found in re.findall(r"lock_wait_timeout = (\d+)", SETTINGS[1])]
    assert len(locks) == 2
    assert max(locks) < arguments["read_timeout"]


# Durability and processes


def test_commits_are_synced_and_readers_do_not_wait(store: SqlStore) -> None:
    with store._engine.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 4000}


DIES_AFTER_ONE_INSERT = """
import os, sys
from shared.store.base import Record
from shared.store.sql.session import Session
from shared.store.sql.store import SqlStore
from shared.store.tables import DELIVERIES, JOBS

store = SqlStore(sys.argv[1])
before = store.put(JOBS, Record("before", {}))

change = Session.change

def die(session, statement, values):
    change(session, statement, values)
    if statement.text.startswith("INSERT INTO jobs"):
        os._exit(9)

Session.change = die
store.transact([(JOBS, Record("half", {})), (DELIVERIES, Record("other half", {}))])
"""


def test_a_process_that_dies_between_two_writes_of_a_transaction_leaves_neither(
    store: SqlStore, database_url: str
) -> None:
    child = [sys.executable, "-c", DIES_AFTER_ONE_INSERT, database_url]
    assert subprocess.run(child, check=False, timeout=60).returncode == 9
    assert store.get(JOBS, "before") is not None
    assert store.get(JOBS, "half") is None
    assert store.put(JOBS, Record("half", {})).version == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_uses_connections_of_its_own(store: SqlStore) -> None:
    store.put(JOBS, Record("before", {}))
    with store._commits._lock:  # a lock held at the fork must not hang the child
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # a child that hangs is one that fails
            own = not store._engine.pool.checkedin() and store._engine.pool is not None
            found = store.get(JOBS, "before") is not None
            store.put(JOBS, Record("child", {}))
            store.close()
            os._exit(0 if own and found else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert store.get(JOBS, "child").version == 1
    store.put(JOBS, Record("after", {}))


# Migrations


def test_migrating_twice_changes_something_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a folder' / 'new.db'}"
    assert migrate.upgrade(url) is True
    assert migrate.upgrade(url) is False
    SqlStore(url).check()


def test_asking_again_does_not_import_alembic(database_url: str) -> None:
    code = (
        "import sys; from infra.migrations.migrate import upgrade;"
        "assert upgrade(sys.argv[1]) is False; assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, database_url], check=True, timeout=60)


def test_migrations_make_what_the_code_declares(store: SqlStore) -> None:
    with store._engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, METADATA) == []
        # compare_metadata is lenient about lengths on SQLite, and silent about keys.
        inspector = sa.inspect(connection)
        made = {name: shape_of(inspector, name) for name in METADATA.tables}
    declared = sa.create_engine("sqlite://")
    METADATA.create_all(declared)
    assert made == {name: shape_of(sa.inspect(declared), name) for name in METADATA.tables}


def shape_of(inspector: sa.Inspector, table: str) -> dict[str, Any]:
    columns = inspector.get_columns(table)
    return {
        # In whatever order: what a later migration adds comes last.
        "columns": sorted(
            (c["name"], str(c["type"]), c["nullable"], c["default"]) for c in columns
        ),
        "key": inspector.get_pk_constraint(table)["constrained_columns"],
        "indexes": sorted(
            (i["name"], i["unique"], tuple(i["column_names"])) for i in inspector.get_indexes(table)
        ),
    }


def test_the_code_s_schema_version_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_VERSION]


def test_idempotency_keys_of_before_get_the_time_when_they_are_over(
    store: SqlStore, database_url: str
) -> None:
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent))
    with engine.writing(store._engine).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
    store.put(IDEMPOTENCY, Record("old", {"at": 1_000, "job_id": "1"}))
    assert migrate.upgrade(database_url)
    week = 7 * 24 * 3_600_000
    assert store.get(IDEMPOTENCY, "old") == Record(
        "old", {"at": 1_000, "job_id": "1"}, {}, 1_000 + week, version=1
    )
    assert [store.expire(IDEMPOTENCY, week + at, 9) for at in (999, 1_000)] == [0, 1]


def test_a_migration_can_be_undone(store: SqlStore) -> None:
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent))
    with engine.writing(store._engine).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert set(sa.inspect(connection).get_table_names()) == {"alembic_version"}


def test_a_database_newer_than_the_code_is_used_as_it_is_and_not_migrated(
    store: SqlStore, database_url: str
) -> None:
    with engine.writing(store._engine).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    newer = f"9999, newer than this code, which knows {SCHEMA_VERSION}: bring the code up to date"
    with pytest.raises(StoreUnavailable, match=newer):
        migrate.upgrade(database_url)
    store.check()


def test_a_migration_killed_after_any_statement_is_carried_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().startswith(("CREATE", "ALTER", "INSERT", "UPDATE")):
            done.append((statement, parameters))

    def listened(url: str, **given: Any) -> sa.Engine:
        made = connect(url, **given)
        sa.event.listen(made, "before_cursor_execute", note)
        return made

    monkeypatch.setattr(migrate, "connect", listened)
    migrate.upgrade(f"sqlite:///{tmp_path / 'whole.db'}")
    monkeypatch.undo()
    whole = sa.inspect(connect(f"sqlite:///{tmp_path / 'whole.db'}"))
    statements = list(done)
    assert len(statements) > 15
    for killed_after in range(len(statements)):
        url = f"sqlite:///{tmp_path / f'{killed_after}.db'}"
        with engine.writing(connect(url)).begin() as connection:
            for statement, parameters in statements[:killed_after]:
                connection.exec_driver_sql(statement, parameters)
        assert migrate.upgrade(url) is True
        found = sa.inspect(connect(url))
        assert set(found.get_table_names()) == set(whole.get_table_names())
        for table in SQL_TABLES:
            assert shape_of(found, table) == shape_of(whole, table)


def test_code_of_the_version_before_reads_and_writes_the_widened_tables(store: SqlStore) -> None:
    with engine.writing(store._engine).begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO deliveries "
                "(id, version, due_at, claims, queue, lane, job_id, document) "
                "VALUES ('d', 1, 5, 0, 'send', 3, 'j', '{}')"
            )
        )
    found = store.get(DELIVERIES, "d")
    assert found.fields == {
        "queue": "send", "lane": 3, "job_id": "j", "caller": None, "status": None
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "[" * 100_000])
def test_a_document_that_is_no_json_object_spoils_only_its_own_record(
    store: SqlStore, text: str
) -> None:
    store.put(JOBS, Record("broken", {"a": 1}, QUEUE, due_at=1))
    store.put(JOBS, Record("whole", {"a": 1}, QUEUE, due_at=2))
    with engine.writing(store._engine).begin() as connection:
        connection.execute(
            sa.text("UPDATE jobs SET document = :text WHERE id = 'broken'"), {"text": text}
        )
    assert store.get(JOBS, "broken").document == {}
    claimed = store.claim(JOBS, "due", QUEUE, now=9, lease=lease, limit=9)
    assert [record.key for record in claimed] == ["broken", "whole"]


def test_a_migration_that_fails_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"

    def die(connection: sa.Connection) -> None:
        run(connection)
        raise RuntimeError("power cut")

    run: Callable[[sa.Connection], None] = migrate._run
    monkeypatch.setattr(migrate, "_run", die)
    with pytest.raises(RuntimeError):
        migrate.upgrade(url)
    with sqlite3.connect(tmp_path / "new.db") as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == []
    monkeypatch.undo()
    assert migrate.upgrade(url) is True


def test_processes_that_migrate_at_once_migrate_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    code = (
        "import sys, alembic.command; from infra.migrations.migrate import upgrade;"
        "print('ready', flush=True); input(); print(upgrade(sys.argv[1]))"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = sorted(child.communicate(timeout=60)[0].strip() for child in children)
    assert answers == ["False", "False", "True"]
    SqlStore(url).check()


def test_threads_that_open_a_new_database_at_once_all_get_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            url = f"sqlite:///{tmp_path / str(number)}.db"
            assert sorted(pool.map(migrate.upgrade, [url] * 8)) == [False] * 7 + [True]


class Refusing:
    """A driver's connection that refuses so many times."""

    OperationalError = sqlite3.OperationalError

    def __init__(self, times: int, message: str) -> None:
        self.left = times
        self.message = message

    def execute(self, _statement: str) -> None:
        if self.left:
            self.left -= 1
            raise sqlite3.OperationalError(self.message)


def test_a_new_file_whose_mode_others_change_too_is_asked_again() -> None:
    connection = Refusing(2, "database is locked")
    engine._write_ahead(connection)
    assert connection.left == 0


def test_a_file_whose_mode_cannot_be_changed_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for message, patience in (("disk I/O error", 15.0), ("database is locked", -1.0)):
        monkeypatch.setattr(engine, "_MODE_SECONDS", patience)
        connection = Refusing(3, message)
        with pytest.raises(sqlite3.OperationalError):
            engine._write_ahead(connection)
        assert connection.left == 2


@pytest.mark.parametrize(
    "arguments",
    [[], ["a", "b"], ["no url"], ["redis://u:hush@cache/x"], ["mysql+nodriver://u:hush@db/x"]],
)
def test_a_url_that_names_no_database_is_a_named_fault(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrate.main(arguments) == 2
    said = capsys.readouterr().err
    assert "DATABASE-URL" in said
    assert "hush" not in said


# MySQL, as far as its dialect can tell without a server


def test_no_name_is_one_that_mysql_or_mariadb_keeps_for_itself() -> None:
    names = {column.name for table in SQL_TABLES.values() for column in table.c} | {*SQL_TABLES}
    assert not names & (RESERVED_WORDS_MYSQL | RESERVED_WORDS_MARIADB)


def test_the_tables_are_mysql_s_too() -> None:
    dialect = mysql.dialect()
    for table in METADATA.sorted_tables:
        made = str(CreateTable(table).compile(dialect=dialect))
        assert "VARCHAR(64)" in made
        assert "ENGINE=InnoDB" in made
        assert "COLLATE utf8mb4_bin" in made
        for index in table.indexes:
            assert "CREATE INDEX" in str(CreateIndex(index).compile(dialect=dialect))
            length = sum(getattr(c.type, "length", None) or 2 for c in index.columns)
            assert length * 4 <= 3072, "InnoDB's limit for an index entry, in bytes"


def test_no_statement_is_sqlite_s_own(store: SqlStore) -> None:
    with statements_of(store) as sent:
        first = store.put(JOBS, Record("k", {}, QUEUE, due_at=1))
        store.put(JOBS, first)
        store.query(JOBS, "due", QUEUE, low=0, high=9, limit=1)
        store.claim(JOBS, "due", QUEUE, now=5, lease=lease, limit=1)
    for statement in sent:
        assert statement == "BEGIN IMMEDIATE" or statement.startswith(
            ("INSERT INTO", "UPDATE", "SELECT")
        )
        for word in ("RETURNING", "ON CONFLICT", "ROWID", "OR REPLACE"):
            assert word not in statement.upper()
