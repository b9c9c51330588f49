"""Inputs on the web: fetched, looked at, kept before anything is sent; or the job ends unpaid."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from shared.buckets.base import BucketUnavailable
from shared.inputs.remote import FetchFailed
from shared.jobs.family import clear, family_of
from shared.jobs.model import FETCH, FORMAT, PROCESS, Job, Status, step_queue
from shared.store.tables import JOBS
from tests.web import TimedOut
from tests.worlds import CALLER, World

URL = "https://photos.example/chair.jpg?signature=secret"


def picture(width: int = 64, height: int = 48, form: str = "JPEG", turned: int = 1) -> bytes:
    image = Image.effect_noise((width, height), 60).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = turned
    out = io.BytesIO()
    image.save(out, form, exif=exif)
    return out.getvalue()


PHOTO = picture(turned=6)
PLAIN = picture()
BUSY = FetchFailed("the server answered 503", passing=True, retry_after=30.0)


@pytest.fixture
def world() -> World:
    world = World()
    world.web.files[URL] = PHOTO
    return world


def queue_of(world: World, job_id: str) -> object:
    return world.store.get(JOBS, job_id).fields["queue"]


def objects(world: World, job_id: str) -> list[str]:
    areas = ("incoming", "inputs")
    return [key for area in areas for key in world.bucket.keys(f"{area}/{job_id}/")]


def ended(world: World, job_id: str, code: str) -> Job:
    """The job, carried on until it has failed with this code; nothing was paid, no create sent."""
    job = world.until(job_id, "failed")
    assert job.error is not None
    assert job.error.code == code
    assert (job.receipt.creates, job.may_be_billed) == (0, False)
    assert world.provider.calls["submit"] == world.provider.calls["prepare"] == 0
    assert [one.event for one in world.deliveries(job_id)] == ["job.failed"]
    return job


def test_a_url_becomes_an_input_as_if_it_had_been_sent(world: World) -> None:
    job_id = world.create_of(image=URL)
    assert queue_of(world, job_id) == FETCH
    fetched = world.step(job_id)
    assert queue_of(world, job_id) == PROCESS
    raw = fetched.input.urls["image"]
    assert (raw.bytes, raw.sha256) == (len(PHOTO), hashlib.sha256(PHOTO).hexdigest())
    world.step(job_id)
    assert queue_of(world, job_id) == step_queue("tripo")
    job = world.until(job_id, "running")
    kept = job.input.images["image"]
    with world.bucket.open(kept.key) as reader:
        data = reader.read()
    with Image.open(io.BytesIO(data)) as upright:
        assert upright.size == (48, 64) == (kept.width, kept.height)
    assert kept.sha256 == hashlib.sha256(data).hexdigest()
    assert objects(world, job_id) == [kept.key]
    assert kept.key == f"inputs/{job_id}/{kept.sha256}.jpg"
    assert kept.source == {"url": "https://photos.example/chair.jpg?…"}
    assert world.web.asked == [(CALLER, URL)]
    world.settle()
    assert world.job(job_id).status is Status.SUCCEEDED


def test_a_fetch_that_is_cut_short_as_its_worker_stops_is_no_try_and_due_at_once(
    world: World,
) -> None:
    def cut_short() -> bytes:
        world.clock.advance(3_600_000)
        raise TimedOut

    world.web.files[URL] = cut_short
    job = world.step(world.create_of(image=URL))
    assert job.input.urls["image"].tries == 0
    assert job.due_at is not None
    assert job.due_at <= world.clock.now()


def test_each_function_is_woken_for_what_is_its_own(world: World) -> None:
    job_id = world.create_of(image=URL)
    world.step(job_id)
    world.step(job_id)
    assert world.woken == ["poll", "postprocess", "poll"]


def test_several_urls_and_files_that_came_along_are_all_there_before_the_create(
    world: World,
) -> None:
    sides = {name: f"https://photos.example/{name}.png" for name in ("front", "left", "back")}
    for name, url in sides.items():
        world.web.files[url] = picture(50, 40 + len(name), "PNG")
    job_id = world.create_of(kind="multiview-to-3d", **sides)
    job = world.until(job_id, "running")
    assert set(job.input.images) == set(sides)
    assert len(world.web.asked) == len(set(world.web.asked)) == 3
    assert job.receipt.creates == 1


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (b"<!doctype html><p>Log in first", "image_format_unsupported"),
        (b"", "image_format_unsupported"),
        (b"glTF" + bytes(200), "image_format_unsupported"),
        (PLAIN[:-200], "image_truncated"),
        (picture(30_000, 2), "image_too_large"),
        (PLAIN + bytes(60 * 2**20), "image_too_many_bytes"),
        (FetchFailed("the server answered 404"), "input_unavailable"),
        (FetchFailed("its URL leads to an address that is not public"), "input_unavailable"),
    ],
    ids=["page", "empty", "model", "cut", "wide", "large", "404", "inside"],
)
def test_what_is_no_such_picture_ends_the_job_unpaid(
    world: World, found: bytes | Exception, code: str
) -> None:
    world.web.files[URL] = found
    job_id = world.create_of(image=URL)
    job = ended(world, job_id, code)
    assert job.error is not None
    assert job.error.message.startswith("image")
    assert not job.error.retryable
    assert "secret" not in json.dumps(dataclasses.asdict(job.error))
    assert len(world.web.asked) == 1
    assert objects(world, job_id) == []


def test_a_mask_from_the_web_is_of_its_picture_s_size(world: World) -> None:
    mask = "https://photos.example/mask.png"
    world.web.files[mask] = picture(20, 20, "PNG")
    job_id = world.create_of(kind="image-to-image", image=URL, mask=mask)
    job = ended(world, job_id, "invalid_input")
    assert job.error is not None
    assert job.error.message.startswith("mask has 20 x 20 pixels")


def test_what_passes_is_tried_again_and_no_sooner_than_the_server_asks(world: World) -> None:
    answers: list[bytes | Exception] = [BUSY, TimedOut(), PHOTO]

    def answer() -> bytes:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    world.web.files[URL] = answer
    job_id = world.create_of(image=URL)
    job = world.step(job_id)
    assert job.due_at is not None
    assert job.due_at >= world.clock.now() + 30_000
    assert (job.input.urls["image"].tries, job.claims) == (1, 0)
    world.until(job_id, "running")
    assert world.job(job_id).receipt.creates == 1


def test_what_never_passes_ends_the_job_after_a_few_tries(world: World) -> None:
    world.web.files[URL] = FetchFailed("connection refused", passing=True, retry_after=10.0**9)
    job_id = world.create_of(image=URL)
    begun = world.clock.now()
    job = ended(world, job_id, "input_unavailable")
    assert job.error is not None
    tries = world.policy.max_fetches
    assert job.error.message == f"image could not be fetched: connection refused ({tries} tries)."
    assert job.error.retryable
    assert len(world.web.asked) == tries
    assert world.clock.now() - begun < tries * 150_000


def test_a_retry_fetches_from_the_start(world: World) -> None:
    job_id = world.create_of(image=URL)
    world.web.files[URL] = TimedOut()
    ended(world, job_id, "input_unavailable")
    world.web.files[URL] = PHOTO
    again = world.service.retry(CALLER, job_id)
    assert again.input.urls["image"].tries == 0
    assert world.until(again.id, "running").retry_of == job_id


def test_a_retry_of_a_job_that_had_its_input_fetches_nothing(world: World) -> None:
    job_id = world.create_of(image=URL)
    world.until(job_id, "running")
    world.service.cancel(CALLER, job_id)
    world.settle()
    again = world.service.retry(CALLER, job_id, accept_possible_charge=True)
    world.until(again.id, "running")
    assert len(world.web.asked) == 1


@pytest.mark.parametrize("steps", [0, 1])
def test_a_job_is_canceled_at_once_while_its_input_is_awaited(world: World, steps: int) -> None:
    job_id = world.create_of(image=URL)
    for _ in range(steps):
        world.step(job_id)
    assert world.service.cancel(CALLER, job_id).status is Status.CANCELED
    assert world.next_due() is None
    assert world.provider.calls["submit"] == 0
    job = world.job(job_id)
    clear(world.bucket, family_of(job, world.repository.get))
    assert objects(world, job_id) == []


def test_a_fetch_that_ends_after_the_job_was_canceled_leaves_nothing_behind(world: World) -> None:
    job_id = world.create_of(image=URL)
    step = world.begin(job_id)
    step.up_to("after web.fetch")
    world.service.cancel(CALLER, job_id)
    step.finish()
    assert world.job(job_id).status is Status.CANCELED
    assert objects(world, job_id) == []


def test_two_workers_that_fetch_the_same_harm_nothing(world: World) -> None:
    job_id = world.create_of(image=URL)
    slow = world.begin(job_id)
    slow.up_to("after bucket.put_stream")
    world.wait(job_id)
    world.step(job_id)
    slow.finish()
    job = world.until(job_id, "running")
    assert world.provider.executions == {job_id: 1}
    assert objects(world, job_id) == [job.input.images["image"].key]


def test_a_judgement_that_comes_too_late_takes_no_file_from_who_reads_it(world: World) -> None:
    world.web.files[URL] = b"no picture"
    job_id = world.create_of(image=URL)
    world.step(job_id)
    slow = world.begin(job_id)
    slow.up_to("after bucket.open")
    world.wait(job_id)
    other = world.begin(job_id)
    other.up_to("before bucket.open")
    slow.finish()
    other.finish()
    error = world.job(job_id).error
    assert error is not None
    assert error.code == "image_format_unsupported"
    assert objects(world, job_id) == []


def test_whoever_dies_wherever_the_input_arrives_and_one_create_is_sent(world: World) -> None:
    """Both steps, killed at every call that they make."""
    places: list[str] = []
    for steps_before in (0, 1):
        for moves in range(1, 50):
            job_id = world.create_of(image=URL)
            for _ in range(steps_before):
                world.step(job_id)
            step = world.begin(job_id)
            for _ in range(moves):
                step.move()
            if step.ended:
                break
            places.append(step.where)
            step.kill()
            job = world.until(job_id, "running")
            assert (job.receipt.creates, world.provider.executions[job_id]) == (1, 1)
    wanted = {"web.fetch", "bucket.put_stream", "bucket.open", "bucket.delete", "store.put"}
    assert wanted <= {place.partition(" ")[2] for place in places}


def test_a_bucket_that_is_away_costs_a_job_nothing_but_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = world.create_of(image=URL)
    put = world.bucket.put_stream
    away = True

    def refuse(*args: object, **named: object) -> object:
        if away:
            raise BucketUnavailable("not now")
        return put(*args, **named)

    monkeypatch.setattr(world.bucket, "put_stream", refuse)
    for _ in range(2 * world.policy.max_fetches):
        world.wait(job_id)
        assert world.step(job_id).status is Status.QUEUED
    away = False
    world.until(job_id, "running")


def test_a_fetch_is_begun_only_where_there_is_time_for_all_of_it(world: World) -> None:
    job_id = world.create_of(image=URL)
    claimed = world.claim_one(job_id)
    world.carry(claimed, world.plain, world.deadline(40))()
    assert world.web.asked == []
    assert world.job(job_id).due_at == world.clock.now()


def test_a_job_whose_input_never_comes_expires_in_the_queue(world: World) -> None:
    job_id = world.create_of(image=URL)
    world.clock.advance(86_400_001)
    assert world.step(job_id).status is Status.EXPIRED


# Two versions at once


def test_older_code_never_has_a_job_without_its_input_and_goes_on_with_one_that_has_it(
    world: World,
) -> None:
    plain = world.create()
    job_id = world.create_of(image=URL)

    def format_of(one: str) -> object:
        return world.store.get(JOBS, one).document["format"]

    assert (format_of(plain), format_of(job_id)) == (FORMAT - 1, FORMAT)
    world.step(job_id)
    assert format_of(job_id) == FORMAT
    world.step(job_id)
    assert format_of(job_id) == FORMAT - 1
    world.web.files[URL] = FetchFailed("the server answered 404")
    failed = world.create_of(image=URL)
    ended_job = world.until(failed, "failed")
    # A retry by older code would begin at the create.
    assert format_of(failed) == FORMAT
    assert ended_job.input.urls


def test_no_queue_that_older_code_submits_from_has_a_job_without_its_input(world: World) -> None:
    world.create_of(image=URL)
    assert world.claim(step_queue("tripo")) == []


def test_a_record_with_urls_outlives_a_trip_through_the_store(world: World) -> None:
    job_id = world.create_of(image=URL)
    record = world.store.get(JOBS, job_id)
    record.document["input"]["urls"]["image"]["etag"] = '"newer"'
    written = world.store.put(JOBS, replace(record, document=record.document))
    assert written.document["input"]["urls"]["image"]["etag"] == '"newer"'
    world.web.files[URL] = BUSY
    world.step(job_id)
    kept = world.store.get(JOBS, job_id).document["input"]["urls"]["image"]
    assert (kept["etag"], kept["tries"]) == ('"newer"', 1)
