"""The job service over a real store and bucket: keys, callers, pages, retries, waiting.

在真实的任务表和存储上测试任务服务。
"""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from shared.buckets.base import Bucket
from shared.buckets.folder import FolderBucket
from shared.clock import Clock, Deadline, new_id
from shared.deliveries.repository import next_due
from shared.errors import Gone, InvalidInput, KeyReused, NotFound, NotMade, Refused
from shared.inputs.content import ContentRules
from shared.inputs.files import NewFile
from shared.inputs.keeping import InputKeeper
from shared.inputs.uploads import UploadRepository
from shared.jobs import repository
from shared.jobs.kinds import KINDS
from shared.jobs.model import Artifact, Job, JobError, JobInput, Status
from shared.jobs.presentation import event_at_end
from shared.jobs.repository import IdempotencyKey, JobRepository, KeyUse
from shared.jobs.service import JobService, NewJob, idempotency_key
from shared.links import Links
from shared.store.base import Store, StoreUnavailable
from shared.store.sql.store import SqlStore
from shared.waiting import Waiters
from tests.fakes import FakeClock
from tests.providers import ThrowawayProvider

LINKS = Links("https://maquette.example", b"secret")
PICTURE = NewFile(b"a picture's bytes", "image/png", 20, 30)
OTHER_PICTURE = NewFile(b"another one's", "image/png", 20, 30)
TEXT = NewJob("text-to-3d", "throwaway", prompt="a chair")
PHOTO = NewJob("image-to-3d", "throwaway", images={"image": PICTURE})
NOBODY = "0" * 26

_numbers = itertools.count()


@dataclass
class Desk:
    """A service and what lies behind it."""

    clock: FakeClock
    store: SqlStore
    bucket: FolderBucket
    folder: Path
    jobs: JobRepository
    service: JobService
    provider: ThrowawayProvider
    woken: list[str]

    def fresh_caller(self) -> str:
        """A caller whom nobody has used yet: so many examples can share one database."""
        return f"caller-{next(_numbers)}"

    def keep(self, caller: str, kind: str = "text-to-3d", **changes: Any) -> Job:
        """A job in whatever state, written as it is, a millisecond after the one before."""
        self.clock.advance(1)
        now = self.clock.now()
        job = Job(new_id(self.clock), kind, "throwaway", caller, now, JobInput("a chair"))
        job = replace(job, updated_at=now, entered_at=now, **changes)
        return self.jobs.create(job if job.status.terminal else replace(job, due_at=now), None)

    def inputs(self) -> list[Path]:
        return [path for path in (self.folder / "inputs").rglob("*") if path.is_file()]


def inputs(bucket: Bucket, store: Store, clock: Clock) -> tuple[Any, UploadRepository]:
    """What keeps the inputs of new jobs."""
    return lambda: InputKeeper(bucket, ContentRules()), UploadRepository(store, clock)


@pytest.fixture
def desk(tmp_path: Path, store: SqlStore) -> Iterator[Desk]:
    clock = FakeClock()
    folder = tmp_path / "bucket"
    bucket = FolderBucket(folder, base_url="http://localhost", secret=b"s", clock=clock)
    provider = ThrowawayProvider(clock)
    jobs = JobRepository(store, (event_at_end(LINKS, lambda: new_id(clock)),))
    woken: list[str] = []
    parts = (jobs, bucket, {provider.name: provider}, clock, woken.append)
    service = JobService(*parts, *inputs(bucket, store, clock))
    yield Desk(clock, store, bucket, folder, jobs, service, provider, woken)
    bucket.close()


def key(new: NewJob, caller: str = "shop", text: str = "key-1", path: str = "/jobs") -> Any:
    return idempotency_key(caller, "POST", path, text, new)


# What a key stands for.


def test_the_same_key_gives_the_same_job_and_keeps_nothing_twice(desk: Desk) -> None:
    first, new = desk.service.create("shop", PHOTO, key(PHOTO))
    again, new_again = desk.service.create("shop", PHOTO, key(PHOTO))
    assert (new, new_again) == (True, False)
    assert again == first
    assert len(desk.inputs()) == 1
    assert desk.woken == ["poll"]


def test_the_same_key_for_another_request_is_refused(desk: Desk) -> None:
    desk.service.create("shop", TEXT, key(TEXT))
    other = replace(TEXT, prompt="a table")
    with pytest.raises(KeyReused):
        desk.service.create("shop", other, key(other))
    assert len(desk.service.page("shop").jobs) == 1


