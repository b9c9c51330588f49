"""The protocol every generator is spoken to through, and its one family of errors.

所有生成服务的统一接口与错误类型。
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from shared.buckets.base import Reader
from shared.clock import Deadline


class ProviderError(Exception):
    """A provider's answer that is not what was hoped for; `code` and `message` are its own.

    `raw` is all that it said, for the operator's log alone: `message` may get to callers.

    生成服务返回的错误。
    """

    def __init__(self, message: str, *, code: str | None = None, raw: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.raw = message if raw is None else raw


class Rejected(ProviderError):
    """The request was refused for what it says; sending it again changes nothing.

    请求内容被拒绝，重发无用。
    """


class Unauthorized(ProviderError):
    """The provider does not accept the credential.

    凭证无效。
    """


class OutOfCredit(ProviderError):
    """The account has no credit left.

    账户余额不足。
    """


class RateLimited(ProviderError):
    """Too many requests or tasks at once; nothing was done. `retry_after` is in seconds.

    请求过于频繁，稍后再试。
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        raw: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, raw=raw)
        self.retry_after = retry_after


class ProviderUnavailable(ProviderError):
    """The provider cannot answer now, and for certain nothing was done.

    `retry_after` is in seconds, where it says when to come again.

    服务暂时不可用，且确定没有执行。
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        raw: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, raw=raw)
        self.retry_after = retry_after


class NotReadYet(ProviderUnavailable):
    """A search goes on: what was read so far does not tell. The provider itself is well.

    查找尚未完成，暂时无法判断。
    """


class UnknownOutcome(ProviderError):
    """The request went out and no answer says whether it was carried out.

    请求已发出，但结果未知。
    """


class DownloadFailed(ProviderError):
    """A result file could not be fetched whole; `expired` if a fresh link is needed, `broken` if
    something else came in its place.

    结果文件没能完整下载。
    """

    def __init__(self, message: str, *, expired: bool = False, broken: bool = False) -> None:
        super().__init__(message)
        self.expired = expired
        self.broken = broken


@dataclass(frozen=True)
class InputImage:
    """One input picture and how to read it.

    一张输入图片。
    """

    media_type: str
    bytes: int
    sha256: str
    open: Callable[[], AbstractContextManager[Reader]]


@dataclass(frozen=True)
class Ask:
    """What is to be made, in Maquette's words; `images` by role (image, front, left, ...).

    要生成什么。
    """

    kind: str
    prompt: str | None
    images: Mapping[str, InputImage]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One create, exactly as it will be sent; kept on the job before it is sent.

    `body` is the exact text of the body. `mark` is a value in it that no other create of ours
    has: by it an unanswered create is found again (None: it cannot be). `images` are the job's
    input pictures by role, for a create that carries them itself: they are never changed, so that
    `body` need only name them, by their hash.

    一次创建请求的完整内容。
    """

    path: str
    body: str
    mark: str | None
    images: Mapping[str, InputImage] = field(default_factory=dict)


@dataclass(frozen=True)
class RemoteFile:
    """One result file at the provider: its role (model, image), a link, its media type.

    生成服务上的一个结果文件。
    """

    role: str
    url: str
    media_type: str


Judge = Callable[
    [Mapping[str, Any], str, Mapping[str, Any], Collection[str]], "tuple[str, str] | None"
]
"""From what a provider told, a kind, its options and the roles of its inputs: the field that is
beyond that, and why; None where nothing is."""

Status = Literal["waiting", "running", "succeeded", "failed", "canceled", "missing"]


@dataclass(frozen=True)
class TaskState:
    """What the provider says of a task.

    `status` `running` also stands for every status that is not known. `progress` is 0..100.
    `eta_seconds` is the provider's own hint. `seconds` is how long the task took from its creation
    to its end, where the provider tells. `error` is its (code, message) if it failed.

    某个远端任务的状态。
    """

    status: Status
    progress: int | None = None
    eta_seconds: float | None = None
    files: tuple[RemoteFile, ...] = ()
    error: tuple[str, str] | None = None
    credits: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Download:
    """A result file on its way: its length in bytes if announced, and its chunks.

    Iterating raises `DownloadFailed` when the connection breaks or the length is not met, and
    `OutOfTime` when the deadline has passed.

    正在下载的结果文件。
    """

    length: int | None
    chunks: Iterator[bytes] = field(repr=False)


