"""Submit: prepare, save the attempt, send the create once, keep the task's id.

提交：准备、保存尝试、发送一次、记下任务编号。
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from shared.buckets.base import BucketUnavailable, ObjectMissing
from shared.clock import Deadline
from shared.inputs.files import InputFile
from shared.jobs import lifecycle
from shared.jobs.model import Attempt, Job, Status
from shared.jobs.ports import Ports
from shared.jobs.saving import apply, hand_back
from shared.jobs.steps.refusals import answered, refused
from shared.providers.base import (
    Ask,
    InputImage,
    Provider,
    ProviderError,
    ProviderUnavailable,
    Request,
    UnknownOutcome,
)
from shared.store.base import Conflict, StoreUnavailable

log = logging.getLogger("maquette.jobs")


CREATE_NEEDS = 10.0
"""Seconds that must be left before a create is sent; an answer is worth waiting for."""


def submit(ports: Ports, job: Job, provider: Provider, deadline: Deadline) -> None:
    """Give a queued job to its provider, with a credential that does not rest.

    把排队的任务提交给生成服务。
    """
    names = ports.credentials.names(provider.name, job.caller)
    if not names:
        raise ProviderUnavailable("no credential is configured that may create")
    deadline.check(CREATE_NEEDS)
    credential = ports.rests.begin(provider.name, names, job.id)
    if credential is None:
        _not_now(ports, job, provider, names)
        return
    try:
        _submit_with(ports, job, provider, credential, deadline)
    finally:
        ports.rests.end(provider.name, credential)


def send(
    ports: Ports, job: Job, provider: Provider, deadline: Deadline, *, again: bool = False
) -> None:
    """Send the create that is kept on the job; `again` if it may have been carried out before.

    发送已保存的创建请求。
    """
    assert job.attempt is not None
    attempt = job.attempt
    request = Request(attempt.path, attempt.body, attempt.mark, images(ports, job))
    try:
        task_id = provider.submit(request, attempt.key, attempt.credential, deadline)
    except UnknownOutcome as error:
        log.warning("%s: no telling whether the create was carried out: %s", job.id, error)
        at = refused(ports, provider, attempt.credential, error)
        apply(ports, job, lambda now: lifecycle.submit_unknown(now, attempt, at, ports.policy))
    except ProviderError as error:
        if again:
            at, said = refused(ports, provider, attempt.credential, error), error
            apply(
                ports,
                job,
                lambda now: lifecycle.refused_again(now, attempt, said, at, ports.policy),
            )
        else:
            _not_submitted(ports, job, provider, attempt.credential, error, attempt)
    else:
        answered(ports, provider, attempt.credential)
        adopt(ports, job, task_id, deadline)


def adopt(ports: Ports, job: Job, task_id: str, deadline: Deadline) -> None:
    """Keep the id of a task that is paid for: as long as there is time, it is tried again.

    Where a retry has taken over the create meanwhile, the task is the retry's. A task that is
    another job's is not this one's: then its own is still to be found.

    记下已付费任务的编号。
    """
    at, attempt, past = ports.moment(), job.attempt, ports.durations.of(job)
    assert attempt is not None
    while True:
        try:
            after = apply(
                ports,
                job,
                lambda now: lifecycle.submitted(now, task_id, at, ports.policy, past),
            )
            heir = _heir(ports, after, attempt)
            if heir is None:
                return
            job = heir
        except Conflict as lost:
            log.error("%s: task %s is another job's (%s)", job.id, task_id, lost.key)
            apply(ports, job, lambda now: lifecycle.submit_unknown(now, attempt, at, ports.policy))
            return
        except StoreUnavailable:
            log.error("%s: its task %s is not saved yet", job.id, task_id)
            if deadline.remaining() <= 0:
                raise


def _heir(ports: Ports, job: Job | None, attempt: Attempt) -> Job | None:
    """The retry that has taken over this create from a job, if one has."""
    if job is None or job.attempt is not None:
        return None
    while job is not None and job.retried_as is not None:
        job = ports.jobs.get(job.retried_as)
        if job is not None and job.attempt is not None and job.attempt.key == attempt.key:
            return job
    return None


def images(ports: Ports, job: Job) -> dict[str, InputImage]:
    """The job's input pictures, as an adapter reads them.

    任务的输入图片。
    """
    return {role: _image(ports, kept) for role, kept in job.input.images.items()}


def _not_now(ports: Ports, job: Job, provider: Provider, names: Sequence[str]) -> None:
    """No credential is free: back into the queue, unless the accounts are out for too long."""
    at = ports.moment()
    usable = ports.rests.refused_since(provider.name, names) is None
    if not usable and at.now >= job.created_at + round(ports.policy.account * 1000):
        apply(ports, job, lambda now: lifecycle.account_refused(now, at), insist=False)
        return
    rests = [ports.rests.until(provider.name, name, "create") for name in names]
    pause = max(ports.policy.pause(1, at.chance), min(rests) - at.now)
    overdue = job.created_at + round(ports.policy.queue * 1000)
    hand_back(ports, job, begun=False, pause=max(1, min(pause, overdue - at.now)))


def _submit_with(
    ports: Ports, job: Job, provider: Provider, credential: str, deadline: Deadline
) -> None:
    """Prepare, save and send the create by this credential, and save what came of it.

    用此凭据创建任务。
    """
    ask = Ask(job.kind, job.input.prompt, images(ports, job), job.input.options)
    try:
        request = provider.prepare(ask, credential, deadline)
    except (ProviderError, BucketUnavailable) as error:
        known = error if isinstance(error, ProviderError) else ProviderUnavailable(str(error))
        _not_submitted(ports, job, provider, credential, known)
        return
    except ObjectMissing:
        gone = ports.moment()
        apply(ports, job, lambda now: lifecycle.input_missing(now, gone), insist=False)
        return
    deadline.check(CREATE_NEEDS)
    at = ports.moment()
    begun = apply(
        ports, job, lambda now: lifecycle.begin_submit(now, request, credential, at), insist=False
    )
    # Only the worker whose save put the job into submitting may send the create.
    if begun is not None and begun.status is Status.SUBMITTING:
        send(ports, begun, provider, deadline)


def _not_submitted(
    ports: Ports,
    job: Job,
    provider: Provider,
    credential: str,
    error: ProviderError,
    attempt: Attempt | None = None,
) -> None:
    """Save what a refusal, or no answer, to the create means for the job.

    处理未成功的创建。
    """
    at = refused(ports, provider, credential, error)
    keyed = provider.key_seconds is not None

    def fact(now: Job) -> Job:
        # Where keys are taken, whoever claimed the job since may have sent the same create.
        if attempt is not None and keyed and now.due_at != job.due_at:
            return now
        return lifecycle.not_submitted(now, attempt, error, at, ports.policy)

    # A preparation that failed late is of no interest to whoever has the job by now.
    after = apply(ports, job, fact, insist=attempt is not None)
    again = ""
    if after is not None and after.status is Status.QUEUED and after.due_at is not None:
        rest = ports.rests.until(provider.name, credential, "create")
        again = f"; next try in {max(0, max(after.due_at, rest) - at.now) / 1000:.0f} s"
    # For the operator: with the host, which callers do not read.
    log.warning("%s: not submitted: %s%s", job.id, error.raw, again)


def _image(ports: Ports, kept: InputFile) -> InputImage:
    return InputImage(kept.media_type, kept.bytes, kept.sha256, lambda: ports.bucket.open(kept.key))
