"""How a job moves: pure functions of (job, what happened, now) to the next job.

Nothing here reads a clock, the store or the network. A fact that comes too late, for a job that
has ended or moved on, gives back the very same job.

任务流转的纯函数：输入任务、事件和时间，得到新的任务。
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from shared.errors import Refused
from shared.jobs.model import (
    Artifact,
    Attempt,
    Job,
    JobError,
    Queue,
    ResultFile,
    Status,
)
from shared.jobs.moves import Moment, end_canceling, enter, fail, moved, ms
from shared.jobs.policy import Policy
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
)
from shared.store.base import Lease

S = Status


class Step(str, Enum):
    """What a claimed job needs next.

    任务接下来需要的动作。
    """

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
    if job.claims > policy.max_claims:
        return Step.GIVE_UP
    if job.status is S.QUEUED:
        late = now >= job.created_at + ms(policy.queue)
        return Step.EXPIRE if late else Step.SUBMIT
    if job.queue is Queue.CHECK:
        return Step.CHECK
    if job.status is S.STORING:
        return Step.STORE
    return Step.PROCESS if job.status is S.PROCESSING else Step.FIND


def lease(job: Job, at: Moment, lasts: int, policy: Policy) -> Lease:
    """What a claim does: a look moves to its own next look, a step is leased for `lasts` ms.

    认领时对任务的改动。
    """
    if job.queue is Queue.CHECK:
        return Lease(next_look(job, at, policy), counted=False)
    return Lease(at.now + lasts, counted=True)


def next_look(job: Job, at: Moment, policy: Policy) -> int:
    """When (ms) to ask for a running task again; never past its deadline while that is ahead.

    下一次查询的时间。
    """
    since = job.started_at if job.started_at is not None else at.now
    hint = None if job.eta_at is None or job.eta_at <= at.now else (job.eta_at - at.now) / 1000
    look = at.now + policy.look((at.now - since) / 1000, at.chance, hint)
    end = _watch_ends(job, policy)
    return min(look, end) if end > at.now else look


def begin_submit(job: Job, request: Request, credential: str, at: Moment) -> Job:
    """The create is about to be sent: kept with its exact bytes first; the lease goes on.

    即将发送创建请求，先行保存。
    """
    if job.status is not S.QUEUED:
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
        receipt=receipt,
    )


def submitted(job: Job, task_id: str, at: Moment, policy: Policy) -> Job:
    """The provider took the task, or it was found again; its id is written once.

    On a job that has ended only the id is kept, for a retry to adopt.

    生成服务已接受任务。
    """
    if job.task_id is not None:
        return job
    if job.status is S.SUBMITTING:
        begun = replace(job, task_id=task_id, started_at=at.now)
        return enter(
            begun, S.RUNNING, at, due_at=next_look(begun, at, policy), failures=0, misses=0
        )
    if job.status is S.CANCELING:
        return moved(job, at, task_id=task_id, started_at=at.now, due_at=at.now)
    return moved(job, at, task_id=task_id) if job.status.terminal else job


def not_submitted(
    job: Job, attempt: Attempt | None, error: ProviderError, at: Moment, policy: Policy
) -> Job:
    """The create, or what leads up to it, was not carried out; nothing was charged.

    `attempt` is the one that was answered so (None: it had not been begun): an answer that comes
    late says nothing about another worker's. `RateLimited` and `ProviderUnavailable` put the job
    back into the queue.

    创建请求没有被执行。
    """
    if not _unanswered(job, attempt) and not (job.status is S.QUEUED and attempt is None):
        return job
    sent = attempt is not None
    receipt = replace(job.receipt, creates=job.receipt.creates - 1) if sent else job.receipt
    job = replace(job, attempt=None, receipt=receipt)
    if job.status is S.CANCELING:
        return end_canceling(job, at, billed=False)
    if isinstance(error, Rejected | Unauthorized | OutOfCredit):
        return fail(job, _refusal(error), at)
    limited = isinstance(error, RateLimited)
    failures = job.failures if limited else job.failures + 1
    due = at.now + policy.pause(failures, at.chance, hint_of(error))
    due = min(due, max(at.now + 1, job.created_at + ms(policy.queue)))
    if not sent:
        return moved(job, at, due_at=due, failures=failures)
    note = "the provider is busy" if limited else "the provider is unavailable"
    return enter(job, S.QUEUED, at, note=note, due_at=due, failures=failures)


def hint_of(error: ProviderError) -> float | None:
    """In how many seconds the provider said to come again; None where it did not.

    生成服务建议的等待秒数。
    """
    return error.retry_after if isinstance(error, RateLimited | ProviderUnavailable) else None


def held_back(job: Job, until: int, at: Moment, policy: Policy) -> Job:
    """Not tried: the credential is paused; due again at `until` (ms), or at the queue's deadline.

    凭证暂停使用，稍后再来。
    """
    if job.status is not S.QUEUED:
        return job
    end = job.created_at + ms(policy.queue)
    return moved(job, at, due_at=max(at.now, min(until, end)))


def handed_back(job: Job, at: Moment, *, begun: bool) -> Job:
    """The invocation's time ran out: due again at once, for another one.

    Work that was begun keeps its claim counted: what no invocation has time for must end too.

    时间用完，任务交还。
    """
    if job.status.terminal:
        return job
    claims = job.claims if begun else max(0, job.claims - 1)
    return replace(job, updated_at=max(job.updated_at, at.now), due_at=at.now, claims=claims)


def submit_unknown(job: Job, attempt: Attempt, at: Moment, policy: Policy) -> Job:
    """Whether this create was carried out is not known: it is looked for from now on.

    创建结果未知，开始查找。
    """
    if not _unanswered(job, attempt):
        return job
    failures = job.failures + 1
    return moved(job, at, failures=failures, due_at=at.now + policy.pause(failures, at.chance))


def refused_again(
    job: Job, attempt: Attempt, error: ProviderError, at: Moment, policy: Policy
) -> Job:
    """A create that was sent once more with its key was refused; the first may be carried out.

    A rejection ends the job, for the same bytes will be rejected for ever; any other refusal may
    have come before the key was looked at.

    带同一个键的重发被拒绝，第一次的结果仍然未知。
    """
    if not _unanswered(job, attempt):
        return job
    if not isinstance(error, Rejected):
        return not_found(job, at, policy, read=False, hint=hint_of(error))
    if job.status is S.CANCELING:
        return end_canceling(job, at, billed=True)
    return fail(job, _refusal(error), at, may_be_billed=True)


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
    if not _unanswered(job, job.attempt):
        return job
    assert job.attempt is not None
    patience = policy.find if read else policy.find + policy.run
    if at.now < job.attempt.begun_at + ms(patience):
        failures = job.failures + 1
        pause = policy.pause(failures, at.chance, hint)
        return moved(job, at, failures=failures, due_at=at.now + pause)
    if job.status is S.CANCELING:
        return end_canceling(job, at, billed=True)
    found = f"{matches} tasks could be it" if matches else "the task was not found"
    message = f"The create was sent or about to be sent, no answer came, and {found}."
    error = JobError("submit_unconfirmed", message, retryable=True)
    return fail(job, error, at, may_be_billed=True)


def observed(job: Job, state: TaskState, at: Moment, policy: Policy) -> Job:
    """A look at the task brought `state`; without news the very same job comes back.

    查询到了任务的最新状态。
    """
    if job.queue is not Queue.CHECK:
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
            return fail(seen, error, at, may_be_billed=True)
        return enter(seen, S.STORING, at, files=files, generated_at=at.now, progress=99)
    if state.status in ("failed", "canceled"):
        return fail(seen, _task_error(state), at)
    if at.now >= _watch_ends(job, policy):
        note = "it ran past its deadline"
        return enter(seen, S.CANCELING, at, note=note, cancel_cause="deadline")
    return _progressed(job, seen, state, at, policy)


def unseen(job: Job, at: Moment, policy: Policy) -> Job:
    """A look failed: nothing changes until the deadline has passed.

    这次查询失败了。
    """
    if job.queue is not Queue.CHECK or at.now < _watch_ends(job, policy):
        return job
    if job.status is S.CANCELING:
        return end_canceling(job, at, billed=True)
    note = "it ran past its deadline and the provider did not answer"
    return enter(job, S.CANCELING, at, note=note, cancel_cause="deadline")


def refreshed(job: Job, state: TaskState, at: Moment) -> Job:
    """Fresh links for the files that are not stored yet, matched by role and by order within it.

    更新结果文件的下载链接。
    """
    if job.status is not S.STORING or state.status != "succeeded":
        return job
    links: dict[str, list[str]] = {}
    for fresh in reversed(state.files):
        links.setdefault(fresh.role, []).append(fresh.url)
    files = []
    for file in job.files:
        url = links[file.role].pop() if links.get(file.role) else file.url
        files.append(file if file.stored else replace(file, url=url))
    return replace(job, files=tuple(files))


def stored(job: Job, index: int, key: str, size: int, sha256: str, at: Moment) -> Job:
    """File number `index` is in the bucket: `size` bytes, its hash; the last one ends storing.

    一个结果文件已保存。
    """
    if job.status is not S.STORING or job.files[index].stored:
        return job
    kept = replace(job.files[index], key=key, bytes=size, sha256=sha256)
    files = (*job.files[:index], kept, *job.files[index + 1 :])
    if all(file.stored for file in files):
        return enter(job, S.PROCESSING, at, files=files, failures=0)
    return moved(job, at, files=files, failures=0, due_at=job.due_at)


def not_stored(job: Job, reason: str, at: Moment, policy: Policy) -> Job:
    """A file could not be fetched or kept; tried again until the storing deadline.

    结果文件保存失败。
    """
    if job.status is not S.STORING:
        return job
    if at.now >= job.entered_at + ms(policy.store):
        message = f"The result could not be stored in time: {reason}"
        error = JobError("store_expired", message, retryable=True)
        return enter(job, S.EXPIRED, at, error=error, may_be_billed=True)
    failures = job.failures + 1
    return moved(job, at, failures=failures, due_at=at.now + policy.pause(failures, at.chance))


def published(job: Job, artifacts: Sequence[Artifact], warnings: Sequence[str], at: Moment) -> Job:
    """The files are verified and published: the job has succeeded.

    成果已校验并发布，任务成功。
    """
    if job.status is not S.PROCESSING:
        return job
    kept = tuple(dict.fromkeys((*job.warnings, *warnings)))
    return enter(job, S.SUCCEEDED, at, artifacts=tuple(artifacts), warnings=kept, progress=100)


def invalid(job: Job, files: Sequence[ResultFile], reason: str, at: Moment) -> Job:
    """One of these stored files is broken: fetched afresh once, then the job fails.

    A verdict on files that have been fetched afresh since changes nothing.

    结果文件损坏：重新下载一次，仍坏则失败。
    """
    if job.status is not S.PROCESSING or job.files != tuple(files):
        return job
    if job.fetches == 0 and job.task_id is not None:
        files = tuple(ResultFile(f.role, f.url, f.media_type) for f in job.files)
        # A failure on record makes the next step take fresh links first.
        return enter(
            job, S.STORING, at, note=f"fetched afresh: {reason}", files=files, fetches=1, failures=1
        )
    error = JobError("artifact_invalid", f"The provider's file is broken: {reason}", retryable=True)
    return fail(job, error, at, may_be_billed=True)


def not_processed(job: Job, reason: str, at: Moment, policy: Policy) -> Job:
    """Verifying failed for a reason outside the file (the bucket, say); tried again for a while.

    校验因外部原因失败。
    """
    if job.status is not S.PROCESSING:
        return job
    if at.now >= job.entered_at + ms(policy.store):
        message = f"The result could not be verified in time: {reason}"
        error = JobError("process_failed", message, retryable=True)
        return fail(job, error, at, may_be_billed=True)
    failures = job.failures + 1
    return moved(job, at, failures=failures, due_at=at.now + policy.pause(failures, at.chance))


def lost(job: Job, at: Moment) -> Job:
    """Worker after worker died on this job.

    处理该任务的进程屡次中断。
    """
    if job.status.terminal:
        return job
    message = f"{job.claims - 1} workers in a row stopped while the job was {job.status.value}."
    error = JobError("worker_lost", message, retryable=True)
    return fail(job, error, at, may_be_billed=job.attempt is not None or job.task_id is not None)


def overdue(job: Job, at: Moment) -> Job:
    """The job waited in the queue past its deadline.

    任务排队超时。
    """
    if job.status is not S.QUEUED:
        return job
    error = JobError("queue_expired", "The provider took no task in time.", retryable=True)
    return enter(job, S.EXPIRED, at, error=error)


def input_missing(job: Job, at: Moment) -> Job:
    """A picture the job was asked with is not in the bucket any more; nothing was sent.

    输入图片已不在存储中。
    """
    if job.status is not S.QUEUED:
        return job
    error = JobError("input_missing", "An input picture is no longer in the bucket.", False)
    return fail(job, error, at)


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
    return end_canceling(job, at, billed=False) if job.status is S.CANCELING else job


def _unanswered(job: Job, attempt: Attempt | None) -> bool:
    """Whether the job waits for the answer to this very create."""
    waiting = job.status in (S.SUBMITTING, S.CANCELING) and job.task_id is None
    return waiting and attempt is not None and job.attempt == attempt


def _missing(job: Job, at: Moment, policy: Policy) -> Job:
    misses = job.misses + 1
    if misses < policy.max_misses:
        return moved(job, at, misses=misses, due_at=next_look(job, at, policy))
    if job.status is S.CANCELING:
        return end_canceling(job, at, billed=True)
    message = f"The provider does not know the task any more ({misses} answers in a row)."
    return fail(job, JobError("task_not_found", message, retryable=True), at, may_be_billed=True)


def _watched(job: Job, seen: Job, state: TaskState, at: Moment, policy: Policy) -> Job:
    if state.status in ("succeeded", "failed", "canceled"):
        return end_canceling(seen, at, billed=state.status == "succeeded")
    if at.now >= _watch_ends(job, policy):
        return end_canceling(seen, at, billed=True)
    if job.misses:
        return moved(seen, at, due_at=next_look(seen, at, policy))
    return job


def _progressed(job: Job, seen: Job, state: TaskState, at: Moment, policy: Policy) -> Job:
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


def _refusal(error: ProviderError) -> JobError:
    code, retryable, message = "provider_rejected", False, "The provider refused the request"
    if isinstance(error, Unauthorized):
        code, retryable = "provider_unauthorized", True
        message = "The provider does not accept the operator's credential"
    elif isinstance(error, OutOfCredit):
        code, retryable = "provider_out_of_credit", True
        message = "The operator's account at the provider has no credit left"
    said = {"code": error.code, "message": error.message}
    return JobError(code, f"{message}: {error.message}", retryable, provider=said)


def _task_error(state: TaskState) -> JobError:
    code, message = state.error or (None, "no reason was given")
    said = {"code": code, "message": message}
    if state.status == "canceled":
        text = "The task was canceled at the provider."
        return JobError("provider_canceled", text, retryable=True, provider=said)
    text = f"The provider could not make it: {message}"
    return JobError("generation_failed", text, retryable=True, provider=said)


def _watch_ends(job: Job, policy: Policy) -> int:
    if job.status is S.CANCELING:
        return job.entered_at + ms(policy.cancel)
    return (job.started_at or job.entered_at) + ms(policy.run)


def remote(file: ResultFile) -> RemoteFile:
    """A result file as its provider's adapter knows it.

    把结果文件转成生成服务的说法。
    """
    return RemoteFile(file.role, file.url, file.media_type)
