"""One commit for many writers: each with its own verdict, and none told before it lasts."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from shared.store.base import Conflict, Record, StoreUnavailable
from shared.store.sql.commits import MOST, TRIES, GroupCommit, OwnTransactions
from shared.store.sql.mysql import is_deadlock
from shared.store.sql.session import Session
from shared.store.sql.store import SqlStore
from shared.store.tables import DELIVERIES, JOBS
from tests.statements import at_each_loan, statements_of

SOON = 30.0


class Noticed(deque[Any]):
    """What waits; whoever wants to hear of one more takes it from `came`."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Semaphore(0)

    def append(self, one: Any) -> None:
        super().append(one)
        self.came.release()


class Told:
    """A session that notes what it is told."""

    def __init__(self, said: list[str]) -> None:
        self.said = said
        self.written = 0

    def say(self, text: str) -> None:
        self.said.append(text)


class House:
    """A group commit over transactions that only note what happens; `ends` may raise at a commit.

    用假事务测试合并提交。
    """

    def __init__(self, seconds: float = SOON, ends: Callable[[], None] = lambda: None) -> None:
        self.said: list[str] = []
        self.ends = ends
        self.commits = GroupCommit(
            self._transaction, lambda error: isinstance(error, sqlite3.Error), seconds
        )
        self.waiting = self.commits._waiting = Noticed()
        self.pool = ThreadPoolExecutor(100)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        self.said.append("begin")
        try:
            yield Told(self.said)
            self.ends()
        except Exception:
            self.said.append("rollback")
            raise
        self.said.append("commit")

    def work(self, name: str) -> Callable[[Any], str]:
        def do(_session: Any) -> str:
            self.said.append(name)
            return f"{name} is done"

        return do

    def together(self, *works: Callable[[Any], Any]) -> list[Future[Any]]:
        """Have works wait for one that has begun; when this returns, all are over."""
        begun, go_on = threading.Event(), threading.Event()

        def first(_session: Any) -> None:
            begun.set()
            assert go_on.wait(SOON)

        leading = self.pool.submit(self.commits.run, first)
        assert begun.wait(SOON)
        waiting = []
        for work in works:
            waiting.append(self.pool.submit(self.commits.run, work))
            assert self.waiting.came.acquire(timeout=SOON)
        self.said.clear()
        go_on.set()
        leading.result(SOON)
        for one in waiting:
            one.exception(SOON)
        return waiting


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.pool.shutdown()


def fails(error: BaseException) -> Callable[[Any], None]:
    def do(_session: Any) -> None:
        raise error

    return do


def test_who_waits_for_a_writer_is_committed_together(house: House) -> None:
    works = [house.work(name) for name in ("a", "b", "c")]
    assert [one.result() for one in house.together(*works)] == [
        "a is done",
        "b is done",
        "c is done",
    ]
    said = [one for one in house.said if "work" not in one]
    assert said == ["commit", "begin", "a", "b", "c", "commit"]


def test_a_writer_that_nobody_waits_for_has_a_plain_transaction(house: House) -> None:
    assert house.commits.run(house.work("a")) == "a is done"
    assert house.said == ["begin", "a", "commit"]


def test_a_work_that_raises_before_it_has_written_leaves_the_others_as_they_are(
    house: House,
) -> None:
    lost = Conflict("jobs", "b")
    a, b, c = house.together(house.work("a"), fails(lost), house.work("c"))
    assert (a.result(), c.result()) == ("a is done", "c is done")
    assert b.exception() is lost
    assert house.said == ["commit", "begin", "a", "c", "commit"]


def test_a_work_that_raises_when_it_has_written_is_undone_and_nothing_else(house: House) -> None:
    lost = Conflict("jobs", "b")

    def half(session: Any) -> None:
        session.written += 1
        raise lost

    a, b, c = house.together(house.work("a"), half, house.work("c"))
    assert (a.result(), c.result()) == ("a is done", "c is done")
    assert b.exception() is lost
    save, release = "SAVEPOINT work", "RELEASE work"
    assert house.said == [
        *("commit", "begin", "a", "rollback"),
        *("begin", save, "a", release),
        *(save, "ROLLBACK TO work", release),
        *(save, "c", release, "commit"),
    ]


def test_what_spoils_the_company_s_transaction_spoils_its_own_alone(house: House) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    a, b, c = house.together(house.work("a"), fails(full), house.work("c"))
    assert b.exception() is full
    assert (a.result(), c.result()) == ("a is done", "c is done")
    alone = ["begin", "a", "commit", "begin", "rollback", "begin", "c", "commit"]
    assert house.said[-8:] == alone


