"""An input that lies on the web: what a job keeps of it until it is fetched, and who fetches it.

网络上的输入文件：任务保存的信息，以及负责下载的接口。
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.clock import Deadline

FETCH_SECONDS = 45.0
"""How long one fetch may take, from the look-up of the name to the last byte."""


@dataclass(frozen=True)
class RemoteInput:
    """A file on the web that a job was asked with; `tries` counts the fetches that failed.

    Once it is fetched `key` says where in the bucket it lies as it came, not looked at yet, with
    its size and hash. What it was found to be stands beside it, under the same role.

    任务的网络输入：地址、失败次数，以及下载后的原始文件。
    """

    # Not in logs: it may be a signed link.
    url: str = field(repr=False)
    tries: int = 0
    key: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fetched(self) -> bool:
        """Whether the file is in the bucket.

        是否已下载。
        """
        return self.key is not None


def shown_url(url: str) -> str:
    """A URL as a job shows it: without its query, which may be the signature of a link.

    对外显示的网址（不含查询部分）。
    """
    path, mark, _ = url.partition("?")
    return f"{path}?…" if mark else path


class FetchFailed(Exception):
    """A file could not be fetched; the message says why in a few words, for the caller, without the
    URL. `passing`: it may be there later, after `retry_after` seconds where the server said so.

    下载失败；`passing` 表示稍后可能成功。
    """

    def __init__(
        self, reason: str, *, passing: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing
        self.retry_after = retry_after


class FileTooLarge(FetchFailed):
    """The file has more bytes than were allowed for.

    文件过大。
    """


class Fetcher(Protocol):
    """Fetches files from addresses that callers name, each within `FETCH_SECONDS`.

    下载网络文件的接口。
    """

    def fetch(
        self, owner: str, url: str, most: int, deadline: Deadline
    ) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes of a file as they come, in constant memory, `most` of them at most.

        Entering and reading raise `FetchFailed`. `owner` is whose file it is: the look-ups of names
        that nobody answers for are counted by owner.

        打开一个网络文件并逐块读取。
        """
