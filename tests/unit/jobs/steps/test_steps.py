"""The hard cases of a job's way, one by one: dead workers, late answers, lost events, full queues.

任务推进中的各种难题：进程中断、迟到的应答、丢失的事件与拥挤的队列。
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.buckets.base import BucketUnavailable
from shared.context import Pool
from shared.errors import Refused
from shared.inputs.files import NewFile
from shared.jobs import lifecycle, polling, sources
from shared.jobs.lifecycle.transitions import Moment, opened
from shared.jobs.model import (
    InputFile,
    Job,
    JobInput,
    Status,
    check_queue,
    from_record,
    to_record,
)
from shared.jobs.policy import Policy
from shared.jobs.steps import advance
from shared.jobs.steps.check import check
from shared.providers.base import (
    DownloadFailed,
    OutOfCredit,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    RemoteFile,
    Request,
    TaskState,
    UnknownOutcome,
)
from shared.store.base import Record, StoreUnavailable
from shared.store.tables import JOBS
from shared.work import loop
from tests.faulty import Step, Task
from tests.models import box_model, pack
from tests.worlds import CALLER, World, published, real_world

PICTURE = b"RIFF-a-small-preview"


@pytest.fixture(autouse=True)
def _quick_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.artifacts.render.preview.draw_preview", lambda *_: PICTURE)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def keyed() -> World:
    return World(key_seconds=86_400.0)


def up_to(step: Step, where: str, times: int = 1) -> None:
    """Let a step go on until it stops there."""
    for _ in range(times):
        step.up_to(where)
    assert step.where == where


def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "Pool", lambda threads, name: Pool(1, name))


def poll_once(world: World, ports: Any = None) -> None:
    polling.poll(ports or world.plain, world.deadline(), lambda: False)


def process_all(world: World) -> int:
    return polling.drain(world.plain, world.deadline(), at_once=2)


# The whole way


def test_a_job_goes_its_way_over_sqlite_and_a_folder(tmp_path: Path) -> None:
    with real_world(tmp_path) as world:
        job_id = world.create()
        poll_once(world)
        assert world.job(job_id).status is Status.RUNNING
        world.provider.finish_all()
        world.wait(job_id)
        poll_once(world)
        poll_once(world)
        assert world.job(job_id).status is Status.PROCESSING
        copies = [str(file.key) for file in world.job(job_id).files]
        assert [key for key in copies if world.bucket.head(key) is None] == []
        assert process_all(world) == 1
        job = world.job(job_id)
        assert job.status is Status.SUCCEEDED
        assert [item.role for item in job.artifacts] == ["model", "preview"]
        assert published(world, job)
        assert [item.event for item in world.deliveries(job_id)] == ["job.succeeded"]
        assert [entry.status for entry in job.history] == [
            "queued", "submitting", "running", "storing", "processing", "succeeded",
        ]  # fmt: skip
        assert (job.receipt.creates, job.receipt.provider_credits) == (1, 30.0)
        assert [key for key in copies if world.bucket.head(key) is not None] == []


# Creates


def test_a_worker_that_dies_after_sending_finds_its_task_again(world: World) -> None:
    job_id = world.create()
    step = world.begin(job_id)
    up_to(step, "after provider.submit")
    step.kill()
    assert world.job(job_id).status is Status.SUBMITTING
    job = world.until(job_id, "running")
    assert job.task_id == "task-1"
    world.settle()
    assert world.job(job_id).status is Status.SUCCEEDED
    assert world.provider.executions == {job_id: 1}
    assert len(world.provider.sent) == 1


def test_a_worker_that_dies_before_sending_never_leads_to_a_second_create(world: World) -> None:
    job_id = world.create()
    step = world.begin(job_id)
    up_to(step, "before provider.submit")
    step.kill()
    world.settle()
    job = world.job(job_id)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "submit_unconfirmed"
    assert job.may_be_billed
    assert world.provider.sent == []


def test_with_keys_the_same_key_and_bytes_are_sent_again(keyed: World) -> None:
    job_id = keyed.create()
    step = keyed.begin(job_id)
    up_to(step, "after provider.submit")
    step.kill()
    keyed.settle()
    assert keyed.job(job_id).status is Status.SUCCEEDED
    assert len(keyed.provider.sent) == 2
    assert len(set(keyed.provider.sent)) == 1
    assert keyed.provider.executions == {job_id: 1}


def test_a_late_answer_to_a_canceled_job_keeps_the_task_id(world: World) -> None:
    job_id = world.create()
    slow = world.begin(job_id)
    up_to(slow, "after provider.submit")
    world.service.cancel(CALLER, job_id)
    assert world.job(job_id).status is Status.CANCELING
    world.provider.will("find", *[()] * 100)
    world.until(job_id, "canceled")
    assert world.job(job_id).may_be_billed
    slow.finish()
    job = world.job(job_id)
    assert (job.status, job.task_id) == (Status.CANCELED, "task-1")
    assert job.due_at is None
    retry = world.service.retry(CALLER, job_id)
    assert (retry.status, retry.task_id) == (Status.RUNNING, "task-1")
    world.settle()
    assert world.job(retry.id).status is Status.SUCCEEDED
    assert world.provider.executions == {job_id: 1}


def test_a_cancel_while_the_create_is_in_the_air_waits_for_its_answer(world: World) -> None:
    job_id = world.create()
    step = world.begin(job_id)
    up_to(step, "after provider.submit")
    world.service.cancel(CALLER, job_id)
    step.finish()
    job = world.job(job_id)
    assert (job.status, job.task_id) == (Status.CANCELING, "task-1")
    world.settle()
    job = world.job(job_id)
    assert job.status is Status.CANCELED
    assert job.may_be_billed
    assert [item.event for item in world.deliveries(job_id)] == ["job.canceled"]


def test_two_polls_at_once_send_one_create(tmp_path: Path) -> None:
    with real_world(tmp_path) as world:
        job_ids = [world.create(f"chair {number}") for number in range(12)]
        workers = [world.worker(), world.worker(15_000)]
        barrier = threading.Barrier(2)

        def work(number: int) -> None:
            barrier.wait(timeout=30)
            for _ in range(3):
                poll_once(world, workers[number])

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, range(2)))
        assert world.provider.executions == dict.fromkeys(job_ids, 1)
        assert {world.job(job_id).status for job_id in job_ids} == {Status.RUNNING}


def test_a_preparation_that_fails_late_does_not_undo_another_workers_create(world: World) -> None:
    job_id = world.create()
    world.provider.will("prepare", ProviderUnavailable("down"))
    slow = world.begin(job_id)
    up_to(slow, "before store.put")
    world.wait(job_id)
    quick = world.begin(job_id)
    up_to(quick, "after provider.submit")
    slow.finish()
    assert world.job(job_id).status is Status.SUBMITTING
    quick.finish()
    world.settle()
    assert world.provider.executions == {job_id: 1}


def test_a_late_refusal_of_a_preparation_does_not_fail_a_job_that_is_being_made(
    world: World,
) -> None:
    job_id = world.create()
    world.provider.will("prepare", Rejected("what is this?"))
    slow = world.begin(job_id)
    up_to(slow, "before store.transact")
    world.wait(job_id)
    quick = world.begin(job_id)
    up_to(quick, "after provider.submit")
    slow.finish()
    quick.finish()
    world.settle()
    assert world.job(job_id).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "answer",
    [RateLimited("busy", retry_after=90.0), ProviderUnavailable("loading", retry_after=90.0)],
)
def test_a_provider_that_says_when_to_come_again_is_left_alone_until_then(
    world: World, answer: Exception
) -> None:
    first, second = world.create(), world.create()
    world.provider.will("submit", answer)
    before = world.clock.now()
    world.step(first)
    world.step(second)
    assert world.provider.calls["submit"] == 1
    for job_id in (first, second):
        job = world.job(job_id)
        assert job.status is Status.QUEUED
        assert job.due_at is not None
        assert job.due_at >= before + 90_000
    world.until(second, "running")


def test_a_refused_create_reported_twice_does_not_undo_the_next_attempt(world: World) -> None:
    job_id = world.create()
    world.provider.will("submit", RateLimited("busy", retry_after=1.0))
    slow = world.begin(job_id)
    up_to(slow, "after store.put", times=2)
    # The save went through, but the answer to it was lost.
    slow.move("fail")
    assert slow.where == "before store.put"
    assert world.job(job_id).status is Status.QUEUED
    world.wait(job_id)
    quick = world.begin(job_id)
    up_to(quick, "after provider.submit")
    slow.finish()
    assert world.job(job_id).status is Status.SUBMITTING
    quick.finish()
    world.settle()
    assert world.provider.executions == {job_id: 1}


@pytest.mark.parametrize(
    "answer", [RateLimited("busy"), ProviderUnavailable("down"), OutOfCredit("pay")]
)
def test_a_refused_repetition_says_nothing_about_the_first_create(
    keyed: World, answer: Exception
) -> None:
    job_id = keyed.create()
    step = keyed.begin(job_id)
    up_to(step, "after provider.submit")
    step.kill()
    keyed.provider.will("submit", answer)
    keyed.wait(job_id)
    job = keyed.step(job_id)
    assert (job.status, job.receipt.creates) == (Status.SUBMITTING, 1)
    keyed.settle()
    assert keyed.job(job_id).status is Status.SUCCEEDED
    assert len(set(keyed.provider.sent)) == 1
    assert keyed.provider.executions == {job_id: 1}


def test_a_rejected_repetition_ends_the_job_as_one_that_may_be_billed(keyed: World) -> None:
    job_id = keyed.create()
    step = keyed.begin(job_id)
    up_to(step, "after provider.submit")
    step.kill()
    keyed.provider.will("submit", Rejected("this key is in use"))
    keyed.wait(job_id)
    job = keyed.step(job_id)
    assert (job.status, job.receipt.creates, job.may_be_billed) == (Status.FAILED, 1, True)


def unconfirmed(world: World, where: str) -> str:
    """A job whose worker died at its create, and whose create was then never found."""
    job_id = world.create()
    step = world.begin(job_id)
    up_to(step, where)
    step.kill()
    for _ in range(50):
        world.provider.will("submit", UnknownOutcome("no answer"))
        world.wait(job_id)
        if world.step(job_id).status.terminal:
            break
    world.provider.scripts.clear()
    job = world.job(job_id)
    assert job.error is not None
    assert (job.error.code, job.may_be_billed) == ("submit_unconfirmed", True)
    return job_id


@pytest.mark.parametrize("where", ["before provider.submit", "after provider.submit"])
def test_a_retry_sends_an_unanswered_create_again_with_its_key(keyed: World, where: str) -> None:
    job_id = unconfirmed(keyed, where)
    keyed.clock.advance(3_600_000)
    fresh = keyed.service.retry(CALLER, job_id)
    assert (fresh.status, keyed.woken[-1]) == (Status.SUBMITTING, "poll")
    keyed.settle()
    assert keyed.job(fresh.id).status is Status.SUCCEEDED
    # One key and the same bytes: one task, whether the first create arrived or not.
    assert len(set(keyed.provider.sent)) == 1
    assert keyed.provider.executions == {job_id: 1}
    assert keyed.repository.task_owner("tripo", "task-1") == fresh.id


def test_after_the_keys_life_a_retry_needs_the_callers_word(keyed: World) -> None:
    job_id = unconfirmed(keyed, "after provider.submit")
    keyed.clock.advance(86_400_000)
    with pytest.raises(Refused) as refusal:
        keyed.service.retry(CALLER, job_id)
    assert refusal.value.code == "possible_charge"


def test_a_late_answer_goes_to_the_retry_that_has_taken_over_the_create(keyed: World) -> None:
    job_id = keyed.create()
    slow = keyed.begin(job_id)
    up_to(slow, "after provider.submit")
    keyed.clock.advance(3_600_000)
    keyed.provider.will("submit", UnknownOutcome("no answer"), UnknownOutcome("no answer"))
    assert keyed.until(job_id, "failed").task_id is None
    first = keyed.service.retry(CALLER, job_id)
    keyed.provider.will("submit", *[UnknownOutcome("no answer")] * 50)
    assert keyed.until(first.id, "failed").task_id is None
    second = keyed.service.retry(CALLER, first.id)
    slow.finish()
    taken = [keyed.job(one).task_id for one in (job_id, first.id, second.id)]
    assert taken == [None, None, "task-1"]
    keyed.settle()
    assert keyed.job(second.id).status is Status.SUCCEEDED


def test_a_late_refusal_does_not_requeue_what_another_worker_has_sent_again(keyed: World) -> None:
    job_id = keyed.create()
    keyed.provider.will("submit", RateLimited("busy"))
    slow = keyed.begin(job_id)
    up_to(slow, "before store.put", times=2)
    assert keyed.job(job_id).status is Status.SUBMITTING
    keyed.wait(job_id)
    quick = keyed.begin(job_id)
    up_to(quick, "after provider.submit")
    slow.finish()
    quick.finish()
    assert keyed.job(job_id).task_id == "task-1"
    assert keyed.provider.mistakes == []


def test_a_canceled_job_is_not_asked_for_again(keyed: World) -> None:
    job_id = keyed.create()
    step = keyed.begin(job_id)
    up_to(step, "before provider.submit")
    step.kill()
    keyed.service.cancel(CALLER, job_id)
    keyed.until(job_id, "canceled")
    assert keyed.provider.executions.get(job_id, 0) == 0
    assert keyed.job(job_id).may_be_billed


def test_a_vanished_input_picture_ends_the_job_with_a_code_of_its_own(world: World) -> None:
    picture = NewFile(b"a picture", "image/png", 20, 20)
    job_id = world.create(images={"image": picture})
    world.bucket.delete(world.job(job_id).input.images["image"].key)
    world.settle()
    job = world.job(job_id)
    assert job.error is not None
    assert (job.status, job.error.code) == (Status.FAILED, "input_missing")
    assert (job.receipt.creates, job.may_be_billed) == (0, False)


def test_every_attempt_has_a_key_of_its_own(keyed: World) -> None:
    job_id = keyed.create()
    keyed.provider.will("submit", RateLimited("busy"), ProviderUnavailable("down"))
    keyed.until(job_id, "running")
    assert [key for key, _ in keyed.provider.sent] == [f"{job_id}:{n}" for n in (1, 2, 3)]
    assert keyed.job(job_id).receipt.creates == 1
    assert keyed.provider.mistakes == []


def test_a_task_id_outlives_a_store_that_is_away_for_a_while() -> None:
    world = World()
    job_id = world.create(options={"marked": False})
    step = world.begin(job_id)
    up_to(step, "before store.transact")
    for _ in range(12):
        step.move("fail")
    step.finish()
    assert world.job(job_id).task_id == "task-1"


def test_the_last_lease_does_not_fail_a_job_whose_answer_has_come(world: World) -> None:
    job_id = world.create()
    slow = world.begin(job_id)
    up_to(slow, "after provider.submit")
    for _ in range(world.policy.max_claims):
        world.wait(job_id)
        world.begin(job_id).kill()
    world.wait(job_id)
    last = world.begin(job_id)
    up_to(last, "before store.transact")
    slow.finish()
    assert world.job(job_id).status is Status.RUNNING
    last.finish()
    assert world.job(job_id).status is Status.RUNNING


def test_five_dead_workers_fail_a_job_which_its_retry_takes_up_again(world: World) -> None:
    job_id = world.create()
    world.until(job_id, "running")
    world.provider.finish_all()
    world.until(job_id, "storing")
    for _ in range(world.policy.max_claims):
        world.wait(job_id)
        assert world.job(job_id).status is Status.STORING
        step = world.begin(job_id)
        step.move()
        step.kill()
    world.wait(job_id)
    job = world.step(job_id)
    assert (job.status, job.may_be_billed) == (Status.FAILED, True)
    assert job.error is not None
    assert job.error.code == "worker_lost"
    retry = world.service.retry(CALLER, job_id)
    world.settle()
    assert world.job(retry.id).status is Status.SUCCEEDED
    assert world.provider.executions == {job_id: 1}


# Credentials that rest


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_a_paused_credential_is_not_asked_again_before_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch, chance: float
) -> None:
    monkeypatch.setattr(world.clock, "chance", lambda: chance)
    one_at_a_time(monkeypatch)
    world.create()
    world.create()
    world.provider.will("submit", RateLimited("busy", retry_after=60.0))
    start = world.clock.now()
    poll_once(world)
    while world.clock.now() < start + 59_000:
        world.clock.advance(1_000)
        poll_once(world)
    assert world.provider.calls["submit"] == 1
    world.clock.advance(8_000)
    poll_once(world)
    assert world.provider.calls["submit"] == 3


def test_queued_jobs_of_a_paused_credential_go_first_come_first_served(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_at_a_time(monkeypatch)
    job_ids = [world.create(f"chair {number}") for number in range(8)]
    world.provider.will("submit", RateLimited("busy", retry_after=60.0))
    poll_once(world)
    poll_once(world)
    assert len(world.provider.sent) == 1
    assert len({world.job(job_id).due_at for job_id in job_ids}) == 1
    world.wait(job_ids[0])
    poll_once(world)
    assert [key.partition(":")[0] for key, _ in world.provider.sent[1:]] == job_ids


def test_a_long_pause_does_not_carry_a_job_past_its_deadline() -> None:
    world = World(policy=Policy(queue=600.0))
    first, second = world.create(), world.create()
    world.provider.will("submit", RateLimited("busy", retry_after=3600.0))
    for job_id in (first, second):
        world.step(job_id)
    for job_id in (first, second):
        assert world.job(job_id).due_at <= world.job(job_id).created_at + 600_000
    world.settle()
    for job_id in (first, second):
        error = world.job(job_id).error
        assert error is not None
        assert error.code == "queue_expired"


def test_a_second_credential_is_used_while_the_first_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one_at_a_time(monkeypatch)
    world = World(credentials=("one", "two"))
    world.provider.will("submit", RateLimited("busy", retry_after=3600.0))
    job_ids = [world.create(f"chair {number}") for number in range(6)]
    for _ in range(3):
        poll_once(world)
        world.clock.advance(3_000)
    running = [job for job in map(world.job, job_ids) if job.status is Status.RUNNING]
    assert len(running) >= 5
    assert len({job.attempt.credential for job in running if job.attempt}) == 1


def test_higher_priority_goes_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one_at_a_time(monkeypatch)
    low = [world.create(f"low {number}") for number in range(2)]
    high = [world.create(f"high {number}", priority=5) for number in range(2)]
    poll_once(world)
    assert [key.partition(":")[0] for key, _ in world.provider.sent] == high + low


# Looks


def test_a_check_without_news_writes_nothing_more(world: World) -> None:
    job_id = world.create()
    world.until(job_id, "running")
    world.wait(job_id)
    before = world.store.calls.copy()
    claimed = world.claim(check_queue(world.provider.name))
    world.carry(claimed[0], world.plain)()
    spent = world.store.calls - before
    assert spent == {"claim": 1}
    assert world.provider.calls["check"] == 1
    world.provider.finish_all()
    world.wait(job_id)
    assert world.step(job_id).receipt.checks == 2


def test_where_looks_take_long_the_next_one_waits_until_this_one_can_be_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(policy=Policy(poll_ceiling=4.0))
    job_id = world.create()
    world.until(job_id, "running")
    check, long = world.provider.check, 9_000
    lasts = long

    def taking(*args: Any) -> Any:
        world.clock.advance(lasts)
        return check(*args)

    monkeypatch.setattr(world.provider, "check", taking)
    looks = sources.Looks(world.plain, world.deadline(), world.provider.name)

    def paused() -> int:
        """Milliseconds from a claim to the next look that it leads to."""
        world.wait(job_id)
        claimed_at = world.clock.now()
        looks.claim(1)
        due = world.job(job_id).due_at
        assert due is not None
        unit = looks.start()
        assert unit is not None
        unit.run()
        return due - claimed_at

    usual = paused()
    assert usual < long <= paused()
    lasts = 0
    assert [paused() for _ in range(4)][-1] < long


def test_two_thousand_running_jobs_cost_twenty_requests_a_round(tmp_path: Path) -> None:
    with real_world(tmp_path) as world:
        for number in range(2_000):
            world.provider.tasks[f"task-{number}"] = Task(f"task-{number}", "", "", None, 0)
        writes = [(JOBS, record) for record in running_jobs(world, 2_000)]
        for start in range(0, len(writes), 25):
            world.store.transact(writes[start : start + 25])
        poll_once(world)
        assert world.provider.calls["check"] == pytest.approx(20, abs=2)
        # Nobody was forgotten, and nobody is asked about twice before the next look.
        due = [job.due_at for job in map(from_record, world.store.query(
            JOBS, "by_caller", {"caller": CALLER}, limit=2_000
        ).records)]  # fmt: skip
        assert min(due) > world.clock.now()
        assert max(due) <= world.clock.now() + 33_001


def running_jobs(world: World, number: int) -> Iterator[Record]:
    at = Moment(world.clock.now())
    job = opened(Job("0", "text-to-3d", "tripo", CALLER, at.now, JobInput()), at)
    job = lifecycle.begin_submit(job, Request("/v3/make", "{}", "1"), "main", at)
    job = lifecycle.submitted(job, "task", at, world.policy)
    record = replace(to_record(job), due_at=at.now)
    for one in range(number):
        key = f"{one:026d}"
        document = {**record.document, "task_id": f"task-{one}"}
        yield replace(record, key=key, document=document)


def test_a_slow_download_does_not_hold_up_the_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    storing = [world.create(f"chair {number}") for number in range(24)]
    for job_id in storing:
        world.until(job_id, "running")
    world.provider.finish_all()
    for job_id in storing:
        world.until(job_id, "storing")
    watched = world.create("a table")
    world.until(watched, "running")
    world.wait(watched)
    over, looked = threading.Event(), threading.Event()
    download, check = world.provider.download, world.provider.check

    def slow(*args: Any) -> Any:
        assert over.wait(20)
        return download(*args)

    def seen(task_ids: Any, *args: Any) -> Any:
        if world.job(watched).task_id in task_ids:
            looked.set()
        return check(task_ids, *args)

    monkeypatch.setattr(world.provider, "download", slow)
    poller = threading.Thread(target=poll_once, args=(world,))
    poller.start()
    try:
        # One look passed while the downloads began; the next ones find every thread taken.
        monkeypatch.setattr(world.provider, "check", seen)
        for _ in range(3):
            looked.clear()
            world.clock.advance(40_000)
            assert looked.wait(5)
    finally:
        over.set()
        poller.join(20)
    assert not poller.is_alive()


def test_a_provider_that_hangs_is_not_asked_by_ever_more_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    job_id = world.create()
    world.until(job_id, "running")
    over, asked = threading.Event(), threading.Semaphore(0)
    check = world.provider.check

    def hanging(*args: Any) -> Any:
        asked.release()
        assert over.wait(20)
        return check(*args)

    monkeypatch.setattr(world.provider, "check", hanging)
    world.wait(job_id)
    deadline = world.deadline(100_000)
    poller = threading.Thread(target=polling.poll, args=(world.plain, deadline, lambda: False))
    poller.start()
    for _ in range(sources.LOOKS):
        assert asked.acquire(timeout=5)
        world.clock.advance(31_000)  # it is due again
        world.plain.alarm.ring()
    claims = world.store.calls["claim"]
    for _ in range(3):
        world.clock.advance(31_000)
        world.plain.alarm.ring()
    assert not asked.acquire(timeout=0.2)
    assert world.store.calls["claim"] <= claims + 1
    over.set()
    poller.join(20)
    assert not poller.is_alive()


def test_a_look_that_runs_out_of_store_spares_the_other_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(cancels=True)
    first, second = world.create("one"), world.create("two")
    for job_id in (first, second):
        world.until(job_id, "running")
    world.service.cancel(CALLER, first)
    world.provider.tasks["task-2"].state = "succeeded"
    world.wait(second)
    jobs = sorted(world.claim(check_queue(world.provider.name)), key=lambda job: job.id)
    save = world.repository.save

    def refuse(self: Any, old: Job, new: Job) -> Job:
        if old.id == first:
            raise StoreUnavailable("not now")
        return save(old, new)

    monkeypatch.setattr(type(world.repository), "save", refuse)
    from shared.jobs.steps.check import check

    check(world.plain, world.provider, "main", jobs, world.deadline())
    assert world.job(second).status is Status.STORING


def test_of_looks_that_are_saved_one_by_one_those_that_found_an_end_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    ids = [world.create(f"chair {number}") for number in range(4)]
    for job_id in ids:
        world.until(job_id, "running")
    world.provider.tasks["task-3"].state = "succeeded"
    for task in ("task-1", "task-2", "task-4"):
        world.provider.tasks[task].progress = 50
    world.clock.advance(60_000)
    jobs = sorted(world.claim(check_queue(world.provider.name)), key=lambda job: job.id)
    save, saved = world.repository.save, []

    def note(self: Any, old: Job, new: Job) -> Job:
        saved.append(old.id)
        return save(old, new)

    def refuse(writes: Any) -> Any:
        raise StoreUnavailable("not at once")

    monkeypatch.setattr(type(world.repository), "save", note)
    monkeypatch.setattr(world.store, "put_each", refuse)
    check(world.plain, world.provider, "main", jobs, world.deadline())
    assert saved == [ids[2], ids[0], ids[1], ids[3]]


def test_three_unknown_answers_in_a_row_fail_a_job_and_two_do_not(world: World) -> None:
    job_id = world.create()
    world.until(job_id, "running")
    gone = {"task-1": TaskState("missing")}
    world.provider.will("check", gone, gone, {"task-1": TaskState("running", 10)}, gone, gone)
    for _ in range(5):
        world.wait(job_id)
        assert world.step(job_id).status is Status.RUNNING
    assert world.job(job_id).misses == 2
    world.provider.will("check", gone)
    world.wait(job_id)
    error = world.step(job_id).error
    assert error is not None
    assert error.code == "task_not_found"


def test_a_success_without_a_file_is_a_failure_that_a_retry_may_ask_for_again(
    world: World,
) -> None:
    job_id = world.create()
    world.until(job_id, "running")
    world.provider.will("check", {"task-1": TaskState("succeeded", 100)})
    world.wait(job_id)
    job = world.step(job_id)
    assert (job.status, job.may_be_billed) == (Status.FAILED, True)
    retry = world.service.retry(CALLER, job_id)
    assert retry.task_id == "task-1"


def test_before_a_job_expires_it_is_looked_at_once_more(world: World) -> None:
    job_id = world.create()
    world.until(job_id, "running")
    started = world.job(job_id).started_at
    assert started is not None
    world.clock.advance(started + 7_200_000 - world.clock.now() - 10)
    world.step(job_id)
    # The last look lies on the deadline itself.
    assert world.job(job_id).due_at == started + 7_200_000
    world.wait(job_id)
    world.provider.finish_all()
    assert world.step(job_id).status is Status.STORING


def test_a_job_past_its_deadline_is_watched_then_expires(world: World) -> None:
    job_id = world.create()
    world.until(job_id, "running")
    world.clock.advance(7_200_000)
    job = world.step(job_id)
    assert (job.status, job.cancel_cause) == (Status.CANCELING, "deadline")
    world.clock.advance(3_600_000)
    job = world.step(job_id)
    assert (job.status, job.may_be_billed) == (Status.EXPIRED, True)
    assert job.error is not None
    assert job.error.code == "run_expired"


def test_a_task_that_can_be_stopped_is_stopped() -> None:
    world = World(cancels=True)
    job_id = world.create()
    world.until(job_id, "running")
    world.service.cancel(CALLER, job_id)
    job = world.step(job_id)
    assert (job.status, job.may_be_billed) == (Status.CANCELED, False)
    assert world.provider.tasks["task-1"].state == "canceled"
    # Its task will never give anything: the retry makes a new one.
    retry = world.service.retry(CALLER, job_id)
    assert (retry.status, retry.task_id) == (Status.QUEUED, None)
    world.settle()
    assert world.job(retry.id).status is Status.SUCCEEDED


# Files


MODELS = Path(__file__).parents[3] / "fixtures" / "models"


def ready_to_store(world: World) -> str:
    job_id = world.create()
    world.until(job_id, "running")
    world.provider.finish_all()
    world.until(job_id, "storing")
    return job_id


def test_expired_links_are_taken_afresh(world: World) -> None:
    job_id = ready_to_store(world)
    world.clock.advance(world.provider.link_ms + 1)
    job = world.step(job_id)
    assert (job.status, job.failures) == (Status.STORING, 1)
    world.wait(job_id)
    assert world.step(job_id).status is Status.PROCESSING
    assert world.provider.calls["download"] == 2


def other_than_the_file() -> DownloadFailed:
    return DownloadFailed("the result link gives text/html, not a file", broken=True)


def test_what_comes_in_a_files_place_for_a_while_costs_nothing(world: World) -> None:
    job_id = ready_to_store(world)
    world.provider.will("download", *(other_than_the_file() for _ in range(4)))
    assert world.until(job_id, "processing").failures == 0


def test_a_result_that_stays_something_else_is_invalid(world: World) -> None:
    job_id = ready_to_store(world)
    world.provider.will("download", *(other_than_the_file() for _ in range(50)))
    begun = world.clock.now()
    job = world.until(job_id, "failed")
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("artifact_invalid", True)
    assert "text/html" in job.error.message
    assert 30_000 < world.clock.now() - begun < 300_000, "neither at once nor after hours"


def test_files_of_the_same_role_keep_their_own_links(world: World) -> None:
    job_id = world.create()
    world.until(job_id, "running")

    def links(until: int) -> dict[str, TaskState]:
        files = [RemoteFile("image", f"links/{name}/{until}", "model/gltf-binary") for name in "ab"]
        return {"task-1": TaskState("succeeded", 100, files=tuple(files))}

    later = world.clock.now() + 10**9
    world.provider.will("check", links(0), links(later))
    world.until(job_id, "storing")
    world.step(job_id)
    world.wait(job_id)
    world.step(job_id)
    job = world.job(job_id)
    assert [file.url for file in job.files] == [f"links/a/{later}", f"links/b/{later}"]


def test_a_broken_model_is_fetched_once_more_then_fails(world: World) -> None:
    job_id = ready_to_store(world)
    world.provider.model = world.provider.model[:100]
    world.until(job_id, "processing")
    job = world.step(job_id)
    assert (job.status, job.fetches) == (Status.STORING, 1)
    assert "poll" in world.woken
    checks = world.provider.calls["check"]
    world.until(job_id, "processing")
    assert world.provider.calls["check"] == checks + 1  # with links taken afresh
    world.provider.model += b"more"
    job = world.step(job_id)
    assert (job.status, job.may_be_billed) == (Status.FAILED, True)
    assert job.error is not None
    assert job.error.code == "artifact_invalid"
    assert len(world.deliveries(job_id)) == 1


def sent(world: World, *models: bytes) -> Job:
    """A job whose provider sends each of these files in its turn, once it is over."""
    job_id = ready_to_store(world)
    for model in models:
        world.provider.model = model
        world.until(job_id, "processing")
        world.step(job_id)
    return world.job(job_id)


@pytest.mark.parametrize("name", ["compressed-zeroed.glb", "cut", "page"])
def test_what_comes_twice_without_any_data_in_it_is_final(world: World, name: str) -> None:
    model = {"cut": box_model()[:-8], "page": b"<html>Not found</html>"}.get(name)
    model = model or (MODELS / name).read_bytes()
    job = sent(world, model, model)
    assert (job.status, job.fetches) == (Status.FAILED, 1)
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("artifact_invalid", False)
    assert "the same broken file twice" in job.error.message


def test_another_broken_file_the_second_time_may_be_better_the_third(world: World) -> None:
    job = sent(world, box_model()[:-8], box_model()[:-12])
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("artifact_invalid", True)


def test_an_unusable_model_that_comes_twice_the_same_is_published_with_a_warning(
    world: World,
) -> None:
    model = pack({"asset": {"version": "2.0"}, "scene": 7})
    job_id = ready_to_store(world)
    world.provider.model = model
    world.until(job_id, "processing")
    assert world.step(job_id).status is Status.STORING
    world.until(job_id, "processing")
    job = world.job(job_id)
    assert [file.refused for file in job.files] == [file.sha256 for file in job.files]
    job = world.step(job_id)
    assert job.status is Status.SUCCEEDED
    assert (job.artifacts[0].role, job.artifacts[0].sha256) == ("model", job.files[0].sha256)
    assert job.warnings[0] == (
        "published as the provider sent it, twice the same: scene refers to scenes[7], there are 0"
    )


def test_a_model_that_is_whole_the_second_time_succeeds(world: World) -> None:
    job_id = ready_to_store(world)
    whole, world.provider.model = world.provider.model, world.provider.model[:100]
    world.until(job_id, "processing")
    world.step(job_id)
    world.provider.model = whole
    job = world.until(job_id, "succeeded")
    assert published(world, job)


def test_a_slow_workers_verdict_on_old_files_does_not_condemn_the_fresh_ones(
    world: World,
) -> None:
    job_id = ready_to_store(world)
    whole, world.provider.model = world.provider.model, world.provider.model[:100]
    world.until(job_id, "processing")
    slow = world.begin(job_id)
    up_to(slow, "before store.put")
    world.wait(job_id)
    assert world.step(job_id).status is Status.STORING
    world.provider.model = whole
    world.until(job_id, "processing")
    slow.finish()
    assert world.job(job_id).status is Status.PROCESSING
    world.settle()
    assert world.job(job_id).status is Status.SUCCEEDED


def test_a_failed_preview_is_a_warning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> bytes:
        raise ValueError("no light")

    monkeypatch.setattr("shared.artifacts.render.preview.draw_preview", fail)
    job_id = ready_to_store(world)
    job = world.until(job_id, "succeeded")
    assert [item.role for item in job.artifacts] == ["model"]
    assert "no preview could be drawn: no light" in job.warnings


def test_what_a_preview_does_not_show_is_a_warning(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(source: Any, side: int, warnings: list[str]) -> bytes:
        warnings.append("images[0] is not in the preview: it is a KTX2 texture")
        return PICTURE

    monkeypatch.setattr("shared.artifacts.render.preview.draw_preview", drawn)
    job = world.until(ready_to_store(world), "succeeded")
    assert [item.role for item in job.artifacts] == ["model", "preview"]
    assert job.warnings == ("images[0] is not in the preview: it is a KTX2 texture",)


def claimed_when_done(world: World, count: int) -> list[Any]:
    """So many running jobs, claimed for a look at their tasks, which are done by now."""
    ids = [world.create() for _ in range(count)]
    for job_id in ids:
        world.until(job_id, "running")
    world.provider.finish_all()
    for job_id in ids:
        world.wait(job_id)
    return world.claim(check_queue(world.provider.name))


def test_what_one_request_brings_is_saved_in_one_go_but_for_what_others_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = claimed_when_done(world, 3)
    together: list[int] = []
    put_each = world.store.put_each

    def noted(writes: Any) -> Any:
        together.append(len(writes))
        return put_each(writes)

    monkeypatch.setattr(world.store, "put_each", noted)
    world.service.cancel(CALLER, jobs[1].id)
    check(world.plain, world.provider, "main", jobs, world.deadline())
    found = [world.job(job.id).status for job in jobs]
    assert found == [Status.STORING, Status.CANCELED, Status.STORING]
    assert together == [3]


def test_looks_that_the_store_does_not_take_at_once_are_saved_one_by_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = claimed_when_done(world, 3)

    def refuse(writes: Any) -> Any:
        raise StoreUnavailable("not now")

    monkeypatch.setattr(world.store, "put_each", refuse)
    check(world.plain, world.provider, "main", jobs, world.deadline())
    assert {world.job(job.id).status for job in jobs} == {Status.STORING}


def test_where_previews_are_switched_off_a_model_is_published_without_one(world: World) -> None:
    world.plain = replace(world.plain, draws_previews=False)
    job = world.until(ready_to_store(world), "succeeded")
    assert [item.role for item in job.artifacts] == ["model"]
    assert job.warnings == ()
    assert "triangles" in job.artifacts[0].facts


def test_the_third_worker_publishes_after_the_container_check_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = ready_to_store(world)
    world.until(job_id, "processing")
    for _ in range(2):
        world.wait(job_id)
        world.begin(job_id).kill()

    def deadly(*args: Any, **named: Any) -> Any:
        raise AssertionError("this has killed two workers")

    monkeypatch.setattr("shared.jobs.steps.process.inspect_model", deadly)
    world.wait(job_id)
    job = world.step(job_id)
    assert job.status is Status.SUCCEEDED
    assert any("container check alone" in warning for warning in job.warnings)


def test_a_lost_object_event_is_recovered_by_the_poll(world: World) -> None:
    job_id = ready_to_store(world)
    world.until(job_id, "processing")
    world.woken.clear()  # the event and the wake-up were lost
    poll_once(world)
    assert world.woken == ["postprocess"]
    process_all(world)
    assert world.job(job_id).status is Status.SUCCEEDED


def test_early_and_doubled_object_events_change_nothing(world: World) -> None:
    job_id = ready_to_store(world)
    assert process_all(world) == 0
    step = world.begin(job_id)
    up_to(step, "after bucket.put_stream")
    assert process_all(world) == 0  # the event came before the save
    step.finish()
    assert process_all(world) == 1
    assert process_all(world) == 0
    assert len(world.deliveries(job_id)) == 1


def test_a_file_that_no_invocation_has_time_for_ends_the_job(world: World) -> None:
    job_id = ready_to_store(world)
    for _ in range(50):
        if world.job(job_id).status.terminal:
            break
        world.wait(job_id)
        deadline = world.deadline(30)
        job = world.claim_one(job_id)
        slow = replace(deadline, remaining=iter([20.0, 20.0, *[0.0] * 100]).__next__)
        world.carry(job, world.plain, slow)()
    assert world.job(job_id).status.terminal


def test_a_job_handed_back_before_it_was_begun_counts_no_claim(world: World) -> None:
    job_id = ready_to_store(world)
    for _ in range(20):
        world.wait(job_id)
        advance(world.plain, world.claim_one(job_id), world.deadline(0))
    assert world.until(job_id, "succeeded")


def test_work_that_ran_out_of_time_is_due_again_at_once(world: World) -> None:
    job_id = ready_to_store(world)
    job = world.claim_one(job_id)
    remaining = iter([20.0, 20.0, *[0.0] * 100]).__next__
    advance(world.plain, job, replace(world.deadline(), remaining=remaining))
    after = world.job(job_id)
    assert (after.status, after.due_at) == (Status.STORING, world.clock.now())


def test_a_bucket_that_is_away_delays_a_create_by_seconds_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = world.create()
    picture = InputFile("inputs/x/1.png", "image/png", 3, "0" * 64, 1, 1)
    job = world.job(job_id)
    world.repository.save(job, replace(job, input=replace(job.input, images={"image": picture})))
    world.bucket.objects[picture.key] = (b"png", "image/png")
    opened = world.bucket.open
    away = {"for": 3}

    def refuse(*args: Any) -> Any:
        if away["for"]:
            away["for"] -= 1
            raise BucketUnavailable("not now")
        return opened(*args)

    monkeypatch.setattr(world.bucket, "open", refuse)
    for _ in range(3):
        world.wait(job_id)
        after = world.step(job_id)
        assert after.status is Status.QUEUED
        assert after.due_at is not None
        assert after.due_at <= world.clock.now() + 10_000
    assert world.until(job_id, "running")


# Retries


def test_a_retry_of_a_deleted_job_is_refused(world: World) -> None:
    job_id = world.create()
    world.provider.will("submit", Rejected("no"))
    world.step(job_id)
    world.service.delete(CALLER, job_id)
    with pytest.raises(Refused) as refusal:
        world.service.retry(CALLER, job_id)
    assert refusal.value.code == "deleted"


def test_a_retry_after_an_unconfirmed_create_needs_the_callers_word(world: World) -> None:
    job_id = world.create()
    step = world.begin(job_id)
    up_to(step, "before provider.submit")
    step.kill()
    world.settle()
    with pytest.raises(Refused) as refusal:
        world.service.retry(CALLER, job_id)
    assert refusal.value.code == "possible_charge"
    retry = world.service.retry(CALLER, job_id, accept_possible_charge=True)
    assert world.service.retry(CALLER, job_id).id == retry.id
    world.settle()
    assert world.job(retry.id).status is Status.SUCCEEDED
    assert world.provider.executions == {retry.id: 1}


# The poll itself


def test_a_poll_outlives_a_store_that_is_away_for_a_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = world.create()
    first, away = world.store.first, iter([True] * 20)

    def refuse(*args: Any, **named: Any) -> Any:
        if next(away, False):
            raise StoreUnavailable("not now")
        return first(*args, **named)

    monkeypatch.setattr(world.store, "first", refuse)
    left = iter([True] * 60)
    polling.poll(world.plain, world.deadline(), lambda: next(left, False))
    world.provider.finish_all()
    assert world.job(job_id).task_id == "task-1"


def test_a_poll_naps_while_an_index_lags_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.create()
    claim, lagging = world.store.claim, world.clock.now() + 2_000
    asked = []

    def stale(*args: Any, **named: Any) -> Any:
        asked.append(1)
        return claim(*args, **named) if world.clock.now() > lagging else []

    monkeypatch.setattr(world.store, "claim", stale)
    left = iter([True] * 500)
    polling.poll(world.plain, world.deadline(), lambda: next(left, False))
    assert world.provider.calls["submit"] == 1
    assert len(asked) < 3000


def test_a_poll_returns_when_nothing_is_unfinished(world: World) -> None:
    polling.poll(world.plain, world.deadline(), lambda: True)
    assert world.woken == []


def test_a_poll_wakes_the_callback_for_what_it_ended(world: World) -> None:
    world.create()
    world.woken.clear()
    world.provider.will("submit", Rejected("no"))
    poll_once(world)
    assert "callback" in world.woken


def test_a_staying_poll_carries_a_job_until_its_files_are_there(world: World) -> None:
    job_id = world.create()
    begun = world.clock.now()

    def stay() -> bool:
        if world.clock.now() > begun + 60_000:
            world.provider.finish_all()
        return world.job(job_id).status is not Status.PROCESSING

    polling.poll(world.plain, world.deadline(600), stay)
    assert world.job(job_id).status is Status.PROCESSING
    # From two seconds to half a minute between looks: about a dozen in a minute.
    assert 5 <= world.provider.calls["check"] <= 15
