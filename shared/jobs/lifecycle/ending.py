"""Ends that do not come of a result: canceled, overdue, lost.

非正常的结束：取消、超时与放弃。
"""

from __future__ import annotations

from shared.errors import Refused
from shared.jobs.lifecycle.transitions import Moment, end_canceling, enter, fail, unbilled
from shared.jobs.model import Job, JobError, Status

S = Status


def lost(job: Job, at: Moment) -> Job:
    """Worker after worker died on this job.

    处理该任务的进程屡次中断。
    """
    if job.status.terminal:
        return job
    message = f"{job.claims - 1} workers in a row stopped while the job was {job.status.value}."
    error = JobError("worker_lost", message, retryable=True)
    return fail(job, error, at)


def overdue(job: Job, at: Moment) -> Job:
    """The job waited in the queue past its deadline.

    任务排队超时。
    """
    if job.status is not S.QUEUED:
        return job
    error = JobError("queue_expired", "The provider took no task in time.", retryable=True)
    return enter(job, S.EXPIRED, at, error=error)


def cancel(job: Job, at: Moment) -> Job:
    """The caller wants the job gone; raises `Refused` once its files are being copied.

    调用方取消任务。
    """
    if job.status is S.QUEUED:
        return enter(job, S.CANCELED, at, cancel_cause="caller")
    if job.status is S.SUBMITTING:
        # The lease stays: the create may be in the air, and its answer is still wanted.
        return enter(job, S.CANCELING, at, due_at=job.due_at, cancel_cause="caller")
    if job.status is S.RUNNING:
        return enter(job, S.CANCELING, at, cancel_cause="caller")
    if job.status is S.CANCELING or job.status is S.CANCELED:
        return job
    message = f"The job is {job.status.value}: it is too late to cancel it."
    raise Refused(message, code="too_late_to_cancel")


def canceled_at_provider(job: Job, at: Moment) -> Job:
    """The provider confirmed that the task is stopped.

    生成服务确认任务已停止。
    """
    return end_canceling(unbilled(job), at) if job.status is S.CANCELING else job