@dataclass(frozen=True)
class Wanted:
    """A create that nobody answered, and when (ms) it was begun.

    一个没有应答的创建及其开始时间。
    """

    request: Request
    since: int


class Adapter(Protocol):
    """The calls of one generator. A `credential` is a name; its secret is found anew at every call.

    一个生成服务的调用接口。
    """

    def prepare(self, ask: Ask, credential: str, deadline: Deadline) -> Request:
        """Upload what must be uploaded and build the create's exact request.

        Free of charge and repeatable. Raises the `ProviderError` family, never `UnknownOutcome`.

        上传输入并准备请求。
        """

    def submit(self, request: Request, key: str, credential: str, deadline: Deadline) -> str:
        """Send one create, once, and return the task's id.

        Raises `UnknownOutcome` when it cannot be told whether the task was created; every other
        `ProviderError` means that it was not.

        发送一次创建请求。
        """

    def check(
        self, task_ids: Sequence[str], credential: str, deadline: Deadline
    ) -> Mapping[str, TaskState]:
        """The states of up to `check_limit` tasks; one the provider does not know is `missing`.

        A task left out of the answer could not be read this time. Raises `ProviderError` when
        none could be.

        批量查询任务状态。
        """

    def cancel(self, task_id: str, credential: str, deadline: Deadline) -> bool:
        """Ask for a task to be stopped; False where the provider has no such call.

        请求取消任务。
        """

    def find(
        self, wanted: Sequence[Wanted], credential: str, deadline: Deadline
    ) -> Sequence[Sequence[str] | None]:
        """For each create in turn, the ids of tasks made since then that carry its mark.

        No ids mean that there is no such task; None, that this could not be told yet. Raises
        `NotReadYet`, or another `ProviderError`, where it could be told of none.

        按标记找回未应答的任务。
        """

    def download(
        self, file: RemoteFile, credential: str, deadline: Deadline
    ) -> AbstractContextManager[Download]:
        """Fetch a result file of a task of this credential; raises `DownloadFailed`.

        下载结果文件。
        """

    def ready(self, deadline: Deadline) -> None:
        """Raise `ProviderError` unless the provider answers and accepts every credential that may
        create.

        检查服务与凭证是否可用。
        """

    def limits(self, deadline: Deadline) -> Mapping[str, Any] | None:
        """What the provider tells of its own limits, as its declaration's `judge` reads it; None
        where it tells nothing.

        查询生成服务自述的限制。
        """

    def close(self) -> None:
        """Let go of connections; calling it twice is harmless.

        关闭连接。
        """


class Provider(Adapter, Protocol):
    """One generator: its calls, and what is known of it without asking.

    `options` maps each kind it makes to the pydantic model of that kind's options.
    `key_seconds`: for how long after a create the same idempotency key gives the same task; None
    where the provider takes no keys.
    `check_limit`: how many tasks one `check` may ask about.

    一个生成服务：调用接口与已知特性。
    """

    @property
    def name(self) -> str:
        """Its name in jobs and settings.

        名称。
        """

    @property
    def options(self) -> Mapping[str, type[BaseModel]]:
        """The model of the options of each kind it makes.

        各类任务的选项模型。
        """

    @property
    def key_seconds(self) -> float | None:
        """How long an idempotency key holds, in seconds; None where it takes none.

        幂等键的有效秒数。
        """

    @property
    def check_limit(self) -> int:
        """How many tasks one `check` may ask about.

        一次可查询的任务数。
        """

    @property
    def judge(self) -> Judge | None:
        """Tells what of a request is beyond the limits it told; None where it never tells any.

        按自述的限制检查请求；从不自述时为空。
        """
