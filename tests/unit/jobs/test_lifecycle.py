"""The lifecycle alone: every fact in every order, every move, every deadline, every retry.

任务流转纯函数的测试：任意顺序的事件、每一种状态变化、期限与重试。
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.errors import Refused
from shared.inputs.files import InputFile
from shared.inputs.remote import FetchFailed, RemoteInput
from shared.jobs import lifecycle as life
from shared.jobs.estimate import Past
from shared.jobs.lifecycle import Step
from shared.jobs.lifecycle.transitions import NEXT, Moment, opened
from shared.jobs.model import (
    TERMINAL,
    Artifact,
    Attempt,
    Job,
    JobInput,
    ResultFile,
    Status,
    from_record,
    to_record,
)
from shared.jobs.policy import Policy
from shared.jobs.retrying import retry
from shared.providers.base import (
    OutOfCredit,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    RemoteFile,
    Request,
    TaskState,
    Unauthorized,
    UnknownOutcome,
)
from tests.worlds import effort

S = Status
POLICY = Policy()
START = 1_800_000_000_000
REQUEST = Request("/v3/make", '{"seed":7}', "7")
FILES = (RemoteFile("model", "https://files/1", "model/gltf-binary"),)
DONE = TaskState("succeeded", 100, files=FILES, credits=30.0)
GOING = TaskState("running", 40)
ARTIFACT = Artifact("model", "model.glb", "artifacts/1/ab.glb", "model/gltf-binary", 3, "ab")
LEASE = 960_000
DAY = 86_400_000
HOUR = 3_600_000


def at(seconds: float = 0.0) -> Moment:
    return Moment(START + round(seconds * 1000))


def saved(job: Job, old: Job | None = None) -> Job:
    """The job as a store gives it back."""
    record = to_record(replace(job, version=old.version if old else job.version))
    return from_record(replace(record, document=json.loads(json.dumps(record.document))).written())


def queued(**more: Any) -> Job:
    job = Job("1", "text-to-3d", "tripo", "caller", START, JobInput("a chair"), **more)
    return opened(job, at())


def submitting(seconds: float = 0.0) -> Job:
    return life.begin_submit(queued(), REQUEST, "main", at(seconds))


def running() -> Job:
    return life.submitted(submitting(), "task", at(), POLICY)


def storing() -> Job:
    return life.observed(running(), DONE, at(60), POLICY)


def processing() -> Job:
    return life.stored(storing(), 0, "incoming/1/0.glb", 3, "ab", at(61))


def canceling() -> Job:
    return life.cancel(running(), at(30))


def canceling_unanswered() -> Job:
    return life.cancel(submitting(), at(1))


def given_up() -> Job:
    return life.unseen(running(), at(7200), POLICY)


def refused(job: Job, error: ProviderError) -> Job:
    return life.not_submitted(job, job.attempt, error, at(1), POLICY)


MOVES: dict[tuple[Status, Status], Callable[[], Job]] = {
    (S.QUEUED, S.SUBMITTING): submitting,
    (S.QUEUED, S.FAILED): lambda: refused(queued(), Rejected("no")),
    (S.QUEUED, S.CANCELED): lambda: life.cancel(queued(), at(1)),
    (S.QUEUED, S.EXPIRED): lambda: life.overdue(queued(), at(86_400)),
    (S.SUBMITTING, S.RUNNING): running,
    (S.SUBMITTING, S.QUEUED): lambda: refused(submitting(), RateLimited("busy")),
    (S.SUBMITTING, S.FAILED): lambda: refused(submitting(), Rejected("no")),
    (S.SUBMITTING, S.CANCELING): canceling_unanswered,
    (S.RUNNING, S.STORING): storing,
    (S.RUNNING, S.FAILED): lambda: life.observed(running(), TaskState("failed"), at(9), POLICY),
    (S.RUNNING, S.CANCELING): canceling,
    (S.STORING, S.PROCESSING): processing,
    (S.STORING, S.FAILED): lambda: life.lost(replace(storing(), claims=6), at(9)),
    (S.STORING, S.EXPIRED): lambda: life.not_stored(storing(), "404", at(60 + 21_600), POLICY),
    (S.PROCESSING, S.SUCCEEDED): lambda: life.published(processing(), [ARTIFACT], [], at(62)),
    (S.PROCESSING, S.STORING): lambda: life.invalid(
        processing(), processing().files, "torn", at(62)
    ),
    (S.PROCESSING, S.FAILED): lambda: life.not_processed(
        processing(), "no bucket", at(61 + 21_600), POLICY
    ),
    (S.CANCELING, S.CANCELED): lambda: life.canceled_at_provider(canceling(), at(31)),
    (S.CANCELING, S.EXPIRED): lambda: life.unseen(given_up(), at(10_800), POLICY),
    (S.CANCELING, S.FAILED): lambda: life.lost(replace(canceling_unanswered(), claims=6), at(9)),
}
JOBS: dict[str, Callable[[], Job]] = {
    "queued": queued,
    "submitting": submitting,
    "running": running,
    "storing": storing,
    "processing": processing,
    "canceling": canceling,
    "succeeded": MOVES[S.PROCESSING, S.SUCCEEDED],
    "failed": MOVES[S.RUNNING, S.FAILED],
    "canceled": MOVES[S.QUEUED, S.CANCELED],
    "expired": MOVES[S.QUEUED, S.EXPIRED],
}


# Moves


def test_every_move_there_is_has_a_fact_that_makes_it() -> None:
    assert MOVES.keys() == {(one, other) for one, nexts in NEXT.items() for other in nexts}


@pytest.mark.parametrize(("before", "after"), MOVES, ids=lambda status: status.value)
def test_a_move_leads_from_one_status_to_the_next(before: Status, after: Status) -> None:
    job = MOVES[before, after]()
    assert job.status is after
    assert [entry.status for entry in job.history[-2:]] == [before.value, after.value]
    assert (job.due_at is None) == (job.finished_at is not None) == (after in TERMINAL)
    assert from_record(to_record(job)) == replace(job, looks=0)


def test_terminal_states_lead_nowhere() -> None:
    assert all(NEXT[status] == frozenset() for status in TERMINAL)


# Any order of facts


ERRORS = st.sampled_from(
    [
        Rejected("no"),
        Unauthorized("who?"),
        OutOfCredit("pay"),
        RateLimited("busy"),
        RateLimited("busy", retry_after=3600.0),
        ProviderUnavailable("down"),
    ]
)
STATES = st.builds(
    TaskState,
    st.sampled_from(
        ["waiting", "running", "running", "succeeded", "failed", "canceled", "missing"]
    ),
    progress=st.none() | st.integers(-5, 120),
    eta_seconds=st.none() | st.floats(-10, 1e7),
    files=st.sampled_from([(), FILES, FILES * 2]),
    credits=st.none() | st.floats(0, 100),
)
BILLABLE = {
    status: {True} if status is S.SUCCEEDED or not status.terminal else {True, False}
    for status in S
} | {S.QUEUED: {False}}
"""What `may_be_billed` can say of a job by its status."""
PAID_FOR = {
    "submit_unconfirmed",
    "task_not_found",
    "result_missing",
    "artifact_invalid",
    "process_failed",
}
ROLES = st.sampled_from(["image", "mask"])
UNANSWERED = {S.SUBMITTING, S.CANCELING}
LOOKED_AT = {S.RUNNING, S.CANCELING}


def widened(value: Any, name: str = "job") -> Any:
    """A value as newer code would keep it: with one member more, and so all that lies within it."""
    if isinstance(value, tuple):
        return tuple(widened(one, name) for one in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    held = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    within = {name: widened(one, name) for name, one in held.items() if name != "extra"}
    return replace(value, **within, extra={"new": name})


def unknown(job: Job) -> Iterator[tuple[object, Any]]:
    """What this code does not know of each part of a job that no fact replaces, by its place."""
    yield "job", job.extra
    yield "input", job.input.extra
    yield "receipt", job.receipt.extra
    if job.attempt is not None:
        yield ("attempt", job.attempt.number), job.attempt.extra
    if job.error is not None:
        yield ("error", job.error.code), job.error.extra
    for number, file in enumerate(job.files):
        yield ("file", number), file.extra
    for number, entry in enumerate(job.history[:10]):
        yield ("history", number), entry.extra
    for artifact in job.artifacts:
        yield ("artifact", artifact.key), artifact.extra
    for role, remote in job.input.urls.items():
        yield ("url", role), remote.extra


class AnyOrder(RuleBasedStateMachine):
    """One job, and every fact about it in any order, at times that also run backwards.

    任意顺序的事件。
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.latest = START
        self.job = saved(queued(callback_url="https://caller.example"))
        self.born = len(self.job.history)

    def fact(self, able: set[Status] | frozenset[Status], fact: Callable[[Job, Moment], Job],
             chance: float = 0.3) -> None:  # fmt: skip
        """Apply a fact that can only change jobs of these statuses, and check what came of it."""
        old, moment = self.job, Moment(self.now, chance)
        new = fact(old, moment)
        if old.status not in able:
            assert new is old
        if new is old:
            return
        if new.status is not old.status:
            assert new.status in NEXT[old.status]
            assert new.history[-1].status == new.status.value
            assert new.entered_at == self.now
        else:
            assert new.history == old.history
        if old.status.terminal:
            # A task that becomes known is one that may be charged.
            late = replace(old, task_id=new.task_id, may_be_billed=True)
            late = replace(late, updated_at=new.updated_at, claims=0)
            assert replace(new, claims=0) == late
        assert old.task_id in (None, new.task_id)
        assert new.progress >= old.progress
        assert new.updated_at >= old.updated_at
        assert new.receipt.checks >= old.receipt.checks
        kept = dict(unknown(new))
        for place, members in unknown(old):
            assert kept.get(place, members) == members, place
        assert not new.input.urls or new.attempt is None, "a create without an input"
        self.job = saved(new, old)
        same = replace(new, version=old.version + 1, looks=0, format=self.job.format)
        assert self.job == same

    @initialize(roles=st.sets(st.sampled_from(["image", "mask"])))
    def some_inputs_lie_on_the_web(self, roles: set[str]) -> None:
        urls = {role: RemoteInput(f"https://photos.example/{role}") for role in sorted(roles)}
        self.job = replace(self.job, input=replace(self.job.input, urls=urls))

    @rule(role=ROLES)
    def input_is_fetched(self, role: str) -> None:
        waits = role in self.job.input.urls and not self.job.input.urls[role].fetched
        able = {S.QUEUED} if waits else set()
        self.fact(able, lambda job, m: life.fetched(job, role, f"incoming/1/{role}", 3, "ab", m))

    @rule(role=ROLES, passing=st.booleans(), hint=st.sampled_from([None, 0.0, 7.0, 1e10]))
    def input_is_not_fetched(self, role: str, passing: bool, hint: float | None) -> None:
        waits = role in self.job.input.urls and not self.job.input.urls[role].fetched
        failure = FetchFailed("503", passing=passing, retry_after=hint)
        able = {S.QUEUED} if waits else set()
        self.fact(able, lambda job, m: life.not_fetched(job, role, failure, m, POLICY))
        if waits and self.job.status is S.QUEUED:
            assert self.job.due_at is not None
            assert self.job.due_at <= max(self.now + 150_000, self.job.created_at + DAY)

    @rule(role=ROLES)
    def input_is_inspected(self, role: str) -> None:
        if role not in self.job.input.urls or self.job.input.urls[role].fetched:
            kept = InputFile(f"inputs/1/{role}", "image/png", 3, "ab", 1, 1)
            able = {S.QUEUED} if role in self.job.input.urls else set()
            self.fact(able, lambda job, m: life.inspected(job, role, kept, m))

    @rule(really=st.sampled_from([False, False, True]))
    def input_is_of_no_use(self, really: bool) -> None:
        if really and self.job.input.urls:
            self.fact({S.QUEUED}, lambda job, m: life.input_refused(job, "cut", "image: cut.", m))

    @rule()
    def newer_code_adds_members(self) -> None:
        self.job = widened(self.job)

    @rule(seconds=st.sampled_from([-30.0, 0.1, 2.0, 29.0, 300.0, 901.0, 3601.0, 7201.0, 22_000.0]))
    def time_moves(self, seconds: float) -> None:
        self.now += round(seconds * 1000)
        self.latest = max(self.latest, self.now)

    @rule(times=st.integers(1, 3), chance=st.floats(0, 1, exclude_max=True))
    def claimed(self, times: int, chance: float) -> None:
        for _ in range(times):
            if self.job.due_at is None:
                return
            self.now = max(self.now, self.job.due_at)
            self.latest = max(self.latest, self.now)
            lease = life.lease(self.job, Moment(self.now, chance), LEASE, POLICY)
            assert lease.due_at > self.now
            assert lease.counted == (not self.job.watched)
            self.job = replace(
                self.job,
                due_at=lease.due_at,
                claims=self.job.claims + lease.counted,
                version=self.job.version + 1,
                looks=self.job.looks + 1,
            )

    @rule(data=st.data())
    def due_step(self, data: st.DataObject) -> None:
        """What the step that the job needs would say."""
        step = life.step_of(self.job, self.now, POLICY) if self.job.queue else None
        if step is Step.GIVE_UP:
            assert self.job.claims > POLICY.max_claims
            self.fact(set(S) - TERMINAL, life.lost)
        elif step is Step.EXPIRE:
            self.fact({S.QUEUED}, life.overdue)
        elif step is Step.FETCH:
            role = self.job.input.unfetched
            assert role is not None
            self.input_is_fetched(role)
        elif step is Step.INSPECT:
            self.input_is_inspected(next(iter(self.job.input.urls)))
        elif step is Step.SUBMIT:
            assert not self.job.input.urls
            self.create_begins("main")
        elif step is Step.FIND:
            self.create_is_answered("task-1")
        elif step is Step.CHECK:
            self.looked(data.draw(STATES))
        elif step is Step.STORE:
            self.file_is_stored(data.draw(st.integers(0, 1)))
        elif step is Step.PROCESS:
            self.files_are_published()

    @rule(credential=st.sampled_from(["one", "two"]))
    def create_begins(self, credential: str) -> None:
        def fact(job: Job, moment: Moment) -> Job:
            return life.begin_submit(job, REQUEST, credential, moment)

        self.fact({S.QUEUED}, fact)

    @rule(task_id=st.sampled_from(["task-1", "task-2"]))
    def create_is_answered(self, task_id: str) -> None:
        def fact(job: Job, moment: Moment) -> Job:
            return life.submitted(job, task_id, moment, POLICY)

        self.fact(UNANSWERED | TERMINAL, fact)

    @rule(error=ERRORS, mine=st.booleans(), chance=st.floats(0, 1, exclude_max=True))
    def create_is_refused(self, error: ProviderError, mine: bool, chance: float) -> None:
        attempt = self.job.attempt if mine else None

        def fact(job: Job, moment: Moment) -> Job:
            return life.not_submitted(job, attempt, error, moment, POLICY)

        self.fact({S.QUEUED} if attempt is None else UNANSWERED, fact, chance)

    @rule(error=ERRORS)
    def repetition_is_refused(self, error: ProviderError) -> None:
        attempt = self.job.attempt
        if attempt is not None:
            self.fact(
                UNANSWERED,
                lambda job, moment: life.refused_again(job, attempt, error, moment, POLICY),
            )

    @rule()
    def another_attempts_answer_comes_late(self) -> None:
        other = life.begin_submit(queued(), REQUEST, "other", Moment(START - 1)).attempt
        assert other is not None
        for error in (Rejected("no"), RateLimited("busy")):
            self.fact(set(), lambda j, m, e=error: life.not_submitted(j, other, e, m, POLICY))
            self.fact(set(), lambda j, m, e=error: life.refused_again(j, other, e, m, POLICY))
        self.fact(set(), lambda job, moment: life.submit_unknown(job, other, moment, POLICY))

    @rule()
    def no_account_can_be_used(self) -> None:
        self.fact({S.QUEUED}, lambda job, m: life.account_refused(job, m))

    @rule()
    def a_step_raises(self) -> None:
        self.fact(set(S) - TERMINAL, lambda job, m: life.failed_try(job, "KeyError", m, POLICY))

    @rule(begun=st.booleans())
    def handed_back(self, begun: bool) -> None:
        self.fact(set(S) - TERMINAL, lambda job, m: life.handed_back(job, m, begun=begun))

    @rule()
    def create_is_not_answered(self) -> None:
        attempt = self.job.attempt
        if attempt is not None:
            self.fact(UNANSWERED, lambda job, m: life.submit_unknown(job, attempt, m, POLICY))

    @rule(read=st.booleans(), matches=st.integers(0, 2))
    def create_is_not_found(self, read: bool, matches: int) -> None:
        def fact(job: Job, moment: Moment) -> Job:
            return life.not_found(job, moment, POLICY, read=read, matches=matches)

        self.fact(UNANSWERED, fact)

    @rule(state=STATES)
    def looked(self, state: TaskState) -> None:
        self.fact(LOOKED_AT, lambda job, moment: life.observed(job, state, moment, POLICY))

    @rule()
    def look_failed(self) -> None:
        self.fact(LOOKED_AT, lambda job, moment: life.unseen(job, moment, POLICY))

    @rule(state=STATES)
    def links_came(self, state: TaskState) -> None:
        self.fact({S.STORING}, lambda job, moment: life.refreshed(job, state, moment))

    @rule(index=st.integers(0, 1))
    def file_is_stored(self, index: int) -> None:
        index = min(index, max(0, len(self.job.files) - 1))
        self.fact({S.STORING}, lambda job, m: life.stored(job, index, f"k{index}", 3, "ab", m))

    @rule()
    def file_is_not_stored(self) -> None:
        self.fact({S.STORING}, lambda job, m: life.not_stored(job, "404", m, POLICY))

    @rule()
    def files_are_published(self) -> None:
        self.fact({S.PROCESSING}, lambda job, m: life.published(job, [ARTIFACT], ["so"], m))

    @rule(mine=st.booleans())
    def files_are_broken(self, mine: bool) -> None:
        files = self.job.files if mine else (ResultFile("model", "old", "model/gltf-binary"),)
        able = {S.PROCESSING} if mine else set()
        self.fact(able, lambda job, m: life.invalid(job, files, "torn", m))

    @rule()
    def files_are_not_processed(self) -> None:
        self.fact({S.PROCESSING}, lambda job, m: life.not_processed(job, "away", m, POLICY))

    @rule()
    def waited_too_long(self) -> None:
        self.fact({S.QUEUED}, life.overdue)

    @rule(really=st.sampled_from([False, False, True]))
    def canceled(self, really: bool) -> None:
        if really:
            try:
                self.fact({S.QUEUED, S.SUBMITTING, S.RUNNING}, life.cancel)
            except Refused:
                too_late = {S.STORING, S.PROCESSING, S.SUCCEEDED, S.FAILED, S.EXPIRED}
                assert self.job.status in too_late

    @rule()
    def stopped_at_the_provider(self) -> None:
        if self.job.watched or self.job.status.terminal:
            self.fact({S.CANCELING}, life.canceled_at_provider)

    @rule(
        accept=st.booleans(), goes_on=st.booleans(), key_seconds=st.sampled_from([None, DAY / 1000])
    )
    def retried(self, accept: bool, goes_on: bool, key_seconds: float | None) -> None:
        old, moment = self.job, Moment(self.now)
        try:
            fresh, marked = retry(
                old, "2", moment, accept_possible_charge=accept, key_seconds=key_seconds
            )
        except Refused:
            assert (
                not old.status.terminal
                or old.status is S.SUCCEEDED
                or (old.may_be_billed and not accept)
            )
            return
        assert old.status in TERMINAL - {S.SUCCEEDED}
        takes_create = fresh.status is S.SUBMITTING
        assert fresh.receipt.creates == takes_create
        assert (fresh.retry_of, marked.retried_as) == (old.id, fresh.id)
        kept = replace(old, attempt=None) if takes_create else old
        assert replace(marked, retried_as=None, updated_at=0, claims=0) == replace(
            kept, updated_at=0, claims=0
        )
        if fresh.status is S.QUEUED:
            # It will create anew: the caller has agreed, or nothing was charged.
            assert accept or not old.may_be_billed
            assert (fresh.task_id, fresh.attempt) == (None, None)
        elif takes_create:
            assert old.attempt is not None
            assert fresh.attempt == replace(old.attempt, unanswered=0)
            assert life.submitted(marked, "late", moment, POLICY) is marked
        else:
            assert fresh.task_id == old.task_id is not None
        with pytest.raises(Refused):
            retry(marked, "3", moment, accept_possible_charge=True)
        if goes_on:
            self.job, self.born = saved(fresh), len(fresh.history)

    @invariant()
    def holds(self) -> None:
        job = self.job
        assert job.receipt.creates in (0, 1)
        assert job.may_be_billed in BILLABLE[job.status]
        if job.status is S.FAILED and job.error is not None:
            assert job.may_be_billed or job.error.code not in PAID_FOR
        assert len(job.history) <= 50
        path = [entry.status for entry in job.history[self.born - 1 :]]
        if len(job.history) < 50:
            for one, other in pairwise(path):
                assert Status(other) in NEXT[Status(one)]
        assert (job.due_at is None) == job.status.terminal == (job.finished_at is not None)
        if job.due_at is not None:
            # The farthest hint with its chance, or the lease, and what clocks may differ.
            assert job.due_at <= self.latest + 3_960_000 + 30_000
        if job.status is S.RUNNING or (job.status is S.STORING):
            assert job.task_id is not None
        if job.status is S.PROCESSING:
            assert all(file.stored for file in job.files)
            assert job.files
        if job.status is S.FAILED or job.status is S.EXPIRED:
            assert job.error is not None


