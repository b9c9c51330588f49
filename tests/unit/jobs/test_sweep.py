"""Nothing is left behind: a deleted family's files, and what the sweep finds that no job needs.

删除与清扫：不留下任何无人需要的东西。
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from infra.local.prove.leftovers import left_behind, sweep_up
from shared.buckets.base import BucketUnavailable
from shared.clock import Deadline, new_id
from shared.errors import Unavailable
from shared.inputs.files import NewFile
from shared.inputs.uploads import Announced, UploadRepository
from shared.jobs import sweep as sweeping
from shared.jobs.model import FORMAT, Status
from shared.jobs.service import NewJob, idempotency_key
from shared.jobs.sweep import EVERY, Swept, sweep
from shared.store.base import Record, StoreUnavailable
from shared.store.tables import IDEMPOTENCY, JOBS, RUNNERS, UPLOADS
from tests.worlds import CALLER, World

HOUR = 3_600_000
PICTURE = NewFile(b"a picture", "image/png", 20, 20)


@pytest.fixture
def world() -> Iterator[World]:
    with mock.patch("shared.artifacts.render.preview.draw_preview", return_value=b"RIFF"):
        yield World(key_seconds=86_400.0)


def swept(world: World, **more: Any) -> Swept | None:
    """One sweep, when it is time to."""
    world.clock.advance(round(EVERY * 1000))
    parts = {"store": world.store, "bucket": world.bucket, **more}
    deadline = Deadline(lambda: 300.0)
    return sweep(parts["store"], world.repository, parts["bucket"], world.clock, deadline)


def keys(world: World, area: str = "") -> list[str]:
    return sorted(key for key in world.bucket.objects if key.startswith(area))


def put(world: World, key: str) -> str:
    world.bucket.put_stream(key, [b"x"], media_type="application/octet-stream")
    return key


def pictured(world: World) -> str:
    return world.create(images={"image": PICTURE})


def broken(world: World) -> str:
    """A job whose provider gave a file that no verification lets pass, twice."""
    world.provider.model = b"no model"
    job_id = pictured(world)
    world.provider.finish_all()
    while not world.job(job_id).status.terminal:
        world.wait(job_id)
        world.step(job_id)
        world.provider.finish_all()
    del world.provider.model
    assert world.job(job_id).error is not None
    return job_id


def unverified(world: World) -> str:
    """A job that ended although its files are stored: their verification was not to be done."""
    job_id = pictured(world)
    world.step(job_id)
    world.provider.finish_all()
    world.until(job_id, "processing")
    job = world.job(job_id)
    world.repository.save(job, replace(job, status=Status.FAILED, due_at=None))
    return job_id


# A deleted family


def test_nothing_remains_of_a_job_that_was_deleted(world: World) -> None:
    job_id = pictured(world)
    world.settle()
    put(world, f"incoming/{job_id}/7-0-model.glb")
    put(world, f"artifacts/{job_id}/{'0' * 64}.webp")
    other = pictured(world)
    world.service.delete(CALLER, job_id)
    assert keys(world) == [world.job(other).input.images["image"].key]


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_of_a_chain_of_retries_each_keeps_what_it_needs_until_the_last_is_deleted(
    world: World, order: tuple[int, ...]
) -> None:
    chain = [unverified(world)]
    for _ in range(2):
        chain.append(world.service.retry(CALLER, chain[-1]).id)
        job = world.job(chain[-1])
        assert job.status is Status.PROCESSING
        if len(chain) == 2:
            world.repository.save(job, replace(job, status=Status.FAILED, due_at=None))
    world.settle()
    shared, results = world.job(chain[0]).input.images["image"].key, f"artifacts/{chain[2]}/"
    assert [key for key in keys(world) if not key.startswith(results)] == [shared]
    for done, number in enumerate(order):
        assert shared in keys(world)
        assert len(keys(world, results)) == (0 if 2 in order[:done] else 2)
        world.service.delete(CALLER, chain[number])
    assert keys(world) == []


def test_a_retry_that_works_on_the_files_of_a_deleted_job_keeps_them(world: World) -> None:
    old = unverified(world)
    fresh = world.service.retry(CALLER, old)
    stored = [file.key for file in fresh.files]
    world.service.delete(CALLER, old)
    assert keys(world, "incoming/") == stored
    world.settle()
    assert world.job(fresh.id).status is Status.SUCCEEDED
    assert keys(world, "incoming/") == []
    world.service.delete(CALLER, fresh.id)
    assert keys(world) == []


class Dying:
    """A bucket whose process is killed at its n-th delete."""

    def __init__(self, bucket: Any, left: int) -> None:
        self._bucket, self._left = bucket, left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)

    def delete(self, key: str) -> None:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        self._bucket.delete(key)


@pytest.mark.parametrize("deletes", [0, 1, 2])
@pytest.mark.parametrize("asked_again", [True, False])
def test_a_delete_that_was_killed_halfway_is_finished(
    world: World, deletes: int, asked_again: bool
) -> None:
    job_id = pictured(world)
    world.settle()
    service: Any = world.service
    dying = mock.patch.object(service, "_bucket", Dying(world.bucket, deletes))
    with dying, pytest.raises(KeyboardInterrupt):
        service.delete(CALLER, job_id)
    assert len(keys(world)) == 3 - deletes
    if asked_again:
        world.service.delete(CALLER, job_id)
    else:
        world.clock.advance(HOUR)
        assert swept(world) == Swept(objects=3 - deletes)
    assert keys(world) == []


@pytest.mark.parametrize("members", [{"status": "of the future"}, {"needs": "inputs/…"}])
def test_whose_family_is_not_all_known_is_told_so_and_keeps_its_files(
    world: World, members: dict[str, Any]
) -> None:
    old = unverified(world)
    fresh = world.service.retry(CALLER, old)
    record = world.store.get(JOBS, fresh.id)
    document = {**record.document, "format": FORMAT + 1, **members}
    world.store.put(JOBS, replace(record, document=document))
    before = keys(world)
    with pytest.raises(Unavailable):
        world.service.delete(CALLER, old)
    world.clock.advance(24 * HOUR)
    assert swept(world) == Swept()
    assert keys(world) == before


def test_what_newer_code_has_written_is_not_swept(world: World) -> None:
    job_id = pictured(world)
    world.settle()
    left = put(world, f"incoming/{job_id}/of-the-future.glb")
    record = world.store.get(JOBS, job_id)
    document = {**record.document, "format": FORMAT + 1, "drafts": [left]}
    world.store.put(JOBS, replace(record, document=document))
    world.clock.advance(24 * HOUR)
    assert swept(world) == Swept()
    assert left in keys(world)


# What the sweep removes


def test_inputs_without_a_job_go_when_they_are_an_hour_old(world: World) -> None:
    kept = world.job(pictured(world)).input.images["image"].key
    lost = put(world, f"inputs/{new_id(world.clock)}/{'ab' * 32}.png")
    world.clock.advance(HOUR - round(EVERY * 1000) - 1000)
    assert swept(world) == Swept()
    assert keys(world, "inputs/") == sorted([kept, lost])
    assert swept(world) == Swept(objects=1)
    assert keys(world, "inputs/") == [kept]


def test_copies_of_workers_that_died_go_when_the_job_has_ended(world: World) -> None:
    job_id = pictured(world)
    left = put(world, f"incoming/{job_id}/1-0-model.glb")
    drawn = put(world, f"artifacts/{job_id}/{'0' * 64}.webp")
    world.clock.advance(HOUR)
    assert swept(world) == Swept()
    world.settle()
    world.clock.advance(HOUR)
    assert swept(world) == Swept(objects=2)
    assert {left, drawn}.isdisjoint(keys(world))
    assert left_behind(world.bucket, world.repository) == []
    assert len(keys(world, "artifacts/")) == 2


def test_files_that_a_retry_would_work_on_stay_and_broken_ones_go(world: World) -> None:
    whole, torn = unverified(world), broken(world)
    world.clock.advance(48 * HOUR)
    assert keys(world, f"incoming/{torn}/") != []
    swept(world)
    assert keys(world, f"incoming/{torn}/") == []
    fresh = world.service.retry(CALLER, whole)
    world.settle()
    assert world.job(fresh.id).status is Status.SUCCEEDED
    swept(world)
    assert keys(world, "incoming/") == []
    # Inputs stay for good, of ended jobs as well: nobody has deleted them.
    assert len(keys(world, "inputs/")) == 2


def test_what_is_no_job_s_is_not_the_sweep_s(world: World) -> None:
    strange = ["inputs/readme.txt", "inputs/x/y.png", "check/maquette.txt", "backup/inputs/a.png"]
    for key in strange:
        put(world, key)
    world.clock.advance(48 * HOUR)
    assert swept(world) == Swept()
    assert keys(world) == sorted(strange)


def test_idempotency_keys_go_after_their_week(world: World) -> None:
    new = NewJob("text-to-3d", world.provider.name, "a chair")
    key = idempotency_key(CALLER, "POST", "/jobs", "key-1", new)
    job, _ = world.service.create(CALLER, new, key)
    world.clock.advance(7 * 24 * HOUR - round(EVERY * 1000) - 1000)
    assert swept(world) == Swept()
    assert world.service.create(CALLER, new, key) == (job, False)
    assert swept(world) == Swept(records=1)
    assert world.store.all(IDEMPOTENCY) == []


def test_callers_uploads_go_an_hour_after_their_day(world: World) -> None:
    uploads = UploadRepository(world.store, world.clock)
    used, deleted = (uploads.open(CALLER, Announced("image/png", 1)) for _ in range(2))
    for upload in (used, deleted):
        world.bucket.put_stream(upload.key, [b"x"], media_type="image/png")
    uploads.delete(CALLER, deleted.id)
    strange = put(world, "uploads/readme")
    world.clock.advance(24 * HOUR)
    # The records go at once; of the files one may still be being copied.
    assert swept(world) == Swept(records=2)
    assert world.store.all(UPLOADS) == []
    world.clock.advance(HOUR)
    assert swept(world) == Swept(objects=2)
    assert keys(world) == [strange]


def test_writes_that_never_ended_are_given_up_after_a_day(world: World) -> None:
    asked = []

    def clear_uploads(before: int, *, limit: int) -> int:
        asked.append(before)
        return 3

    with mock.patch.object(world.bucket, "clear_uploads", clear_uploads):
        assert swept(world) == Swept(uploads=3)
    assert asked == [world.clock.now() - 24 * HOUR]


def test_the_proof_names_what_a_sweep_has_left(world: World) -> None:
    parts = (world.store, world.repository, world.bucket, world.clock)
    pictured(world)
    lost = put(world, f"inputs/{new_id(world.clock)}/lost.png")
    strange = put(world, "incoming/strange")
    assert left_behind(world.bucket, world.repository) == [strange, lost]
    assert sweep_up(*parts) == [f"{strange} was left behind"]
    assert sweep_up(*parts) == ["the sweep did not come to its end"]
    world.clock.advance(round(EVERY * 1000))
    with mock.patch.object(world.bucket, "clear_uploads", side_effect=[0, 2]):
        assert sweep_up(*parts)[1:] == ["2 uploads were left open"]


# How much, how often, and whose turn it is


class Counting:
    """Counts the calls of a part."""

    def __init__(self, part: Any) -> None:
        self._part, self.calls = part, 0

    def __getattr__(self, name: str) -> Any:
        self.calls += 1
        return getattr(self._part, name)


def test_a_sweep_asks_little_and_the_next_one_goes_on_where_it_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "REQUESTS", 10)
    monkeypatch.setattr(sweeping, "PAGE", 4)
    for _ in range(12):
        pictured(world)
        put(world, f"inputs/{new_id(world.clock)}/a.png")
        world.clock.advance(1)
    world.clock.advance(HOUR)
    removed, sweeps = 0, 0
    while removed < 12:
        bucket, store = Counting(world.bucket), Counting(world.store)
        world.store.calls.clear()
        # Every sweep may be another process's.
        done = swept(world, bucket=bucket, store=store)
        assert done is not None
        removed, sweeps = removed + done.objects, sweeps + 1
        assert bucket.calls + sum(world.store.calls.values()) <= 3 * 10 + 10
    assert sweeps > 2
    assert left_behind(world.bucket, world.repository) == []
    assert len(keys(world, "inputs/")) == 12


def test_before_its_time_a_sweep_is_one_look_at_its_record(world: World) -> None:
    assert swept(world) == Swept()
    world.clock.advance(-1000)
    world.store.calls.clear()
    assert sweep_now(world) is None
    world.clock.advance(1000)
    assert (swept(world), dict(world.store.calls)) != (None, {"get": 1})


def sweep_now(world: World, store: Any = None) -> Swept | None:
    deadline = Deadline(lambda: 300.0)
    return sweep(store or world.store, world.repository, world.bucket, world.clock, deadline)


def test_of_two_that_would_sweep_one_does(world: World) -> None:
    class Slow:
        """A store over which another process takes its turn first."""

        def __getattr__(self, name: str) -> Any:
            return getattr(world.store, name)

        def put(self, table: Any, record: Record) -> Record:
            others.append(sweep_now(world))
            return world.store.put(table, record)  # type: ignore[no-any-return]

    others: list[Swept | None] = []
    assert sweep_now(world, Slow()) is None
    assert others == [Swept()]


def test_a_turn_that_a_wrong_clock_took_does_not_last(world: World) -> None:
    far = world.clock.now() + 1000 * HOUR
    world.store.put(RUNNERS, Record("sweep", {"next_at": far, "places": "?"}))
    assert sweep_now(world) == Swept()


def test_a_sweep_ends_with_its_invocation(world: World) -> None:
    put(world, f"inputs/{new_id(world.clock)}/a.png")
    world.clock.advance(2 * HOUR)
    late = Deadline(lambda: 10.0)
    assert sweep(world.store, world.repository, world.bucket, world.clock, late) == Swept()
    assert len(keys(world)) == 1


@pytest.mark.parametrize("call", ["store.get", "store.put", "bucket.keys", "bucket.clear_uploads"])
def test_a_sweep_over_what_does_not_answer_fails_nobody(world: World, call: str) -> None:
    part, method = call.split(".")
    error = StoreUnavailable("down") if part == "store" else BucketUnavailable("down")
    with mock.patch.object(getattr(world, part), method, side_effect=error):
        assert swept(world) is None
    assert swept(world) == Swept()
