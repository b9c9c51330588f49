"""What every store must do, run over each of them, and again with index reads that lag."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    rule,
)

from infra.aws import tables
from shared.store.base import (
    MAX_RECORD,
    Conflict,
    Lease,
    Page,
    Record,
    Store,
    Table,
    to_text,
)
from shared.store.dynamodb.store import DynamoStore
from shared.store.sql.store import SqlStore
from shared.store.tables import DELIVERIES, IDEMPOTENCY, JOBS
from tests import shared_mysql
from tests.contract.plain import page_of
from tests.contract.stale import StaleStore
from tests.databases import empty_database
from tests.memory import MemoryStore

THREADS = 16
QUEUE = {"queue": "poll", "lane": 1}


@dataclass(frozen=True)
class Adapter:
    """A store under test: where an empty one is made, how it is opened there, and the fixtures
    that must stand while it is used."""

    name: str
    place: Callable[[Path], AbstractContextManager[str]]
    open: Callable[[str], Store]
    needs: tuple[str, ...] = ()


@contextmanager
def sqlite_file(folder: Path) -> Iterator[str]:
    yield empty_database(folder / "store.db")


@contextmanager
def dynamodb_table(_folder: Path) -> Iterator[str]:
    name = f"store-{uuid4().hex}"
    tables.create(name)
    yield name
    tables.drop(name)


@contextmanager
def mysql_database(_folder: Path) -> Iterator[str]:
    yield shared_mysql.emptied()


_IN_MEMORY: dict[str, MemoryStore] = {}


@contextmanager
def memory(folder: Path) -> Iterator[str]:
    yield str(folder)
    _IN_MEMORY.pop(str(folder), None)


def in_memory(where: str) -> MemoryStore:
    return _IN_MEMORY.setdefault(where, MemoryStore())


ADAPTERS = [
    Adapter("sqlite", sqlite_file, SqlStore),
    Adapter("mysql", mysql_database, SqlStore, needs=("mysql_database",)),
    Adapter("memory", memory, in_memory),
    Adapter("dynamodb", dynamodb_table, DynamoStore, needs=("aws",)),
]
# What lags there is its own, so one store below is enough; how DynamoDB's indexes lag is tested
# with its adapter.
STALE = [Adapter("sqlite-stale", sqlite_file, lambda where: StaleStore(SqlStore(where)))]


def adapter_named(name: str) -> Adapter:
    return next(adapter for adapter in ADAPTERS + STALE if adapter.name == name)


@pytest.fixture(params=ADAPTERS + STALE, ids=lambda adapter: adapter.name)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    for fixture in request.param.needs:
        request.getfixturevalue(fixture)
    return request.param


@pytest.fixture
def place(adapter: Adapter, tmp_path: Path) -> Iterator[str]:
    with adapter.place(tmp_path) as where:
        yield where


@pytest.fixture
def store(adapter: Adapter, place: str) -> Iterator[Store]:
    opened = adapter.open(place)
    yield opened
    opened.close()


def settled(store: Store) -> Store:
    """The store once its indexes have caught up; a real one is waited for in its adapter."""
    if isinstance(store, StaleStore):
        store.settle()
    return store


def job(key: str, due_at: int | None = None, **fields: Any) -> Record:
    return Record(key, {"id": key}, {"queue": "poll", "lane": 1, **fields}, due_at)


def fill(store: Store, records: list[Record], table: Table = JOBS) -> list[Record]:
    written = []
    for start in range(0, len(records), 25):
        part = records[start : start + 25]
        written += store.transact([(table, record) for record in part])
    return written


def keys(records: Any) -> list[str]:
    return [record.key for record in records]


def walk(store: Store, *query: Any, **options: Any) -> list[Page]:
    pages = [store.query(*query, **options)]
    while pages[-1].cursor is not None:
        pages.append(store.query(*query, cursor=pages[-1].cursor, **options))
    return pages


def lease_until(due_at: int, counted: bool = True) -> Callable[[Record], Lease]:
    return lambda _record: Lease(due_at, counted)


def at_once(work: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
    """What `work` returns in each of these threads, which start together."""
    barrier = Barrier(threads)

    def run(number: int) -> Any:
        barrier.wait(timeout=30)
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


# Single records


def test_a_record_never_written_is_none(store: Store) -> None:
    assert store.get(JOBS, "nobody") is None


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"nul": "a\0b", "\0": "\x01\x1f\x7f"},
        {"text": "模型 \u00e9 e\u0301 \U0001f9ca \u2028 \ufeff \ufffd '\"\\%_?:x"},
        {"numbers": [0, -1, 2**53, -(2**53), 0.1, 1e300], "flags": [True, False, None]},
        {"deep": {"a": [{"b": [[], {}]}]}},
        {"large": "x" * 65_536},
        {"large": "型" * 21_845},
    ],
)
def test_a_document_comes_back_as_it_was_written(store: Store, document: dict[str, Any]) -> None:
    store.put(JOBS, Record("k", document))
    found = store.get(JOBS, "k")
    assert found is not None
    assert dict(found.document) == document


def test_everything_beside_the_document_comes_back_too(store: Store) -> None:
    written = store.put(
        JOBS, Record("k", {}, {"queue": "型\U0001f9ca", "lane": 2**53}, due_at=2**53, claims=3)
    )
    found = store.get(JOBS, "k")
    assert found is not None
    assert (found.key, found.due_at, found.claims, found.version) == ("k", 2**53, 3, 1)
    assert (found.fields["queue"], found.fields["lane"]) == ("型\U0001f9ca", 2**53)
    assert found.fields.get("caller") is None
    assert (written.version, written.due_at, written.claims) == (1, 2**53, 3)


def test_a_write_replaces_the_whole_record(store: Store) -> None:
    first = store.put(JOBS, Record("k", {"a": 1}, {"caller": "c"}, due_at=5, claims=2))
    second = store.put(JOBS, replace(first, document={"b": 2}, fields={}, due_at=None, claims=0))
    found = store.get(JOBS, "k")
    assert found is not None
    assert (dict(found.document), found.due_at, found.claims) == ({"b": 2}, None, 0)
    assert found.fields.get("caller") is None
    assert found.version == second.version == 2


def test_a_record_is_created_once(store: Store) -> None:
    store.put(JOBS, Record("k", {"by": "first"}))
    with pytest.raises(Conflict) as lost:
        store.put(JOBS, Record("k", {"by": "second"}))
    assert (lost.value.table, lost.value.key) == ("jobs", "k")
    found = store.get(JOBS, "k")
    assert found is not None
    assert found.document["by"] == "first"


def test_a_write_on_an_older_version_loses(store: Store) -> None:
    first = store.put(JOBS, Record("k", {"n": 0}))
    second = store.put(JOBS, replace(first, document={"n": 1}))
    for seen in (first, replace(second, version=9), replace(second, version=0)):
        with pytest.raises(Conflict):
            store.put(JOBS, replace(seen, document={"n": 2}))
    assert store.get(JOBS, "k") == replace(second, fields=store.get(JOBS, "k").fields)


def test_a_write_on_a_record_that_is_not_there_loses(store: Store) -> None:
    with pytest.raises(Conflict):
        store.put(JOBS, Record("k", {}, version=1))
    assert store.get(JOBS, "k") is None


def test_the_same_key_in_two_tables_is_two_records(store: Store) -> None:
    store.put(JOBS, Record("k", {"in": "jobs"}))
    store.put(DELIVERIES, Record("k", {"in": "deliveries"}))
    assert store.get(JOBS, "k").document["in"] == "jobs"
    assert store.get(DELIVERIES, "k").document["in"] == "deliveries"
    assert store.get(IDEMPOTENCY, "k") is None


def test_keys_differ_by_case(store: Store) -> None:
    store.put(JOBS, Record("k", {}))
    assert store.get(JOBS, "K") is None
    store.put(JOBS, Record("K", {}))


# What is over


def test_records_whose_time_is_over_go_and_no_others(store: Store) -> None:
    for key, due in (("past", 10), ("now", 20), ("later", 30)):
        store.put(IDEMPOTENCY, Record(key, {"of": key}, due_at=due))
    store.put(IDEMPOTENCY, Record("for good", {}))
    store.put(JOBS, job("job", due_at=5))
    gone = store.expire(IDEMPOTENCY, 20, 100)
    there = [key for key in ("past", "now") if store.get(IDEMPOTENCY, key) is not None]
    # A store that does so by itself leaves them for now.
    assert (gone, there) in ((2, []), (0, ["past", "now"]))
    for key in ("later", "for good"):
        assert store.get(IDEMPOTENCY, key) is not None
    assert store.get(JOBS, "job") is not None
    assert store.expire(IDEMPOTENCY, 20, 100) == 0


def test_no_more_records_go_at_once_than_was_said(store: Store) -> None:
    for number in range(5):
        store.put(IDEMPOTENCY, Record(f"k{number}", {}, due_at=number))
    gone = [store.expire(IDEMPOTENCY, 9, 2) for _ in range(4)]
    assert gone in ([2, 2, 1, 0], [0, 0, 0, 0])


def test_what_is_kept_for_good_does_not_expire(store: Store) -> None:
    with pytest.raises(ValueError, match="for good"):
        store.expire(JOBS, 20, 100)


# Transactions


def test_a_transaction_writes_all(store: Store) -> None:
    old = store.put(JOBS, job("old"))
    written = store.transact([(JOBS, old), (JOBS, job("new")), (IDEMPOTENCY, Record("i", {}))])
    assert [(record.key, record.version) for record in written] == [
        ("old", 2),
        ("new", 1),
        ("i", 1),
    ]
    assert store.get(JOBS, "old").version == 2
    assert store.get(JOBS, "new").version == 1
    assert store.get(IDEMPOTENCY, "i").version == 1


@pytest.mark.parametrize("loser", [0, 1, 2])
def test_a_transaction_with_one_loser_writes_nothing_and_names_it(store: Store, loser: int) -> None:
    writes = [(JOBS, job("a")), (DELIVERIES, Record("b", {})), (IDEMPOTENCY, Record("c", {}))]
    table, record = writes[loser]
    store.put(table, record)
    with pytest.raises(Conflict) as lost:
        store.transact(writes)
    assert (lost.value.table, lost.value.key) == (table.name, record.key)
    there = [store.get(table, record.key) is not None for table, record in writes]
    assert there == [number == loser for number in range(3)]


def test_a_transaction_names_the_first_of_two_losers(store: Store) -> None:
    store.put(JOBS, job("b"))
    store.put(JOBS, job("c"))
    with pytest.raises(Conflict) as lost:
        store.transact([(JOBS, job("a")), (JOBS, job("c")), (JOBS, job("b"))])
    assert lost.value.key == "c"


def test_a_transaction_takes_25_writes_and_no_more(store: Store) -> None:
    assert len(store.transact([(JOBS, job(f"k{n}")) for n in range(25)])) == 25
    with pytest.raises(ValueError, match="25"):
        store.transact([(JOBS, job(f"m{n}")) for n in range(26)])
    assert store.get(JOBS, "m0") is None


def test_a_transaction_writes_a_record_once(store: Store) -> None:
    with pytest.raises(ValueError, match="once"):
        store.transact([(JOBS, job("k")), (JOBS, replace(job("k"), version=1))])
    assert store.get(JOBS, "k") is None


@pytest.mark.parametrize(
    "record",
    [
        Record("", {}),
        Record("k" * 65, {}),
        Record("k", {}, {"mood": "good"}),
        Record("k", {}, {"lane": "one"}),
        Record("k", {}, {"caller": 1}),
        Record("k", {}, {"caller": "c" * 65}),
        Record("k", {"x": float("nan")}),
    ],
)
def test_a_record_no_store_holds_is_a_value_error_and_nothing_is_written(
    store: Store, record: Record
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        store.transact([(JOBS, job("good")), (JOBS, record)])
    assert store.get(JOBS, "good") is None


def test_a_key_and_a_text_field_may_have_64_characters(store: Store) -> None:
    for letter in "k\U0001f9ca":
        key = letter * 64
        store.put(JOBS, Record(key, {}, {"caller": key}))
        assert store.get(JOBS, key).fields["caller"] == key


def test_writes_that_are_each_by_itself_have_each_its_own_verdict(store: Store) -> None:
    old = store.put(JOBS, Record("old", {"n": 0}, {"queue": "q", "lane": 0}, due_at=1))
    newer = store.put(JOBS, replace(old, document={"n": 1}))
    records = [Record(f"new{n:02}", {"n": n}) for n in range(30)]
    writes = [(JOBS, old), (JOBS, newer), (JOBS, Record("old", {})), *((JOBS, r) for r in records)]
    written = store.put_each(writes)
    assert written == [None, newer.written(), None, *(r.written() for r in records)]
    kept = [store.get(JOBS, key) for key in ("old", "new29")]
    assert [(one.document, one.version) for one in kept if one] == [({"n": 1}, 3), ({"n": 29}, 1)]
    assert store.put_each([]) == []


def test_of_writes_each_by_itself_none_is_written_where_one_is_no_record(store: Store) -> None:
    with pytest.raises(ValueError, match="characters"):
        store.put_each([(JOBS, Record("fine", {})), (JOBS, Record("x" * 65, {}))])
    assert store.get(JOBS, "fine") is None


def test_a_transaction_of_nothing_does_nothing(store: Store) -> None:
    assert store.transact([]) == []


KILLED = """
import os, sys, threading
from itertools import count
from shared.store.base import Record
from shared.store.tables import DELIVERIES, JOBS
from tests.contract.test_store import adapter_named