class TestAnyOrder(AnyOrder.TestCase):
    settings = effort(120, 20_000, 40)


# Facts


def test_the_first_ten_and_the_last_forty_changes_are_kept() -> None:
    job = queued()
    for number in range(100):
        job = life.begin_submit(job, REQUEST, "main", at(10 * number))
        job = life.not_submitted(
            job, job.attempt, ProviderUnavailable("down"), at(10 * number + 1), POLICY
        )
    assert len(job.history) == 50
    assert [entry.at for entry in job.history[:3]] == [START, START, START + 1000]
    assert job.history[9].at == START + 40_000
    assert job.history[-1].at == START + 991_000
    assert job.history[10].at == START + 800_000
    assert job.receipt.creates == 0
    assert job.attempts == 100


def test_a_busy_provider_is_no_attempt_and_an_absent_one_is() -> None:
    busy = refused(submitting(), RateLimited("busy"))
    absent = refused(submitting(), ProviderUnavailable("down"))
    assert (busy.failures, absent.failures) == (0, 1)
    assert (busy.receipt.creates, absent.receipt.creates) == (0, 0)
    assert (busy.attempt, absent.attempt) == (None, None)


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (Rejected("no", code="2015"), "provider_rejected", False),
    ],
)
def test_a_refusal_says_what_the_provider_said(
    error: ProviderError, code: str, retryable: bool
) -> None:
    job = refused(submitting(), error)
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == (code, retryable)
    assert job.error.provider == {"code": error.code, "message": error.message}
    assert not job.may_be_billed


