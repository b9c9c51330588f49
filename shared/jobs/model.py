"""What a job is: one frozen value, and the document it is kept as.

任务的定义，以及它在任务表中的样子。
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from shared.store.base import Record
from shared.store.tables import LANES


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


class Queue(str, Enum):
    """The queues of due work: looks at running tasks, steps of `poll`, steps of `postprocess`.

    Looks are apart from steps because they are batched and hold no lease.

    到期工作的队列。
    """

    CHECK = "check"
    STEP = "step"
    PROCESS = "process"


@dataclass(frozen=True)
class InputFile:
    """One input picture, kept in the bucket under `key`; `bytes` is its size.

    一张保存好的输入图片。
    """

    key: str
    media_type: str
    bytes: int
    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class JobInput:
    """What was asked: a prompt, pictures by role, options as the provider's model gives them.

    任务的输入。
    """

    prompt: str | None = None
    images: Mapping[str, InputFile] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """One create: exactly what was or will be sent, saved before it is sent.

    `begun_at` (ms) is when it was saved; `key` is its idempotency key, `<job>:<number>`.

    一次创建尝试。
    """

    number: int
    key: str
    credential: str
    path: str
    body: str
    mark: str | None
    begun_at: int


@dataclass(frozen=True)
class ResultFile:
    """One file of the result on its way: a link, then a stored object with size and hash.

    `key`, `bytes` and `sha256` are None until the file is stored under `incoming/`.

    一个正在保存的结果文件。
    """

    role: str
    url: str
    media_type: str
    key: str | None = None
    bytes: int | None = None
    sha256: str | None = None

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


@dataclass(frozen=True)
class JobError:
    """Why a job did not succeed; `provider` holds the provider's own code and message.

    任务失败的原因。
    """

    code: str
    message: str
    retryable: bool
    provider: Mapping[str, str | None] | None = None


@dataclass(frozen=True)
class Receipt:
    """What was asked of the provider: creates that may have been charged, looks, credits.

    与生成服务打交道的次数与花费。
    """

    creates: int = 0
    checks: int = 0
    provider_credits: float | None = None


@dataclass(frozen=True)
class HistoryEntry:
    """One change of status.

    一次状态变化。
    """

    at: int
    status: str
    note: str | None = None


@dataclass(frozen=True)
class Job:
    """One request to generate something. All times are milliseconds since 1970 UTC.

    `entered_at` is when the status was entered, `started_at` when the provider took the task,
    `generated_at` when it was seen done. `attempts` counts the creates that were begun, so that
    each has a key of its own. `misses` counts looks in a row at which the provider
    did not know the task; `fetches` how often the result's links were taken afresh; `failures`
    the failed tries of the present step, for its backoff. `looks` counts claims since the last
    save. `cancel_cause` is "caller" or "deadline" while and after canceling.

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

    @property
    def queue(self) -> Queue | None:
        """Which queue the job is due in; None once it has ended.

        任务所在的队列。
        """
        if self.status.terminal:
            return None
        if self.status is Status.PROCESSING:
            return Queue.PROCESS
        if self.status is Status.RUNNING or (self.status is Status.CANCELING and self.task_id):
            return Queue.CHECK
        return Queue.STEP


def lane_of(key: str) -> int:
    """The lane of a record: a hash of its key, the same on every machine.

    由编号算出所在的分道。
    """
    return zlib.crc32(key.encode()) % LANES


_OUTSIDE = ("id", "due_at", "claims", "version", "looks")


def to_record(job: Job) -> Record:
    """The record a job is kept as.

    把任务变成记录。
    """
    document = dataclasses.asdict(job)
    for name in _OUTSIDE:
        del document[name]
    document["status"] = job.status.value
    # Claims raise the version without touching the document: the difference counts the looks.
    document["saved_as"] = job.version + 1
    queue = job.queue
    return Record(
        key=job.id,
        document=document,
        fields={
            "queue": queue.value if queue else None,
            "lane": lane_of(job.id) if queue else None,
            "caller": job.caller,
            "status": job.status.value,
        },
        due_at=job.due_at if queue else None,
        claims=job.claims,
        version=job.version,
    )


def from_record(record: Record) -> Job:
    """The job a record holds; unknown members, written by newer code, are passed over.

    从记录还原任务。
    """
    kept = record.document
    values = {name: kept[name] for name in _PLAIN if name in kept}
    return Job(
        **values,
        id=record.key,
        status=Status(kept["status"]),
        input=_input(kept["input"]),
        attempt=_maybe(Attempt, kept.get("attempt")),
        files=tuple(_build(ResultFile, item) for item in kept.get("files", ())),
        artifacts=tuple(_build(Artifact, item) for item in kept.get("artifacts", ())),
        warnings=tuple(kept.get("warnings", ())),
        error=_maybe(JobError, kept.get("error")),
        receipt=_build(Receipt, kept.get("receipt", {})),
        history=tuple(_build(HistoryEntry, item) for item in kept.get("history", ())),
        due_at=record.due_at,
        claims=record.claims,
        version=record.version,
        looks=max(0, record.version - kept.get("saved_as", record.version)),
    )


_BUILT = frozenset(
    {"status", "input", "attempt", "files", "artifacts", "warnings", "error", "receipt", "history"}
)
_PLAIN = tuple(
    item.name
    for item in dataclasses.fields(Job)
    if item.name not in _BUILT and item.name not in _OUTSIDE
)


def _input(kept: Mapping[str, Any]) -> JobInput:
    images = {role: _build(InputFile, item) for role, item in kept.get("images", {}).items()}
    return JobInput(prompt=kept.get("prompt"), images=images, options=kept.get("options", {}))


def _build(cls: type[Any], kept: Mapping[str, Any]) -> Any:
    known = {item.name for item in dataclasses.fields(cls)}
    return cls(**{name: value for name, value in kept.items() if name in known})


def _maybe(cls: type[Any], kept: Mapping[str, Any] | None) -> Any:
    return None if kept is None else _build(cls, kept)
