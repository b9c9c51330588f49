"""What the HTTP adapters share: connections, bounded exchanges, retries of safe calls, downloads.

Three rules hold here so that no adapter has to remember them. A call that creates something goes
out once, on a connection of its own. Whatever is read has an end: in bytes, and in time. No secret
leaves: no key goes to a result link, no signed query into a message or a log line.

各 HTTP 生成服务共用的部分：连接、有界读取、安全重试与流式下载。
"""

from __future__ import annotations

import json
import logging
import math
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from shared.clock import Clock, Deadline, OutOfTime
from shared.providers.base import (
    Download,
    DownloadFailed,
    ProviderUnavailable,
    RateLimited,
    UnknownOutcome,
)

MAX_BODY = 16 << 20
CHUNK = 1 << 20
MAX_REDIRECTS = 3
ATTEMPTS = 3
# A wait longer than this is the caller's to plan: the job comes back when it is over.
LONGEST_WAIT = 10.0
LONGEST_RETRY_AFTER = 3600.0
MESSAGE_LENGTH = 300

# A fresh link may help. 400 is what S3 says when the credentials that signed the link have ended.
EXPIRED = frozenset({400, 401, 403, 404, 410})
# Errors that come as a page with status 200.
PAGES = frozenset({"text/html", "application/xhtml+xml"})
NOTICES = frozenset({"application/json", "application/problem+json", "application/xml", "text/xml"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_AGENT = "maquette/0.1"
_URL = re.compile(r"(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)
_KEY = re.compile(r"(tsk_|tcli_|\bsk-|Bearer )[^\s\"',;]+")

T = TypeVar("T")


class BodyTooLarge(Exception):
    """An answer's body is larger than `MAX_BODY`.

    应答内容过大。
    """


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for a connection, and for each read or write on it.

    连接与读写的等待秒数。
    """

    connect: float
    read: float

    def within(self, deadline: Deadline) -> httpx.Timeout:
        """The same, cut to what the deadline leaves.

        受剩余时间限制的超时设置。
        """
        read = deadline.limit(self.read)
        connect = deadline.limit(self.connect)
        return httpx.Timeout(connect=connect, pool=connect, read=read, write=read)


@dataclass(frozen=True)
class Answer:
    """A whole answer: status, headers and at most `MAX_BODY` bytes.

    一个完整的应答。
    """

    status: int
    headers: httpx.Headers
    body: bytes

    def json(self) -> Any:
        """The body as JSON; raises `ValueError` for whatever is none, NaN and deep nests included.

        把应答内容解析为 JSON。
        """
        try:
            return json.loads(self.body, parse_constant=_no_constant)
        except RecursionError:
            raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class Connections:
    """The process's HTTP clients, made when first needed and made anew after `close`.

    `fresh` keeps no connection alive. A server may close an idle one just as a request is written
    to it, and then nothing tells whether the request was carried out: for a call that creates
    something, a reused connection would produce such riddles by itself. A new one cannot.

    进程内共用的 HTTP 连接。
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[str, httpx.Client] = {}

    @property
    def kept(self) -> httpx.Client:
        """The client whose connections are kept alive, for calls that may be repeated.

        保持连接的客户端，用于可以重复的调用。
        """
        return self._client("kept", _limits(20))

    @property
    def fresh(self) -> httpx.Client:
        """The client that opens a new connection for each request, for creates.

        每次请求都新建连接的客户端，用于创建。
        """
        return self._client("fresh", _limits(0))

    def _client(self, name: str, limits: httpx.Limits) -> httpx.Client:
        with self._lock:
            if name not in self._clients:
                self._clients[name] = httpx.Client(
                    verify=_tls(),
                    limits=limits,
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                    headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"},
                )
            return self._clients[name]

    def close(self) -> None:
        """Close both clients; harmless when there are none.

        关闭所有连接。
        """
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()


def _limits(kept: int) -> httpx.Limits:
    return httpx.Limits(max_connections=100, max_keepalive_connections=kept, keepalive_expiry=15.0)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # Loading the certificates takes longer than anything else here; once is enough.
    return httpx.create_ssl_context()


CONNECTIONS = Connections()


def once(client: httpx.Client, request: httpx.Request, deadline: Deadline) -> Answer:
    """Send a request exactly once and read the answer; raises httpx's errors or `BodyTooLarge`.

    发送一次请求并读完应答。
    """
    response = client.send(request, stream=True, follow_redirects=False)
    with _cut_off(response, deadline):
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                raise BodyTooLarge
            if deadline.remaining() <= 0:
                raise httpx.ReadTimeout("the deadline passed while the answer was read")
        return Answer(response.status_code, response.headers, bytes(body))


def create(client: httpx.Client, request: httpx.Request, deadline: Deadline) -> Answer:
    """Send a request that creates something: once, never again.

    Raises `ProviderUnavailable` if it certainly never went out (no connection was made), and
    `UnknownOutcome` for everything that can go wrong after that.

    发送一次创建请求，绝不重发。
    """
    try:
        return once(client, request, deadline)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as fault:
        raise ProviderUnavailable(f"no connection ({type(fault).__name__})") from None
    except Exception as fault:
        raise UnknownOutcome(f"no readable answer ({type(fault).__name__})") from None


def safe(client: httpx.Client, request: httpx.Request, deadline: Deadline) -> Answer:
    """Send a request that may be repeated; raises `ProviderUnavailable` without a whole answer.

    发送一次可以重复的请求。
    """
    if deadline.remaining() <= 0:
        raise ProviderUnavailable("no time is left for this call")
    try:
        return once(client, request, deadline)
    except BodyTooLarge:
        raise ProviderUnavailable("the answer is too large") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as fault:
        raise ProviderUnavailable(f"no whole answer ({type(fault).__name__})") from None


def repeat(call: Callable[[], T], *, clock: Clock, deadline: Deadline) -> T:
    """Call up to `ATTEMPTS` times while it raises `ProviderUnavailable` or `RateLimited`.

    Waits what the provider asks for, else half a second doubling, with jitter; gives up at once
    where the wait is over `LONGEST_WAIT` or past the deadline. Only for calls safe to repeat.

    对可安全重复的调用进行重试。
    """

    def wait(state: RetryCallState) -> float:
        fault = state.outcome.exception() if state.outcome else None
        if isinstance(fault, RateLimited) and fault.retry_after is not None:
            return fault.retry_after
        return 0.5 * 2.0 ** (state.attempt_number - 1) * (0.5 + clock.chance())

    def stop(state: RetryCallState) -> bool:
        wait_for = state.upcoming_sleep
        late = wait_for > LONGEST_WAIT or wait_for >= deadline.remaining()
        return late or state.attempt_number >= ATTEMPTS

    retrying = Retrying(
        retry=retry_if_exception_type((ProviderUnavailable, RateLimited)),
        wait=wait,
        stop=stop,
        sleep=clock.sleep,
        reraise=True,
    )
    return retrying(call)


def retry_after(headers: Mapping[str, str], now: int) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or a date (RFC 9110, 10.2.3).

    None where it is missing or junk; never below 0 or above `LONGEST_RETRY_AFTER`. `now` in ms.

    解析 Retry-After。
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[+-]?\d+(\.\d*)?", text, re.ASCII):
        seconds = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=timezone.utc)
            seconds = moment.timestamp() - now / 1000
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if not math.isnan(seconds) else None


def clean(text: object, length: int = MESSAGE_LENGTH) -> str:
    """Foreign text fit for a message: no keys, no URL queries, no control characters, not long.

    清理外来文本：去掉密钥和链接签名。
    """
    line = "".join(c if c.isprintable() else " " for c in str(text)[: 20 * length])
    return _KEY.sub(r"\1…", _URL.sub(r"\1?…", line))[:length].strip()


@contextmanager
def download(
    client: httpx.Client,
    url: str,
    media_type: str,
    deadline: Deadline,
    *,
    max_bytes: int,
    patience: Patience,
) -> Iterator[Download]:
    """Fetch a result link in constant memory, without any credential.

    Raises `DownloadFailed` where the link does not give a file of at most `max_bytes`, and
    `OutOfTime` once the deadline has passed. Reading the chunks raises the same.

    以恒定内存流式下载结果文件。
    """
    deadline.check()
    response = _follow(client, url, media_type, deadline, patience)
    with _cut_off(response, deadline):
        length = _announced(response, media_type, max_bytes)
        yield Download(length, _chunks(response, length, deadline, max_bytes))


def _follow(
    client: httpx.Client, url: str, media_type: str, deadline: Deadline, patience: Patience
) -> httpx.Response:
    target = _link(url)
    for _ in range(MAX_REDIRECTS + 1):
        response = _get(client, target, media_type, deadline, patience)
        if response.status_code not in REDIRECTS:
            return response
        response.close()
        target = _next_link(target, response.headers.get("Location", ""))
    raise DownloadFailed(f"the result link redirects more than {MAX_REDIRECTS} times")


def _get(
    client: httpx.Client,
    url: httpx.URL,
    media_type: str,
    deadline: Deadline,
    patience: Patience,
) -> httpx.Response:
    headers = {"Accept": f"{media_type}, */*;q=0.5", "Accept-Encoding": "identity"}
    timeout = patience.within(deadline)
    try:
        request = client.build_request("GET", url, headers=headers, timeout=timeout)
        # A client made elsewhere might carry a key; a result link is anybody's server.
        for name in ("Authorization", "Cookie", "Proxy-Authorization"):
            request.headers.pop(name, None)
        return client.send(request, stream=True, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as fault:
        _out_of_time_or(deadline)
        message = f"the result link does not answer ({type(fault).__name__})"
        raise DownloadFailed(message) from None


def _link(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError, ValueError):
        raise DownloadFailed("the result link is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise DownloadFailed("the result link is not a plain http or https URL")
    return url


def _next_link(source: httpx.URL, location: str) -> httpx.URL:
    try:
        joined = source.join(location)
    except (httpx.InvalidURL, ValueError):
        raise DownloadFailed("the result link redirects to something that is no URL") from None
    target = _link(str(joined))
    downgraded = (source.scheme, target.scheme) == ("https", "http")
    if downgraded and not (_is_loopback(source.host) and _is_loopback(target.host)):
        raise DownloadFailed("the result link redirects from https to http")
    return target


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _announced(response: httpx.Response, media_type: str, max_bytes: int) -> int | None:
    status = response.status_code
    if status != 200:
        message = f"the result link answers {status}"
        raise DownloadFailed(message, expired=status in EXPIRED)
    found = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if found in PAGES or (found in NOTICES and found != media_type):
        raise DownloadFailed(f"the result link gives {found}, not a file")
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise DownloadFailed("the result link gives an encoded file, which was not asked for")
    text = response.headers.get("Content-Length", "")
    length = int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None
    if length is not None and length > max_bytes:
        raise DownloadFailed(f"the result has {length} bytes, more than {max_bytes}")
    return length


def _chunks(
    response: httpx.Response, length: int | None, deadline: Deadline, max_bytes: int
) -> Iterator[bytes]:
    received, held = 0, bytearray()
    for piece in _pieces(response, deadline):
        received += len(piece)
        if received > max_bytes:
            raise DownloadFailed(f"the result has more than {max_bytes} bytes")
        held += piece
        if len(held) >= CHUNK:
            yield bytes(held)
            held.clear()
    if length is not None and received != length:
        raise DownloadFailed(f"the result ended after {received} of {length} bytes")
    if received == 0:
        raise DownloadFailed("the result is empty")
    if held:
        yield bytes(held)


def _pieces(response: httpx.Response, deadline: Deadline) -> Iterator[bytes]:
    # As they come from the network, so that the deadline is looked at even while bytes drip.
    pieces = response.iter_raw()
    while True:
        deadline.check()
        try:
            piece = next(pieces, None)
        except (httpx.HTTPError, httpx.StreamError, OSError) as fault:
            _out_of_time_or(deadline)
            raise DownloadFailed(f"the result broke off ({type(fault).__name__})") from None
        if piece is None:
            return
        yield piece


def _out_of_time_or(deadline: Deadline) -> None:
    # A time-out cut short by the deadline says nothing about the provider.
    if deadline.remaining() <= 0.05:
        raise OutOfTime from None


@contextmanager
def _cut_off(response: httpx.Response, deadline: Deadline) -> Iterator[None]:
    # Time-outs are per read and fixed when the request starts: a stall close to the end would
    # outlive the deadline. Shutting the socket down wakes the read that waits on it.
    stream = response.extensions.get("network_stream")
    raw = stream.get_extra_info("socket") if stream is not None else None
    seconds = min(max(deadline.remaining(), 0.0) + 0.01, 86_400.0)
    timer = threading.Timer(seconds, _shut, [raw]) if isinstance(raw, socket.socket) else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        response.close()


def _shut(raw: socket.socket) -> None:
    with suppress(OSError):
        # The plain socket's own method: the TLS one would switch encryption off under the reader.
        socket.socket.shutdown(raw, socket.SHUT_RDWR)


class _WithoutQueries(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                clean(part) if isinstance(part, httpx.URL) else part for part in record.args
            )
        return True


# httpx writes every URL, signature included, at level INFO; httpcore every header at DEBUG.
logging.getLogger("httpx").addFilter(_WithoutQueries())
logging.getLogger("httpcore").setLevel(logging.INFO)