@pytest.mark.parametrize("error", [Unauthorized("who is key 7?"), OutOfCredit("3 credits left")])
def test_a_job_waits_for_an_account_before_it_fails_and_its_caller_is_not_told_of_it(
    error: ProviderError,
) -> None:
    wait = POLICY.account
    early = life.begin_submit(queued(), REQUEST, "main", at(wait - 2))
    waiting = life.not_submitted(early, early.attempt, error, at(wait - 1), POLICY)
    assert (waiting.status, waiting.failures, waiting.receipt.creates) == (S.QUEUED, 0, 0)
    late = life.begin_submit(queued(), REQUEST, "main", at(wait))
    job = life.not_submitted(late, late.attempt, error, at(wait), POLICY)
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("provider_unavailable", True)
    assert job.error.provider is None
    assert error.message not in job.error.message


def test_a_cancel_in_the_air_ends_when_the_create_was_refused() -> None:
    job = refused(canceling_unanswered(), RateLimited("busy"))
    assert (job.status, job.may_be_billed, job.receipt.creates) == (S.CANCELED, False, 0)


def test_progress_never_falls_and_is_a_hundred_only_at_the_end() -> None:
    job = life.observed(running(), TaskState("running", 60), at(5), POLICY)
    job = life.observed(job, TaskState("running", 20), at(9), POLICY)
    assert job.progress == 60
    job = life.observed(job, TaskState("running", 100), at(11), POLICY)
    assert job.progress == 99
    assert MOVES[S.PROCESSING, S.SUCCEEDED]().progress == 100


