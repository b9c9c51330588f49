"""One step of one job: do it, then save what happened. Safe to repeat, safe to die in anywhere.

执行任务的一步并保存结果；可重复执行，随时中断都不会出错。
"""

from __future__ import annotations

import hashlib
import logging
import mimetypes
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shared import context
from shared.buckets.base import Bucket, BucketUnavailable, ObjectMissing
from shared.clock import Clock, Deadline, OutOfTime
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Step
from shared.jobs.model import Attempt, InputFile, Job, Status
from shared.jobs.moves import Moment
from shared.jobs.policy import Policy
from shared.jobs.repository import JobRepository
from shared.metrics import OFF, Metrics
from shared.providers.base import (
    Ask,
    DownloadFailed,
    InputImage,
    Provider,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Request,
    TaskState,
    UnknownOutcome,
)
from shared.store.base import Conflict, StoreUnavailable

log = logging.getLogger("maquette.jobs")

Fact = Callable[[Job], Job]
"""What happened, as a pure function that may be applied to a newer state of the job as well."""

_SAVE_TRIES = 5
_CONFLICTS = 50
_CREATE_NEEDS = 10.0
"""Seconds that must be left before a create is sent; an answer is worth waiting for."""


class Pauses:
    """Credentials that must rest until a time (ms), as their provider asked; for this process.

    被限流的凭证及其恢复时间。
    """

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def rest(self, provider: str, credential: str, until: int) -> None:
        """Pause a credential until `until`, or longer if it rests longer already.

        暂停使用某个凭证。
        """
        with self._lock:
            known = self._until.get((provider, credential), 0)
            self._until[provider, credential] = max(known, until)

    def choose(self, provider: Provider, job_id: str, now: int) -> tuple[str, int]:
        """The credential for a job, and until when (ms) it rests; the least rested one first.

        为任务选择凭证。
        """
        with self._lock:
            resting = {
                name: max(now, self._until.get((provider.name, name), 0))
                for name in provider.credentials
            }
        free = [name for name, until in resting.items() if until <= now]
        if free:
            return free[int(hashlib.sha256(job_id.encode()).hexdigest(), 16) % len(free)], now
        name = min(resting, key=lambda item: resting[item])
        return name, resting[name]


@dataclass(frozen=True)
class Ports:
    """All that jobs need of the world outside.

    `wake` tells a function that work waits, `help` asks for one more `poll` on a lane; neither may
    fail. Files of up to `measure_below` bytes are verified from a local copy, larger ones by
    ranges.

    任务流转所需的外部接口。
    """

    jobs: JobRepository
    bucket: Bucket
    providers: Mapping[str, Provider]
    clock: Clock
    policy: Policy
    wake: Callable[[str], None]
    help: Callable[[int], None] = lambda lane: None
    measure_below: int = 64 * 2**20
    pauses: Pauses = field(default_factory=Pauses)
    metrics: Metrics = OFF

    def moment(self) -> Moment:
        """Now, with a chance drawn for it.

        当前时刻。
        """
        return Moment(self.clock.now(), self.clock.chance())


def apply(ports: Ports, job: Job, fact: Fact, *, insist: bool = True) -> Job | None:
    """Save what happened to a job; None if it could not be.

    On a conflict the job is read anew and the fact applied to what it is now: an answer that
    was paid for is not lost. With `insist` False a conflict means that the job is somebody
    else's by now, and nothing is written. A store that does not answer is asked again a few times.

    把发生的事写到任务上；冲突时重读再写。
    """
    failures = conflicts = 0
    while conflicts < _CONFLICTS:
        new = fact(job)
        if new is job:
            return job
        try:
            return ports.jobs.save(job, new)
        except Conflict:
            if not insist:
                return None
            conflicts += 1
            current = ports.jobs.get(job.id)
            if current is None:
                return None
            job = current
        except StoreUnavailable as error:
            log.warning("%s: the store did not take the save (%s)", job.id, error)
            failures += 1
            if failures == _SAVE_TRIES:
                raise
            ports.clock.sleep(0.1 * 2**failures)
    log.error("%s: gave up a save after %d conflicts", job.id, conflicts)
    return None


