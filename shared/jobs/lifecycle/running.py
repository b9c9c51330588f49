"""While the provider works: what a look at the task brings.

运行中：查询带来的变化。
"""

from __future__ import annotations

from dataclasses import replace

from shared.jobs.lifecycle.scheduling import next_look, watch_ends
from shared.jobs.lifecycle.transitions import Moment, end_canceling, enter, fail, moved, unbilled
from shared.jobs.model import Job, JobError, ResultFile, Status
from shared.jobs.policy import Policy
from shared.providers.base import (
    TaskState,
)

S = Status


def observed(job: Job, state: TaskState, at: Moment, policy: Policy) -> Job:
    """A look at the task brought `state`; without news the very same job comes back.

    查询到了任务的最新状态。
    """
    if not job.watched:
        return job
    credits = state.credits if state.credits is not None else job.receipt.provider_credits
    receipt = replace(
        job.receipt, checks=job.receipt.checks + max(1, job.looks), provider_credits=credits
    )
    if state.status == "missing":
        return _missing(replace(job, receipt=receipt), at, policy)
    seen = replace(job, receipt=receipt, misses=0)
    if job.status is S.CANCELING:
        return _watched(job, seen, state, at, policy)
    if state.status == "succeeded":
        files = tuple(ResultFile(f.role, f.url, f.media_type) for f in state.files)
        if not files:
            message = "The provider says that it is done, but names no file."
            error = JobError("result_missing", message, retryable=True)
            return fail(seen, error, at)
        return enter(seen, S.STORING, at, files=files, generated_at=at.now, progress=99)
    if state.status in ("failed", "canceled"):
        return fail(unbilled(seen), _task_error(state), at)
    if at.now >= watch_ends(job, policy):
        note = "it ran past its deadline"
        return enter(seen, S.CANCELING, at, note=note, cancel_cause="deadline")
    return _progressed(job, seen, state, at, policy)


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


def _missing(job: Job, at: Moment, policy: Policy) -> Job:
    misses = job.misses + 1
    if misses < policy.max_misses:
        return moved(job, at, misses=misses, due_at=next_look(job, at, policy))
    if job.status is S.CANCELING:
        return end_canceling(job, at)
    message = f"The provider does not know the task any more ({misses} answers in a row)."
    return fail(job, JobError("task_not_found", message, retryable=True), at)


def _watched(job: Job, seen: Job, state: TaskState, at: Moment, policy: Policy) -> Job:
    if state.status in ("failed", "canceled"):
        return end_canceling(unbilled(seen), at)
    if state.status == "succeeded" or at.now >= watch_ends(job, policy):
        return end_canceling(seen, at)
    if job.misses:
        return moved(seen, at, due_at=next_look(seen, at, policy))
    return job


def _progressed(job: Job, seen: Job, state: TaskState, at: Moment, policy: Policy) -> Job:
    """The job with the task's progress and its expected end; itself, if that is no news.

    更新进度与预计完成时间。
    """
    progress = max(job.progress, min(state.progress or 0, 99))
    eta = job.eta_at
    if state.eta_seconds is not None:
        wanted = at.now + max(0, round(state.eta_seconds * 1000))
        # A hint that has shifted by less than two seconds is no news.
        eta = wanted if eta is None or abs(wanted - eta) > 2000 else eta
    if progress == job.progress and eta == job.eta_at and not job.misses:
        return job
    news = replace(seen, progress=progress, eta_at=eta)
    return moved(news, at, due_at=next_look(news, at, policy))


def _task_error(state: TaskState) -> JobError:
    code, message = state.error or (None, "no reason was given")
    said = {"code": code, "message": message}
    if state.status == "canceled":
        text = "The task was canceled at the provider."
        return JobError("provider_canceled", text, retryable=True, provider=said)
    text = f"The provider could not make it: {message}"
    return JobError("generation_failed", text, retryable=True, provider=said)