def test_progress_that_comes_faster_than_anybody_asks_is_not_written() -> None:
    job = life.observed(running(), TaskState("running", 30), at(5), POLICY)
    assert life.observed(job, TaskState("running", 60), at(6.9), POLICY) is job
    assert life.observed(job, TaskState("running", 60), at(7), POLICY).progress == 60
    assert life.observed(job, DONE, at(6.9), POLICY).status is S.STORING


def test_a_look_without_news_gives_back_the_very_same_job() -> None:
    job = life.observed(running(), TaskState("running", 40, eta_seconds=30), at(5), POLICY)
    assert life.observed(job, TaskState("running", 40, eta_seconds=29), at(6), POLICY) is job
    assert life.observed(job, TaskState("waiting"), at(6), POLICY) is job
    assert life.observed(job, TaskState("running", 40, eta_seconds=20), at(6), POLICY) is not job


def test_claims_between_two_saves_are_counted_as_looks() -> None:
    job = replace(running(), looks=4)
    assert life.observed(job, GOING, at(5), POLICY).receipt.checks == 4


def test_a_task_id_is_written_once() -> None:
    job = life.submitted(running(), "another", at(2), POLICY)
    assert job.task_id == "task"


@pytest.mark.parametrize("status", ["failed", "canceled", "expired"])
def test_a_late_answer_to_a_job_that_has_ended_keeps_only_the_id(status: str) -> None:
    job = replace(JOBS[status](), task_id=None)
    late = life.submitted(job, "task", at(99_999), POLICY)
    assert (late.task_id, late.may_be_billed) == ("task", True)
    bare = replace(late, task_id=None, may_be_billed=job.may_be_billed, updated_at=0)
    assert bare == replace(job, updated_at=0)


