"""The SQL store on a MySQL server: what is said to it, and what holds up nobody."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa
from pymysql.err import OperationalError

from infra.tencent.mariadb import MysqlServer
from shared.store.base import Conflict, Lease, Record, StoreUnavailable, Table
from shared.store.sql import mysql as settings
from shared.store.sql.session import Session, lent
from shared.store.sql.store import SqlStore
from shared.store.tables import DELIVERIES, IDEMPOTENCY, JOBS, TABLES
from tests.contract import test_store as contract
from tests.said import first_words, said
from tests.unit.store.test_sql import INDEXES, equals_for, value_for

QUEUE = {"queue": "x", "lane": 1}
SOON = 30.0


def without_skipping(statement: str) -> str:
    """As a server reads it that never heard of SKIP LOCKED."""
    return statement.replace("SKIP LOCKED", "SKIP LOCKT")


@pytest.fixture
def store(mysql_url: str) -> Iterator[SqlStore]:
    opened = SqlStore(mysql_url)
    opened.get(JOBS, "nobody")  # connected: what SQLAlchemy asks at first is not ours
    yield opened
    opened.close()


@pytest.fixture(params=[True, False], ids=["skips locked rows", "by the version alone"])
def skips(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the server knows SKIP LOCKED; where it does not, it says so itself."""
    if request.param:
        yield True
        return
    with said(without_skipping):
        yield False


def lease(_record: Record) -> Lease:
    return Lease(1000, counted=True)


def due(store: SqlStore, count: int) -> list[Record]:
    records = [Record(f"k{n:03}", {"n": n}, QUEUE, due_at=n) for n in range(count)]
    return [one for one in store.put_each([(JOBS, record) for record in records]) if one]


def claim(store: SqlStore, limit: int = 100, taking: Any = lease) -> list[str]:
    claimed = store.claim(JOBS, "due", QUEUE, now=999, lease=taking, limit=limit)
    return [record.key for record in claimed]


# What is said


def test_a_claim_of_a_hundred_is_one_read_and_one_write(store: SqlStore) -> None:
    due(store, 100)
    with said() as sent:
        assert len(claim(store)) == 100
    assert first_words(sent) == ["BEGIN", "SELECT", "UPDATE", "COMMIT"]
    assert sent[1].endswith("LIMIT 100 FOR UPDATE SKIP LOCKED")


def test_a_claim_by_the_version_alone_is_one_read_and_one_write(store: SqlStore) -> None:
    due(store, 100)
    with said(without_skipping):
        assert claim(store, limit=0) == []
        assert len(claim(store, limit=50)) == 50
    with said() as sent:  # that the server cannot is known by now
        assert len(claim(store)) == 50
    assert first_words(sent) == ["SELECT", "UPDATE"]
    assert "FOR UPDATE" not in sent[0]


def test_a_single_write_is_one_statement(store: SqlStore) -> None:
    with said() as sent:
        record = store.put(JOBS, Record("k", {}))
        store.put(JOBS, record)
        with pytest.raises(Conflict):
            store.put(JOBS, record)
        store.get(JOBS, "k")
    assert first_words(sent) == ["INSERT", "UPDATE", "UPDATE", "SELECT"]


def test_several_writes_are_a_statement_for_each_table_and_kind(store: SqlStore) -> None:
    old = due(store, 9)
    new = [Record(f"new{n}", {}) for n in range(5)]
    with said() as sent:
        store.transact([(table, record) for record in new for table in (DELIVERIES, IDEMPOTENCY)])
        store.transact([*((JOBS, record) for record in old), (JOBS, Record("new", {}))])
        written = store.put_each([*((JOBS, r.written()) for r in old), (JOBS, Record("other", {}))])
    assert None not in written
    assert first_words(sent) == [
        *("BEGIN", "INSERT", "INSERT", "COMMIT"),
        *("BEGIN", "UPDATE", "INSERT", "COMMIT"),
        *("BEGIN", "UPDATE", "INSERT", "COMMIT"),
    ]


def test_writes_of_which_some_lost_are_looked_at_once_and_written_at_once(store: SqlStore) -> None:
    old = due(store, 30)
    store.put(JOBS, old[7])
    with said() as sent:
        written = store.put_each([(JOBS, record) for record in old])
    assert [n for n, one in enumerate(written) if one is None] == [7]
    assert first_words(sent) == [
        *("BEGIN", "UPDATE", "ROLLBACK"),
        *("BEGIN", "SELECT", "UPDATE", "COMMIT"),
    ]
    versions = {record.key: store.get(JOBS, record.key).version for record in old}
    assert set(versions.values()) == {2}


