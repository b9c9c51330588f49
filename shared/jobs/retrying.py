"""A retry: a new job that takes up where an unsuccessful one left off.

重试：新任务从旧任务停下的地方继续。
"""

from __future__ import annotations

from typing import Any

from shared.errors import Refused
from shared.jobs.lifecycle.fetching import afresh
from shared.jobs.lifecycle.submitting import key_holds
from shared.jobs.lifecycle.transitions import Moment, moved, opened
from shared.jobs.model import HistoryEntry, Job, Receipt, Status
from shared.values import replace

S = Status


def retry(
    job: Job,
    new_id: str,
    at: Moment,
    *,
    accept_possible_charge: bool = False,
    key_seconds: float | None = None,
) -> tuple[Job, Job]:
    """A new job that takes up where an unsuccessful one left off, and the old one that names it.

    It starts at process if the files are stored, at check if a task is known that may still give
    a result, at find if a create that was never answered can be sent once more with its key, which
    its provider keeps for `key_seconds` (None: it takes no keys), else at submit. Raises `Refused`
    for a job that has not ended, has succeeded, was retried already or deleted, or may have been
    charged for nothing that can be taken over, without `accept_possible_charge`.

    用新任务重试失败的任务。
    """
    _may_retry(job)
    asks_again = _may_ask_again(job, at, key_seconds)
    free = asks_again or _task_is_useful(job) or not job.may_be_billed
    if not free and not accept_possible_charge:
        raise Refused(
            "The provider may have charged this job, and a retry would create another task. To "
            "accept that, send accept_possible_charge: true.",
            code="possible_charge",
        )
    fresh = Job(
        id=new_id,
        kind=job.kind,
        provider=job.provider,
        caller=job.caller,
        created_at=at.now,
        input=afresh(job.input),
        priority=job.priority,
        metadata=job.metadata,
        callback_url=job.callback_url,
        trace=job.trace,
        retry_of=job.id,
    )
    fresh, marked = opened(fresh, at), moved(job, at, retried_as=new_id)
    if asks_again:
        return _with_attempt(fresh, job, at), replace(marked, attempt=None)
    return _inherit(fresh, job, at), marked


def _may_retry(job: Job) -> None:
    """Raise Refused for a job that cannot be retried.

    检查任务能否重试。
    """
    if not job.status.terminal:
        raise Refused(
            f"The job is {job.status.value}: only one that has ended can be retried.",
            code="not_finished",
            retryable=True,
        )
    if job.status is S.SUCCEEDED:
        raise Refused("The job has succeeded: there is nothing to retry.", code="succeeded")
    if job.retried_as is not None:
        raise Refused(f"The job was retried already, as {job.retried_as}.", code="already_retried")
    if job.deleted_at is not None:
        raise Refused("The job was deleted, and its input with it.", code="deleted")


def _may_ask_again(old: Job, at: Moment, key_seconds: float | None) -> bool:
    """Whether the old job's unanswered create may be sent once more, for the same task."""
    if old.attempt is None or old.task_id is not None or not old.may_be_billed:
        return False
    # What was rejected with its key is rejected again.
    rejected = old.error is not None and old.error.code == "provider_rejected"
    return not rejected and key_holds(old.attempt, at.now, key_seconds)


def _task_is_useful(old: Job) -> bool:
    """Whether asking for the old task again, for free, may still give the result.

    原任务是否还有用。
    """
    code = old.error.code if old.error else ""
    if old.task_id is None:
        return False
    if code in ("generation_failed", "provider_canceled", "task_not_found"):
        return False
    if old.cancel_cause is not None and not old.may_be_billed:
        return False  # its task failed or was stopped while it was watched
    # A broken file is asked for once more; a task that was inherited has had that chance.
    adopted = old.retry_of is not None and old.receipt.creates == 0
    return not (code == "artifact_invalid" and adopted)


def _with_attempt(fresh: Job, old: Job, at: Moment) -> Job:
    """The retry with the old job's create, that it sends once more: one key, one charge.

    沿用未得到答复的创建请求。
    """
    assert old.attempt is not None
    return _take_over(
        fresh,
        S.SUBMITTING,
        f"took over the unanswered create of {old.id}",
        at,
        attempt=replace(old.attempt, unanswered=0),
        receipt=Receipt(creates=1),
        may_be_billed=True,
    )


def takes_over_files(old: Job) -> bool:
    """Whether a retry of this job would work on its stored files, rather than fetch or make them.

    重试时是否沿用已保存的文件。
    """
    broken = old.error is not None and old.error.code == "artifact_invalid"
    stored_all = bool(old.files) and all(file.stored for file in old.files)
    ended = old.status.terminal and old.status is not S.SUCCEEDED
    return ended and stored_all and not broken and _task_is_useful(old)


def _inherit(fresh: Job, old: Job, at: Moment) -> Job:
    """The retry with the old job's task and files, where these are still of use.

    继承原任务的成果。
    """
    if not _task_is_useful(old):
        return fresh
    inherited = replace(
        fresh,
        task_id=old.task_id,
        attempt=old.attempt,
        started_at=at.now,
        progress=old.progress,
        may_be_billed=True,
    )
    if takes_over_files(old):
        note = f"took over the files of {old.id}"
        return _take_over(
            inherited, S.PROCESSING, note, at, files=old.files, generated_at=old.generated_at
        )
    return _take_over(inherited, S.RUNNING, f"took over the task of {old.id}", at)


def _take_over(job: Job, status: Status, note: str, at: Moment, **changes: Any) -> Job:
    history = (*job.history, HistoryEntry(at.now, status.value, note))
    return replace(job, status=status, history=history, **changes)
