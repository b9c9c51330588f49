"""A web for jobs' tests: files by their URLs, and what goes wrong with them.

测试用的网络：按网址提供文件，可按指令出错。
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.clock import Deadline
from shared.inputs.remote import FetchFailed, FileTooLarge

_CHUNK = 10_000


class TimedOut(FetchFailed):
    """No answer came in time."""

    def __init__(self, reason: str = "timed out while waiting for the answer") -> None:
        super().__init__(reason, passing=True)


class Web:
    """Gives what `files` holds under a URL: bytes, an error to raise, or a call that does either.

    `asked` are the fetches in the order of their beginning: whose, and of what.

    测试用的下载器。
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes | Exception | Callable[[], bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    @contextmanager
    def fetch(
        self, owner: str, url: str, most: int, deadline: Deadline
    ) -> Iterator[Iterator[bytes]]:
        with self._lock:
            self.asked.append((owner, url))
        found = self.files.get(url, FetchFailed("the server answered 404"))
        data = found() if callable(found) else found
        if isinstance(data, Exception):
            raise data
        yield _pieces(data, most)


def _pieces(data: bytes, most: int) -> Iterator[bytes]:
    for start in range(0, len(data), _CHUNK):
        if start + _CHUNK > most:
            raise FileTooLarge(f"the file has more than {most} bytes")
        yield data[start : start + _CHUNK]
