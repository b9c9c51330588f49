"""Records as the version before format 2 wrote them, over SQLite: today's code reads all of them
and carries on what was unfinished. `tests/fixtures/records_of_format_1.json` is by that code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from infra.migrations import migrate
from shared.deliveries import model as deliveries
from shared.deliveries import repository as delivery_records
from shared.errors import KeyReused
from shared.inputs.files import NewFile
from shared.jobs.model import from_record, to_record
from shared.jobs.service import NewJob, idempotency_key
from shared.store.base import Lease, Record
from shared.store.sql.engine import connect, writing
from shared.store.sql.store import SqlStore
from shared.store.tables import JOBS, OLD_LANES
from tests.faulty import MODEL, Options, Task
from tests.memory import MemoryBucket
from tests.worlds import CALLER, World, published

OLD = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "records_of_format_1.json").read_text("utf-8")
)
IDS: dict[str, str] = OLD["jobs"]
UNFINISHED = ("queued", "with a key", "submitting", "running", "storing", "processing")
KEYED = NewJob(
    "text-to-3d",
    "tripo",
    "with a key",
    images={"image": NewFile(b"not really a picture", "image/png", 4, 4)},
    options={"marked": True},
    metadata={"order": "型"},
    callback_url="https://caller.example/hook",
    priority=2,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The world as the older code left it, its database migrated."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    engine = connect(url)
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent))
    with writing(engine).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, rows in OLD["tables"].items():
            for row in rows:
                names = ", ".join(row)
                values = ", ".join(f":{name}" for name in row)
                kept = {**row, "document": json.dumps(row["document"])}
                connection.execute(
                    sa.text(f"INSERT INTO {table} ({names}) VALUES ({values})"), kept
                )
    engine.dispose()
    assert migrate.upgrade(url) is True
    store, bucket = SqlStore(url), MemoryBucket()
    world = World(store, bucket)
    world.clock.advance(OLD["now"] - world.clock.now())
    world.provider.tasks = {task["id"]: Task(**task) for task in OLD["tasks"]}
    for task in OLD["tasks"]:
        world.provider.executions[task["key"].partition(":")[0]] += 1
    for job in world.jobs():
        kept = [(file.key, file.media_type) for file in job.files if file.key]
        for key, media_type in kept if not job.status.terminal else ():
            bucket.put_stream(key, [MODEL], media_type=media_type)
        for image in job.input.images.values():
            bucket.put_stream(image.key, [b"not really a picture"], media_type=image.media_type)
    yield world
    store.close()


def refiled(world: World) -> int:
    now = world.clock.now()
    return sum(world.repository.refile(old, now, 100) for old in world.repository.old_queues)


def test_every_record_is_read(world: World) -> None:
    assert {job.id for job in world.jobs()} == set(IDS.values())
    for name, job_id in IDS.items():
        job = world.job(job_id)
        row = next(row for row in OLD["tables"]["jobs"] if row["id"] == job_id)
        assert job.status.value == row["status"] == row["document"]["status"]
        assert (job.version, job.claims, job.due_at) == (
            row["version"],
            row["claims"],
            row["due_at"],
        )
        assert job.input.prompt == (name if name != "retry" else "retried")
    page = world.service.page(CALLER, limit=50)
    assert len(page.jobs) == len(IDS)


def test_what_was_unfinished_is_carried_to_its_end_with_one_create_each(world: World) -> None:
    ended = {job.id: world.store.get(JOBS, job.id) for job in world.jobs() if job.status.terminal}
    waiting = sum(1 for row in OLD["tables"]["jobs"] if row["due_at"] is not None)
    moved = refiled(world)
    for _ in range(40):
        world.clock.advance(30_000)
        moved += refiled(world)
    assert moved == waiting
    assert refiled(world) == 0
    world.settle()
    for name in UNFINISHED:
        job = world.job(IDS[name])
        assert job.status.value == "succeeded", name
        assert published(world, job), name
        assert world.provider.executions[job.id] == 1, name
    assert world.job(IDS["canceling"]).status.value == "canceled"
    assert world.provider.mistakes == []
    assert {job_id: world.store.get(JOBS, job_id) for job_id in ended} == ended


def test_what_had_failed_may_be_retried(world: World) -> None:
    retry = world.service.retry(CALLER, IDS["failed"])
    assert world.until(retry.id, "running").retry_of == IDS["failed"]


def test_a_request_whose_key_the_older_code_took_is_the_same_request(world: World) -> None:
    def create(new: NewJob) -> Any:
        key = idempotency_key(CALLER, "POST", "/api/v1/jobs", "key-1", new, Options)
        return world.service.create(CALLER, new, key)

    job, is_new = create(KEYED)
    assert (job.id, is_new) == (IDS["with a key"], False)
    with pytest.raises(KeyReused):
        create(NewJob("text-to-3d", "tripo", "another"))


def test_deliveries_of_every_lane_are_refiled_and_sent(world: World) -> None:
    now = world.clock.now()
    rows = OLD["tables"]["deliveries"]
    moved = sum(
        delivery_records.refile(world.store, lane, now, 100) for lane in range(1, OLD_LANES)
    )
    assert moved == sum(1 for row in rows if row["lane"])
    lease = Lease(now + 1, counted=True)
    claimed = delivery_records.claim(world.store, 100, now=now, choose=lambda _: lease)
    assert {one.id for one in claimed.leased} == {row["id"] for row in rows}
    for row in rows:
        (kept,) = world.deliveries(row["document"]["job_id"])
        assert kept.body == row["document"]["body"]


@pytest.mark.parametrize(
    ("table", "load", "dump"),
    [("jobs", from_record, to_record),
     ("deliveries", deliveries.from_record, deliveries.to_record)],
)  # fmt: skip
def test_a_document_is_written_in_todays_format_with_nothing_lost(
    table: str, load: Any, dump: Any
) -> None:
    for row in OLD["tables"][table]:
        record = Record(row["id"], row["document"], {}, row["due_at"], 0, row["version"])
        written = json.loads(json.dumps(dump(load(record)).document))
        assert written.pop("format") == 2
        # What these two say has changed since.
        changed = {
            "saved_as": written.get("saved_as"),
            "may_be_billed": written.get("may_be_billed"),
        }
        old = {**row["document"], **{k: v for k, v in changed.items() if k in row["document"]}}
        assert without_defaults(written, old) == old


def without_defaults(written: Any, old: Any) -> Any:
    """What was written without the members that the older code did not have."""
    if isinstance(old, dict):
        return {name: without_defaults(written[name], old[name]) for name in old}
    if isinstance(old, list):
        return [without_defaults(*pair) for pair in zip(written, old, strict=True)]
    return written
