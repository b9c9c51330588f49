"""What one provider, one credential or one job does costs the others nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from shared import notices
from shared.jobs import fetches, polling, sources
from shared.jobs.model import PROCESS, Job, Status, step_queue
from shared.jobs.sources import parked_queue
from shared.providers.base import OutOfCredit, RateLimited, Unauthorized, UnknownOutcome
from shared.store.base import StoreUnavailable
from shared.store.tables import JOBS, RUNNERS
from tests.pictures import solid
from tests.worlds import CALLER, World

PHOTO = solid(64, 48)
WRITES = ("put", "transact", "claim")


@pytest.fixture(autouse=True)
def _quick_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = "shared.artifacts.render.preview.draw_preview"
    monkeypatch.setattr(drawn, lambda *_: b"picture")


@pytest.fixture
def world() -> World:
    return World(others=["second"])


@contextmanager
def polled(world: World, ports: Any = None, seconds: float = 100_000) -> Iterator[Any]:
    """A poll that stays, in a thread of its own; its world's time moves only when told to."""
    ports = ports or world.worker()
    staying = threading.Event()
    staying.set()
    deadline = world.deadline(seconds)
    work = threading.Thread(
        target=polling.poll, args=(ports, deadline, staying.is_set), daemon=True
    )
    work.start()
    try:
        yield ports
    finally:
        staying.clear()
        ports.alarm.ring()
        work.join(20)
    assert not work.is_alive()


