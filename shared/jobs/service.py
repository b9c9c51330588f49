"""What a caller can do with jobs: create, read, list, cancel, retry, delete, wait.

调用方能对任务做的事。
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from shared.buckets.base import Bucket
from shared.clock import Clock, new_id
from shared.errors import Gone, InvalidInput, KeyReused, NotFound, NotMade, Refused, Unavailable
from shared.jobs import lifecycle, retrying
from shared.jobs.family import clear, family_of
from shared.jobs.kinds import KINDS
from shared.jobs.lifecycle.transitions import Moment, opened
from shared.jobs.model import Artifact, Job, JobInput, Status
from shared.jobs.repository import Conflict, IdempotencyKey, JobPage, JobRepository
from shared.providers.base import Provider
from shared.store.base import StoreUnavailable
from shared.values import replace
from shared.waiting import Waiters

if TYPE_CHECKING:
    from shared.inputs.files import NewFile
    from shared.inputs.keeping import InputKeeper
    from shared.inputs.references import Pointer
    from shared.inputs.uploads import UploadRepository
    from shared.jobs.inputs import JobInputs

_TRIES = 5
_WAIT_STEP = 0.5


@dataclass(frozen=True)
class NewJob:
    """A request for a job, its fields validated; `options` as the provider's model gives them.

    Inputs by role: `images` are those that came with it, `references` those that lie elsewhere.

    创建任务的请求。
    """

    kind: str
    provider: str
    prompt: str | None = None
    images: Mapping[str, NewFile] = field(default_factory=dict)
    references: Mapping[str, Pointer] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    callback_url: str | None = None
    priority: int = 0
    trace: Mapping[str, str] = field(default_factory=dict)

    def fingerprint(self, defaults: Mapping[str, Any] | None = None) -> str:
        """A hash over what is asked for, pictures by their hashes; not over the raw request.

        What equals its default is left out, so that a field added later changes nothing for those
        who do not use it; `defaults` are those of the options.

        请求内容的指纹；等于默认值的字段不计入。
        """
        usual = defaults or {}
        options = {
            name: value
            for name, value in self.options.items()
            if name not in usual or usual[name] != value
        }
        asked = {**self._canonical(), "options": options}
        return _hashed({name: value for name, value in asked.items() if _ABSENT[name] != value})

    def first_fingerprint(self) -> str:
        """The hash that code of format 1 makes of a request, over all fields that it knows.

        旧版本代码计算的指纹。
        """
        return _hashed(self._canonical())

    def _canonical(self) -> dict[str, Any]:
        """The fields that make two requests the same one, the files by their hashes.

        请求的规范形式。
        """
        return {
            "kind": self.kind,
            "provider": self.provider,
            "prompt": self.prompt,
            "images": {
                **{role: image.sha256 for role, image in self.images.items()},
                **{role: reference.named() for role, reference in self.references.items()},
            },
            "options": self.options,
            "metadata": self.metadata,
            "callback_url": self.callback_url,
            "priority": self.priority,
        }


_ABSENT: Mapping[str, Any] = {
    "kind": None,
    "provider": None,
    "prompt": None,
    "images": {},
    "options": {},
    "metadata": {},
    "callback_url": None,
    "priority": 0,
}
"""What each field is where nothing was said."""


def _hashed(asked: Mapping[str, Any]) -> str:
    text = json.dumps(asked, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def idempotency_key(
    caller: str,
    method: str,
    path: str,
    key: str,
    new: NewJob,
    options: type[BaseModel] | None = None,
) -> IdempotencyKey:
    """A caller's Idempotency-Key in its scope: caller, method and path. `options` is the model of
    the options of the kind that is asked for.

    An option that is spelled out although it is the default is no other request. The print with it
    is kept as well: what the default is may change while the key is still known.

    构造幂等键。
    """
    scope = json.dumps([caller, method, path, key])
    fields = options.model_fields if options is not None else {}
    defaults = {name: field.default for name, field in fields.items() if not field.is_required()}
    return IdempotencyKey(
        hashlib.sha256(scope.encode()).hexdigest(),
        new.first_fingerprint(),
        tuple(dict.fromkeys((new.fingerprint(), new.fingerprint(defaults)))),
    )


class JobService:
    """Jobs as callers see them. Methods raise the errors of `shared.errors`.

    面向调用方的任务服务。
    """

    def __init__(
        self,
        jobs: JobRepository,
        bucket: Bucket,
        providers: Mapping[str, Provider],
        clock: Clock,
        wake: Callable[[str], None],
        keeper: Callable[[], InputKeeper],
        uploads: UploadRepository,
        waiters: Waiters | None = None,
        absent: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`absent` are providers that are not set up here, and what each would need to make a kind:
        kind → provider → setting.

        创建服务。
        """
        self._jobs = jobs
        self._bucket = bucket
        self._providers = providers
        self._clock = clock
        self._wake = wake
        self._waiters = waiters or Waiters()
        self._keeper = keeper
        self._uploads = uploads
        self._absent = absent or {}

    @cached_property
    def _inputs(self) -> JobInputs:
        """What keeps inputs, made on first use: only one function creates jobs."""
        from shared.jobs.inputs import JobInputs

        return JobInputs(self._keeper(), self._read, self._uploads)

    def provider_for(self, kind: str, named: str | None = None) -> Provider:
        """The provider that is to make a kind: the one named, else the first that can.

        Raises `InvalidInput` naming `kind` or `provider`, and `NotMade` naming who would.

        为某类任务选择生成服务。
        """
        if kind not in KINDS:
            known = ", ".join(sorted(KINDS))
            raise InvalidInput(f"There is no kind {kind!r}; choose from {known}.", param="kind")
        able = [item for item in self._providers.values() if kind in item.options]
        if named is not None:
            able = [item for item in able if item.name == named]
        if able:
            return able[0]
        absent = self._absent.get(kind, {})
        if named is None or named in absent:
            could = ", or ".join(f"{name} with {switch} set" for name, switch in absent.items())
            hint = f"; {could} would" if could else ""
            raise NotMade(f"Nobody makes {kind} here{hint}.", param="kind")
        raise InvalidInput(f"Provider {named!r} does not make {kind} here.", param="provider")

    def create(
        self, caller: str, new: NewJob, key: IdempotencyKey | None = None
    ) -> tuple[Job, bool]:
        """Keep the input, write the job, wake `poll`; the job and whether it is a new one.

        With a key that was used before, the job it made then; `KeyReused` if the request differs.

        创建任务。
        """
        known = self._known(key)
        if known is not None:
            return known, False
        job_id = new_id(self._clock)
        images = self._inputs.keep(caller, job_id, KINDS[new.kind], new.images, new.references)
        urls = self._inputs.remote(new.references)
        at = Moment(self._clock.now())
        job = opened(
            Job(
                id=job_id,
                kind=new.kind,
                provider=new.provider,
                caller=caller,
                created_at=at.now,
                input=JobInput(new.prompt, images, new.options, urls),
                priority=new.priority,
                metadata=new.metadata,
                callback_url=new.callback_url,
                trace=new.trace,
            ),
            at,
        )
        try:
            created = self._jobs.create(job, key)
        except Conflict:
            # Nothing of ours was written, whatever the key stands for by now.
            self._inputs.forget(images)
            winner = self._known(key)
            if winner is None:
                raise
            return winner, False
        self._wake("poll")
        return created, True

    def get(self, caller: str, job_id: str) -> Job:
        """A job of this caller; `NotFound` also for one that is another's.

        读取一个任务。
        """
        job = self._read(job_id)
        if job is None or job.caller != caller:
            raise NotFound(f"There is no job {job_id[:64]!r}.", code="job_not_found")
        return job

    def page(
        self,
        caller: str,
        *,
        status: str | None = None,
        kind: str | None = None,
        limit: int = 20,
        after: str | None = None,
        newest_first: bool = True,
    ) -> JobPage:
        """A caller's jobs by time of creation, after the job named, if one is.

        列出任务。
        """
        if after is not None and not _is_id(after):
            raise InvalidInput("after is the id of a job.", param="after")
        return self._jobs.page(
            caller, status=status, kind=kind, limit=limit, after=after, newest_first=newest_first
        )

    def cancel(self, caller: str, job_id: str) -> Job:
        """Ask for a job to be given up; `Refused` once it is too late.

        取消任务。
        """
        job = self._change(caller, job_id, lambda now, at: lifecycle.cancel(now, at))
        self._wake("callback" if job.status.terminal else "poll")
        return job

    def retry(self, caller: str, job_id: str, *, accept_possible_charge: bool = False) -> Job:
        """The retry of an unsuccessful job: made now, or the one made before.

        重试失败的任务。
        """
        for _ in range(_TRIES):
            old = self.get(caller, job_id)
            if old.retried_as is not None:
                return self.get(caller, old.retried_as)
            at = Moment(self._clock.now())
            provider = self._providers.get(old.provider)
            fresh, marked = retrying.retry(
                old,
                new_id(self._clock),
                at,
                accept_possible_charge=accept_possible_charge,
                key_seconds=provider.key_seconds if provider else None,
            )
            try:
                created = self._jobs.save_retry(old, marked, fresh)
            except Conflict:
                continue
            self._wake("postprocess" if created.status is Status.PROCESSING else "poll")
            return created
        raise Unavailable("The job is being changed by others; ask again.")

    def delete(self, caller: str, job_id: str) -> Job:
        """Remove an ended job's files for good, but for those that another job of its chain of
        retries still needs; the job itself stays, its links answer 410. Asked again, it finishes
        what was broken off.

        删除已结束任务的文件。
        """

        def mark(job: Job, at: Moment) -> Job:
            if not job.status.terminal:
                raise Refused("Only a job that has ended can be deleted.", code="not_finished")
            return job if job.deleted_at else replace(job, deleted_at=at.now, updated_at=at.now)

        job = self._change(caller, job_id, mark)
        # Read after the mark: a retry made before it is a member, and none is made after it.
        clear(self._bucket, family_of(job, self._jobs.get))
        return job

    def artifact(self, job_id: str, name: str) -> tuple[Job, Artifact]:
        """Any caller's job and a published file of it: whoever asks holds a signed link.

        按永久链接查找成果文件。
        """
        job = self._read(job_id)
        if job is not None and job.deleted_at is not None:
            raise Gone("The files of this job were deleted.", code="artifact_deleted")
        if job is not None:
            for artifact in job.artifacts:
                if artifact.name == name:
                    return job, artifact
        raise NotFound("There is no such file.", code="artifact_not_found")

    def wait(self, job: Job, seconds: float) -> Job | None:
        """The job once it has ended, or as it stands after `seconds` or when the process stops.

        None, at once, if too many wait already. A store that does not answer meanwhile is no
        error: the job exists, and who is told otherwise asks, and pays, for another one.

        等待任务结束。
        """
        end = self._clock.now() + round(seconds * 1000)
        with self._waiters.place() as free:
            if not free:
                return None
            while True:
                with suppress(StoreUnavailable):
                    job = self._jobs.get(job.id) or job
                left = (end - self._clock.now()) / 1000
                if job.status.terminal or left <= 0 or self._waiters.stopping:
                    return job
                self._clock.sleep(min(_WAIT_STEP, left))

    def _known(self, key: IdempotencyKey | None) -> Job | None:
        known = self._jobs.known_key(key) if key is not None else None
        if key is None or known is None:
            return None
        if not key.shares_a_print(known):
            raise KeyReused("This Idempotency-Key was used for another request.")
        return self._jobs.get(known.job_id)

    def _read(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id) if _is_id(job_id) else None

    def _change(self, caller: str, job_id: str, change: Callable[[Job, Moment], Job]) -> Job:
        """Apply a change to a caller's job and save it, again on whatever somebody else has saved.

        修改并保存任务。
        """
        for _ in range(_TRIES):
            job = self.get(caller, job_id)
            new = change(job, Moment(self._clock.now()))
            if new is job:
                return job
            try:
                return self._jobs.save(job, new)
            except Conflict:
                continue
        raise Unavailable("The job is being changed by others; ask again.")


def _is_id(text: str) -> bool:
    return len(text) == 26 and text.isascii() and text.isalnum()


__all__ = ["JobService", "NewJob", "idempotency_key"]
