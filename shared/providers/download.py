"""Fetching a result file from a link: in constant memory, never past the deadline.

No key goes along, but to where the adapter says so, each redirect asked about anew.

从链接流式下载结果文件。
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx

from shared.clock import Deadline, OutOfTime
from shared.providers.base import Download, DownloadFailed
from shared.providers.http import Connections, cut_off

CHUNK = 1 << 20
MAX_REDIRECTS = 3
# Storage gives megabytes a second. At this rate the largest file would take a day and a half, and
# all the while a thread and a connection that others wait for.
LEAST_RATE = 16 << 10
"""Bytes a second, on the average of `RATE_SECONDS` of waiting."""
RATE_SECONDS = 30.0
GZIP = ("gzip", "x-gzip")
# A fresh link may help. 400 is what S3 says when the credentials that signed the link have ended.
EXPIRED = frozenset({400, 401, 403, 404, 410})
# Errors that come with status 200.
NOTICES = ("/html", "/xhtml+xml", "/json", "/problem+json", "/xml")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


Headers = Callable[[httpx.URL], Mapping[str, str]]
"""What to send along with a request for a URL."""


def _nothing(url: httpx.URL) -> Mapping[str, str]:
    return {}


@contextmanager
def download(
    connections: Connections,
    url: str,
    deadline: Deadline,
    max_bytes: int,
    headers: Headers = _nothing,
) -> Iterator[Download]:
    """Open a result link, of which at most `max_bytes` are read; `headers` go with each request.

    Raises `DownloadFailed` where the link does not give a file, and `OutOfTime` once the deadline
    has passed. Reading the chunks (a mebibyte each) raises the same.

    以恒定内存流式下载结果文件。
    """
    deadline.check()
    response = _follow(connections, url, deadline, headers)
    with cut_off(response, deadline):
        length = _announced(response, max_bytes)
        pieces = _pieces(response, length, deadline)
        if _encoding(response) in GZIP:
            # How long the file itself is, is not said.
            length, pieces = None, _unzipped(pieces)
        yield Download(length, _chunks(pieces, deadline, max_bytes))


def _follow(
    connections: Connections, url: str, deadline: Deadline, headers: Headers
) -> httpx.Response:
    """Open a link and follow its redirects, each asked about anew.

    打开链接并跟随重定向。
    """
    target = _link(url)
    for _ in range(MAX_REDIRECTS + 1):
        with _failures(deadline, "the result link does not answer"):
            response = connections.open(target, deadline, headers(target))
        if not response.has_redirect_location:
            return response
        response.close()
        source, target = target, _link(response.headers["Location"], target)
        downgraded = (source.scheme, target.scheme) == ("https", "http")
        if downgraded and not {source.host, target.host} <= LOOPBACK:
            raise DownloadFailed("the result link redirects from https to http")
    raise DownloadFailed(f"the result link redirects more than {MAX_REDIRECTS} times")


def _link(text: str, source: httpx.URL | None = None) -> httpx.URL:
    try:
        url = source.join(text) if source else httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise DownloadFailed("the result link is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise DownloadFailed("the result link is not a plain http or https URL")
    return url


def _announced(response: httpx.Response, max_bytes: int) -> int | None:
    """The length that an answer announces, if it is a file's; raises `DownloadFailed` else.

    读取应答声明的长度。
    """
    status = response.status_code
    if status != 200:
        raise DownloadFailed(f"the result link answers {status}", expired=status in EXPIRED)
    found = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if found.endswith(NOTICES):
        raise DownloadFailed(f"the result link gives {found}, not a file", broken=True)
    if _encoding(response) not in ("identity", *GZIP):
        raise DownloadFailed("the result link gives an encoded file, which was not asked for")
    text = response.headers.get("Content-Length", "")
    length = int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None
    if length is not None and length > max_bytes:
        raise DownloadFailed(f"the result has {length} bytes, more than {max_bytes}")
    return length


def _encoding(response: httpx.Response) -> str:
    return str(response.headers.get("Content-Encoding", "identity")).strip().lower()


def _chunks(pieces: Iterator[bytes], deadline: Deadline, max_bytes: int) -> Iterator[bytes]:
    """What arrives, in chunks that are worth passing on; never none at all, and never too much.

    把到达的数据合并成较大的块。
    """
    received, waiting = 0, bytearray()
    for piece in pieces:
        deadline.check()
        received += len(piece)
        if received > max_bytes:
            raise DownloadFailed(f"the result has more than {max_bytes} bytes")
        waiting += piece
        if len(waiting) >= CHUNK:
            yield bytes(waiting)
            waiting.clear()
    if received == 0:
        raise DownloadFailed("the result is empty")
    yield bytes(waiting)


def _pieces(response: httpx.Response, length: int | None, deadline: Deadline) -> Iterator[bytes]:
    """The body as it comes over the wire, at no less than the least rate, to its announced end.

    逐段读取，并要求最低速度。
    """
    received = counted = 0
    waited, before = 0.0, deadline.remaining()
    with _failures(deadline, "the result broke off"):
        for piece in response.iter_raw():
            now = deadline.remaining()
            # Only what the link takes: whoever reads may be slow as well.
            waited, counted = waited + before - now, counted + len(piece)
            if waited >= RATE_SECONDS:
                if counted < LEAST_RATE * waited:
                    raise DownloadFailed(f"the result comes at {counted / waited:.0f} bytes/s")
                waited, counted = 0.0, 0
            received += len(piece)
            yield piece
            before = deadline.remaining()
    if length is None:
        # A connection that was cut off looks like one that came to its end.
        deadline.check()
    elif received != length:
        raise DownloadFailed(f"the result ended after {received} of {length} bytes")


def _unzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What gzip holds, a bounded piece at a time.

    解压 gzip 内容。
    """
    unzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        for piece in pieces:
            while piece and not unzip.eof:
                yield unzip.decompress(piece, CHUNK)
                piece = unzip.unconsumed_tail
    except zlib.error:
        raise DownloadFailed("the result link gives a broken gzip file", broken=True) from None
    if not unzip.eof:
        raise DownloadFailed("the result ended within its gzip file")


@contextmanager
def _failures(deadline: Deadline, what: str) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.StreamError, OSError) as fault:
        # A time-out cut short by the deadline says nothing about the provider.
        if deadline.remaining() <= 0.05:
            raise OutOfTime from None
        raise DownloadFailed(f"{what} ({type(fault).__name__})") from None