def test_a_key_belongs_to_its_caller_and_its_path(desk: Desk) -> None:
    made = {
        desk.service.create(caller, TEXT, key(TEXT, caller, "key-1", path))[0].id
        for caller in ("shop", "museum")
        for path in ("/jobs", "/models")
    }
    assert len(made) == 4


def test_without_a_key_every_request_is_a_job(desk: Desk) -> None:
    assert len({desk.service.create("shop", TEXT)[0].id for _ in range(3)}) == 3


class Together:
    """A repository whose creates wait for each other: nobody is written before all were asked."""

    def __init__(self, jobs: JobRepository, count: int) -> None:
        self._jobs, self._barrier = jobs, threading.Barrier(count, timeout=20)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    def create(self, job: Job, key: IdempotencyKey | None) -> Job:
        self._barrier.wait()
        return self._jobs.create(job, key)


def raced(desk: Desk, requests: list[NewJob]) -> list[Any]:
    """What each of several creates with one key came to, all of them at the same time."""
    jobs: Any = Together(desk.jobs, len(requests))
    parts = (jobs, desk.bucket, {"throwaway": desk.provider}, desk.clock, desk.woken.append)
    service = JobService(*parts, *inputs(desk.bucket, desk.store, desk.clock))

    def ask(new: NewJob) -> Any:
        try:
            return service.create("shop", new, key(new))
        except KeyReused as error:
            return error

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(ask, requests))


def test_of_eight_at_once_one_makes_the_job_and_the_others_inputs_are_gone(desk: Desk) -> None:
    ends = raced(desk, [PHOTO] * 8)
    assert sorted(new for _, new in ends) == [False] * 7 + [True]
    (job,) = desk.service.page("shop").jobs
    assert {made.id for made, _ in ends} == {job.id}
    assert desk.inputs() == [desk.bucket.path(job.input.images["image"].key)]
    assert desk.woken == ["poll"]


def test_who_loses_the_key_to_another_request_is_told_and_leaves_nothing(desk: Desk) -> None:
    other = replace(PHOTO, images={"image": OTHER_PICTURE})
    ends = raced(desk, [PHOTO, other])
    assert [type(end) for end in ends].count(KeyReused) == 1
    (job,) = desk.service.page("shop").jobs
    assert desk.inputs() == [desk.bucket.path(job.input.images["image"].key)]


# The fingerprint of a request.

words = st.text(max_size=8)
json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
pictures = st.builds(
    NewFile,
    data=st.binary(max_size=8),
    media_type=st.sampled_from(["image/png", "image/jpeg"]),
    width=st.integers(1, 9),
    height=st.integers(1, 9),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(sorted(KINDS)),
    "provider": words,
    "prompt": st.none() | words,
    "images": st.dictionaries(st.sampled_from(["front", "left", "back"]), pictures, max_size=3),
    "options": st.dictionaries(words, json_like, max_size=3),
    "metadata": st.dictionaries(words, json_like, max_size=3),
    "callback_url": st.none() | words,
    "priority": st.integers(-9, 9),
}
requests = st.builds(NewJob, **FIELDS)


def turned(value: Any) -> Any:
    """The same value, the members of every object in the opposite order."""
    if isinstance(value, Mapping):
        return {name: turned(value[name]) for name in reversed(list(value))}
    return [turned(item) for item in value] if isinstance(value, list) else value


def meaning(name: str, value: Any) -> Any:
    """What of a field counts: for pictures it is what is in them."""
    if name == "images":
        return {role: image.data for role, image in value.items()}
    return repr(sorted_deep(value))


def sorted_deep(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted((name, sorted_deep(inner)) for name, inner in value.items())
    return [sorted_deep(item) for item in value] if isinstance(value, list) else value


@given(requests)
def test_the_order_of_fields_does_not_matter(new: NewJob) -> None:
    other = replace(
        new, images=turned(new.images), options=turned(new.options), metadata=turned(new.metadata)
    )
    assert other.fingerprint() == new.fingerprint()


@given(requests, st.data())
def test_every_field_matters(new: NewJob, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FIELDS)))
    value = data.draw(FIELDS[name])
    assume(meaning(name, value) != meaning(name, getattr(new, name)))
    assert replace(new, **{name: value}).fingerprint() != new.fingerprint()


@given(requests, st.dictionaries(words, words))
def test_where_a_request_came_from_does_not_matter(new: NewJob, trace: dict[str, str]) -> None:
    assert replace(new, trace=trace).fingerprint() == new.fingerprint()


class Options(BaseModel):
    """The options of a kind; later code has another default, and one option more."""

    texture: bool = True
    seed: int | None = None


class LaterOptions(Options):
    texture: bool = False
    style: str = "plain"