def test_a_job_may_be_billed_from_its_create_on_until_a_word_that_nothing_is_charged() -> None:
    before, after = queued(), {name: JOBS[name]() for name in JOBS}
    assert not before.may_be_billed
    billed = {name for name, job in after.items() if job.may_be_billed}
    assert billed == {"submitting", "running", "storing", "processing", "canceling", "succeeded"}
    assert not refused(submitting(), RateLimited("busy")).may_be_billed
    assert not life.observed(running(), TaskState("failed"), at(9), POLICY).may_be_billed
    assert unconfirmed().may_be_billed


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_record_of_format_1_says_the_same_of_a_charge(name: str) -> None:
    job = JOBS[name]()
    record = to_record(job)
    old = {key: value for key, value in record.document.items() if key != "format"}
    if name != "failed":  # an unsuccessful end said then what it says now
        old["may_be_billed"] = False
    assert from_record(replace(record, document=old)).may_be_billed == job.may_be_billed


# Deadlines


def test_a_job_expires_in_the_queue_after_a_day() -> None:
    job = queued()
    assert life.step_of(job, START + DAY - 1, POLICY) is Step.SUBMIT
    assert life.step_of(job, START + DAY, POLICY) is Step.EXPIRE


def test_a_busy_provider_holds_no_job_past_the_queues_deadline() -> None:
    job = life.begin_submit(queued(), REQUEST, "main", at(86_000))
    error = RateLimited("busy", retry_after=3600.0)
    back = life.not_submitted(job, job.attempt, error, at(86_001), POLICY)
    assert back.due_at == START + DAY