def test_large_documents_are_not_said_all_at_once(store: SqlStore) -> None:
    large = [Record(f"k{n}", {"x": "x" * 300_000}) for n in range(5)]
    with said() as sent:
        store.transact([(JOBS, record) for record in large])
    assert first_words(sent) == ["BEGIN", *["INSERT"] * 5, "COMMIT"]
    assert store.get(JOBS, "k4").document == large[4].document


# Plans


@pytest.mark.parametrize("rows", [0, 3, 6, 400])
def test_nothing_is_sorted_and_no_table_is_scanned(store: SqlStore, rows: int) -> None:
    """A table of a few rows may be read as a whole, but for claims: they lock what they read."""
    for table in TABLES:
        fill_at_once(store, table, rows)
    with said() as sent:
        for table, index in INDEXES:
            query = (table, index.name, equals_for(table, index))
            for descending in (False, True):
                page = store.query(*query, limit=2, descending=descending)
                if page.cursor:
                    store.query(*query, limit=2, descending=descending, cursor=page.cursor)
            store.first(*query)
            if index.sort == "due_at":
                store.claim(*query, now=1, lease=lease, limit=3)
    asked = [statement for statement in sent if statement.startswith(("SELECT", "UPDATE"))]
    assert any("FOR UPDATE" in statement for statement in asked)
    assert len(asked) >= 4 * len(INDEXES) if rows > 3 else len(asked) >= 3 * len(INDEXES)
    judged = [one for one in asked if rows > 100 or "FOR UPDATE" in one]
    wrong = [(one, plan) for one in judged if (plan := costly(store, one))]
    assert wrong == []


