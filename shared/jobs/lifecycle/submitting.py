"""From the queue to the provider: what becomes of a create.

从排队到提交：创建请求的各种结果。
"""

from __future__ import annotations

from shared.jobs.estimate import NOTHING, Past
from shared.jobs.lifecycle.scheduling import (
    expected_end,
    hint_of,
    look_at,
    seconds_left,
    sought_since,
)
from shared.jobs.lifecycle.transitions import (
    Moment,
    end_canceling,
    enter,
    fail,
    moved,
    ms,
    unbilled,
)
from shared.jobs.model import Attempt, Job, JobError, Status
from shared.jobs.policy import Policy
from shared.providers.base import (
    OutOfCredit,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Unauthorized,
)
from shared.values import replace

S = Status

_SENDS = 2
"""Times that a create with a key is sent at least, while its outcome is not known."""
_KEY_MARGIN = 60_000
"""Milliseconds before a key's end at which it is not relied on any more: clocks differ."""


def begin_submit(job: Job, request: Request, credential: str, at: Moment) -> Job:
    """The create is about to be sent: kept with its exact bytes first; the lease goes on. A job
    that still lacks an input has none to be sent.

    即将发送创建请求，先行保存。
    """
    if job.status is not S.QUEUED or job.input.urls:
        return job
    number = job.attempts + 1
    attempt = Attempt(
        number=number,
        key=f"{job.id}:{number}",
        credential=credential,
        path=request.path,
        body=request.body,
        mark=request.mark,
        begun_at=at.now,
    )
    receipt = replace(job.receipt, creates=job.receipt.creates + 1)
    return enter(
        job,
        S.SUBMITTING,
        at,
        due_at=job.due_at,
        attempts=number,
        attempt=attempt,
        may_be_billed=True,
        receipt=receipt,
    )


def submitted(job: Job, task_id: str, at: Moment, policy: Policy, past: Past = NOTHING) -> Job:
    """The provider took the task, or it was found again; its id is written once. `past` is what is
    known of tasks like it.

    On a job that has ended only the id is kept, for a retry to adopt; not where a retry has taken
    over the create itself.

    生成服务已接受任务。
    """
    if job.task_id is not None:
        return job
    if job.status is S.SUBMITTING:
        begun = replace(job, task_id=task_id, started_at=at.now, pace=None)
        left = seconds_left(begun, at.now, policy, past)
        due, end = look_at(begun, at, policy, left), expected_end(begun, at.now, left)
        return enter(begun, S.RUNNING, at, due_at=due, eta_at=end, failures=0, misses=0)
    if job.status is S.CANCELING:
        return moved(job, at, task_id=task_id, started_at=at.now, due_at=at.now)
    if not job.status.terminal or (job.retried_as is not None and job.attempt is None):
        return job
    return moved(job, at, task_id=task_id, may_be_billed=True)


def not_submitted(
    job: Job, attempt: Attempt | None, error: ProviderError, at: Moment, policy: Policy
) -> Job:
    """The create, or what leads up to it, was not carried out; nothing was charged.

    `attempt` is the one that was answered so (None: it had not been begun): an answer that comes
    late says nothing about another worker's. `RateLimited` and `ProviderUnavailable` put the job
    back into the queue, and so does an account that cannot be used, for a while.

    创建请求没有被执行。
    """
    if not unanswered(job, attempt) and not (job.status is S.QUEUED and attempt is None):
        return job
    if attempt is not None and attempt.is_taken_over_by(job.id):
        return refused_again(job, attempt, error, at, policy)
    sent = attempt is not None
    receipt = replace(job.receipt, creates=job.receipt.creates - 1) if sent else job.receipt
    if isinstance(error, RateLimited):
        receipt = replace(receipt, busy=receipt.busy + 1)
    job = unbilled(replace(job, attempt=None, receipt=receipt))
    if job.status is S.CANCELING:
        return end_canceling(job, at)
    of_account = isinstance(error, Unauthorized | OutOfCredit)
    overdue = of_account and at.now >= job.created_at + ms(policy.account)
    if isinstance(error, Rejected) or overdue:
        return fail(job, refusal(error), at)
    limited = isinstance(error, RateLimited) or of_account
    failures = job.failures if limited else job.failures + 1
    due = at.now + policy.pause(failures, at.chance, hint_of(error))
    if of_account:
        # Nothing is claimed while the account rests; so the job keeps its place, and its age.
        due = job.created_at
    due = min(due, max(at.now + 1, job.created_at + ms(policy.queue)))
    if not sent:
        return moved(job, at, due_at=due, failures=failures)
    note = "the provider is busy" if limited else "the provider is unavailable"
    return enter(job, S.QUEUED, at, note=note, due_at=due, failures=failures)


