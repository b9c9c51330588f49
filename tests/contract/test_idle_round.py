"""What a poll asks a store while nothing is due: counted, over each store there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from infra.aws import tables
from infra.aws.emulator import Emulator
from shared.aws import clients
from shared.jobs.polling import poll
from shared.store.dynamodb.store import DynamoStore
from shared.store.sql.store import SqlStore
from shared.store.tables import JOBS
from shared.work.leader import Leader
from tests.databases import empty_database
from tests.said import said
from tests.statements import statements_of
from tests.wire import Wire
from tests.worlds import World

ROUNDS = 12
PROVIDERS = ("second", "third")
QUERIES = 11
"""Of three providers: their queues, that of fetches, and one of the things that are looked at by
turns."""


@contextmanager
def sqlite(folder: Path) -> Iterator[tuple[Any, Callable[[], Counter[str]]]]:
    store = SqlStore(empty_database(folder / "store.db"))
    with statements_of(store) as sent:

        def asked() -> Counter[str]:
            found, sent[:] = Counter(map(_kind, sent)), []
            return found

        yield store, asked
    store.close()


@contextmanager
def mysql(url: str) -> Iterator[tuple[Any, Callable[[], Counter[str]]]]:
    store = SqlStore(url)
    store.get(JOBS, "nobody")  # connected: what SQLAlchemy asks at first is not ours
    with said() as sent:

        def asked() -> Counter[str]:
            # A claim that finds nothing is a transaction, and yet no write.
            told = [statement for statement in sent if statement not in ("BEGIN", "COMMIT")]
            sent.clear()
            return Counter(map(_kind, told))

        yield store, asked
    store.close()


def _kind(statement: str) -> str:
    words = statement.split()
    table = words[words.index("FROM") + 1] if "FROM" in words else ""
    return "reads" if table == "runners" else "queries" if words[0] == "SELECT" else "rest"


@contextmanager
def dynamodb(emulator: Emulator, patch: pytest.MonkeyPatch) -> Iterator[Any]:
    name = f"idle-{uuid4().hex}"
    tables.create(name)
    with Wire(emulator.url) as wire:
        patch.setenv("AWS_ENDPOINT_URL", wire.url)
        clients.forget()

        def asked() -> Counter[str]:
            named = {"Query": "queries", "GetItem": "reads", "BatchGetItem": "queries"}
            return Counter(named.get(operation, "rest") for operation in wire.operations())

        yield DynamoStore(name), asked
    clients.forget()


@pytest.fixture(params=["sqlite", "mysql", "dynamodb"])
def counted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Any, Callable[[], Counter[str]]]]:
    if request.param == "sqlite":
        with sqlite(tmp_path) as pair:
            yield pair
    elif request.param == "mysql":
        with mysql(request.getfixturevalue("mysql_url")) as pair:
            yield pair
    else:
        emulator = request.getfixturevalue("aws")
        with dynamodb(emulator, monkeypatch) as pair:
            yield pair


def test_a_round_without_work_asks_at_most_eleven_queries_of_three_providers(counted: Any) -> None:
    store, asked = counted
    world = World(store, others=PROVIDERS)
    for name in world.providers:
        job_id = world.create(provider=name)
        world.until(job_id, "running")
        job = world.job(job_id)
        # Unfinished, and not due for long: what is counted is the looking alone.
        world.repository.save(job, replace(job, due_at=world.clock.now() + 3_600_000))
    ports, begun = world.worker(), world.clock.now()
    leader = Leader(store, world.clock, "poll-1", seconds=900, take_over=True)
    assert leader.stays()
    asked().clear()

    def stay() -> bool:
        return world.clock.now() < begun + (ROUNDS - 1) * 1000 and leader.stays()

    poll(ports, world.deadline(600), stay)
    spent = Counter(asked())
    assert spent["queries"] <= QUERIES * ROUNDS, spent
    # Who stays is asked once a round, what rests every few seconds.
    assert spent["reads"] <= 2 * ROUNDS
    assert spent["rest"] == 0
    asked().clear()
    poll(world.worker(), world.deadline(600), lambda: False)
    assert asked()["queries"] <= QUERIES
