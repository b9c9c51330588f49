"""When a job must be looked at, and what it needs then.

任务何时需要处理、需要做什么。
"""

from __future__ import annotations

from enum import Enum

from shared.jobs import estimate
from shared.jobs.estimate import NOTHING, Past, Points, Word
from shared.jobs.lifecycle.transitions import Moment, ms
from shared.jobs.model import Attempt, Job, Status
from shared.jobs.policy import Policy
from shared.providers.base import (
    ProviderError,
    ProviderUnavailable,
    RateLimited,
)
from shared.store.base import Lease
from shared.values import replace

S = Status

_DEATHS_IN_COMPANY = 2
"""Claims in a row that may end without a save before a job runs alone: it may not have been it."""


class Step(str, Enum):
    """What a claimed job needs next.

    任务接下来需要的动作。
    """

    FETCH = "fetch"
    INSPECT = "inspect"
    SUBMIT = "submit"
    FIND = "find"
    CHECK = "check"
    STORE = "store"
    PROCESS = "process"
    EXPIRE = "expire"
    GIVE_UP = "give up"


def step_of(job: Job, now: int, policy: Policy) -> Step:
    """The step a claimed job needs.

    判断任务的下一步。
    """
    if job.claims > policy.max_claims and not _is_sought(job, now, policy):
        return Step.GIVE_UP
    if job.status is S.QUEUED:
        late = now >= job.created_at + ms(policy.queue)
        return Step.EXPIRE if late else _before_submit(job)
    if job.watched:
        return Step.CHECK
    if job.status is S.STORING:
        return Step.STORE
    return Step.PROCESS if job.status is S.PROCESSING else Step.FIND


def _before_submit(job: Job) -> Step:
    if not job.input.urls:
        return Step.SUBMIT
    return Step.INSPECT if job.input.unfetched is None else Step.FETCH


def runs_alone(job: Job) -> bool:
    """Whether a claimed job's worker has died twice, maybe for the company it was in.

    是否需要单独执行。
    """
    return job.claims > _DEATHS_IN_COMPANY


def lease(job: Job, at: Moment, lasts: int, policy: Policy, past: Past = NOTHING) -> Lease:
    """What a claim does: a look moves to its own next look, a step is leased for `lasts` ms.

    认领时对任务的改动。
    """
    if job.watched:
        return Lease(next_look(job, at, policy, past), counted=False)
    return Lease(at.now + lasts, counted=True)


def next_look(job: Job, at: Moment, policy: Policy, past: Past = NOTHING) -> int:
    """When (ms) to ask for a running task again, by what is known of past tasks like it; never past
    its deadline while that is ahead.

    下一次查询的时间。
    """
    return look_at(job, at, policy, seconds_left(job, at.now, policy, past))


def look_at(job: Job, at: Moment, policy: Policy, left: Points | None) -> int:
    """As `next_look`, by the seconds that may be left.

    由剩余秒数决定下一次查询的时间。
    """
    looks = job.receipt.checks + job.looks
    look = at.now + policy.look(_elapsed(job, at.now), at.chance, left, looks)
    end = watch_ends(job, policy)
    return min(look, end) if end > at.now else look


def expected_end(job: Job, now: int, left: Points | None) -> int | None:
    """When (ms) a running task will end, as likely sooner as later, and not after its provider's
    own estimate; None while nothing is known.

    预计的结束时间。
    """
    told = None if job.pace is None else job.pace.ends_at
    if left is None:
        return told
    end = now + ms(estimate.median(left))
    return end if told is None else min(end, told)


def seconds_left(job: Job, now: int, policy: Policy, past: Past) -> Points | None:
    """The seconds that a task may still take; None if nothing is known.

    任务的剩余秒数分布。
    """
    return estimate.left(_elapsed(job, now), past, word_of(job, now, policy.poll_least))


def word_of(job: Job, now: int, least: float) -> Word | None:
    """What a task itself says at `now` of its end; None if it does not say, or has not moved for
    too long: more than `least` seconds, which nothing needs to.

    任务自报的剩余时间。
    """
    pace = job.pace
    if pace is None:
        return None
    if pace.ends_at is not None:
        return Word((pace.ends_at - now) / 1000) if pace.ends_at > now else None
    since = job.started_at or pace.begun_at
    first, last = (pace.begun_at - since) / 1000, (pace.seen_at - since) / 1000
    elapsed = (now - since) / 1000
    return estimate.word((first, pace.low), (last, pace.high), elapsed, least)


def _elapsed(job: Job, now: int) -> float:
    return 0.0 if job.started_at is None else (now - job.started_at) / 1000


def _is_sought(job: Job, now: int, policy: Policy) -> bool:
    """Whether a create may be in the air that is still worth looking for: paid for, perhaps."""
    if job.attempt is None or job.task_id is not None or job.status is S.QUEUED:
        return False
    return now < sought_since(job, job.attempt) + ms(policy.find + policy.run)


def sought_since(job: Job, attempt: Attempt) -> int:
    """Since when (ms) this job has waited for its create's answer: one that it took over was begun
    before it was there.

    从何时开始等待创建的应答。
    """
    return max(attempt.begun_at, job.created_at)


def watch_ends(job: Job, policy: Policy) -> int:
    """When (ms) a task that runs, or is watched after canceling, is given up.

    任务运行或取消的截止时间。
    """
    if job.status is S.CANCELING:
        return job.entered_at + ms(policy.cancel)
    return (job.started_at or job.entered_at) + ms(policy.run)


def hint_of(error: ProviderError) -> float | None:
    """In how many seconds the provider said to come again; None where it did not.

    生成服务建议的等待秒数。
    """
    return error.retry_after if isinstance(error, RateLimited | ProviderUnavailable) else None


def handed_back(job: Job, at: Moment, *, begun: bool, pause: int = 0) -> Job:
    """Let somebody else go on, after `pause` ms: the invocation's time ran out, say.

    Work that was begun keeps its claim counted: what no invocation has time for must end too.

    交还任务。
    """
    if job.status.terminal:
        return job
    claims = job.claims if begun else max(0, job.claims - 1)
    due = at.now + pause
    return replace(job, updated_at=max(job.updated_at, at.now), due_at=due, claims=claims)