def advance(ports: Ports, job: Job, deadline: Deadline) -> None:
    """Carry a claimed job that is not to be looked at one step forward.

    推进一个已认领的任务。
    """
    with context.job(job.id):
        _advance(ports, job, deadline)


def _advance(ports: Ports, job: Job, deadline: Deadline) -> None:
    step = lifecycle.step_of(job, ports.clock.now(), ports.policy)
    if deadline.remaining() <= 0:
        _hand_back(ports, job, begun=False)
        return
    try:
        _STEPS[step](ports, job, deadline)
    except OutOfTime:
        _hand_back(ports, job, begun=True)
    except (StoreUnavailable, BucketUnavailable) as error:
        # The lease runs out by itself; nothing is decided on half a view.
        log.warning("%s: %s stopped: %s", job.id, step.value, error)


def check(
    ports: Ports, provider: Provider, credential: str, jobs: Sequence[Job], deadline: Deadline
) -> None:
    """Look at the tasks of several jobs with one request; jobs without news cost no write.

    一次请求查询多个任务。
    """
    for job in jobs:
        if job.status is Status.CANCELING:
            with context.job(job.id):
                _cancel_at_provider(ports, provider, credential, job, deadline)
    tasks = [job.task_id for job in jobs if job.task_id is not None]
    states: Mapping[str, TaskState] = {}
    try:
        states = provider.check(tasks, credential, deadline)
    except ProviderError as error:
        log.warning("%s: %d tasks could not be read: %s", provider.name, len(tasks), error)
    for job in jobs:
        with context.job(job.id):
            _look(ports, job, _seen(states.get(job.task_id or ""), ports))


def _look(ports: Ports, job: Job, seen: Fact) -> None:
    try:
        apply(ports, job, seen)
    except StoreUnavailable:
        log.warning("%s: a look could not be saved and will be repeated", job.id)


def _seen(state: TaskState | None, ports: Ports) -> Fact:
    at = ports.moment()
    if state is None:
        return lambda job: lifecycle.unseen(job, at, ports.policy)
    return lambda job: lifecycle.observed(job, state, at, ports.policy)


def _cancel_at_provider(
    ports: Ports, provider: Provider, credential: str, job: Job, deadline: Deadline
) -> None:
    assert job.task_id is not None
    try:
        stopped = provider.cancel(job.task_id, credential, deadline)
    except ProviderError as error:
        log.info("%s: the provider could not be told to cancel: %s", job.id, error)
        return
    if not stopped:
        return
    at = ports.moment()
    try:
        apply(ports, job, lambda now: lifecycle.canceled_at_provider(now, at))
    except StoreUnavailable:
        log.warning("%s: its stopped task could not be saved; it will be", job.id)


def _submit(ports: Ports, job: Job, deadline: Deadline) -> None:
    provider = ports.providers.get(job.provider)
    if provider is None:
        _wait(ports, job, "its provider is not configured")
        return
    credential, free_at = ports.pauses.choose(provider, job.id, ports.clock.now())
    if free_at > ports.clock.now():
        at = ports.moment()
        apply(
            ports,
            job,
            lambda now: lifecycle.held_back(now, free_at, at, ports.policy),
            insist=False,
        )
        return
    deadline.check(_CREATE_NEEDS)
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
    deadline.check(_CREATE_NEEDS)
    at = ports.moment()
    begun = apply(
        ports, job, lambda now: lifecycle.begin_submit(now, request, credential, at), insist=False
    )
    # Only the worker whose save put the job into submitting may send the create.
    if begun is not None and begun.status is Status.SUBMITTING:
        _send(ports, begun, provider, deadline)