def same(first: Any, second: Any, then: type[BaseModel] = Options) -> bool:
    """Whether requests with these options, the second one asked of code with options `then`, are
    one request under their key."""
    made = idempotency_key("c", "POST", "/", "k", replace(TEXT, options=first), Options)
    use = KeyUse(made.fingerprint, "1", 5, made.prints)
    asked = idempotency_key("c", "POST", "/", "k", replace(TEXT, options=second), then)
    return asked.shares_a_print(use)


def test_an_option_that_is_spelled_out_although_it_is_the_default_is_no_other_request() -> None:
    assert same({}, {"texture": True, "seed": None})
    assert same({"texture": True}, {})
    assert same({"texture": True, "seed": 7}, {"seed": 7})
    assert not same({}, {"texture": False})
    assert not same({"seed": 7}, {"seed": 8})


@pytest.mark.parametrize("options", [{}, {"texture": True}, {"texture": False}, {"seed": 7}])
def test_the_same_request_is_the_same_whatever_the_defaults_are_by_then(options: Any) -> None:
    assert same(options, options, LaterOptions)


def test_only_what_was_asked_for_is_in_a_print() -> None:
    asked = {"kind": "text-to-3d", "prompt": "a chair", "provider": "throwaway"}
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    assert TEXT.fingerprint() == hashlib.sha256(text.encode()).hexdigest()


scopes = st.tuples(words, st.sampled_from(["POST", "PUT"]), words, words)


@given(scopes, scopes)
def test_keys_of_different_scopes_never_meet(
    one: tuple[str, str, str, str], other: tuple[str, str, str, str]
) -> None:
    made, next_made = idempotency_key(*one, TEXT), idempotency_key(*other, TEXT)
    assert (made.key == next_made.key) == (one == other)
    assert made.fingerprint == next_made.fingerprint


# Whose jobs are whose.


def test_callers_see_their_own_jobs_and_no_others(desk: Desk) -> None:
    @settings(max_examples=25)
    @given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
    def check(owners: list[int]) -> None:
        callers = [desk.fresh_caller() for _ in range(4)]
        jobs = [desk.keep(callers[owner], status=Status.FAILED) for owner in owners]
        for number, caller in enumerate(callers):
            own = [job.id for job, owner in zip(jobs, owners, strict=True) if owner == number]
            listed = desk.service.page(caller, newest_first=False, limit=100)
            assert [job.id for job in listed.jobs] == own
            asks: list[Callable[[str, str], object]] = [
                desk.service.get,
                desk.service.cancel,
                desk.service.retry,
                desk.service.delete,
            ]
            for job in jobs:
                if job.id in own:
                    assert desk.service.get(caller, job.id) == job
                    continue
                for ask in asks:
                    with pytest.raises(NotFound):
                        ask(caller, job.id)

    check()


@pytest.mark.parametrize("job_id", ["", NOBODY, "x", "é" * 26, "0" * 25 + "'", "0" * 1000])
def test_an_id_that_nobody_has_is_not_found(desk: Desk, job_id: str) -> None:
    with pytest.raises(NotFound) as raised:
        desk.service.get("shop", job_id)
    assert raised.value.code == "job_not_found"
    with pytest.raises(NotFound):
        desk.service.artifact(job_id, "model.glb")


# Pages.

statuses = st.sampled_from(list(Status))
kinds = st.sampled_from(sorted(KINDS))


def test_pages_cover_exactly_what_matches_in_order_and_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    @given(
        rows=st.lists(st.tuples(statuses, kinds), max_size=14),
        status=st.none() | statuses,
        kind=st.none() | kinds,
        limit=st.integers(1, 6),
        scanned=st.integers(1, 8),
        newest_first=st.booleans(),
    )
    def check(
        rows: list[tuple[Status, str]],
        status: Status | None,
        kind: str | None,
        limit: int,
        scanned: int,
        newest_first: bool,
    ) -> None:
        monkeypatch.setattr(repository, "_SCANNED", scanned)
        caller, stranger = desk.fresh_caller(), desk.fresh_caller()
        wanted: list[str] = []
        for number, (its_status, its_kind) in enumerate(rows):
            job = desk.keep(caller, its_kind, status=its_status)
            if number % 3 == 0:
                desk.keep(stranger, its_kind, status=its_status)
            if status in (None, its_status) and kind in (None, its_kind):
                wanted.append(job.id)
        seen: list[str] = []
        after: str | None = None
        # Every page but the last moves on by a job at least.
        for _ in range(len(rows) + 2):
            page = desk.service.page(
                caller,
                status=status.value if status else None,
                kind=kind,
                limit=limit,
                after=after,
                newest_first=newest_first,
            )
            assert len(page.jobs) <= limit
            seen += [job.id for job in page.jobs]
            if kind is None:
                # Also of a last page that is full.
                assert page.has_more is (len(seen) < len(wanted))
            if not page.has_more:
                break
            assert page.last_seen not in (None, after)
            after = page.last_seen
        else:
            raise AssertionError("the pages never end")
        assert seen == (wanted[::-1] if newest_first else wanted)

    check()