def test_a_running_job_past_its_deadline_is_looked_at_once_more_then_watched() -> None:
    job = running()
    end = START + 2 * HOUR
    assert life.observed(job, DONE, Moment(end), POLICY).status is S.STORING
    late = life.observed(job, GOING, Moment(end), POLICY)
    assert (late.status, late.cancel_cause, late.due_at) == (S.CANCELING, "deadline", end)
    assert life.observed(job, GOING, Moment(end - 1), POLICY).status is S.RUNNING
    assert life.unseen(job, Moment(end - 1), POLICY) is job


@pytest.mark.parametrize(
    ("state", "billed"), [("succeeded", True), ("failed", False), ("canceled", False)]
)
def test_what_a_given_up_task_comes_to_says_whether_it_was_billed(state: Any, billed: bool) -> None:
    files = FILES if state == "succeeded" else ()
    for job, ended in ((given_up(), S.EXPIRED), (canceling(), S.CANCELED)):
        after = life.observed(job, TaskState(state, files=files), at(7_300), POLICY)
        assert (after.status, after.may_be_billed) == (ended, billed)


def test_a_canceled_task_is_watched_for_an_hour() -> None:
    job = canceling()
    end = job.entered_at + HOUR
    assert life.observed(job, GOING, Moment(end - 1), POLICY) is job
    after = life.observed(job, GOING, Moment(end), POLICY)
    assert (after.status, after.may_be_billed) == (S.CANCELED, True)
    assert life.unseen(job, Moment(end), POLICY).status is S.CANCELED


def test_storing_is_given_up_after_six_hours() -> None:
    job = storing()
    before = life.not_stored(job, "404", Moment(job.entered_at + 6 * HOUR - 1), POLICY)
    assert before.status is S.STORING
    after = life.not_stored(job, "404", Moment(job.entered_at + 6 * HOUR), POLICY)
    assert (after.status, after.may_be_billed) == (S.EXPIRED, True)
    assert after.error is not None
    assert after.error.code == "store_expired"


@pytest.mark.parametrize(("read", "patience"), [(True, 900), (False, 900 + 7200)])
def test_an_unanswered_create_is_looked_for_as_long_as_was_said(read: bool, patience: int) -> None:
    for job, ended in ((submitting(), S.FAILED), (canceling_unanswered(), S.CANCELED)):
        before = life.not_found(job, at(patience - 0.001), POLICY, read=read)
        assert before.status is job.status
        after = life.not_found(job, at(patience), POLICY, read=read, matches=2)
        assert (after.status, after.may_be_billed, after.receipt.creates) == (ended, True, 1)
    error = life.not_found(submitting(), at(patience), POLICY, read=read).error
    assert error is not None
    assert error.code == "submit_unconfirmed"


@pytest.mark.parametrize("name", ["queued", "submitting", "storing", "processing"])
def test_the_sixth_claim_in_a_row_gives_the_job_up(name: str) -> None:
    job = replace(JOBS[name](), claims=5)
    assert life.step_of(job, START, POLICY) is not Step.GIVE_UP
    job = replace(job, claims=6)
    # What may be paid for is looked for first, whatever has happened to its workers.
    sought = POLICY.find + POLICY.run if name == "submitting" else 0
    if sought:
        assert life.step_of(job, START, POLICY) is Step.FIND
    assert life.step_of(job, START + round(1000 * sought), POLICY) is Step.GIVE_UP
    after = life.lost(job, at(9))
    assert after.error is not None
    assert after.error.code == "worker_lost"
    assert after.error.message.startswith("5 workers")
    assert after.may_be_billed == (name != "queued")


def test_a_claim_of_a_look_is_no_lease_and_every_other_is() -> None:
    for name in ("queued", "submitting", "storing", "processing"):
        lease = life.lease(JOBS[name](), at(), LEASE, POLICY)
        assert (lease.due_at, lease.counted) == (START + LEASE, True)
    for name in ("running", "canceling"):
        lease = life.lease(JOBS[name](), at(), LEASE, POLICY)
        assert not lease.counted
        assert lease.due_at <= START + 33_000


# Canceling


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("queued", S.CANCELED),
        ("submitting", S.CANCELING),
        ("running", S.CANCELING),
        ("storing", None),
        ("processing", None),
        ("canceling", S.CANCELING),
        ("succeeded", None),
        ("failed", None),
        ("canceled", S.CANCELED),
        ("expired", None),
    ],
)
def test_a_cancel(name: str, becomes: Status | None) -> None:
    job = JOBS[name]()
    if becomes is None:
        with pytest.raises(Refused) as refusal:
            life.cancel(job, at(99))
        assert refusal.value.code == "too_late_to_cancel"
    else:
        after = life.cancel(job, at(99))
        assert (after.status, after.cancel_cause) == (becomes, "caller")
        assert (after is job) == (job.status is becomes)