def test_a_commit_that_fails_for_many_is_tried_for_each_and_nobody_is_told_too_early() -> None:
    ends = iter([False, True, False, True])  # the first writer's, all together, then each alone

    def end() -> None:
        if next(ends):
            raise sqlite3.OperationalError("disk I/O error")

    house = House(ends=end)
    a, b = house.together(house.work("a"), house.work("b"))
    assert a.result() == "a is done"
    assert isinstance(b.exception(), sqlite3.OperationalError)
    house.pool.shutdown()


def test_a_lock_that_does_not_come_is_asked_for_once_for_all() -> None:
    asked = []

    @contextmanager
    def transaction() -> Iterator[Any]:
        asked.append(1)
        if len(asked) > 1:
            raise sqlite3.OperationalError("database is locked")
        yield Told([])

    house = House()
    house.commits._transaction = transaction
    failed = [one.exception() for one in house.together(house.work("a"), house.work("b"))]
    assert [str(error) for error in failed] == ["database is locked"] * 2
    assert len(asked) == 2
    house.pool.shutdown()


def test_no_more_than_so_many_share_a_commit_and_the_others_come_next(house: House) -> None:
    together = house.together(*[house.work(str(n)) for n in range(MOST + 3)])
    assert [one.result() for one in together] == [f"{n} is done" for n in range(MOST + 3)]
    sizes = "".join("|" if one == "commit" else "." for one in house.said if "work" not in one)
    assert [len(part) for part in sizes.replace("begin", "").split("|")] == [0, MOST + 1, 4, 0]


def test_who_waited_too_long_is_told_and_its_work_is_never_done(house: House) -> None:
    house.commits._seconds = 0.0
    begun, go_on = threading.Event(), threading.Event()

    def slow(_session: Any) -> None:
        begun.set()
        assert go_on.wait(SOON)

    first = house.pool.submit(house.commits.run, slow)
    assert begun.wait(SOON)
    with pytest.raises(StoreUnavailable, match="others wait"):
        house.commits.run(house.work("late"))
    go_on.set()
    first.result(SOON)
    assert house.commits.run(house.work("next")) == "next is done"
    assert "late" not in house.said


def test_the_end_of_a_leading_thread_is_an_unavailable_store_for_those_it_led(house: House) -> None:
    class Interrupted(BaseException):
        pass

    a, b = house.together(house.work("a"), fails(Interrupted()))
    leader, led = (a, b) if isinstance(a.exception(), Interrupted) else (b, a)
    assert isinstance(leader.exception(), Interrupted)
    assert isinstance(led.exception(), StoreUnavailable)
    assert "commit" not in house.said[1:]
    assert house.commits.run(house.work("next")) == "next is done"


# Over SQLite


def test_writers_at_once_share_commits_and_lose_only_their_own_races(store: SqlStore) -> None:
    seen = store.put(JOBS, Record("raced", {}))
    waiting = store._commits._waiting = Noticed()
    begun, go_on = threading.Event(), threading.Event()

    def slow(_session: Any) -> None:
        begun.set()
        assert go_on.wait(SOON)

    def save(number: int) -> int:
        writes = [
            (DELIVERIES, Record(f"of-{number}", {"n": number})),
            (JOBS, replace(seen, document={"n": number})),
        ]
        return store.transact(writes)[1].version

    with ThreadPoolExecutor(9) as pool, statements_of(store) as sent:
        first = pool.submit(store._commit, slow)
        assert begun.wait(SOON)
        saves = []
        for number in range(8):
            saves.append(pool.submit(save, number))
            assert waiting.came.acquire(timeout=SOON)
        go_on.set()
        first.result(SOON)
        lost = [one.exception(SOON) for one in saves]
    # The first writer's, the others' together, and these once more, each to be undone alone.
    assert sent.count("BEGIN IMMEDIATE") == 3
    assert [type(error) for error in lost] == [type(None), *[Conflict] * 7]
    assert store.get(JOBS, "raced").document == {"n": 0}
    # The delivery of a save that lost is undone with it.
    kept = [store.get(DELIVERIES, f"of-{n}") is not None for n in range(8)]
    assert kept == [True, *[False] * 7]


