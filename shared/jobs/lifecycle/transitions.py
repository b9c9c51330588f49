"""The moves themselves: which there are, and how one is written into a job.

状态之间的转移表，以及如何写入任务。
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.jobs.model import HistoryEntry, Job, JobError, Status
from shared.values import replace

S = Status
NEXT: dict[Status, frozenset[Status]] = {
    S.QUEUED: frozenset({S.SUBMITTING, S.FAILED, S.CANCELED, S.EXPIRED}),
    S.SUBMITTING: frozenset({S.RUNNING, S.QUEUED, S.FAILED, S.CANCELING}),
    S.RUNNING: frozenset({S.STORING, S.FAILED, S.CANCELING}),
    S.STORING: frozenset({S.PROCESSING, S.FAILED, S.EXPIRED}),
    S.PROCESSING: frozenset({S.SUCCEEDED, S.STORING, S.FAILED}),
    S.CANCELING: frozenset({S.CANCELED, S.EXPIRED, S.FAILED}),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELED: frozenset(),
    S.EXPIRED: frozenset(),
}
"""Every move there is."""

_FIRST_KEPT, _LAST_KEPT = 10, 40


@dataclass(frozen=True)
class Moment:
    """When something happened (ms) and the chance drawn for it, in [0, 1), to spread pauses.

    事件发生的时刻与随机数。
    """

    now: int
    chance: float = 0.5


def opened(job: Job, at: Moment) -> Job:
    """A job as it is first written: queued, due at once.

    新建任务的初始状态。
    """
    entry = HistoryEntry(at.now, S.QUEUED.value)
    return replace(job, due_at=at.now, entered_at=at.now, updated_at=at.now, history=(entry,))


def enter(job: Job, status: Status, at: Moment, *, note: str | None = None, **changes: Any) -> Job:
    """The job in another status, with its history entry; due at once unless `changes` say when.

    A move that is not in `NEXT` is a mistake of ours: `AssertionError`.

    进入另一个状态。
    """
    if status not in NEXT[job.status]:
        raise AssertionError(f"{job.id}: no move from {job.status.value} to {status.value}")
    history = (*job.history, HistoryEntry(at.now, status.value, note))
    if len(history) > _FIRST_KEPT + _LAST_KEPT:
        history = history[:_FIRST_KEPT] + history[-_LAST_KEPT:]
    changes.setdefault("due_at", at.now)
    if status.terminal:
        changes.update(due_at=None, finished_at=at.now, eta_at=None)
    return moved(job, at, status=status, history=history, entered_at=at.now, **changes)


def moved(job: Job, at: Moment, **changes: Any) -> Job:
    """The job changed within its status. Every save is progress: `claims` starts anew.

    在当前状态内改动任务。
    """
    return replace(job, updated_at=max(job.updated_at, at.now), claims=0, **changes)


def ms(seconds: float) -> int:
    """Seconds as whole milliseconds.

    秒换算成毫秒。
    """
    return round(seconds * 1000)


def fail(job: Job, error: JobError, at: Moment) -> Job:
    """The job ended as failed.

    任务失败。
    """
    return enter(job, S.FAILED, at, error=error)


def unbilled(job: Job) -> Job:
    """The job after a definite word that its create was not carried out, or that its task failed or
    was stopped: nothing is charged.

    确认没有产生费用。
    """
    return replace(job, may_be_billed=False)


def end_canceling(job: Job, at: Moment) -> Job:
    """The end of `canceling`: canceled by the caller's wish, expired by a deadline.

    结束取消过程。
    """
    if job.cancel_cause == "deadline":
        message = "The provider did not finish the task in time."
        error = JobError("run_expired", message, retryable=True)
        return enter(job, S.EXPIRED, at, error=error)
    return enter(job, S.CANCELED, at)