def test_a_cancel_leaves_the_lease_of_a_create_in_the_air() -> None:
    job = replace(submitting(), due_at=START + LEASE)
    assert life.cancel(job, at(1)).due_at == START + LEASE


# Retrying


def lost(name: str) -> Job:
    return life.lost(replace(JOBS[name](), claims=6), at(9))


def late_id(job: Job) -> Job:
    return life.submitted(job, "task", at(9_999), POLICY)


def broken_twice() -> Job:
    job = MOVES[S.PROCESSING, S.STORING]()
    job = life.stored(job, 0, "incoming/1/1.glb", 3, "ab", at(63))
    return life.invalid(job, job.files, "torn", at(64))


def unconfirmed() -> Job:
    return life.not_found(submitting(), at(900), POLICY, read=True)


def missing() -> Job:
    job = running()
    for _ in range(3):
        job = life.observed(job, TaskState("missing"), at(9), POLICY)
    return job


def watched(state: Any) -> Job:
    return life.observed(canceling(), TaskState(state), at(99), POLICY)


def never_found_after_a_cancel() -> Job:
    return life.not_found(canceling_unanswered(), at(900), POLICY, read=True)


def broken_again_after_a_retry() -> Job:
    fresh, _ = retry(broken_twice(), "2", at(100))
    job = life.observed(fresh, DONE, at(101), POLICY)
    job = life.stored(job, 0, "incoming/2/0.glb", 3, "ab", at(102))
    return life.invalid(replace(job, fetches=1), job.files, "torn", at(103))


ENDS: dict[str, tuple[Callable[[], Job], Status, bool]] = {
    # how it ended: the job, where its retry starts, whether that needs the caller's word
    "rejected": (MOVES[S.QUEUED, S.FAILED], S.QUEUED, False),
    "out of credit": (MOVES[S.SUBMITTING, S.FAILED], S.QUEUED, False),
    "unconfirmed": (unconfirmed, S.QUEUED, True),
    "unconfirmed, answered late": (lambda: late_id(unconfirmed()), S.RUNNING, False),
    "generation failed": (MOVES[S.RUNNING, S.FAILED], S.QUEUED, False),
    "task not found": (missing, S.QUEUED, True),
    "broken twice": (broken_twice, S.RUNNING, False),
    "broken again after a retry": (broken_again_after_a_retry, S.QUEUED, True),
    "not processed": (MOVES[S.PROCESSING, S.FAILED], S.PROCESSING, False),
    "lost in the queue": (lambda: lost("queued"), S.QUEUED, False),
    "lost while submitting": (lambda: lost("submitting"), S.QUEUED, True),
    "lost while storing": (lambda: lost("storing"), S.RUNNING, False),
    "lost while processing": (lambda: lost("processing"), S.PROCESSING, False),
    "queue expired": (MOVES[S.QUEUED, S.EXPIRED], S.QUEUED, False),
    "run expired": (MOVES[S.CANCELING, S.EXPIRED], S.RUNNING, False),
    "store expired": (MOVES[S.STORING, S.EXPIRED], S.RUNNING, False),
    "canceled in the queue": (MOVES[S.QUEUED, S.CANCELED], S.QUEUED, False),
    "canceled, then done": (lambda: watched("succeeded"), S.RUNNING, False),
    "canceled, then failed": (lambda: watched("failed"), S.QUEUED, False),
    "canceled, and stopped": (MOVES[S.CANCELING, S.CANCELED], S.QUEUED, False),
    "canceled, never found": (never_found_after_a_cancel, S.QUEUED, True),
    "canceled, answered late": (
        lambda: late_id(never_found_after_a_cancel()),
        S.RUNNING,
        False,
    ),
}


KEPT = DAY / 1000
"""Seconds that a provider keeps a key, here."""
ASKED_AGAIN = {"unconfirmed", "lost while submitting", "canceled, never found"}


@pytest.mark.parametrize("end", ENDS)
def test_a_retry_takes_over_a_create_that_was_never_answered_with_its_key(end: str) -> None:
    made, start, needs_word = ENDS[end]
    old = made()
    if end not in ASKED_AGAIN:
        fresh, marked = retry(
            old, "2", at(1000), accept_possible_charge=needs_word, key_seconds=KEPT
        )
        assert (fresh.status, marked.attempt) == (start, old.attempt)
        return
    fresh, marked = retry(old, "2", at(1000), key_seconds=KEPT)
    assert (fresh.status, fresh.attempt, marked.attempt) == (S.SUBMITTING, old.attempt, None)
    assert (fresh.may_be_billed, fresh.receipt.creates, fresh.due_at) == (True, 1, at(1000).now)
    assert life.step_of(fresh, at(1000).now, POLICY) is Step.FIND
    # Its own time to be answered begins with it.
    assert life.may_ask_again(fresh, at(1899).now, KEPT, POLICY)
    assert life.not_found(fresh, at(1899), POLICY, read=True).status is S.SUBMITTING
    assert life.not_found(fresh, at(1900), POLICY, read=True).status is S.FAILED
    # The job before it, whose late answer the retry gets by the same key, keeps none.
    assert late_id(marked) is marked


