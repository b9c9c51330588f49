"""Submit: prepare, save the attempt, send the create once, keep the task's id.

提交：准备、保存尝试、发送一次、记下任务编号。
"""

from __future__ import annotations

import logging

from shared.buckets.base import BucketUnavailable, ObjectMissing
from shared.clock import Deadline
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Moment
from shared.jobs.model import Attempt, InputFile, Job, Status
from shared.jobs.ports import Ports
from shared.jobs.saving import apply
from shared.providers.base import (
    Ask,
    InputImage,
    Provider,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Request,
    UnknownOutcome,
)
from shared.store.base import StoreUnavailable

log = logging.getLogger("maquette.jobs")


CREATE_NEEDS = 10.0
"""Seconds that must be left before a create is sent; an answer is worth waiting for."""


def submit(ports: Ports, job: Job, deadline: Deadline) -> None:
    """Give a queued job to its provider.

    把排队的任务提交给生成服务。
    """
    provider = ports.providers.get(job.provider)
    if provider is None:
        wait(ports, job, "its provider is not configured")
        return
    names = ports.credentials.names(provider.name, job.caller)
    if not names:
        wait(ports, job, "no credential may create at its provider")
        return
    credential, free_at = ports.pauses.choose(provider.name, names, job.id, ports.clock.now())
    if free_at > ports.clock.now():
        at = ports.moment()
        apply(
            ports,
            job,
            lambda now: lifecycle.held_back(now, free_at, at, ports.policy),
            insist=False,
        )
        return
    deadline.check(CREATE_NEEDS)
    try:
        request = provider.prepare(_ask(ports, job), credential, deadline)
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
        at = ports.moment()
        apply(ports, job, lambda now: lifecycle.submit_unknown(now, attempt, at, ports.policy))
    except ProviderError as error:
        if again:
            at = rested(ports, provider, attempt.credential, error)
            refused = error
            apply(
                ports,
                job,
                lambda now: lifecycle.refused_again(now, attempt, refused, at, ports.policy),
            )
        else:
            _not_submitted(ports, job, provider, attempt.credential, error, attempt)
    else:
        adopt(ports, job, task_id, deadline)


def adopt(ports: Ports, job: Job, task_id: str, deadline: Deadline) -> None:
    """Keep the id of a task that is paid for: as long as there is time, it is tried again.

    记下已付费任务的编号。
    """
    at = ports.moment()
    while True:
        try:
            apply(ports, job, lambda now: lifecycle.submitted(now, task_id, at, ports.policy))
            return
        except StoreUnavailable:
            log.error("%s: its task %s is not saved yet", job.id, task_id)
            if deadline.remaining() <= 0:
                raise


def _not_submitted(
    ports: Ports,
    job: Job,
    provider: Provider,
    credential: str,
    error: ProviderError,
    attempt: Attempt | None = None,
) -> None:
    at = rested(ports, provider, credential, error)
    log.warning("%s: not submitted: %s", job.id, error)

    def fact(now: Job) -> Job:
        # Where keys are taken, whoever claimed the job since may have sent the same create.
        if attempt is not None and provider.key_seconds is not None and now.due_at != job.due_at:
            return now
        return lifecycle.not_submitted(now, attempt, error, at, ports.policy)

    # A preparation that failed late is of no interest to whoever has the job by now.
    apply(ports, job, fact, insist=attempt is not None)


def rested(ports: Ports, provider: Provider, credential: str, error: ProviderError) -> Moment:
    """Now; a credential whose provider asked for patience rests from here on.

    返回当前时刻，并让被限流的凭证休息。
    """
    at = ports.moment()
    hint = lifecycle.hint_of(error)
    if isinstance(error, RateLimited) or hint is not None:
        until = at.now + ports.policy.pause(1, at.chance, hint)
        ports.pauses.rest(provider.name, credential, until)
    return at


def wait(ports: Ports, job: Job, why: str) -> None:
    """The job cannot go on here for now; it is tried again later.

    暂时无法继续，稍后再试。
    """
    log.error("%s waits: %s", job.id, why)
    at = ports.moment()
    if job.status is Status.STORING:
        apply(ports, job, lambda now: lifecycle.not_stored(now, why, at, ports.policy))
        return
    error = ProviderUnavailable(why)
    apply(ports, job, lambda now: lifecycle.not_submitted(now, None, error, at, ports.policy))


def _ask(ports: Ports, job: Job) -> Ask:
    return Ask(job.kind, job.input.prompt, images(ports, job), job.input.options)


def images(ports: Ports, job: Job) -> dict[str, InputImage]:
    """The job's input pictures, as an adapter reads them.

    任务的输入图片。
    """
    return {role: _image(ports, kept) for role, kept in job.input.images.items()}


def _image(ports: Ports, kept: InputFile) -> InputImage:
    return InputImage(kept.media_type, kept.bytes, kept.sha256, lambda: ports.bucket.open(kept.key))