def test_jobs_that_come_while_pages_are_read_do_not_disturb_older_ones(desk: Desk) -> None:
    old = [desk.keep("shop", status=Status.SUCCEEDED).id for _ in range(5)]
    first = desk.service.page("shop", limit=2)
    desk.keep("shop")
    rest = desk.service.page("shop", limit=10, after=first.last_seen)
    assert [job.id for job in (*first.jobs, *rest.jobs)] == old[::-1]
    assert not rest.has_more


def test_a_page_goes_on_after_a_job_only(desk: Desk) -> None:
    with pytest.raises(InvalidInput) as raised:
        desk.service.page("shop", after="the last one")
    assert raised.value.param == "after"


# Retrying, deleting, canceling.

FAILED = {
    "status": Status.FAILED,
    "error": JobError("provider_failed", "it did not work", True),
    "task_id": None,
}


def test_a_retry_asked_for_again_is_the_same_job(desk: Desk) -> None:
    old = desk.keep("shop", **FAILED)
    first = desk.service.retry("shop", old.id)
    assert first.retry_of == old.id
    assert first.status is Status.QUEUED
    assert desk.service.retry("shop", old.id) == first
    assert desk.service.get("shop", old.id).retried_as == first.id
    assert len(desk.service.page("shop").jobs) == 2
    assert desk.woken == ["poll"]


def test_retries_at_once_are_one(desk: Desk) -> None:
    old = desk.keep("shop", **FAILED)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: desk.service.retry("shop", old.id).id, range(8)))
    assert len(set(made)) == 1
    assert len(desk.service.page("shop").jobs) == 2


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.SUCCEEDED])
def test_what_has_not_failed_is_not_retried(desk: Desk, status: Status) -> None:
    job = desk.keep("shop", status=status)
    with pytest.raises(Refused):
        desk.service.retry("shop", job.id)


def ended(desk: Desk) -> Job:
    """A job that has succeeded, its input and its one file in the bucket."""
    job, _ = desk.service.create("shop", PHOTO)
    key = f"artifacts/{job.id}/model.glb"
    desk.bucket.put_stream(key, [b"glTF"], media_type="model/gltf-binary")
    artifact = Artifact("model", "model.glb", key, "model/gltf-binary", 4, "0" * 64)
    done = replace(job, status=Status.SUCCEEDED, artifacts=(artifact,), due_at=None)
    return desk.jobs.save(job, done)


def test_the_files_of_a_deleted_job_are_gone(desk: Desk) -> None:
    job = ended(desk)
    assert desk.service.artifact(job.id, "model.glb") == (job, job.artifacts[0])
    with pytest.raises(NotFound):
        desk.service.artifact(job.id, "other.glb")
    deleted = desk.service.delete("shop", job.id)
    assert deleted.deleted_at == desk.clock.now()
    for name in ("model.glb", "other.glb"):
        with pytest.raises(Gone):
            desk.service.artifact(job.id, name)
    assert desk.bucket.head(job.artifacts[0].key) is None
    assert desk.inputs() == []
    assert desk.service.get("shop", job.id).status is Status.SUCCEEDED


def test_deleting_twice_is_harmless(desk: Desk) -> None:
    job = ended(desk)
    first = desk.service.delete("shop", job.id)
    desk.clock.advance(1000)
    assert desk.service.delete("shop", job.id) == first


def test_what_has_not_ended_is_not_deleted(desk: Desk) -> None:
    job, _ = desk.service.create("shop", PHOTO)
    with pytest.raises(Refused) as raised:
        desk.service.delete("shop", job.id)
    assert raised.value.code == "not_finished"
    assert len(desk.inputs()) == 1


def test_the_inputs_a_retry_needs_outlive_the_first_job(desk: Desk) -> None:
    job, _ = desk.service.create("shop", PHOTO)
    failed = desk.jobs.save(job, replace(job, due_at=None, **FAILED))
    retry = desk.service.retry("shop", failed.id)
    desk.service.delete("shop", failed.id)
    (kept,) = desk.inputs()
    assert kept == desk.bucket.path(retry.input.images["image"].key)


