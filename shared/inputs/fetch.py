"""Fetches a file from a URL that a caller names: under the rules for addresses, within bounds.

Every hop of a redirect is judged and pinned anew, as the first one was. What is told of a failure
is said in fixed words: a server's own may be anything, and addresses are nobody's business.

从调用方给出的地址下载文件：遵守地址规则，限制大小与时间。
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

import httpcore
import httpx

from shared.clock import Deadline
from shared.inputs.remote import FETCH_SECONDS, FetchFailed, FileTooLarge
from shared.outbound.connection import PinnedNetwork
from shared.outbound.failures import FAILURES, describe
from shared.outbound.resolvers import Resolvers
from shared.outbound.url_policy import (
    Pinned,
    Policy,
    TargetRefused,
    TargetUnresolved,
    resolve,
)

AGENT = "Maquette/0.1"


@dataclass(frozen=True)
class Limits:
    """How long one fetch may take in seconds, redirects included: in all, to connect, for each
    read. How many redirects are followed, and how many bytes may come beside the file's own.

    一次下载的时间、跳转次数与额外数据上限。
    """

    total: float = FETCH_SECONDS
    connect: float = 5.0
    read: float = 20.0
    redirects: int = 5
    overhead: int = 2**20


class WebFetcher:
    """Fetches by https (and http where `policy` says so), from checked addresses alone.

    Each request has a connection of its own: no proxies, cookies, credentials or reused
    connections. `verify` is whom TLS trusts; by default the same as everywhere in httpx.

    网络文件下载器。
    """

    def __init__(
        self,
        policy: Policy,
        *,
        limits: Limits | None = None,
        verify: ssl.SSLContext | None = None,
        agent: str = AGENT,
        resolvers: Resolvers | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._policy = policy
        self._verify = verify or httpx.create_ssl_context()
        self._agent = agent
        self._resolvers = resolvers or Resolvers(policy.resolver)

    @contextmanager
    def fetch(
        self, owner: str, url: str, most: int, deadline: Deadline
    ) -> Iterator[Iterator[bytes]]:
        """The bytes of a file as they come, `most` of them at most; raises `FetchFailed`.

        打开一个网络文件并逐块读取。
        """
        budget = deadline.within(self.limits.total)
        with ExitStack() as opened:
            with _explained():
                response = self._follow(owner, url, most, budget, opened)
            # Outside of it: what the reader raises for reasons of his own is not the server's.
            yield _bounded(response, most)

    def _follow(
        self, owner: str, url: str, most: int, budget: Deadline, opened: ExitStack
    ) -> httpcore.Response:
        """The answer that brings the file, after the redirects before it; `opened` closes it.

        沿跳转找到文件。
        """
        for hop in range(self.limits.redirects + 1):
            try:
                pinned = self._resolve(owner, url, budget)
            except TargetRefused as refusal:
                which = "it redirects to a URL that" if hop else "its URL"
                raise FetchFailed(f"{which} {refusal}") from None
            with ExitStack() as line:
                response = line.enter_context(self._answer(pinned, most, budget))
                if response.status not in _REDIRECTS:
                    _check(response, most)
                    opened.push(line.pop_all())
                    return response
                url = _next(url, response)
        raise FetchFailed("its URL redirects too many times")

    def _resolve(self, owner: str, url: str, budget: Deadline) -> Pinned:
        def look_up(host: str, port: int) -> Sequence[str]:
            return self._resolvers.look_up(owner, host, port, budget.limit(self.limits.connect))

        return resolve(url, self._policy, look_up)

    @contextmanager
    def _answer(self, pinned: Pinned, most: int, budget: Deadline) -> Iterator[httpcore.Response]:
        """The answer to one request, its body not read yet.

        发出一次请求。
        """
        target = pinned.target
        url = httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        headers = {
            "host": target.authority,
            "user-agent": self._agent,
            "accept": "*/*",
            # What is unpacked on the way could grow without end: the file as it is, or nothing.
            "accept-encoding": "identity",
            "connection": "close",
        }
        # Interim answers, and the lengths around the pieces of a body, are no bytes of the file.
        heard = _Meter(2 * most + self.limits.overhead)
        network = PinnedNetwork(pinned.addresses, self.limits.connect, budget, heard)
        with (
            httpcore.HTTPConnection(url.origin, self._verify, network_backend=network) as line,
            line.stream(
                "GET",
                url,
                headers=[(name.encode(), value.encode()) for name, value in headers.items()],
                extensions={"timeout": {"read": self.limits.read}},
            ) as response,
        ):
            yield response


class _Meter:
    """Counts what comes in, of whatever kind, and raises where it is too much."""

    def __init__(self, most: int) -> None:
        self._left = most

    def __call__(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise FetchFailed("the server sends too much beside the file itself")


@contextmanager
def _explained() -> Iterator[None]:
    """What goes wrong on the way, as `FetchFailed`."""
    try:
        yield
    except TargetUnresolved as problem:
        raise FetchFailed(str(problem), passing=True) from None
    except FAILURES as problem:
        raise FetchFailed(describe(problem), passing=True) from None


_REDIRECTS = (301, 302, 303, 307, 308)
_LATER = (408, 425, 429)
_LONGEST_HINT = 10


def _check(response: httpcore.Response, most: int) -> None:
    """Raise `FetchFailed` unless an answer brings a file, as it is and of `most` bytes at most.

    检查应答是否带来文件。
    """
    status = response.status
    if status != 200:
        passing = status >= 500 or status in _LATER
        wait = _header(response, b"retry-after")
        seconds = float(wait) if re.fullmatch(rf"[0-9]{{1,{_LONGEST_HINT}}}", wait) else None
        raise FetchFailed(f"the server answered {status}", passing=passing, retry_after=seconds)
    if _header(response, b"content-encoding").lower() not in ("", "identity"):
        raise FetchFailed("the server sent the file compressed, which it was asked not to do")
    length = _header(response, b"content-length")
    # Far from any number that is too large to be read as one.
    if re.fullmatch(r"[0-9]{1,30}", length) and int(length) > most:
        raise _too_large(most)


def _bounded(response: httpcore.Response, most: int) -> Iterator[bytes]:
    """The pieces of a body, until there are more than `most` bytes.

    逐块读取，超出上限即停止。
    """
    left = most
    with _explained():
        for piece in response.iter_stream():
            left -= len(piece)
            if left < 0:
                raise _too_large(most)
            yield piece


def _too_large(most: int) -> FileTooLarge:
    return FileTooLarge(f"the file has more than {most} bytes")


def _next(url: str, response: httpcore.Response) -> str:
    """Where a redirect leads; it is judged as the first URL was.

    跳转的目标地址。
    """
    values = [value for name, value in response.headers if name.lower() == b"location"]
    if len(values) != 1:
        raise FetchFailed("its URL redirects, but not to one place")
    # As browsers do: what is no ASCII is percent-encoded, and a fragment is nobody's to send.
    place = "".join(chr(byte) if 0x21 <= byte < 0x7F else f"%{byte:02X}" for byte in values[0])
    try:
        return urljoin(url, place.partition("#")[0])
    except ValueError:
        raise FetchFailed("its URL redirects to what is no URL") from None


def _header(response: httpcore.Response, name: bytes) -> str:
    """A header's value, "" where there is none; that of the first, where there are several."""
    for given, value in response.headers:
        if given.lower() == name:
            return value.decode("latin-1").strip()
    return ""