def _send(
    ports: Ports, job: Job, provider: Provider, deadline: Deadline, *, again: bool = False
) -> None:
    """Send the create that is kept on the job; `again` if it may have been carried out before."""
    assert job.attempt is not None
    attempt = job.attempt
    images = _images(ports, job)
    request = Request(attempt.path, attempt.body, attempt.mark, images)
    try:
        task_id = provider.submit(request, attempt.key, attempt.credential, deadline)
    except UnknownOutcome as error:
        log.warning("%s: no telling whether the create was carried out: %s", job.id, error)
        at = ports.moment()
        apply(ports, job, lambda now: lifecycle.submit_unknown(now, attempt, at, ports.policy))
    except ProviderError as error:
        if again:
            at = _rested(ports, provider, attempt.credential, error)
            refused = error
            apply(
                ports,
                job,
                lambda now: lifecycle.refused_again(now, attempt, refused, at, ports.policy),
            )
        else:
            _not_submitted(ports, job, provider, attempt.credential, error, attempt)
    else:
        _adopt(ports, job, task_id, deadline)


def _adopt(ports: Ports, job: Job, task_id: str, deadline: Deadline) -> None:
    """Keep the id of a task that is paid for: as long as there is time, it is tried again."""
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
    at = _rested(ports, provider, credential, error)
    log.warning("%s: not submitted: %s", job.id, error)

    def fact(now: Job) -> Job:
        # Where keys are taken, whoever claimed the job since may have sent the same create.
        if attempt is not None and provider.takes_keys and now.due_at != job.due_at:
            return now
        return lifecycle.not_submitted(now, attempt, error, at, ports.policy)

    # A preparation that failed late is of no interest to whoever has the job by now.
    apply(ports, job, fact, insist=attempt is not None)


def _rested(ports: Ports, provider: Provider, credential: str, error: ProviderError) -> Moment:
    """Now; a credential whose provider asked for patience rests from here on."""
    at = ports.moment()
    hint = lifecycle.hint_of(error)
    if isinstance(error, RateLimited) or hint is not None:
        until = at.now + ports.policy.pause(1, at.chance, hint)
        ports.pauses.rest(provider.name, credential, until)
    return at


def _find(ports: Ports, job: Job, deadline: Deadline) -> None:
    """Settle a create that was never answered: same key again, or look for the task."""
    assert job.attempt is not None
    attempt = job.attempt
    provider = ports.providers.get(job.provider)
    if provider is None or attempt.credential not in provider.credentials:
        _unfound(ports, job, read=False)
        return
    if provider.takes_keys:
        deadline.check(_CREATE_NEEDS)
        # What is not wanted any more is not asked for again: the first create may have failed.
        wanted = job.status is Status.SUBMITTING
        if wanted and ports.clock.now() < attempt.begun_at + round(ports.policy.find * 1000):
            _send(ports, job, provider, deadline, again=True)
        else:
            _unfound(ports, job, read=True)
        return
    request = Request(attempt.path, attempt.body, attempt.mark)
    try:
        found = provider.find(request, attempt.begun_at, attempt.credential, deadline)
    except ProviderError as error:
        log.warning("%s: the provider's tasks could not be searched: %s", job.id, error)
        _unfound(ports, job, read=False)
        return
    if len(found) == 1:
        _adopt(ports, job, found[0], deadline)
    else:
        _unfound(ports, job, read=True, matches=len(found))


def _unfound(ports: Ports, job: Job, *, read: bool, matches: int = 0) -> None:
    at = ports.moment()
    apply(
        ports,
        job,
        lambda now: lifecycle.not_found(now, at, ports.policy, read=read, matches=matches),
    )


def _store(ports: Ports, job: Job, deadline: Deadline) -> None:
    provider = ports.providers.get(job.provider)
    if provider is None:
        _wait(ports, job, "its provider is not configured")
        return
    try:
        if job.failures or job.claims > 1:
            job = _with_fresh_links(ports, job, provider, deadline)
        for index, file in enumerate(job.files):
            if not file.stored:
                after = _store_file(ports, job, provider, index, deadline)
                if after is None or after.status is not Status.STORING:
                    break
                job = after
    except (ProviderError, BucketUnavailable) as error:
        log.warning("%s: storing failed: %s", job.id, error)
        at, reason = ports.moment(), str(error)
        apply(ports, job, lambda now: lifecycle.not_stored(now, reason, at, ports.policy))