def test_a_waiting_job_is_canceled_at_once_and_its_end_is_told(desk: Desk) -> None:
    job, _ = desk.service.create("shop", replace(TEXT, callback_url="https://shop.example/hook"))
    assert desk.service.cancel("shop", job.id).status is Status.CANCELED
    assert desk.woken == ["poll", "callback"]
    assert next_due(desk.store) is not None
    assert desk.jobs.next_due([job.provider]) is None


# Waiting.


def test_who_waits_gets_the_job_when_it_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    job, _ = desk.service.create("shop", TEXT)
    began, slept = desk.clock.now(), []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        desk.clock.advance(round(seconds * 1000))
        if len(slept) == 3:
            desk.service.cancel("shop", job.id)

    monkeypatch.setattr(desk.clock, "sleep", sleep)
    ended = desk.service.wait(job, 20)
    assert ended is not None
    assert ended.status is Status.CANCELED
    assert len(slept) == 3
    assert desk.clock.now() - began < 3000
    # What has ended is not waited for.
    assert desk.service.wait(job, 20) == ended
    assert len(slept) == 3


@pytest.mark.parametrize("seconds", [0, 0.2, 1, 7.3])
def test_who_waits_in_vain_gets_the_job_as_it_stands(desk: Desk, seconds: float) -> None:
    job, _ = desk.service.create("shop", TEXT)
    began = desk.clock.now()
    assert desk.service.wait(job, seconds) == job
    assert desk.clock.now() - began == round(seconds * 1000)


def test_a_stop_ends_every_wait_with_the_job_as_it_stands(desk: Desk) -> None:
    asked = []
    service = waited_at(desk, Waiters(2, lambda: len(asked) == 3))
    job, _ = service.create("shop", TEXT)
    desk.clock.sleep = asked.append  # type: ignore[method-assign]
    assert service.wait(job, 20) == job
    assert len(asked) == 3
    assert service.wait(job, 20) == job
    assert len(asked) == 3


def test_no_more_than_the_places_wait_and_each_is_given_back(desk: Desk) -> None:
    came: list[Job | None] = []
    service = waited_at(desk, Waiters(1))
    job, _ = service.create("shop", TEXT)

    def sleep(seconds: float) -> None:
        # Somebody waits already: the next one is told at once.
        came.append(service.wait(job, 20))
        desk.service.cancel("shop", job.id)

    desk.clock.sleep = sleep  # type: ignore[method-assign]
    first = service.wait(job, 20)
    assert came == [None]
    assert first is not None
    assert first.status is Status.CANCELED
    assert service.wait(job, 20) == first


def test_a_store_that_is_silent_during_a_wait_does_not_deny_the_job(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = desk.service.create("shop", TEXT)

    def silent(*_: Any) -> Any:
        raise StoreUnavailable("locked")

    monkeypatch.setattr(desk.store, "get", silent)
    assert desk.service.wait(job, 5) == job


def waited_at(desk: Desk, waiters: Waiters) -> JobService:
    """A service with places of its own to wait at."""
    providers = {"throwaway": desk.provider}
    parts = (desk.jobs, desk.bucket, providers, desk.clock, desk.woken.append)
    return JobService(*parts, *inputs(desk.bucket, desk.store, desk.clock), waiters)


# Who makes what.


def test_a_kind_is_given_to_a_provider_that_makes_it(desk: Desk) -> None:
    assert desk.service.provider_for("text-to-3d") is desk.provider
    assert desk.service.provider_for("text-to-3d", "throwaway") is desk.provider
    for kind, named, param in (("a-poem", None, "kind"), ("text-to-3d", "nobody", "provider")):
        with pytest.raises(InvalidInput) as raised:
            desk.service.provider_for(kind, named)
        assert raised.value.param == param
    absent = {"text-to-3d": {"throwaway": "THROWAWAY_KEY"}}
    parts = (
        *(desk.jobs, desk.bucket, {}, desk.clock, desk.woken.append),
        *inputs(desk.bucket, desk.store, desk.clock),
    )
    for named in (None, "throwaway"):
        with pytest.raises(NotMade) as refused:
            JobService(*parts, absent=absent).provider_for("text-to-3d", named)
        assert str(refused.value) == (
            "Nobody makes text-to-3d here; throwaway with THROWAWAY_KEY set would."
        )
        assert refused.value.retryable is False
    with pytest.raises(NotMade, match=r"here\.$"):
        JobService(*parts).provider_for("text-to-3d")
    assert desk.provider.looks == 0
    desk.provider.ready(Deadline.after(1))