class Held:
    """A call that waits until it is let go, and tells when it was begun."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.let_in = 0

    def __call__(self, *args: Any) -> Any:
        self.let_in += 1
        self.begun.release()
        assert self.go.wait(20)
        return self.call(*args)


def noted(call: Callable[..., Any]) -> tuple[Callable[..., Any], threading.Event]:
    heard = threading.Event()

    def note(*args: Any) -> Any:
        heard.set()
        return call(*args)

    return note, heard


def test_creates_that_hang_keep_another_provider_s_waiting_for_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = world.providers["tripo"], world.providers["second"]
    hung = Held(first.submit)
    monkeypatch.setattr(first, "submit", hung)
    submit, sent = noted(second.submit)
    monkeypatch.setattr(second, "submit", submit)
    for _ in range(60):
        world.create()
    try:
        with polled(world) as ports:
            for _ in range(sources.CREATES):
                assert hung.begun.acquire(timeout=10)
            job_id = world.create(provider="second")
            world.clock.advance(1_000)
            ports.alarm.ring()
            assert sent.wait(10)
            assert hung.let_in == sources.CREATES
            hung.go.set()
    finally:
        hung.go.set()
    assert world.job(job_id).task_id is not None


def test_downloads_that_drip_keep_no_create_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [world.create() for _ in range(2 * sources.DOWNLOADS)]
    for job_id in ids:
        world.until(job_id, "running")
    world.provider.finish_all()
    for job_id in ids:
        world.until(job_id, "storing")
    dripping = Held(world.provider.download)
    monkeypatch.setattr(world.provider, "download", dripping)
    submit, sent = noted(world.provider.submit)
    monkeypatch.setattr(world.provider, "submit", submit)
    try:
        with polled(world) as ports:
            for _ in range(sources.DOWNLOADS):
                assert dripping.begun.acquire(timeout=10)
            world.create()
            world.clock.advance(1_000)
            ports.alarm.ring()
            assert sent.wait(10)
            dripping.go.set()
    finally:
        dripping.go.set()


def url_of(host: str) -> str:
    return f"https://{host}.example/photo.png"


def test_a_host_that_hangs_keeps_no_other_s_inputs_waiting_and_no_create(world: World) -> None:
    hung = Held(lambda: PHOTO)
    well, asked = noted(lambda: PHOTO)
    world.web.files = {url_of("hangs"): hung, url_of("well"): well}
    submit, sent = noted(world.provider.submit)
    world.provider.submit = submit  # type: ignore[method-assign]
    for number in range(60):
        world.create_of(caller=f"caller {number % 3}", image=url_of("hangs"))
    try:
        with polled(world) as ports:
            for _ in range(3 * fetches.CAPS.per_host):
                assert hung.begun.acquire(timeout=10)
            world.create_of(caller="caller 0", image=url_of("well"))
            world.create()
            world.clock.advance(1_000)
            ports.alarm.ring()
            assert asked.wait(10)
            assert sent.wait(10)
            assert hung.let_in == 3 * fetches.CAPS.per_host
            hung.go.set()
    finally:
        hung.go.set()


def test_an_owner_of_many_hosts_that_hang_has_no_more_than_a_share(world: World) -> None:
    hung = Held(lambda: PHOTO)
    well, asked = noted(lambda: PHOTO)
    world.web.files = {url_of(f"host-{number}"): hung for number in range(40)}
    world.web.files[url_of("well")] = well
    for number in range(40):
        world.create_of(caller="greedy", image=url_of(f"host-{number}"))
    try:
        with polled(world) as ports:
            for _ in range(fetches.CAPS.per_owner):
                assert hung.begun.acquire(timeout=10)
            world.create_of(caller="modest", image=url_of("well"))
            world.clock.advance(1_000)
            ports.alarm.ring()
            assert asked.wait(10)
            assert hung.let_in == fetches.CAPS.per_owner
            hung.go.set()
    finally:
        hung.go.set()


def test_many_jobs_of_one_host_are_fetched_one_after_the_other(world: World) -> None:
    world.web.files = {url_of("well"): PHOTO}
    ids = [world.create_of(image=url_of("well")) for _ in range(60)]
    begun = world.clock.now()
    ports = world.worker()
    polling.poll(ports, world.deadline(600), lambda: world.clock.now() < begun + 60_000)
    assert {queue_of(world, job_id) for job_id in ids} == {PROCESS}
    polling.drain(ports, world.deadline(600), at_once=2)
    polling.poll(ports, world.deadline(600), lambda: False)
    assert {world.job(job_id).status for job_id in ids} == {Status.RUNNING}
    assert len(world.web.asked) == len(ids)


def queue_of(world: World, job_id: str) -> Any:
    return world.store.get(JOBS, job_id).fields["queue"]


def test_hundreds_of_jobs_that_are_refused_cost_next_to_nothing(world: World) -> None:
    busy, seconds = True, 60.0
    submit = world.provider.submit

    def refuse(*args: Any) -> Any:
        if busy:
            world.provider.calls["refused"] += 1
            raise RateLimited("busy", retry_after=1.0)
        return submit(*args)

    world.provider.submit = refuse  # type: ignore[method-assign]
    ids = [world.create() for _ in range(150)]
    ports = world.worker()
    before, begun = world.store.calls.copy(), world.clock.now()
    polling.poll(ports, world.deadline(600), lambda: world.clock.now() < begun + seconds * 1000)
    spent = world.store.calls - before
    assert sum(spent[name] for name in WRITES) / seconds < 5
    # One at a time asks whether it is over; at the very start all threads had begun.
    assert world.provider.calls["refused"] <= seconds / 2 + sources.CREATES + 1
    busy = False
    polling.poll(ports, world.deadline(600), lambda: world.clock.now() < begun + 200_000)
    assert {world.job(job_id).status for job_id in ids} == {Status.RUNNING}
    assert max(world.provider.executions.values()) == 1


def test_what_one_poll_learns_of_a_credential_the_next_one_heeds(world: World) -> None:
    first, _ = world.create(), world.create()
    world.provider.will("submit", RateLimited("busy", retry_after=60.0))
    world.begin(first).finish()
    polling.poll(world.worker(), world.deadline(), lambda: False)
    assert world.provider.calls["submit"] == 1
    world.clock.advance(70_000)
    polling.poll(world.worker(), world.deadline(), lambda: False)
    assert world.provider.calls["submit"] == 3


def test_only_the_credential_that_was_refused_rests() -> None:
    world = World(credentials=["one", "two"])
    for number in range(20):
        world.create(f"chair {number}")
    refused: list[str] = []
    submit = world.provider.submit

    def refuse(request: Any, key: str, credential: str, deadline: Any) -> str:
        if credential == "one":
            refused.append(key)
            raise RateLimited("busy", retry_after=3000.0)
        return submit(request, key, credential, deadline)

    world.provider.submit = refuse  # type: ignore[method-assign]
    ports = world.worker()
    begun = world.clock.now()
    polling.poll(ports, world.deadline(600), lambda: world.clock.now() < begun + 60_000)
    assert len(refused) <= sources.CREATES
    assert len(world.provider.tasks) == 20 - len(refused)
    # Those that met the one that rests wait as long as it asked for; nobody else did.
    assert len([job for job in world.jobs() if job.status is Status.QUEUED]) == len(refused)


def test_a_job_bound_to_a_credential_that_rests_moves_by_one_write_and_comes_back() -> None:
    world = World(key_seconds=86_400.0)
    job_id = world.create()
    world.provider.will("submit", UnknownOutcome("dropped"))
    world.step(job_id)
    ports = world.worker()
    until = world.clock.now() + 300_000
    ports.rests.rest("tripo", "main", until)
    world.wait(job_id)
    version = world.job(job_id).version
    polling.poll(ports, world.deadline(), lambda: False)
    # Nothing is claimed while the provider's only credential rests, not even that.
    assert world.job(job_id).version == version
    source = sources.Steps(ports, world.deadline(), "tripo")
    source._room = lambda: 1  # type: ignore[method-assign]
    assert source.claim(5) == 0
    record = world.store.get(JOBS, job_id)
    parked = parked_queue(step_queue("tripo"), "main")
    assert (record.fields["queue"], record.version) == (parked, version + 1)
    assert (record.due_at, record.claims) == (until, 0)
    world.clock.advance(300_001)
    polling.poll(ports, world.deadline(), lambda: False)
    assert world.job(job_id).status is Status.RUNNING
    assert world.provider.executions == {job_id: 1}


def test_a_search_is_not_for_every_thread_to_make(world: World) -> None:
    """Of a dozen creates without an answer, one search looks for all."""
    ids = [world.create(f"chair {number}") for number in range(12)]
    world.provider.will("submit", *["unknown, made"] * 4)
    for job_id in ids[:4]:
        world.step(job_id)
    world.clock.advance(60_000)
    polling.poll(world.worker(), world.deadline(), lambda: False)
    assert world.provider.calls["find"] == 1
    assert {world.job(job_id).status for job_id in ids} == {Status.RUNNING}


@pytest.mark.parametrize("error", [Unauthorized("tsk_secret is wrong"), OutOfCredit("0 left")])
def test_an_account_that_cannot_be_used_rests_and_the_operator_is_told(
    world: World, error: Exception
) -> None:
    ids = [world.create(f"chair {number}") for number in range(50)]
    refused = True
    submit = world.provider.submit

    def refuse(*args: Any) -> Any:
        if refused:
            world.provider.calls["refused"] += 1
            raise error
        return submit(*args)

    world.provider.submit = refuse  # type: ignore[method-assign]
    ports, begun = world.worker(), world.clock.now()

    def until(seconds: float) -> Callable[[], bool]:
        return lambda: world.clock.now() < begun + seconds * 1000

    polling.poll(ports, world.deadline(10_000), until(300))
    assert world.provider.calls["refused"] <= sources.CREATES + 6
    told = notices.read(world.store, world.clock.now())
    assert list(told) == ["credential tripo/main"]
    assert str(error) not in str(told)
    assert {world.job(job_id).status for job_id in ids} == {Status.QUEUED}
    polling.poll(ports, world.deadline(10_000), until(1200))
    ended = [world.job(job_id) for job_id in ids]
    assert {job.status for job in ended} == {Status.FAILED}
    assert {job.error.code for job in ended if job.error} == {"provider_unavailable"}
    refused = False
    late = world.create()
    polling.poll(ports, world.deadline(10_000), until(1400))
    assert world.job(late).status is Status.RUNNING
    assert notices.read(world.store, world.clock.now()) == {}


# Giving up


def claims_of(world: World, job_id: str) -> int:
    record = world.store.get(JOBS, job_id)
    return int(record.claims)


def die(world: World, *ids: str) -> None:
    """A worker claims these jobs and is gone."""
    for job_id in ids:
        world.wait(job_id)
        world.claim_one(job_id)


def test_a_job_that_died_twice_in_company_runs_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspect, other = world.create("suspect"), world.create("other")
    for _ in range(2):
        die(world, suspect)
    world.wait(suspect)
    running: list[str] = []
    together: list[list[str]] = []
    submit = world.provider.submit

    def watched(request: Any, *args: Any) -> str:
        running.append(request.body)
        together.append(list(running))
        try:
            return submit(request, *args)
        finally:
            running.remove(request.body)

    monkeypatch.setattr(world.provider, "submit", watched)
    more = [world.create(f"chair {number}") for number in range(10)]
    polling.poll(world.worker(), world.deadline(), lambda: False)
    assert {world.job(job_id).status for job_id in (suspect, other, *more)} == {Status.RUNNING}
    (company,) = [names for names in together if "suspect" in str(names)]
    assert len(company) == 1


def test_an_outage_of_the_store_is_nobody_s_death(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [world.create(f"chair {number}") for number in range(3)]
    ports = world.worker()
    away = True
    save = type(ports.jobs).save

    def refuse(self: Any, old: Job, new: Job) -> Job:
        if away:
            raise StoreUnavailable("not now")
        return save(self, old, new)

    monkeypatch.setattr(type(ports.jobs), "save", refuse)
    for _ in range(10):
        polling.poll(ports, world.deadline(), lambda: False)
        for job_id in ids:
            due = world.job(job_id).due_at
            assert due is not None
        world.clock.advance(1_000)
    assert {claims_of(world, job_id) for job_id in ids} == {1}
    away = False
    polling.poll(ports, world.deadline(), lambda: False)
    assert {world.job(job_id).status for job_id in ids} == {Status.RUNNING}
    assert {claims_of(world, job_id) for job_id in ids} == {0}


def test_a_create_that_may_be_in_the_air_is_looked_for_whatever_its_workers_died_of(
    world: World,
) -> None:
    job_id = world.create()
    step = world.begin(job_id)
    step.up_to("after provider.submit")
    step.kill()
    for _ in range(world.policy.max_claims + 2):
        die(world, job_id)
    assert claims_of(world, job_id) > world.policy.max_claims
    world.wait(job_id)
    world.clock.advance(3_600_000)
    polling.poll(world.worker(), world.deadline(), lambda: False)
    assert world.job(job_id).status is Status.RUNNING
    assert world.provider.executions == {job_id: 1}


BROKEN = [KeyError("x"), RecursionError(), UnicodeDecodeError("utf-8", b"", 0, 1, "?"),
          OverflowError("cannot convert float infinity to integer"), AssertionError()]  # fmt: skip


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("call", ["prepare", "check", "download", "find", "cancel"])
def test_whatever_an_adapter_raises_is_a_failed_try_of_that_job(
    world: World, call: str, error: Exception
) -> None:
    job_id = world.create()
    if call == "find":
        world.provider.will("submit", "unknown, made")
    elif call != "prepare":
        world.until(job_id, "running")
        if call == "cancel":
            world.service.cancel(CALLER, job_id)
        else:
            world.provider.finish_all()
    world.provider.will(call, error)
    for _ in range(30):
        if world.job(job_id).queue is None or world.provider.calls[call]:
            break
        world.wait(job_id)
        polling.poll(world.worker(), world.deadline(), lambda: False)
    assert world.provider.calls[call] == 1
    assert claims_of(world, job_id) == 0
    world.settle()
    wanted = Status.CANCELED if call == "cancel" else Status.SUCCEEDED
    assert world.job(job_id).status is wanted
    assert world.provider.executions == {job_id: 1}


def test_a_create_that_raised_anything_is_never_sent_again_without_a_key(world: World) -> None:
    job_id = world.create()
    submit = world.provider.submit

    def breaks(*args: Any) -> str:
        submit(*args)
        raise KeyError("task_id")

    world.provider.submit = breaks  # type: ignore[method-assign]
    world.step(job_id)
    assert world.job(job_id).status is Status.SUBMITTING
    world.settle()
    assert world.job(job_id).status is Status.SUCCEEDED
    assert world.provider.executions == {job_id: 1}


# Keys and tasks


@pytest.mark.parametrize(
    ("minutes", "asked"), [(1, True), (16, True), (23 * 60, True), (24 * 60 + 1, False)]
)
def test_a_keyed_create_is_asked_again_at_least_once_within_its_key_s_life(
    minutes: int, asked: bool
) -> None:
    world = World(key_seconds=86_400.0)
    job_id = world.create()
    world.provider.will("submit", UnknownOutcome("dropped"))
    world.step(job_id)
    world.clock.advance(minutes * 60_000)
    world.wait(job_id)
    job = world.step(job_id)
    assert (job.status is Status.RUNNING) == asked
    assert job.attempts == 1
    keys = {key for key, _ in world.provider.sent}
    assert keys == {f"{job_id}:1"}


def test_a_task_belongs_to_one_job(world: World) -> None:
    first, second = world.create("one"), world.create("two")
    world.step(first)
    world.provider.will("submit", "ok")
    submit = world.provider.submit
    world.provider.submit = lambda *args: (submit(*args), "task-1")[1]  # type: ignore[method-assign]
    job = world.step(second)
    assert (job.status, job.task_id) == (Status.SUBMITTING, None)
    assert world.repository.task_owner("tripo", "task-1") == first
    world.provider.submit = submit  # type: ignore[method-assign]
    world.settle()
    assert world.job(second).task_id == "task-2"


def test_only_a_task_that_is_nobody_s_is_found(world: World) -> None:
    owner, seeker = world.create("one"), world.create("two")
    world.step(owner)
    world.provider.will("submit", UnknownOutcome("dropped"))
    world.step(seeker)
    world.provider.will("find", KeyError("x"))
    world.wait(seeker)
    world.provider.find = lambda wanted, *_: [["task-1"] for _ in wanted]  # type: ignore[method-assign]
    polling.poll(world.worker(), world.deadline(), lambda: False)
    assert world.job(seeker).task_id is None
    assert world.job(seeker).status is Status.SUBMITTING


# Records


def test_a_record_that_cannot_be_read_costs_no_other_job_a_claim(world: World) -> None:
    ids = [world.create(f"chair {number}") for number in range(8)]
    broken = {}
    for job_id, change in ((ids[0], {"status": "dreaming"}), (ids[3], {"input": 7}),
                           (ids[5], {"format": 9, "status": "napping"})):  # fmt: skip
        record = world.store.get(JOBS, job_id)
        changed = {**record.document, **change}
        broken[job_id] = world.store.put(JOBS, replace(record, document=changed)).document
    ports = world.worker()
    begun = world.clock.now()
    polling.poll(ports, world.deadline(600), lambda: world.clock.now() < begun + 300_000)
    healthy = [job_id for job_id in ids if job_id not in broken]
    assert {world.job(job_id).status for job_id in healthy} == {Status.RUNNING}
    for job_id, document in broken.items():
        record = world.store.get(JOBS, job_id)
        assert record.document == document
        assert record.claims == 0
        # Looked at less and less often; one of newer code often enough for that to get it.
        assert record.version < (40 if job_id == ids[5] else 20)


def test_a_round_without_work_asks_eleven_queries_of_three_providers() -> None:
    world = World(others=["second", "third"])
    for name in world.providers:
        job_id = world.create(provider=name)
        world.until(job_id, "running")
        job = world.job(job_id)
        # Not due for long, so that what is counted is the looking.
        world.repository.save(job, replace(job, due_at=world.clock.now() + 3_600_000))
    ports, begun = world.worker(), world.clock.now()
    before = world.store.calls.copy()
    rounds = 60
    polling.poll(ports, world.deadline(600), lambda: world.clock.now() < begun + rounds * 1000)
    spent = world.store.calls - before
    # What was asked of the queues of older versions is a claim, which asks once where nothing lies.
    assert spent["first"] + spent["claim"] <= 11 * (rounds + 1)
    assert not spent["query"]
    before = world.store.calls.copy()
    polling.poll(world.worker(), world.deadline(600), lambda: False)
    assert (world.store.calls - before)["first"] <= 11


def test_a_job_of_a_provider_that_is_configured_no_more_ends_by_its_deadline(world: World) -> None:
    queued, running = world.create("queued"), world.create("running")
    world.until(running, "running")
    ports = world.worker()
    gone = {name: one for name, one in ports.providers.items() if name != "tripo"}
    ports = replace(ports, providers=gone, absent=["tripo"])
    for hours in (1, 3, 30):
        world.clock.advance(hours * 3_600_000)
        polling.run_errands(ports)
    assert world.job(queued).status is Status.EXPIRED
    assert world.job(running).status is Status.EXPIRED
    assert world.provider.calls["submit"] == 1


def test_records_of_the_notice_board_are_bounded(world: World) -> None:
    ports = world.worker()
    for _ in range(100):
        ports.notices.post("same", "words")
    assert world.store.get(RUNNERS, "notices").version == 1
