"""The DynamoDB store below its protocol: lost answers, collisions, lagging indexes, requests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.aws import tables
from infra.aws.emulator import Emulator
from shared.aws import clients
from shared.clock import SystemClock
from shared.jobs.model import (
    Artifact,
    Attempt,
    HistoryEntry,
    InputFile,
    Job,
    JobError,
    JobInput,
    ResultFile,
    Status,
    from_record,
    to_record,
)
from shared.store.base import MAX_RECORD, Conflict, Lease, Record, StoreUnavailable
from shared.store.dynamodb import calls
from shared.store.dynamodb.calls import Calls
from shared.store.dynamodb.items import MAX_ITEM, size, to_item
from shared.store.dynamodb.store import DynamoStore
from shared.store.tables import DELIVERIES, IDEMPOTENCY, JOBS
from tests.fakes import FakeClock
from tests.wire import Answer, Body, Wire, first, lose_the_answer, refuse, then

QUEUE = {"queue": "poll", "lane": 1}


@pytest.fixture
def table(aws: Emulator) -> Iterator[str]:
    name = f"store-{uuid4().hex}"
    tables.create(name)
    yield name
    tables.drop(name)


@pytest.fixture
def other(table: str) -> DynamoStore:
    """Somebody else's store on the same table."""
    return DynamoStore(table)