def test_a_write_too_large_for_the_disk_costs_its_company_nothing(store: SqlStore) -> None:
    store.put(JOBS, Record("first", {}))
    waiting = store._commits._waiting = Noticed()
    begun, go_on = threading.Event(), threading.Event()

    def slow(_session: Any) -> None:
        begun.set()
        assert go_on.wait(SOON)

    records = [
        Record("before", {}),
        Record("large", {"text": "x" * 300_000}),
        Record("after", {}),
    ]
    tight = at_each_loan(store, lambda connection: connection.execute("PRAGMA max_page_count=40"))
    with tight, ThreadPoolExecutor(4) as pool:
        first = pool.submit(store._commit, slow)
        assert begun.wait(SOON)
        puts = []
        for record in records:
            puts.append(pool.submit(store.put, JOBS, record))
            assert waiting.came.acquire(timeout=SOON)
        go_on.set()
        first.result(SOON)
        ends = [one.exception(SOON) for one in puts]
    assert [type(error) for error in ends] == [type(None), StoreUnavailable, type(None)]
    found = [store.get(JOBS, record.key) is not None for record in records]
    assert found == [True, False, True]


def test_a_driver_s_error_keeps_no_transaction_open_while_somebody_holds_it(
    store: SqlStore,
) -> None:
    """An error holds the frames that it went through, and these the cursors that read."""
    store.put(JOBS, Record("first", {}))
    waiting = store._commits._waiting = Noticed()
    begun, go_on = threading.Event(), threading.Event()

    def slow(_session: Any) -> None:
        begun.set()
        assert go_on.wait(SOON)

    def broken(session: Session) -> None:
        session.say("DELETE FROM jobs")
        reading = session._connection.cursor()
        reading.execute("SELECT 1 UNION ALL SELECT 2")
        assert reading.fetchone() == (1,)
        session.say("no statement")

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(store._commit, slow)
        assert begun.wait(SOON)
        fails = pool.submit(store._commit, broken)
        assert waiting.came.acquire(timeout=SOON)
        beside = pool.submit(store.put, JOBS, Record("beside", {}))
        assert waiting.came.acquire(timeout=SOON)
        go_on.set()
        first.result(SOON)
        error = fails.exception(SOON)
        assert isinstance(error, StoreUnavailable)
        assert beside.exception(SOON) is None
    store.put(JOBS, Record("after", {}))
    assert [store.get(JOBS, key) is not None for key in ("first", "beside", "after")] == [True] * 3
    assert error.__traceback__ is not None  # held until here


# Transactions of their own, as on MySQL


class Deadlock(Exception):
    pass


@contextmanager
def plain() -> Iterator[Any]:
    yield Told([])


def test_a_deadlock_that_mysql_broke_is_tried_again() -> None:
    tries = []

    def work(_session: Any) -> str:
        tries.append(1)
        if len(tries) < 3:
            raise Deadlock(1213, "Deadlock found")
        return "done"

    assert OwnTransactions(plain, plain, is_deadlock).run(work) == "done"
    assert len(tries) == 3


@pytest.mark.parametrize(("number", "expected"), [(1213, TRIES), (2006, 1)])
def test_deadlocks_without_end_and_other_faults_are_told(number: int, expected: int) -> None:
    tries = []

    def work(_session: Any) -> None:
        tries.append(1)
        raise Deadlock(number, "no")

    with pytest.raises(Deadlock):
        OwnTransactions(plain, plain, is_deadlock).run(work)
    assert len(tries) == expected


def test_one_connection_writes_and_stays_lent_until_something_goes_wrong(store: SqlStore) -> None:
    store.put(JOBS, Record("first", {}))
    loans: list[Any] = []
    with at_each_loan(store, loans.append):
        for number in range(5):
            store.put(JOBS, Record(f"of-{number}", {}))
        assert len(loans) == 1

        def half(session: Session) -> None:
            session.say("DELETE FROM jobs")
            raise Conflict("jobs", "first")

        with pytest.raises(Conflict):
            store._commit(half)
        store.put(JOBS, Record("next", {}))
        assert len(loans) == 2
    assert store.get(JOBS, "first") is not None


def test_a_store_that_is_closed_while_it_writes_gives_the_connection_back(store: SqlStore) -> None:
    back: list[Any] = []
    sa.event.listen(store._engine, "checkin", lambda connection, _: back.append(connection))
    store._commit(lambda _session: None)
    assert back == []
    store._commit(lambda _session: store.close())
    assert len(back) == 1