def submit_unknown(job: Job, attempt: Attempt, at: Moment, policy: Policy) -> Job:
    """Whether this create was carried out is not known: it is looked for, or asked again with its
    key, from now on.

    创建结果未知，开始查找。
    """
    if not unanswered(job, attempt):
        return job
    sent = replace(attempt, unanswered=attempt.unanswered + 1)
    failures = job.failures + 1
    due = at.now + policy.pause(failures, at.chance)
    return moved(job, at, failures=failures, due_at=due, attempt=sent)


def refused_again(
    job: Job, attempt: Attempt, error: ProviderError, at: Moment, policy: Policy
) -> Job:
    """A create that was sent once more with its key was refused; the first may be carried out.

    A rejection ends the job, for the same bytes will be rejected for ever; any other refusal may
    have come before the key was looked at.

    带同一个键的重发被拒绝，第一次的结果仍然未知。
    """
    if not unanswered(job, attempt):
        return job
    if not isinstance(error, Rejected):
        return not_found(job, at, policy, read=False, hint=hint_of(error))
    if job.status is S.CANCELING:
        return end_canceling(job, at)
    return fail(job, refusal(error), at)


def may_ask_again(job: Job, now: int, key_seconds: float | None, policy: Policy) -> bool:
    """Whether the unanswered create may be sent once more with its key: while the provider keeps
    the key, and for as long as answers are looked for; at least once, however late it is.

    是否可以带同一个键重发。
    """
    attempt = job.attempt
    # What is not wanted any more is not asked for again: the first create may have failed.
    if attempt is None or job.status is not S.SUBMITTING:
        return False
    if not key_holds(attempt, now, key_seconds):
        return False
    return now < sought_since(job, attempt) + ms(policy.find) or attempt.unanswered < _SENDS


def key_holds(attempt: Attempt, now: int, key_seconds: float | None) -> bool:
    """Whether the provider surely still gives the same task for a create's key.

    幂等键是否仍然有效。
    """
    if key_seconds is None:
        return False
    return now < attempt.begun_at + ms(key_seconds) - _KEY_MARGIN


def not_found(
    job: Job,
    at: Moment,
    policy: Policy,
    *,
    read: bool,
    matches: int = 0,
    hint: float | None = None,
) -> Job:
    """The unanswered create was looked for and not (or not surely) found.

    `read` says whether the provider's list could be read at all: an unread list only counts
    once the running time has passed as well. `hint` is how many seconds the provider asks for.

    没有找回未应答的任务。
    """
    if not unanswered(job, job.attempt):
        return job
    assert job.attempt is not None
    patience = policy.find if read else policy.find + policy.run
    if at.now < sought_since(job, job.attempt) + ms(patience):
        failures = job.failures + 1
        pause = policy.pause(failures, at.chance, hint)
        return moved(job, at, failures=failures, due_at=at.now + pause)
    if job.status is S.CANCELING:
        return end_canceling(job, at)
    found = f"{matches} tasks could be it" if matches else "the task was not found"
    message = f"The create was sent or about to be sent, no answer came, and {found}."
    error = JobError("submit_unconfirmed", message, retryable=True)
    return fail(job, error, at)


def input_missing(job: Job, at: Moment) -> Job:
    """A picture the job was asked with is not in the bucket any more; nothing was sent.

    输入图片已不在存储中。
    """
    if job.status is not S.QUEUED:
        return job
    error = JobError("input_missing", "An input picture is no longer in the bucket.", False)
    return fail(job, error, at)


def unanswered(job: Job, attempt: Attempt | None) -> bool:
    """Whether the job waits for the answer to this very create.

    任务是否在等待这次创建的应答。
    """
    waiting = job.status in (S.SUBMITTING, S.CANCELING) and job.task_id is None
    return waiting and attempt is not None and job.attempt == attempt


def refusal(error: ProviderError) -> JobError:
    """What a caller is told of a provider's refusal; nothing of the operator's account.

    把生成服务的拒绝变成任务的错误。
    """
    if isinstance(error, Unauthorized | OutOfCredit):
        return unusable()
    said = {"code": error.code, "message": error.message}
    message = f"The provider refused the request: {error.message}"
    return JobError("provider_rejected", message, retryable=False, provider=said)


def unusable() -> JobError:
    """What a caller is told where an account cannot be used: to come again later.

    账户不可用时告诉调用方的话。
    """
    message = "The provider took no task in time; the operator has been told. Try again later."
    return JobError("provider_unavailable", message, retryable=True)


def account_refused(job: Job, at: Moment) -> Job:
    """No account of the provider could be used for as long as a job waits for that.

    账户长时间不可用，任务失败。
    """
    return fail(job, unusable(), at) if job.status is S.QUEUED else job
