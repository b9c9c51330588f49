"""While the provider works: what a look at the task brings.

运行中：查询带来的变化。
"""

from __future__ import annotations

from shared.jobs.estimate import NOTHING, Past
from shared.jobs.lifecycle.scheduling import (
    expected_end,
    look_at,
    next_look,
    seconds_left,
    watch_ends,
)
from shared.jobs.lifecycle.transitions import Moment, end_canceling, enter, fail, moved, unbilled
from shared.jobs.model import Job, JobError, Pace, ResultFile, Status
from shared.jobs.policy import Policy
from shared.providers.base import (
    TaskState,
)
from shared.values import replace

S = Status

_FRESH = 2000
"""Milliseconds within which progress is not written again: nobody is told to ask more often."""
_APART = 5
"""Per cent between two looks by whose progress a task's speed is told."""


def observed(job: Job, state: TaskState, at: Moment, policy: Policy, past: Past = NOTHING) -> Job:
    """A look at the task brought `state`; without news the very same job comes back. `past` is what
    is known of tasks like it.

    查询到了任务的最新状态。
    """
    if not job.watched:
        return job
    credits = state.credits if state.credits is not None else job.receipt.provider_credits
    receipt = replace(
        job.receipt, checks=job.receipt.checks + max(1, job.looks), provider_credits=credits
    )
    if state.status == "missing":
        return _missing(replace(job, receipt=receipt), at, policy, past)
    seen = replace(job, receipt=receipt, misses=0)
    if job.status is S.CANCELING:
        return _watched(job, seen, state, at, policy, past)
    if state.status == "succeeded":
        files = tuple(ResultFile(f.role, f.url, f.media_type) for f in state.files)
        if not files:
            message = "The provider says that it is done, but names no file."
            error = JobError("result_missing", message, retryable=True)
            return fail(seen, error, at)
        return enter(
            seen,
            S.STORING,
            at,
            files=files,
            generated_at=at.now,
            progress=99,
            pace=None,
            eta_at=None,
        )
    if state.status in ("failed", "canceled"):
        return fail(unbilled(seen), _task_error(state), at)
    if at.now >= watch_ends(job, policy):
        note = "it ran past its deadline"
        return enter(seen, S.CANCELING, at, note=note, cancel_cause="deadline")
    return _progressed(job, seen, state, at, policy, past)


def unseen(job: Job, at: Moment, policy: Policy) -> Job:
    """A look failed: nothing changes until the deadline has passed.

    这次查询失败了。
    """
    if not job.watched or at.now < watch_ends(job, policy):
        return job
    if job.status is S.CANCELING:
        return end_canceling(job, at)
    note = "it ran past its deadline and the provider did not answer"
    return enter(job, S.CANCELING, at, note=note, cancel_cause="deadline")


def _missing(job: Job, at: Moment, policy: Policy, past: Past) -> Job:
    misses = job.misses + 1
    if misses < policy.max_misses:
        return moved(job, at, misses=misses, due_at=next_look(job, at, policy, past))
    if job.status is S.CANCELING:
        return end_canceling(job, at)
    message = f"The provider does not know the task any more ({misses} answers in a row)."
    return fail(job, JobError("task_not_found", message, retryable=True), at)


def _watched(job: Job, seen: Job, state: TaskState, at: Moment, policy: Policy, past: Past) -> Job:
    if state.status in ("failed", "canceled"):
        return end_canceling(unbilled(seen), at)
    if state.status == "succeeded" or at.now >= watch_ends(job, policy):
        return end_canceling(seen, at)
    if job.misses:
        return moved(seen, at, due_at=next_look(seen, at, policy, past))
    return job


def _progressed(
    job: Job, seen: Job, state: TaskState, at: Moment, policy: Policy, past: Past
) -> Job:
    """The job with the task's progress and its expected end; itself, if that is no news.

    更新进度与预计完成时间。
    """
    if at.now - job.updated_at < _FRESH and not job.misses and state.eta_seconds is None:
        return job
    pace = _pace(job, state, at)
    progress = max(job.progress, min(state.progress or 0, 99))
    news = replace(seen, progress=progress, pace=pace)
    left = seconds_left(news, at.now, policy, past)
    expected = expected_end(news, at.now, left)
    # No end was expected yet, or one by now: to expect another is news.
    is_over = job.eta_at is None or job.eta_at <= at.now
    if pace is job.pace and not job.misses and not (is_over and expected != job.eta_at):
        return job
    return moved(news, at, eta_at=expected, due_at=look_at(news, at, policy, left))


def _pace(job: Job, state: TaskState, at: Moment) -> Pace | None:
    """How the task gets on, by this look as well; the very same, if that is no news.

    更新任务的进度快慢。
    """
    begun = job.started_at if job.started_at is not None else job.entered_at
    known = job.pace or Pace(begun, begun)
    ends = known.ends_at
    if state.eta_seconds is not None:
        wanted = at.now + max(0, round(state.eta_seconds * 1000))
        # A hint that has shifted by less than two seconds is no news.
        ends = wanted if ends is None or abs(wanted - ends) > 2000 else ends
    high = min(state.progress or 0, 99)
    if high <= job.progress:
        return job.pace if ends == known.ends_at else replace(known, ends_at=ends)
    if known.low == 0 and known.high and high - known.high >= _APART:
        # How long it waited before it was begun is not known: from now on that does not count.
        known = replace(known, begun_at=known.seen_at, low=known.high)
    return replace(known, seen_at=at.now, high=high, ends_at=ends)


def _task_error(state: TaskState) -> JobError:
    code, message = state.error or (None, "no reason was given")
    said = {"code": code, "message": message}
    if state.status == "canceled":
        text = "The task was canceled at the provider."
        return JobError("provider_canceled", text, retryable=True, provider=said)
    text = f"The provider could not make it: {message}"
    return JobError("generation_failed", text, retryable=True, provider=said)