def test_what_a_create_that_was_taken_over_is_refused_for_says_nothing_of_the_first() -> None:
    fresh, _ = retry(unconfirmed(), "2", at(1000), key_seconds=KEPT)
    busy = life.not_submitted(fresh, fresh.attempt, RateLimited("busy"), at(1001), POLICY)
    assert (busy.status, busy.may_be_billed, busy.receipt.creates) == (S.SUBMITTING, True, 1)
    rejected = life.refused_again(fresh, unwrap(fresh), Rejected("no"), at(1001), POLICY)
    assert (rejected.status, rejected.may_be_billed) == (S.FAILED, True)
    # The same bytes would be rejected again: only a new create is left, and it may cost.
    with pytest.raises(Refused) as refusal:
        retry(rejected, "3", at(1002), key_seconds=KEPT)
    assert refusal.value.code == "possible_charge"


def test_a_key_that_its_provider_has_forgotten_is_not_relied_on() -> None:
    with pytest.raises(Refused) as refusal:
        retry(unconfirmed(), "2", Moment(START + DAY - 60_000), key_seconds=KEPT)
    assert refusal.value.code == "possible_charge"
    fresh, _ = retry(unconfirmed(), "2", Moment(START + DAY - 60_001), key_seconds=KEPT)
    assert not life.may_ask_again(fresh, START + DAY - 60_000, KEPT, POLICY)


def unwrap(job: Job) -> Attempt:
    assert job.attempt is not None
    return job.attempt


@pytest.mark.parametrize("end", ENDS)
def test_a_retry_starts_where_the_job_left_off(end: str) -> None:
    made, start, needs_word = ENDS[end]
    old = made()
    if needs_word:
        with pytest.raises(Refused) as refusal:
            retry(old, "new", at(9_999_999))
        assert refusal.value.code == "possible_charge"
    fresh, marked = retry(old, "new", at(9_999_999), accept_possible_charge=needs_word)
    assert fresh.status is start
    assert fresh.receipt.creates == 0
    assert fresh.due_at == at(9_999_999).now
    assert marked.retried_as == "new"
    with pytest.raises(Refused) as refusal:
        retry(marked, "newer", at(9_999_999), accept_possible_charge=True)
    assert refusal.value.code == "already_retried"


def test_a_retry_has_a_run_deadline_of_its_own() -> None:
    fresh, _ = retry(MOVES[S.CANCELING, S.EXPIRED](), "2", at(20_000))
    assert life.observed(fresh, GOING, at(20_100), POLICY).status is S.RUNNING


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("queued", "not_finished"),
        ("submitting", "not_finished"),
        ("running", "not_finished"),
        ("storing", "not_finished"),
        ("processing", "not_finished"),
        ("canceling", "not_finished"),
        ("succeeded", "succeeded"),
    ],
)
def test_what_has_not_failed_cannot_be_retried(name: str, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        retry(JOBS[name](), "2", at(1), accept_possible_charge=True)
    assert (refusal.value.code, refusal.value.retryable) == (code, code == "not_finished")


def test_a_deleted_job_cannot_be_retried() -> None:
    job = replace(JOBS["failed"](), deleted_at=START)
    with pytest.raises(Refused) as refusal:
        retry(job, "2", at(1))
    assert refusal.value.code == "deleted"


def test_an_unknown_outcome_is_no_refusal() -> None:
    # `submit_unknown` is the fact for it; nothing is concluded from the error itself.
    job = submitting()
    assert job.attempt is not None
    after = life.submit_unknown(job, job.attempt, at(1), POLICY)
    assert (after.status, after.receipt.creates) == (S.SUBMITTING, 1)
    assert issubclass(UnknownOutcome, ProviderError)


def test_files_that_are_fetched_afresh_keep_what_newer_code_knows_of_them() -> None:
    job = widened(processing())
    fresh = life.invalid(job, job.files, "cut short", at(70))
    assert [(file.stored, file.extra) for file in fresh.files] == [(False, {"new": "files"})]


def test_the_end_of_a_task_is_expected_by_what_past_ones_took_and_by_its_progress() -> None:
    past = Past(tuple(map(float, range(90, 106))))
    job = life.submitted(submitting(), "task", at(0), POLICY, past)
    assert job.eta_at == at(98).now
    job = life.observed(job, TaskState("running", 55), at(60), POLICY, past)
    assert job.eta_at == at(98).now
    job = life.observed(job, TaskState("running", 70), at(90), POLICY, past)
    assert job.eta_at is not None
    assert at(130).now < job.eta_at < at(160).now


def test_no_end_is_expected_of_a_kind_of_which_nothing_is_known() -> None:
    job = life.submitted(submitting(), "task", at(0), POLICY)
    assert job.eta_at is None
    assert life.observed(job, TaskState("running"), at(10), POLICY).eta_at is None


def test_the_providers_own_estimate_bounds_the_end_that_is_expected() -> None:
    past = Past(tuple(map(float, range(90, 106))))
    for told, shown in ((30.0, 40), (100.0, 98)):
        job = life.observed(running(), TaskState("running", 5, told), at(10), POLICY, past)
        assert job.eta_at == at(shown).now


def test_an_end_that_was_expected_by_now_is_expected_anew() -> None:
    past = Past(tuple(map(float, range(10, 26))))
    job = life.submitted(submitting(), "task", at(0), POLICY, past)
    assert life.observed(job, TaskState("running"), at(9), POLICY, past) is job
    late = life.observed(job, TaskState("running"), at(30), POLICY, past)
    assert late.eta_at is not None
    assert late.eta_at > at(30).now


def test_what_a_finished_task_was_expected_to_take_is_forgotten() -> None:
    job = life.observed(running(), TaskState("running", 40, 30.0), at(5), POLICY)
    assert job.pace is not None
    done = life.observed(job, DONE, at(30), POLICY)
    assert (done.pace, done.eta_at) == (None, None)