@contextmanager
def server(url: str) -> Iterator[None]:
    """Talk to DynamoDB at another address meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        clients.forget()
        yield
    clients.forget()


@pytest.fixture
def wire(aws: Emulator, table: str) -> Iterator[Wire]:
    with Wire(aws.url) as wire, server(wire.url):
        yield wire


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(wire: Wire, table: str, clock: FakeClock) -> DynamoStore:
    return DynamoStore(table, clock)


def job(key: str, due_at: int | None = None, **fields: Any) -> Record:
    return Record(key, {"id": key}, {"queue": "poll", "lane": 1, **fields}, due_at)


def lease_until(due_at: int) -> Callable[[Record], Lease]:
    return lambda _record: Lease(due_at, counted=True)


def claim(store: DynamoStore, now: int = 5, limit: int = 100) -> list[Record]:
    return store.claim(JOBS, "due", QUEUE, now=now, lease=lease_until(99), limit=limit)


def keys(records: Any) -> list[str]:
    return [record.key for record in records]


# Requests


def test_each_operation_takes_as_few_requests_as_it_can(store: DynamoStore, wire: Wire) -> None:
    store.transact([(JOBS, job(f"k{n}", due_at=n)) for n in range(5)])
    assert wire.operations() == ["TransactWriteItems"]
    store.put(JOBS, job("one"))
    assert wire.operations() == ["PutItem"]
    store.get(JOBS, "one")
    assert wire.operations() == ["GetItem"]
    store.query(JOBS, "due", QUEUE, limit=3)
    assert wire.operations() == ["Query", "BatchGetItem"]
    store.query(JOBS, "due", {"queue": "poll", "lane": 2})
    assert wire.operations() == ["Query"]
    store.query(JOBS, "due", QUEUE, low=7, high=3)
    assert wire.operations() == []
    assert store.first(JOBS, "due", QUEUE) == 0
    assert wire.operations() == ["Query"]
    assert len(claim(store, now=3)) == 4
    assert wire.operations() == ["Query", "BatchGetItem", *["UpdateItem"] * 4]
    assert claim(store, now=3) == []
    assert wire.operations() == ["Query"]
    store.transact([])
    assert store.get(JOBS, "k" * 3000) is None
    assert store.get(JOBS, "\ud800") is None
    assert wire.operations() == []
    store.check()
    store.close()
    assert wire.operations() == ["GetItem", "Query", "UpdateItem"]


def test_a_claim_sends_no_document(store: DynamoStore, wire: Wire) -> None:
    store.put(JOBS, Record("k", {"secret": "x" * 1000}, QUEUE, due_at=1))
    claim(store)
    (update,) = [body for operation, body in wire.sent if operation == "UpdateItem"]
    assert "xxx" not in str(update)
    assert store.get(JOBS, "k").document == {"secret": "x" * 1000}


def test_importing_the_store_does_not_import_the_sdk() -> None:
    code = "import sys, shared.store.dynamodb.store; print([m for m in sys.modules if 'boto' in m])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_process_may_fork_while_a_store_is_open(store: DynamoStore, wire: Wire) -> None:
    store.put(JOBS, Record("k", {}))
    # Over one connection the second request would not be read before the first was answered, and
    # sent anew.
    both = Barrier(2)
    wire.on("GetItem", *[first(lambda: both.wait(timeout=20))] * 2)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if store.get(JOBS, "k") else 1
        finally:
            os._exit(status)
    assert store.get(JOBS, "k").version == 1
    assert os.waitpid(child, 0)[1] == 0
    assert wire.operations() == ["PutItem", "GetItem", "GetItem"]


# Answers that get lost


@pytest.mark.parametrize("before", [0, 1])
def test_a_put_whose_answer_is_lost_has_gone_through(
    store: DynamoStore, wire: Wire, before: int
) -> None:
    record = Record("k", {"n": 1})
    if before:
        record = replace(store.put(JOBS, record), document={"n": 2})
    wire.operations()
    wire.on("PutItem", lose_the_answer)
    written = store.put(JOBS, record)
    assert wire.operations() == ["PutItem", "PutItem"]
    assert written.version == before + 1
    assert store.get(JOBS, "k").document == record.document


def test_a_transaction_whose_answer_is_lost_has_gone_through(
    store: DynamoStore, wire: Wire
) -> None:
    wire.on("TransactWriteItems", lose_the_answer)
    written = store.transact([(JOBS, job("a")), (IDEMPOTENCY, Record("b", {}))])
    assert [record.version for record in written] == [1, 1]
    first, second = (body for _, body in wire.sent)
    assert first == second
    assert store.get(JOBS, "a").version == store.get(IDEMPOTENCY, "b").version == 1


def test_a_transaction_that_dynamodb_no_longer_remembers_knows_itself_too(
    store: DynamoStore, wire: Wire, other: DynamoStore
) -> None:
    def forgetting(forward: Callable[[Body], Answer], body: Body) -> Answer:
        return forward({**body, "ClientRequestToken": uuid4().hex})

    wire.on("TransactWriteItems", lose_the_answer, forgetting)
    assert len(store.transact([(JOBS, job("a")), (JOBS, job("b"))])) == 2
    assert wire.operations() == ["TransactWriteItems"] * 2


def test_a_claim_whose_answer_is_lost_has_taken_the_record_once(
    store: DynamoStore, wire: Wire
) -> None:
    store.put(JOBS, job("k", due_at=1))
    wire.on("UpdateItem", lose_the_answer)
    (taken,) = claim(store)
    assert wire.operations().count("UpdateItem") == 2
    found = store.get(JOBS, "k")
    assert (taken.version, taken.claims, taken.due_at) == (2, 1, 99)
    assert (found.version, found.claims, found.due_at) == (2, 1, 99)


def test_a_lost_answer_does_not_hide_that_somebody_else_was_first(
    store: DynamoStore, wire: Wire
) -> None:
    def too_late(forward: Callable[[Body], Answer], body: Body) -> None:
        forward({**body, "Item": {**body["Item"], "write": {"S": "another"}}})
        lose_the_answer(forward, body)

    wire.on("PutItem", too_late)
    with pytest.raises(Conflict):
        store.put(JOBS, Record("k", {}))


# Collisions, throttling, half answers


def reasons(*codes: str) -> dict[str, Any]:
    return {"CancellationReasons": [{"Code": code} for code in codes]}


COLLISIONS = [
    refuse("TransactionCanceledException", **reasons("None", "TransactionConflict")),
    refuse("TransactionCanceledException", **reasons("ThrottlingError", "None")),
    refuse("TransactionCanceledException", **reasons("None", "ProvisionedThroughputExceeded")),
]


def test_a_transaction_that_meets_another_is_sent_again_the_same(
    store: DynamoStore, wire: Wire, clock: FakeClock
) -> None:
    wire.on("TransactWriteItems", *COLLISIONS)
    began = clock.now()
    assert len(store.transact([(JOBS, job("a")), (JOBS, job("b"))])) == 2
    bodies = [body for _, body in wire.sent]
    assert len(bodies) == 4
    assert all(body == bodies[0] for body in bodies)
    assert clock.now() > began


def test_single_writes_that_meet_a_transaction_are_sent_again(
    store: DynamoStore, wire: Wire
) -> None:
    wire.on("PutItem", refuse("TransactionConflictException"))
    assert store.put(JOBS, job("k", due_at=1)).version == 1
    wire.on("UpdateItem", refuse("TransactionConflictException"))
    assert keys(claim(store)) == ["k"]


@pytest.mark.parametrize("both", [True, False])
def test_collisions_without_end_make_the_store_unavailable(
    store: DynamoStore, wire: Wire, clock: FakeClock, both: bool
) -> None:
    began = clock.now()
    writes = [(JOBS, job("a")), (JOBS, job("b"))][: 1 + both]
    wire.on("TransactWriteItems", *COLLISIONS * 9)
    wire.on("PutItem", *[refuse("TransactionConflictException")] * 30)
    with pytest.raises(StoreUnavailable, match="TransactionConflict"):
        store.transact(writes)
    assert 1000 < clock.now() - began < 10_000


def test_what_failed_a_condition_is_named_though_others_collided(
    store: DynamoStore, wire: Wire
) -> None:
    code = "TransactionCanceledException"
    lost = reasons("TransactionConflict", "ConditionalCheckFailed", "ConditionalCheckFailed")
    wire.on("TransactWriteItems", refuse(code, **lost))
    with pytest.raises(Conflict) as conflict:
        store.transact([(JOBS, job("a")), (DELIVERIES, Record("b", {})), (JOBS, job("c"))])
    assert (conflict.value.table, conflict.value.key) == ("deliveries", "b")


def half(forward: Callable[[Body], Answer], body: Body) -> Answer:
    """DynamoDB answers half of what was asked and hands the rest back."""
    ((name, asked),) = body["RequestItems"].items()
    middle = len(asked["Keys"]) // 2
    status, headers, content = forward(
        {"RequestItems": {name: {**asked, "Keys": asked["Keys"][:middle]}}}
    )
    rest = dict(asked, Keys=asked["Keys"][middle:])
    return status, headers, merged(content, UnprocessedKeys={name: rest})


def nothing(_forward: Callable[[Body], Answer], body: Body) -> Answer:
    return 200, {}, merged(b'{"Responses": {}}', UnprocessedKeys=body["RequestItems"])


def merged(content: bytes, **more: Any) -> bytes:
    return json.dumps({**json.loads(content), **more}).encode()


def test_what_is_read_by_halves_is_read_to_the_end(store: DynamoStore, wire: Wire) -> None:
    store.transact([(JOBS, job(f"k{n}", due_at=n)) for n in range(7)])
    wire.on("BatchGetItem", half, nothing, half)
    page = store.query(JOBS, "due", QUEUE)
    assert keys(page.records) == [f"k{n}" for n in range(7)]
    assert wire.operations().count("BatchGetItem") == 4


def test_more_than_a_batch_is_read_in_batches(store: DynamoStore, wire: Wire) -> None:
    for start in range(0, 225, 25):
        store.transact([(JOBS, job(f"k{n:03}", n)) for n in range(start, start + 25)])
    wire.operations()
    page = store.query(JOBS, "due", QUEUE, limit=210)
    assert keys(page.records) == [f"k{n:03}" for n in range(210)]
    assert wire.operations() == ["Query", *["BatchGetItem"] * 3]
    assert len(store.query(JOBS, "due", QUEUE, limit=210, cursor=page.cursor).records) == 15


def test_nothing_read_time_and_again_makes_the_store_unavailable(
    store: DynamoStore, wire: Wire
) -> None:
    store.put(JOBS, job("k", due_at=1))
    wire.on("BatchGetItem", *[nothing] * 50)
    with pytest.raises(StoreUnavailable):
        store.query(JOBS, "due", QUEUE)


def test_a_claim_keeps_what_it_got_when_some_writes_fail(store: DynamoStore, wire: Wire) -> None:
    store.transact([(JOBS, job(f"k{n}", due_at=n)) for n in range(3)])
    wire.on("UpdateItem", refuse("AccessDeniedException"))
    assert len(claim(store)) == 2
    wire.on("UpdateItem", refuse("AccessDeniedException"))
    with pytest.raises(StoreUnavailable, match="AccessDenied"):
        claim(store)
    assert len(claim(store)) == 1


def test_a_claim_tells_how_many_others_took_first(
    wire: Wire, table: str, other: DynamoStore
) -> None:
    lost: list[int] = []
    store = DynamoStore(table, on_lost=lost.append)
    written = store.transact([(JOBS, job(f"k{n}", due_at=n)) for n in range(4)])

    def take_two() -> None:
        for record in (written[1], written[3]):
            other.put(JOBS, record)

    wire.on("BatchGetItem", then(take_two))
    assert keys(claim(store)) == ["k0", "k2"]
    assert lost == [2]


# An index that lags


def between(wire: Wire, action: Callable[[], Any]) -> None:
    """Let something happen after an index was read and before its records are."""
    wire.on("BatchGetItem", first(action))


def test_records_that_left_the_index_are_left_out_and_the_page_is_filled_up(
    store: DynamoStore, wire: Wire, other: DynamoStore
) -> None:
    written = store.transact([(JOBS, job(f"k{n}", due_at=n)) for n in range(8)])

    def change() -> None:
        other.put(JOBS, replace(written[1], due_at=None))
        other.put(JOBS, replace(written[2], fields={**QUEUE, "lane": 2}))
        other.put(JOBS, replace(written[3], due_at=-1))

    between(wire, change)
    page = store.query(JOBS, "due", QUEUE, low=0, limit=3)
    assert keys(page.records) == ["k0", "k4", "k5"]
    rest = store.query(JOBS, "due", QUEUE, low=0, limit=3, cursor=page.cursor)
    assert (keys(rest.records), rest.cursor) == (["k6", "k7"], None)


def test_a_page_whose_rest_has_left_the_index_is_the_last(
    store: DynamoStore, wire: Wire, other: DynamoStore
) -> None:
    written = store.transact([(JOBS, job(f"k{n}", due_at=n)) for n in range(4)])

    def change() -> None:
        for record in written[2:]:
            other.put(JOBS, replace(record, due_at=None))

    between(wire, change)
    page = store.query(JOBS, "due", QUEUE, limit=2)
    assert (keys(page.records), page.cursor) == (["k0", "k1"], None)


@pytest.mark.parametrize("descending", [False, True])
def test_a_record_that_moved_comes_where_it_is_now(
    store: DynamoStore, wire: Wire, other: DynamoStore, descending: bool
) -> None:
    written = store.transact([(JOBS, job(f"k{n}", due_at=10 * n)) for n in range(4)])
    moves = {0: 25, 3: 5} if not descending else {3: 5, 0: 25}

    def change() -> None:
        for number, due_at in moves.items():
            other.put(JOBS, replace(written[number], due_at=due_at))

    between(wire, change)
    page = store.query(JOBS, "due", QUEUE, descending=descending)
    expected = [("k3", 5), ("k1", 10), ("k2", 20), ("k0", 25)]
    found = [(record.key, record.due_at) for record in page.records]
    assert found == (expected[::-1] if descending else expected)


def test_records_that_moved_beyond_a_page_do_not_end_it_early(
    store: DynamoStore, wire: Wire, other: DynamoStore
) -> None:
    written = store.transact([(JOBS, job(f"k{n}", due_at=n)) for n in range(7)])

    def change() -> None:
        for record in written[:2]:
            other.put(JOBS, replace(record, due_at=9))

    between(wire, change)
    page = store.query(JOBS, "due", QUEUE, limit=3)
    assert keys(page.records) == ["k2", "k3", "k4"]
    rest = store.query(JOBS, "due", QUEUE, cursor=page.cursor)
    assert keys(rest.records) == ["k5", "k6", "k0", "k1"]


@pytest.mark.parametrize("descending", [False, True])
def test_a_record_that_moved_behind_the_cursor_is_no_longer_found(
    store: DynamoStore, wire: Wire, other: DynamoStore, descending: bool
) -> None:
    written = store.transact([(JOBS, job(f"k{n}", due_at=n)) for n in range(7)])
    query = partial(store.query, JOBS, "due", QUEUE, limit=3, descending=descending)
    page, moved = query(), written[1 if descending else 5]
    back = replace(moved, due_at=9 if descending else -9)
    between(wire, lambda: other.put(JOBS, back))
    rest = query(cursor=page.cursor)
    assert keys(rest.records) == (["k3", "k2", "k0"] if descending else ["k3", "k4", "k6"])


def test_who_looks_right_after_a_claim_sees_what_was_claimed(
    store: DynamoStore, wire: Wire, other: DynamoStore
) -> None:
    store.put(JOBS, job("k", due_at=1))
    between(wire, lambda: claim(other))
    (found,) = store.query(JOBS, "due", QUEUE, limit=1).records
    assert (found.due_at, found.version) == (99, 2)


def test_what_somebody_claimed_meanwhile_is_not_claimed_again_and_others_are(
    store: DynamoStore, wire: Wire, other: DynamoStore
) -> None:
    store.transact([(JOBS, job(f"k{n}", due_at=n)) for n in range(5)])
    between(wire, lambda: claim(other, limit=2))
    assert keys(claim(store, limit=2)) == ["k2", "k3"]
    assert {store.get(JOBS, f"k{n}").claims for n in range(4)} == {1}


def test_a_record_that_two_pages_of_an_index_show_comes_once(
    store: DynamoStore, wire: Wire, other: DynamoStore
) -> None:
    written = store.transact([(JOBS, job(f"k{n}", due_at=n)) for n in range(6)])

    def change() -> None:
        other.put(JOBS, replace(written[0], due_at=9))
        other.put(JOBS, replace(written[1], due_at=None))

    between(wire, change)
    page = store.query(JOBS, "due", QUEUE, limit=5)
    assert keys(page.records) == ["k2", "k3", "k4", "k5", "k0"]


def test_a_cursor_may_stand_outside_of_the_bounds(store: DynamoStore) -> None:
    store.transact([(JOBS, job(f"k{n}", due_at=n)) for n in range(5)])
    for descending, low, high, expected in (
        (False, 2, 3, ["k2", "k3"]),
        (True, 1, 2, ["k2", "k1"]),
        (False, None, 0, []),
        (True, 4, None, []),
    ):
        page = store.query(JOBS, "due", QUEUE, limit=1, descending=descending)
        bounds = {"low": low, "high": high, "descending": descending}
        rest = store.query(JOBS, "due", QUEUE, cursor=page.cursor, **bounds)
        assert keys(rest.records) == expected


class LaggingCalls(Calls):
    """An index that answers everybody as it stood when the same was asked the time before."""

    def __init__(self, table: str) -> None:
        super().__init__(table, SystemClock())
        self._answers: dict[str, Any] = {}

    def send(self, operation: str, **request: Any) -> dict[str, Any]:
        answer = super().send(operation, **request)
        if operation != "query":
            return answer
        asked = json.dumps(request)
        before = self._answers.get(asked, answer)
        self._answers[asked] = answer
        return before


def test_16_threads_claim_every_record_once_over_an_index_that_lags(table: str) -> None:
    store, total = DynamoStore(table), 96
    store._calls = LaggingCalls(table)
    for start in range(0, total, 24):
        store.transact([(JOBS, job(f"k{n}", n % 7)) for n in range(start, start + 24)])
    taken: list[str] = []

    def work(_number: int) -> None:
        rounds = 0
        while len(taken) < total and rounds < 500:
            taken.extend(keys(claim(store, now=10, limit=9)))
            rounds += 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert sorted(taken) == sorted(f"k{n}" for n in range(total))
    assert {store.get(JOBS, key).claims for key in taken} == {1}


# What cannot be answered


def test_without_a_server_the_store_is_unavailable(table: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        with (
            server(f"http://127.0.0.1:{closed.getsockname()[1]}"),
            pytest.raises(StoreUnavailable, match="get_item: EndpointConnectionError"),
        ):
            DynamoStore(table).get(JOBS, "k")


def test_a_server_that_keeps_silent_is_given_up(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = partial(clients.client, seconds=0.2, tries=2)
    monkeypatch.setattr(calls, "client", hasty)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        server(f"http://127.0.0.1:{silent.getsockname()[1]}"),
        pytest.raises(StoreUnavailable, match="put_item: ReadTimeoutError"),
    ):
        DynamoStore(table).put(JOBS, Record("k", {}))


def test_without_a_region_the_store_is_unavailable(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    clients.forget()
    with pytest.raises(StoreUnavailable, match="NoRegionError"):
        DynamoStore("table").check()


def test_a_table_that_is_not_there_is_unavailable(aws: Emulator) -> None:
    missing = DynamoStore(f"store-{uuid4().hex}")
    for ask in (
        missing.check,
        lambda: missing.get(JOBS, "k"),
        lambda: missing.put(JOBS, Record("k", {})),
        lambda: missing.transact([(JOBS, Record("k", {})), (DELIVERIES, Record("k", {}))]),
        lambda: missing.query(JOBS, "due", QUEUE),
        lambda: claim(missing),
    ):
        with pytest.raises(StoreUnavailable, match="ResourceNotFound"):
            ask()


@pytest.mark.parametrize("operation", ["GetItem", "Query", "UpdateItem"])
def test_a_store_that_lacks_a_right_is_not_fit_to_use(
    store: DynamoStore, wire: Wire, operation: str
) -> None:
    wire.on(operation, refuse("AccessDeniedException"))
    with pytest.raises(StoreUnavailable, match="AccessDenied"):
        store.check()
    store.check()


def test_a_table_without_the_due_index_is_not_fit_to_use(aws: Emulator) -> None:
    name = f"store-{uuid4().hex}"
    clients.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    with pytest.raises(StoreUnavailable, match="query"):
        DynamoStore(name).check()
    tables.drop(name)


def test_a_complaint_holds_nothing_of_what_was_written(store: DynamoStore, wire: Wire) -> None:
    def complain(_forward: Callable[[Body], Answer], body: Body) -> Answer:
        return refuse("ValidationException", Message=str(body["Item"]))(_forward, body)

    wire.on("PutItem", complain)
    with pytest.raises(StoreUnavailable) as caught:
        store.put(JOBS, Record("k", {"secret": "tiger"}))
    assert str(caught.value) == "DynamoDB: put_item: ValidationException"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_record_too_large_is_a_value_error_and_nothing_is_sent(
    store: DynamoStore, wire: Wire
) -> None:
    with pytest.raises(ValueError, match="jobs/large"):
        store.transact([(JOBS, job("small")), (JOBS, Record("large", {"x": "x" * MAX_RECORD}))])
    assert wire.operations() == []


# Odd texts, large jobs, old items


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=64) | st.text("#$\0\"'\\ ab")


def test_any_text_finds_its_records_and_no_others(store: DynamoStore) -> None:
    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(TEXTS, TEXTS, TEXTS.filter(bool).map(lambda key: key[:30]))
    def try_out(caller: str, status: str, key: str) -> None:
        caller, status = caller[:64], status[:64]
        key = f"{key}{uuid4().hex}"
        store.put(JOBS, Record(key, {}, {"caller": caller, "status": status}))
        assert store.get(JOBS, key).fields["caller"] == caller
        for index, equals in (
            ("by_caller", {"caller": caller}),
            ("by_status", {"caller": caller, "status": status}),
        ):
            found = store.query(JOBS, index, equals, low=key, high=key).records
            assert keys(found) == [key]
            for name in equals:
                odd = {**equals, name: equals[name] + "#"}
                assert keys(store.query(JOBS, index, odd, low=key, high=key).records) == []

    try_out()


def test_half_a_surrogate_pair_is_a_value_error_wherever_it_comes_from(
    store: DynamoStore, wire: Wire
) -> None:
    for ask in (
        lambda: store.put(JOBS, Record("\ud800", {})),
        lambda: store.put(JOBS, Record("k", {}, {"caller": "\ud800"})),
        lambda: store.query(JOBS, "by_caller", {"caller": "\ud800"}),
        lambda: store.query(JOBS, "by_caller", {"caller": "c"}, low="\ud800"),
        lambda: store.query(JOBS, "by_caller", {"caller": "c"}, high="\ud800"),
    ):
        with pytest.raises(ValueError, match="surrogate"):
            ask()
    assert wire.operations() == []
    written = store.put(JOBS, Record("k", {"text": "a\ud800b"}))
    assert store.get(JOBS, "k").document == written.document


def test_texts_longer_than_any_in_the_store_find_nothing(store: DynamoStore) -> None:
    store.put(JOBS, job("k", caller="c" * 64))
    assert store.query(JOBS, "by_caller", {"caller": "c" * 5000}).records == ()
    page = store.query(JOBS, "by_caller", {"caller": "c" * 64}, high="k" * 5000)
    assert keys(page.records) == ["k"]
    assert store.query(JOBS, "by_caller", {"caller": "c" * 64}, low="k" * 5000).records == ()


def test_what_is_past_its_end_is_read_while_it_is_there(table: str) -> None:
    old = FakeClock(start=1_000_000_000_000)
    DynamoStore(table, old).put(IDEMPOTENCY, Record("k", {"job_id": "j"}))
    found = DynamoStore(table).get(IDEMPOTENCY, "k")
    assert found.document == {"job_id": "j"}


def largest_job() -> Job:
    """Every text as long as the API and the settings let it be, in characters of four bytes."""
    ice, link = "\U0001f9ca", "https://files.example.com/" + "x" * 1500
    prompt = ice * 20_000
    digest = "f" * 64
    image = InputFile("inputs/" + "k" * 60, "image/jpeg", 2**31, digest, 8192, 8192)
    return Job(
        id="01J" + "0" * 23,
        kind="multiview-to-3d",
        provider="tripo",
        caller="c" * 64,
        created_at=1_800_000_000_000,
        input=JobInput(
            prompt,
            dict.fromkeys(("front", "left", "back", "right"), image),
            {"negative_prompt": ice * 255, "model": "m" * 64, "face_limit": 10_000_000},
        ),
        status=Status.PROCESSING,
        metadata={"m": "\x01" * (16 * 1024 // 6 - 2)},
        callback_url="https://shop.example.com/" + "h" * 2000,
        trace={"traceparent": "t" * 55, "request_id": "r" * 128},
        attempt=Attempt(9, "k" * 40, "c" * 16, "/v3/generation/text-to-model", "", "m" * 64, 1),
        task_id="t" * 64,
        files=tuple(
            ResultFile("model", link, "model/gltf-binary", "incoming/" + "k" * 60, 2**40, digest)
            for _ in range(4)
        ),
        artifacts=tuple(
            Artifact("model", "model.glb", "a" * 120, "model/gltf-binary", 2**40, digest, FACTS)
            for _ in range(6)
        ),
        warnings=tuple("The preview could not be drawn: " + "w" * 200 for _ in range(5)),
        error=JobError("c" * 64, "m" * 1000, True, {"code": "c" * 64, "message": "m" * 1000}),
        history=tuple(HistoryEntry(1_800_000_000_000, "processing", "n" * 100) for _ in range(50)),
    )


FACTS = {"triangles": 10**7, "bounds": [[0.123456789] * 3] * 2, "textures": 9, "materials": 9}


def test_the_largest_job_there_may_be_is_kept(store: DynamoStore) -> None:
    job = largest_job()
    asked = {"prompt": job.input.prompt, **job.input.options}
    body = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    job = replace(job, attempt=replace(job.attempt, body=body))
    record = to_record(job)
    assert size(to_item(JOBS, record.written(), "w" * 32, 0)) < MAX_ITEM
    written = from_record(store.put(JOBS, record))
    assert from_record(store.get(JOBS, job.id)) == written
    assert written.attempt == job.attempt