def fill_at_once(store: SqlStore, table: Table, rows: int) -> None:
    records = [
        Record(f"k{n:04}", {}, {name: value_for(table, name) for name in table.fields}, n // 3)
        for n in range(rows)
    ]
    store.put_each([(table, record) for record in records])
    with store._engine.connect() as connection:
        connection.exec_driver_sql(f"ANALYZE TABLE {table.name}").all()


def costly(store: SqlStore, statement: str) -> str:
    with store._engine.connect() as connection:
        plan = (
            connection.exec_driver_sql("EXPLAIN " + statement.replace("%", "%%")).mappings().all()
        )
    told = " / ".join(f"{row['type']} {row['key']} {row['Extra']}" for row in plan)
    return told if "filesort" in told or "ALL" in told or "temporary" in told else ""


# Nobody is held up


@pytest.mark.parametrize("rows", [3, 20])
def test_a_worker_frozen_inside_its_claim_holds_up_nobody(
    store: SqlStore, mysql_url: str, skips: bool, rows: int
) -> None:
    due(store, rows)
    other = SqlStore(mysql_url)
    frozen, thawed = threading.Event(), threading.Event()

    def freezing(record: Record) -> Lease:
        if not frozen.is_set():
            frozen.set()
            assert thawed.wait(SOON)
        return lease(record)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(claim, store, rows // 2, freezing)
        assert frozen.wait(SOON)
        mine = claim(other, limit=rows)
        assert not first.done()
        thawed.set()
        theirs = first.result(SOON)
    # What it had locked by then is its own; where it locks nothing, it comes too late.
    assert len(mine) == (rows - rows // 2 if skips else rows)
    assert sorted(mine + theirs) == sorted({*mine, *theirs})
    assert len(theirs) == (rows // 2 if skips else 0)
    assert {store.get(JOBS, key).claims for key in mine + theirs} == {1}
    other.close()


def test_a_worker_frozen_before_its_commit_holds_up_nobody(
    store: SqlStore, mysql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    due(store, 20)
    other = SqlStore(mysql_url)
    frozen, thawed = threading.Event(), threading.Event()
    commit = Session.commit

    def freezing(session: Session) -> None:
        if not frozen.is_set():
            frozen.set()
            assert thawed.wait(SOON)
        commit(session)

    monkeypatch.setattr(Session, "commit", freezing)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(claim, store, 10)
        assert frozen.wait(SOON)
        mine = claim(other)
        assert not first.done()
        thawed.set()
        theirs = first.result(SOON)
    assert (len(mine), len(theirs)) == (10, 10)
    assert not set(mine) & set(theirs)
    other.close()


def test_a_row_that_somebody_holds_is_left_and_the_others_are_taken(
    store: SqlStore, mysql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        settings, "SETTINGS", [one.replace("= 2", "= 1") for one in settings.SETTINGS]
    )
    due(store, 8)
    engine = sa.create_engine(mysql_url.replace("mysql://", "mysql+pymysql://"))
    claimer = SqlStore(mysql_url)
    with engine.begin() as holding, said(without_skipping):
        holding.execute(sa.text("SELECT id FROM jobs WHERE id = 'k000' FOR UPDATE")).all()
        assert claim(claimer) == ["k004", "k005", "k006", "k007"]
    engine.dispose()
    with said(without_skipping):
        assert claim(claimer) == ["k000", "k001", "k002", "k003"]
    claimer.close()


def test_of_rows_that_others_were_quicker_with_the_rest_is_taken_and_none_twice(
    store: SqlStore, mysql_url: str
) -> None:
    due(store, 9)
    other = SqlStore(mysql_url)
    quicker: list[str] = []

    def overtaken(record: Record) -> Lease:
        if record.key == "k005":
            # The same lease to the millisecond: it cannot tell whose a row is.
            quicker.extend(claim(other, limit=4))
        return lease(record)

    with said(without_skipping) as sent:
        mine = claim(store, taking=overtaken)
    assert (quicker, mine) == ([f"k00{n}" for n in range(4)], [f"k00{n}" for n in range(4, 9)])
    updates = [statement for statement in sent if statement.startswith("UPDATE")]
    assert len(updates) == 3, "the other's, the one that failed, the one that did not"
    assert {store.get(JOBS, record).version for record in quicker + mine} == {2}
    other.close()


def test_a_claim_by_the_version_alone_that_breaks_a_deadlock_is_tried_again(
    store: SqlStore,
) -> None:
    due(store, 3)
    broken: list[str] = []

    def deadlocked(statement: str) -> str:
        if statement.startswith("UPDATE") and not broken:
            broken.append(statement)
            raise OperationalError(1213, "Deadlock found when trying to get lock")
        return without_skipping(statement)

    with said(deadlocked):
        assert claim(store) == ["k000", "k001", "k002"]
    assert broken


@pytest.mark.parametrize(
    "suite",
    [
        contract.test_16_threads_claim_every_record_exactly_once,
        contract.test_8_workers_claim_600_due_jobs_none_twice_none_missed,
        contract.test_a_claim_takes_no_more_than_asked,
        contract.test_a_claim_may_move_a_record_to_another_queue_in_its_one_write,
        contract.test_a_claim_leaves_what_the_lease_says_none_to_as_it_is,
    ],
)
def test_what_holds_of_claims_holds_by_the_version_alone(
    store: SqlStore, suite: Callable[[SqlStore], None]
) -> None:
    with said(without_skipping):
        suite(store)
    assert not store._skips_locked


# A server that does not answer


def test_a_server_that_accepts_and_says_nothing_is_an_unavailable_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "SECONDS", dict.fromkeys(settings.SECONDS, 0.2))
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        store = SqlStore(f"mysql://maquette:secret@127.0.0.1:{port}/maquette")
        for ask in (
            store.check,
            lambda: store.get(JOBS, "k"),
            lambda: store.put(JOBS, Record("k", {})),
            lambda: claim(store),
        ):
            with pytest.raises(StoreUnavailable, match="does not answer") as told:
                ask()
            assert "secret" not in str(told.value)
        store.close()


def test_a_silent_server_is_told_before_a_caller_has_given_up() -> None:
    # A connection that is silent is tried anew once: the ping, then a connect and its greeting.
    connect, read = settings.SECONDS["connect_timeout"], settings.SECONDS["read_timeout"]
    assert read + max(connect, read) < 8


def test_a_connection_that_the_server_has_dropped_is_made_anew(
    store: SqlStore, mysql: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "_FRESH_SECONDS", 0.0)  # as if it had been idle
    store.put(JOBS, Record("k", {}))
    with lent(store._engine) as session:
        ((number,),) = session.found("SELECT CONNECTION_ID()", ())
    mysql.run(f"KILL {number}")
    assert store.get(JOBS, "k").version == 1