store = adapter_named(sys.argv[1]).open(sys.argv[2])
enough = threading.Event()
threading.Thread(target=lambda: (enough.wait(), os._exit(9))).start()
for n in count():
    records = [Record(f"{n}-{part}", {}) for part in range(9)]
    store.transact([(table, record) for table in (JOBS, DELIVERIES) for record in records])
    if n == 20:
        enough.set()
"""


def test_a_process_killed_in_a_transaction_leaves_all_or_nothing(
    adapter: Adapter, place: str, store: Store
) -> None:
    if isinstance(store, MemoryStore):
        pytest.skip("what is in memory dies with its process")
    child = [sys.executable, "-c", KILLED, adapter.name, place]
    assert subprocess.run(child, timeout=60, check=False).returncode == 9
    left = []
    while any(left[-1:] or [True]):
        n = len(left)
        records = [store.get(t, f"{n}-{part}") for t in (JOBS, DELIVERIES) for part in range(9)]
        there = {record is not None for record in records}
        assert len(there) == 1
        left.append(there.pop())
    assert len(left) > 21


# Queries


SHUFFLED = [(7 * n) % 23 for n in range(23)]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 4, 22, 23, 24])
def test_pages_cover_an_index_once_in_order_with_ties_in_key_order(
    store: Store, limit: int, descending: bool
) -> None:
    fill(store, [job(f"k{n:02}", due_at=n % 4) for n in SHUFFLED])
    fill(store, [job(f"x{n}", due_at=n, lane=2) for n in range(3)])
    pages = walk(settled(store), JOBS, "due", QUEUE, limit=limit, descending=descending)
    expected = [f"k{n:02}" for due_at in range(4) for n in range(due_at, 23, 4)]
    found = keys(r for page in pages for r in page.records)
    assert found == (expected[::-1] if descending else expected)
    assert [len(page.records) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert pages[-1].records


@pytest.mark.parametrize("descending", [False, True])
def test_pages_of_an_index_in_key_order(store: Store, descending: bool) -> None:
    fill(store, [job(f"k{n:02}", caller=f"c{n % 2}", status="queued") for n in SHUFFLED])
    for index, equals in (("by_caller", {}), ("by_status", {"status": "queued"})):
        query = (JOBS, index, {"caller": "c1", **equals})
        pages = walk(settled(store), *query, limit=5, descending=descending)
        expected = [f"k{n:02}" for n in range(1, 23, 2)]
        found = keys(r for page in pages for r in page.records)
        assert found == (expected[::-1] if descending else expected)


def test_text_sorts_by_code_point(store: Store) -> None:
    order = ["B", "a", "a-", "a0", "aa", "é", "型", "\U0001f9ca"]
    fill(store, [job(key, caller="c") for key in reversed(order)])
    assert keys(settled(store).query(JOBS, "by_caller", {"caller": "c"}).records) == order


@pytest.mark.parametrize("descending", [False, True])
def test_a_cursor_holds_its_place_while_records_come_and_go(store: Store, descending: bool) -> None:
    written = fill(store, [job(f"k{n:02}", due_at=n // 4) for n in range(12)])
    first = settled(store).query(JOBS, "due", QUEUE, limit=5, descending=descending)
    # The one the cursor stands on leaves the index, and others appear on both sides of it.
    for record in (first.records[-1], written[0], written[11]):
        store.put(JOBS, replace(record, due_at=None))
    fill(store, [job("k00a", due_at=0), job("k10a", due_at=2), job("k04a", due_at=1)])
    rest = settled(store).query(JOBS, "due", QUEUE, descending=descending, cursor=first.cursor)
    expected = ["k04a", *(f"k{n:02}" for n in range(5, 11)), "k10a"]
    if descending:
        expected = ["k06", "k05", "k04a", "k04", "k03", "k02", "k01", "k00a"]
    assert keys(rest.records) == expected
    assert rest.cursor is None


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (None, None, [0, 10, 20, 30]),
        (10, None, [10, 20, 30]),
        (11, None, [20, 30]),
        (None, 20, [0, 10, 20]),
        (None, 19, [0, 10]),
        (10, 20, [10, 20]),
        (10, 10, [10]),
        (11, 19, []),
        (20, 10, []),
        (-(2**53), 2**53, [0, 10, 20, 30]),
    ],
)
@pytest.mark.parametrize("descending", [False, True])
def test_bounds_of_a_range_belong_to_it(
    store: Store, low: int | None, high: int | None, expected: list[int], descending: bool
) -> None:
    fill(store, [job(f"k{due}", due_at=due) for due in (0, 10, 20, 30)])
    pages = walk(
        settled(store), JOBS, "due", QUEUE, low=low, high=high, limit=1, descending=descending
    )
    found = [record.due_at for page in pages for record in page.records]
    assert found == (expected[::-1] if descending else expected)


def test_a_range_of_keys(store: Store) -> None:
    fill(store, [job(key, caller="c") for key in "abcde"])
    page = settled(store).query(JOBS, "by_caller", {"caller": "c"}, low="b", high="d", limit=2)
    assert keys(page.records) == ["b", "c"]
    rest = store.query(
        JOBS, "by_caller", {"caller": "c"}, low="b", high="d", limit=2, cursor=page.cursor
    )
    assert keys(rest.records) == ["d"]
    assert rest.cursor is None


def test_a_record_without_one_of_the_values_is_not_in_the_index(store: Store) -> None:
    fill(
        store,
        [
            job("whole", due_at=1, caller="c", status="s"),
            job("no due", caller="c", status="s"),
            job("no lane", due_at=1, lane=None, caller="c", status="s"),
            job("no caller", due_at=1, status="s"),
            job("no status", due_at=1, caller="c"),
            Record("nothing", {}),
        ],
    )
    settled(store)
    due = ["no caller", "no status", "whole"]
    assert keys(store.query(JOBS, "due", QUEUE).records) == due
    assert keys(store.query(JOBS, "due", QUEUE, descending=True).records) == due[::-1]
    by_status = store.query(JOBS, "by_status", {"caller": "c", "status": "s"})
    assert keys(by_status.records) == ["no due", "no lane", "whole"]
    by_caller = store.query(JOBS, "by_caller", {"caller": "c"})
    assert keys(by_caller.records) == ["no due", "no lane", "no status", "whole"]


def test_a_change_of_values_moves_a_record_between_indexes(store: Store) -> None:
    first = store.put(JOBS, job("k", due_at=1, caller="a"))
    store.put(JOBS, replace(first, fields={"caller": "b"}))
    settled(store)
    assert keys(store.query(JOBS, "by_caller", {"caller": "a"}).records) == []
    assert keys(store.query(JOBS, "by_caller", {"caller": "b"}).records) == ["k"]
    assert keys(store.query(JOBS, "due", QUEUE).records) == []


def test_an_index_that_was_not_declared_is_an_error(store: Store) -> None:
    with pytest.raises(KeyError):
        store.query(JOBS, "by_mood", {})
    with pytest.raises(KeyError):
        store.claim(JOBS, "by_mood", {}, now=1, lease=lease_until(2), limit=1)


@pytest.mark.parametrize("equals", [{}, {"queue": "x"}, {"queue": "x", "lane": 1, "caller": "c"}])
def test_a_query_names_exactly_the_index_s_fields(store: Store, equals: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="wants"):
        store.query(JOBS, "due", equals)
    with pytest.raises(ValueError, match="wants"):
        store.claim(JOBS, "due", equals, now=1, lease=lease_until(2), limit=1)


def test_a_query_for_less_than_one_record_is_an_error(store: Store) -> None:
    for limit in (0, -1):
        with pytest.raises(ValueError, match="limit"):
            store.query(JOBS, "due", QUEUE, limit=limit)
        assert claim(store, now=5, limit=limit) == []


@pytest.mark.parametrize(
    "cursor",
    ["", "!", "e30", "WyJhIl0", "WzFd", "bnVsbA", "W251bGwsImEiXQ", "WzEsMV0", "AAAA", "é"],
)
def test_a_malformed_cursor_is_a_value_error(store: Store, cursor: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        store.query(JOBS, "due", QUEUE, cursor=cursor)


def test_any_text_as_a_cursor_is_a_page_or_a_value_error(store: Store) -> None:
    @given(st.text(max_size=40))
    def ask(cursor: str) -> None:
        with suppress(ValueError):
            store.query(JOBS, "due", QUEUE, cursor=cursor)

    ask()


# Claims


def claim(store: Store, now: int, until: int = 1000, limit: int = 100) -> list[Record]:
    return store.claim(JOBS, "due", QUEUE, now=now, lease=lease_until(until), limit=limit)


def test_a_claim_takes_what_is_due_the_longest_waiting_first(store: Store) -> None:
    fill(store, [job("b", 5), job("a", 5), job("c", 1), job("later", 6), job("never")])
    fill(store, [job("other lane", 1, lane=2), job("other queue", 1, queue="callback")])
    assert keys(claim(settled(store), now=5)) == ["c", "a", "b"]
    assert claim(settled(store), now=5) == []
    assert keys(claim(settled(store), now=6)) == ["later"]


def test_a_claim_takes_no_more_than_asked(store: Store) -> None:
    fill(store, [job(f"k{n:03}", n) for n in range(120)])
    assert claim(settled(store), now=999, limit=0) == []
    assert keys(claim(store, now=999, limit=2)) == ["k000", "k001"]
    assert len(claim(settled(store), now=999, limit=100)) == 100
    assert len(claim(settled(store), now=999, limit=100)) == 18


def test_a_claim_moves_due_at_and_counts_if_the_lease_says_so(store: Store) -> None:
    fill(store, [job("counted", 1), job("free", 2)])
    seen: list[Record] = []

    def lease(record: Record) -> Lease:
        seen.append(record)
        return Lease(100 + record.due_at, counted=record.key == "counted")

    taken = settled(store).claim(JOBS, "due", QUEUE, now=5, lease=lease, limit=9)
    assert [(record.due_at, record.version) for record in seen] == [(1, 1), (2, 1)]
    assert [(r.key, r.due_at, r.claims, r.version) for r in taken] == [
        ("counted", 101, 1, 2),
        ("free", 102, 0, 2),
    ]
    for record in taken:
        found = store.get(JOBS, record.key)
        assert (found.due_at, found.claims, found.version) == (
            record.due_at,
            record.claims,
            record.version,
        )
        assert found.document == record.document == {"id": record.key}


def test_a_claim_leaves_what_the_lease_says_none_to_as_it_is(store: Store) -> None:
    fill(store, [job("a", 1), job("left", 2), job("b", 3), job("unseen", 4)])
    before = store.get(JOBS, "left")

    def lease(record: Record) -> Lease | None:
        return None if record.key == "left" else Lease(100, counted=True)

    taken = settled(store).claim(JOBS, "due", QUEUE, now=5, lease=lease, limit=3)
    assert keys(taken) == ["a", "b"]
    assert store.get(JOBS, "left") == before
    assert settled(store).claim(JOBS, "due", QUEUE, now=5, lease=lambda _: None, limit=3) == []
    assert keys(claim(settled(store), now=5)) == ["left", "unseen"]


def test_a_lease_that_ran_out_is_claimed_again_and_counted_again(store: Store) -> None:
    store.put(JOBS, job("k", 1))
    for times, now in enumerate((10, 20, 30), start=1):
        assert claim(settled(store), now=now - 1 if times > 1 else 0) == []
        (taken,) = claim(settled(store), now=now, until=now + 10)
        assert taken.claims == times


def test_a_claimed_record_can_be_saved_by_its_claimer_only(store: Store) -> None:
    before = store.put(JOBS, job("k", 1))
    (mine,) = claim(settled(store), now=5)
    with pytest.raises(Conflict):
        store.put(JOBS, before)
    assert store.put(JOBS, replace(mine, claims=0)).version == 3


def test_a_save_in_between_makes_a_claim_lose_the_record(store: Store) -> None:
    first = store.put(JOBS, job("k", 1))
    settled(store)
    store.put(JOBS, replace(first, due_at=None))
    assert claim(store, now=5) == []
    assert store.get(JOBS, "k").due_at is None


# Many at once


def test_16_threads_claim_every_record_exactly_once(store: Store) -> None:
    total = 96
    fill(store, [job(f"k{n:03}", n % 7) for n in range(total)])
    taken: list[str] = []

    def work(_number: int) -> None:
        rounds = 0
        while len(taken) < total and rounds < 2000:
            taken.extend(keys(claim(store, now=10, limit=9)))
            rounds += 1

    at_once(work)
    assert sorted(taken) == [f"k{n:03}" for n in range(total)]
    assert {store.get(JOBS, key).claims for key in taken} == {1}


def test_16_threads_counting_by_compare_and_set_lose_nothing(store: Store) -> None:
    store.put(JOBS, Record("k", {"count": 0}))

    def count(_number: int) -> None:
        left = 8
        while left:
            seen = store.get(JOBS, "k")
            try:
                store.put(JOBS, replace(seen, document={"count": seen.document["count"] + 1}))
                left -= 1
            except Conflict:
                continue

    at_once(count)
    found = store.get(JOBS, "k")
    assert (found.document["count"], found.version) == (THREADS * 8, THREADS * 8 + 1)


def test_of_16_threads_that_create_a_record_one_wins(store: Store) -> None:
    def create(number: int) -> bool:
        try:
            store.transact(
                [(IDEMPOTENCY, Record("k", {"by": number})), (JOBS, job(f"job-{number}"))]
            )
        except Conflict:
            return False
        return True

    won = at_once(create)
    assert won.count(True) == 1
    winner = won.index(True)
    assert store.get(IDEMPOTENCY, "k").document == {"by": winner}
    assert [store.get(JOBS, f"job-{n}") is not None for n in range(THREADS)] == won


@pytest.mark.timeout(300)
def test_of_16_workers_racing_for_a_version_one_wins_in_each_of_60_rounds(store: Store) -> None:
    rounds = range(1, 61)
    store.put(JOBS, Record("k", {}))
    together = Barrier(THREADS)

    def race(number: int) -> list[int]:
        won = []
        for version in rounds:
            together.wait(timeout=60)
            with suppress(Conflict):
                store.put(JOBS, Record("k", {"by": number}, version=version))
                won.append(version)
        return won

    assert sorted(version for won in at_once(race) for version in won) == list(rounds)
    assert store.get(JOBS, "k").version == rounds[-1] + 1


@pytest.mark.timeout(300)
def test_8_workers_claim_600_due_jobs_none_twice_none_missed(store: Store) -> None:
    total, workers, queues = 600, 8, 4
    fill(store, [job(f"k{n:04}", n % 99, lane=n % queues) for n in range(total)])
    taken: list[str] = []

    def work(number: int) -> None:
        rounds = 0
        while len(taken) < total and rounds < 4000:
            # Two at a time meet in a queue, and all come to each.
            where = {"queue": "poll", "lane": (number + rounds) % queues}
            claimed = store.claim(JOBS, "due", where, now=99, lease=lease_until(1000), limit=50)
            taken.extend(keys(claimed))
            rounds += not claimed

    at_once(work, workers)
    assert sorted(taken) == [f"k{n:04}" for n in range(total)]


def test_a_claim_may_move_a_record_to_another_queue_in_its_one_write(store: Store) -> None:
    fill(store, [job("moves", 1, caller="c"), job("stays", 2)])

    def lease(record: Record) -> Lease:
        return Lease(50, counted=False, queue="parked" if record.key == "moves" else None)

    before = {key: store.get(JOBS, key).version for key in ("moves", "stays")}
    claimed = settled(store).claim(JOBS, "due", QUEUE, now=99, lease=lease, limit=9)
    assert [record.fields["queue"] for record in claimed] == ["parked", "poll"]
    for record in claimed:
        kept = store.get(JOBS, record.key)
        assert (kept.fields["queue"], kept.due_at, kept.version) == (
            record.fields["queue"],
            50,
            before[record.key] + 1,
        )
    elsewhere = {"queue": "parked", "lane": 0}
    assert keys(settled(store).query(JOBS, "due", elsewhere).records) == ["moves"]
    assert keys(store.query(JOBS, "due", QUEUE).records) == ["stays"]
    back = store.claim(
        JOBS, "due", elsewhere, now=99, lease=lambda _: Lease(60, True, "poll"), limit=9
    )
    assert [(one.key, one.fields["queue"], one.claims) for one in back] == [("moves", "poll", 1)]
    assert back[0].fields["caller"] == "c"


def test_first_is_the_lowest_sort_value_of_an_index(store: Store) -> None:
    assert store.first(JOBS, "due", QUEUE) is None
    fill(store, [job("b", 30), job("a", 2**40), job("c", -7), job("other", 1, queue="x")])
    assert settled(store).first(JOBS, "due", QUEUE) == -7
    claim(store, now=0, until=2**41, limit=1)
    assert settled(store).first(JOBS, "due", QUEUE) == 30
    fill(store, [Record("k2", {}, {"caller": "型#$"}), Record("k1", {}, {"caller": "型#$"})])
    assert settled(store).first(JOBS, "by_caller", {"caller": "型#$"}) == "k1"
    with pytest.raises(KeyError):
        store.first(JOBS, "by_color", {})
    with pytest.raises(ValueError, match="wants"):
        store.first(JOBS, "due", {"queue": "poll"})


WIDEST = "\U0001f9ca" * 64
"""As long as a key or a field may be, and of the characters that take most bytes."""


@pytest.mark.parametrize("letter", ["x", "型", "\0", "\ud800"])
def test_no_store_takes_a_record_that_another_would_refuse(store: Store, letter: str) -> None:
    fields = dict.fromkeys(("queue", "caller", "status"), WIDEST)
    empty = Record(WIDEST, {"x": ""}, {**fields, "lane": 2**53}, due_at=2**53)
    beside = 4 * len(WIDEST.encode()) + len(to_text({"x": ""}))
    size = len(to_text({"x": letter}).encode()) - len(to_text({"x": ""}).encode())
    most = (MAX_RECORD - beside) // size
    written = store.put(JOBS, replace(empty, document={"x": letter * most}))
    with pytest.raises(ValueError, match="more than"):
        store.put(JOBS, replace(written, document={"x": letter * (most + 1)}))
    assert store.get(JOBS, WIDEST).version == 1


def test_no_store_takes_a_transaction_that_another_would_refuse(store: Store) -> None:
    large = [(JOBS, Record(f"k{n}", {"x": "x" * (MAX_RECORD - 11)})) for n in range(11)]
    assert len(store.transact(large[:10])) == 10
    with pytest.raises(ValueError, match="a transaction has"):
        store.transact([(table, replace(record, version=1)) for table, record in large[:10]]
                       + large[10:])  # fmt: skip
    assert store.get(JOBS, "k0").version == 1


# Opening and closing


def test_a_store_opened_again_finds_everything(adapter: Adapter, place: str) -> None:
    first = adapter.open(place)
    written = first.put(JOBS, job("k", 1))
    first.close()
    second = adapter.open(place)
    assert second.get(JOBS, "k").version == written.version
    second.close()


def test_two_open_stores_see_each_other_s_writes_at_once(
    adapter: Adapter, place: str, store: Store
) -> None:
    other = adapter.open(place)
    first = store.put(JOBS, job("k", 1))
    second = other.put(JOBS, replace(first, due_at=2))
    assert store.get(JOBS, "k").due_at == 2
    with pytest.raises(Conflict):
        store.put(JOBS, first)
    assert store.put(JOBS, second).version == 3
    other.close()


def test_a_store_is_fit_to_use_and_may_be_closed_twice(store: Store) -> None:
    store.check()
    store.close()
    store.close()


# Any order of things, against a dictionary

KEYS = st.sampled_from([f"k{n}" for n in range(8)])
SMALL = st.integers(0, 4)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "queue": st.sampled_from(["poll", "callback", None]),
        "lane": st.sampled_from([0, 1, None]),
        "caller": st.sampled_from(["c1", "c2"]),
        "status": st.sampled_from(["queued", "running"]),
    },
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DOCUMENTS = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)
RECORDS = st.builds(Record, KEYS, DOCUMENTS, FIELDS, st.none() | SMALL, st.integers(0, 2), SMALL)


def plain(record: Record) -> Record:
    """Without the difference between a field that is None and one left out."""
    return replace(
        record,
        document=dict(record.document),
        fields={name: value for name, value in record.fields.items() if value is not None},
    )


class StoreAgainstDictionary(RuleBasedStateMachine):
    """Whatever is done in whatever order, the store answers as a dictionary would."""

    adapter = ADAPTERS[0]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.place = self.adapter.place(self.folder)
        self.where = self.place.__enter__()
        self.store = self.adapter.open(self.where)
        self.model: dict[tuple[str, str], Record] = {}

    def version_of(self, table: Table, key: str) -> int:
        known = self.model.get((table.name, key))
        return known.version if known else 0

    def records_of(self, table: Table) -> list[Record]:
        return [record for (name, _), record in self.model.items() if name == table.name]

    @rule(record=RECORDS, right=st.booleans())
    def put(self, record: Record, right: bool) -> None:
        stored = self.version_of(JOBS, record.key)
        if right:
            record = replace(record, version=stored)
        if record.version != stored:
            with pytest.raises(Conflict):
                self.store.put(JOBS, record)
        else:
            written = self.store.put(JOBS, record)
            assert plain(written) == plain(record.written())
            self.model["jobs", record.key] = written

    @rule(
        records=st.lists(RECORDS, max_size=4, unique_by=lambda record: record.key),
        wrong=st.none() | st.integers(0, 3),
    )
    def transact(self, records: list[Record], wrong: int | None) -> None:
        writes = [
            (JOBS, replace(r, version=self.version_of(JOBS, r.key) + (7 if n == wrong else 0)))
            for n, r in enumerate(records)
        ]
        if wrong is not None and wrong < len(writes):
            with pytest.raises(Conflict) as lost:
                self.store.transact(writes)
            assert lost.value.key == writes[wrong][1].key
        else:
            for record in self.store.transact(writes):
                self.model["jobs", record.key] = record

    @rule(
        index=st.sampled_from(["due", "by_caller", "by_status"]),
        limit=st.integers(1, 4),
        descending=st.booleans(),
        bounds=st.tuples(st.none() | SMALL, st.none() | SMALL),
    )
    def query(
        self,
        index: str,
        limit: int,
        descending: bool,
        bounds: tuple[int | None, int | None],
    ) -> None:
        equals = {"queue": "poll", "lane": 1, "caller": "c1", "status": "queued"}
        equals = {name: equals[name] for name in JOBS.index(index).equals}
        low, high = bounds
        if index != "due":
            low, high = (None if b is None else f"k{b}" for b in bounds)
        options = {"low": low, "high": high, "descending": descending}
        pages = walk(self.store, JOBS, index, equals, limit=limit, **options)
        expected = page_of(self.records_of(JOBS), JOBS, index, equals, limit=99, **options)
        found = [plain(record) for page in pages for record in page.records]
        assert found == [plain(record) for record in expected.records]

    @rule(now=SMALL, longer=st.integers(0, 3), counted=st.booleans(), limit=st.integers(1, 4))
    def claim(self, now: int, longer: int, counted: bool, limit: int) -> None:
        taken = self.store.claim(
            JOBS, "due", QUEUE, now=now, lease=lease_until(now + longer, counted), limit=limit
        )
        due = page_of(self.records_of(JOBS), JOBS, "due", QUEUE, high=now, limit=limit).records
        assert keys(taken) == keys(due)
        for record, before in zip(taken, due, strict=True):
            claims = before.claims + counted
            after = replace(before.written(), due_at=now + longer, claims=claims)
            assert plain(record) == plain(after)
            self.model["jobs", record.key] = record

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.adapter.open(self.where)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        found, known = self.store.get(JOBS, key), self.model.get(("jobs", key))
        assert (found and plain(found)) == (known and plain(known))

    def teardown(self) -> None:
        self.store.close()
        self.place.__exit__(None, None, None)
        shutil.rmtree(self.folder)


for _adapter in ADAPTERS:
    _machine = type(
        f"StoreAgainstDictionary_{_adapter.name}", (StoreAgainstDictionary,), {"adapter": _adapter}
    )
    for _fixture in _adapter.needs:
        pytest.mark.usefixtures(_fixture)(_machine.TestCase)
    globals()[f"Test_{_adapter.name}_against_a_dictionary"] = _machine.TestCase
    _machine.TestCase.settings = settings(max_examples=30, stateful_step_count=25)