def _with_fresh_links(ports: Ports, job: Job, provider: Provider, deadline: Deadline) -> Job:
    assert job.task_id is not None
    states = provider.check([job.task_id], _credential(job, provider), deadline)
    state = states.get(job.task_id)
    if state is None or state.status != "succeeded":
        raise DownloadFailed("the provider gave no fresh link to the finished task's files")
    return lifecycle.refreshed(job, state, ports.moment())


def _store_file(
    ports: Ports, job: Job, provider: Provider, index: int, deadline: Deadline
) -> Job | None:
    file = job.files[index]
    # The version makes the key this claim's own: two workers never write the same object.
    key = f"incoming/{job.id}/{job.version}-{index}-{file.role}{extension(file.media_type)}"
    digest = hashlib.sha256()

    def hashed(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            deadline.check()
            digest.update(chunk)
            yield chunk

    remote = lifecycle.remote(file)
    with provider.download(remote, deadline) as download:
        info = ports.bucket.put_stream(key, hashed(download.chunks), media_type=file.media_type)
    at = ports.moment()
    after = apply(
        ports,
        job,
        lambda now: lifecycle.stored(now, index, key, info.bytes, digest.hexdigest(), at),
    )
    if after is not None and after.status is Status.PROCESSING:
        ports.wake("postprocess")
    return after


def _process(ports: Ports, job: Job, deadline: Deadline) -> None:
    from shared.jobs.process import process  # only `postprocess` carries what this imports

    process(ports, job, deadline)


def _expire(ports: Ports, job: Job, deadline: Deadline) -> None:
    at = ports.moment()
    apply(ports, job, lambda now: lifecycle.overdue(now, at))


def _give_up(ports: Ports, job: Job, deadline: Deadline) -> None:
    at = ports.moment()
    apply(ports, job, lambda now: lifecycle.lost(now, at), insist=False)


def _wait(ports: Ports, job: Job, why: str) -> None:
    log.error("%s waits: %s", job.id, why)
    at = ports.moment()
    if job.status is Status.STORING:
        apply(ports, job, lambda now: lifecycle.not_stored(now, why, at, ports.policy))
        return
    error = ProviderUnavailable(why)
    apply(ports, job, lambda now: lifecycle.not_submitted(now, None, error, at, ports.policy))


def _hand_back(ports: Ports, job: Job, *, begun: bool) -> None:
    """Let somebody else go on at once; a step that had saved since has nothing to hand back."""
    at = ports.moment()
    try:
        apply(ports, job, lambda now: lifecycle.handed_back(now, at, begun=begun), insist=False)
    except StoreUnavailable:
        log.warning("%s: could not be handed back; its lease will run out", job.id)


def _credential(job: Job, provider: Provider) -> str:
    return job.attempt.credential if job.attempt else provider.credentials[0]


def _ask(ports: Ports, job: Job) -> Ask:
    return Ask(job.kind, job.input.prompt, _images(ports, job), job.input.options)


def _images(ports: Ports, job: Job) -> dict[str, InputImage]:
    return {role: _image(ports, kept) for role, kept in job.input.images.items()}


def _image(ports: Ports, kept: InputFile) -> InputImage:
    return InputImage(kept.media_type, kept.bytes, kept.sha256, lambda: ports.bucket.open(kept.key))


def extension(media_type: str) -> str:
    """The file name's ending for a media type, with its dot; ".bin" if there is none.

    由媒体类型得到扩展名。
    """
    known = {"model/gltf-binary": ".glb", "image/webp": ".webp", "image/jpeg": ".jpg"}
    return known.get(media_type) or mimetypes.guess_extension(media_type) or ".bin"


_STEPS: dict[Step, Callable[[Ports, Job, Deadline], None]] = {
    Step.SUBMIT: _submit,
    Step.FIND: _find,
    Step.STORE: _store,
    Step.PROCESS: _process,
    Step.EXPIRE: _expire,
    Step.GIVE_UP: _give_up,
}
