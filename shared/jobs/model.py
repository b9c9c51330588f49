"""What a job is: one frozen value, and the document it is kept as.

任务的定义，以及它在任务表中的样子。
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from shared.inputs.files import InputFile
from shared.inputs.remote import RemoteInput
from shared.records import Codec
from shared.store.base import Record
from shared.values import replace


class Status(str, Enum):
    """Where a job stands; the four last are terminal.

    任务的状态。
    """

    QUEUED = "queued"
    SUBMITTING = "submitting"
    RUNNING = "running"
    STORING = "storing"
    PROCESSING = "processing"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        """Whether this status is never left again.

        是否为最终状态。
        """
        return self in TERMINAL


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.EXPIRED})


FORMAT = 3
"""The newest format of a job's document. 1 had lanes, queues of all providers in one, and no
number. 3 has inputs that are still to be fetched: older code would submit the job without them; or
that are models: older code knows pictures alone."""
_WITHOUT_URLS = 2
"""The format of a job that has all its inputs: what older code can go on with, it may."""

FETCH = "fetch"
"""The queue of jobs that wait for inputs from the web."""
PROCESS = "process"
"""The queue of jobs whose files are to be looked at: what was fetched for them, or what came of
them, which is then published."""
OLD_QUEUES = ("check", "step", "process")
"""The queues of format 1, each in `OLD_LANES` lanes."""


def step_queue(provider: str) -> str:
    """The queue of jobs that a provider is to be given, or whose create was never answered.

    提交队列。
    """
    return f"step:{provider}"


def check_queue(provider: str) -> str:
    """The queue of looks at a provider's tasks; they are batched and hold no lease.

    查询队列。
    """
    return f"check:{provider}"


def store_queue(provider: str) -> str:
    """The queue of a provider's results that are to be fetched.

    下载队列。
    """
    return f"store:{provider}"


def queues_of(provider: str) -> tuple[str, ...]:
    """The queues of one provider.

    某个生成服务的全部队列。
    """
    return step_queue(provider), check_queue(provider), store_queue(provider)


@dataclass(frozen=True)
class JobInput:
    """What was asked: a prompt, files by role, options as the provider's model gives them.

    `images` are kept and checked, `urls` those that are not yet: to be fetched, or fetched and to
    be looked at. A role is in one of the two.

    任务的输入。
    """

    prompt: str | None = None
    images: Mapping[str, InputFile] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    urls: Mapping[str, RemoteInput] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unfetched(self) -> str | None:
        """The first role whose file is still to be fetched; None where there is none.

        尚待下载的第一个角色。
        """
        return next((role for role, remote in self.urls.items() if not remote.fetched), None)


@dataclass(frozen=True)
class Attempt:
    """One create: exactly what was or will be sent, saved before it is sent.

    `begun_at` (ms) is when it was saved; `key` is its idempotency key, `<job>:<number>`, of the job
    that it was begun for: a retry may take it over. `unanswered` is how often it was sent and not
    answered, as far as that is known.

    一次创建尝试。
    """

    number: int
    key: str
    credential: str
    path: str
    body: str
    mark: str | None
    begun_at: int
    unanswered: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def is_taken_over_by(self, job_id: str) -> bool:
        """Whether this create was begun for a job before this one.

        是否由先前的任务接手而来。
        """
        return self.key.partition(":")[0] != job_id


@dataclass(frozen=True)
class ResultFile:
    """One file of the result on its way: a link, then a stored object with size and hash.

    `key`, `bytes` and `sha256` are None until the file is stored under `incoming/`. `refused` is
    the hash of what came first and was found broken: the same again is what the provider means.

    一个正在保存的结果文件。
    """

    role: str
    url: str
    media_type: str
    key: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    refused: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stored(self) -> bool:
        """Whether the file is in the bucket, with its size and hash known.

        是否已保存。
        """
        return self.sha256 is not None


@dataclass(frozen=True)
class Artifact:
    """One published file: its role and name, where it is, what is in it.

    一个已发布的成果文件。
    """

    role: str
    name: str
    key: str
    media_type: str
    bytes: int
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobError:
    """Why a job did not succeed; `provider` holds the provider's own code and message.

    任务失败的原因。
    """

    code: str
    message: str
    retryable: bool
    provider: Mapping[str, str | None] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Receipt:
    """What was asked of the provider: creates that may have been charged, looks, credits, how often
    it was too busy to take the task.

    A create that a retry sends once more, with the key of the job before it, counts for both: the
    provider charges it once.

    与生成服务打交道的次数与花费。
    """

    creates: int = 0
    checks: int = 0
    provider_credits: float | None = None
    busy: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pace:
    """How a task gets on: its progress (per cent) at two looks, `low` at `begun_at` and `high` at
    `seen_at` (ms), the first one no news since; and when (ms) the provider says that it will end.

    任务的进度快慢，以及生成服务预计的结束时间。
    """

    begun_at: int
    seen_at: int
    low: int = 0
    high: int = 0
    ends_at: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HistoryEntry:
    """One change of status.

    一次状态变化。
    """

    at: int
    status: str
    note: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One request to generate something. All times are milliseconds since 1970 UTC.

    `entered_at` is when the status was entered, `started_at` when the provider took the task,
    `generated_at` when it was seen done. `eta_at` is when the task is expected to end, as far as
    that is known, `pace` what its looks have shown of that. `attempts` counts the creates that were
    begun, so that each has a key of its own. `misses` counts looks in a row at which the provider
    did not know the task; `fetches` how often the result's links were taken afresh; `failures`
    the failed tries of the present step, for its backoff. `looks` counts claims since the last
    save. `cancel_cause` is "caller" or "deadline" while and after canceling.

    `may_be_billed` says that the provider may have charged, or may yet charge, for this job's task:
    from just before its create is sent, until a definite word that nothing is charged (the create
    was refused, the task failed or was stopped). A retry that takes over a task or an unanswered
    create takes this over with it; it is the same charge.

    一个生成任务。
    """

    id: str
    kind: str
    provider: str
    caller: str
    created_at: int
    input: JobInput
    status: Status = Status.QUEUED
    priority: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    callback_url: str | None = None
    trace: Mapping[str, str] = field(default_factory=dict)
    updated_at: int = 0
    entered_at: int = 0
    started_at: int | None = None
    generated_at: int | None = None
    finished_at: int | None = None
    progress: int = 0
    eta_at: int | None = None
    pace: Pace | None = None
    attempts: int = 0
    attempt: Attempt | None = None
    task_id: str | None = None
    misses: int = 0
    fetches: int = 0
    failures: int = 0
    files: tuple[ResultFile, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    warnings: tuple[str, ...] = ()
    error: JobError | None = None
    cancel_cause: str | None = None
    may_be_billed: bool = False
    receipt: Receipt = field(default_factory=Receipt)
    history: tuple[HistoryEntry, ...] = ()
    retry_of: str | None = None
    retried_as: str | None = None
    deleted_at: int | None = None
    due_at: int | None = None
    claims: int = 0
    version: int = 0
    looks: int = 0
    format: int = _WITHOUT_URLS
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def watched(self) -> bool:
        """Whether the provider works on a task of this job, so that it is to be looked at.

        是否需要查询远端任务。
        """
        canceled = self.status is Status.CANCELING and bool(self.task_id)
        return self.status is Status.RUNNING or canceled

    @property
    def queue(self) -> str | None:
        """Which queue the job is due in; None once it has ended.

        任务所在的队列。
        """
        if self.status.terminal:
            return None
        if self.status is Status.PROCESSING:
            return PROCESS
        if self.status is Status.QUEUED and self.input.urls:
            return FETCH if self.input.unfetched is not None else PROCESS
        if self.status is Status.STORING:
            return store_queue(self.provider)
        return check_queue(self.provider) if self.watched else step_queue(self.provider)


_OUTSIDE = ("id", "due_at", "claims", "version", "looks")


def to_record(job: Job) -> Record:
    """The record a job is kept as; raises `Unreadable` for one of a newer format.

    把任务变成记录。
    """
    document = _CODEC.dump(job)
    # Claims raise the version without touching the document: the difference counts the looks.
    document["saved_as"] = job.version + 1
    queue = job.queue
    return Record(
        key=job.id,
        document=document,
        fields={
            "queue": queue,
            "lane": 0 if queue else None,
            "caller": job.caller,
            "status": job.status.value,
        },
        due_at=job.due_at if queue else None,
        claims=job.claims,
        version=job.version,
    )


def from_record(record: Record, *, own: bool = False) -> Job:
    """The job a record holds; raises `Unreadable`, and if it is to be this code's `own` to work on
    and write, also for one of a newer format.

    从记录还原任务。
    """
    saved_as = record.document.get("saved_as")
    looks = record.version - saved_as if isinstance(saved_as, int) else 0
    load = _CODEC.load_own if own else _CODEC.load
    job = load(
        record,
        id=record.key,
        due_at=record.due_at,
        claims=record.claims,
        version=record.version,
        looks=max(0, looks),
    )
    if "format" not in record.document and _is_billable(job):
        return replace(job, may_be_billed=True)
    return job


def _is_billable(job: Job) -> bool:
    """What `may_be_billed` says in format 2; format 1 said it of unsuccessful ends alone."""
    if job.status.terminal:
        return job.may_be_billed or job.status is Status.SUCCEEDED
    return job.status is not Status.QUEUED


def _format_of(job: Job) -> int:
    pictures_alone = all(file.width is not None for file in job.input.images.values())
    return _WITHOUT_URLS if pictures_alone and not job.input.urls else FORMAT


_CODEC = Codec(Job, "jobs", known=FORMAT, outside=_OUTSIDE, beside=("saved_as",), needed=_format_of)
