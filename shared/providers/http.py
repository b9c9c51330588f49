"""What the HTTP adapters share: connections, bounded exchanges, retries of safe calls.

A call that creates something goes out once, on a connection of its own. Whatever is read has an
end: in bytes, and in time. No key and no signed query gets into a message or a log line.

各 HTTP 生成服务共用的部分：连接、有界读取与安全重试。
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from shared import skew
from shared.buckets.base import BucketUnavailable
from shared.clock import Clock, Deadline
from shared.providers.base import ProviderUnavailable, RateLimited, UnknownOutcome
from shared.providers.declaration import USUAL, Timeouts
from shared.providers.wire import Line, Wire

# An answer that comes late is worth more than an outcome nobody knows: a create's is waited for at
# least so long.
CREATE_SECONDS = 60.0
# A create is not begun with less than this left: it would have to be given up halfway.
CREATE_NEEDS = 2.0
MAX_BODY = 16 << 20
ANSWER_SECONDS = 30.0
"""For the body of an answer from its first byte to the last: of one that drips no read is slow."""
# A wait longer than this is the caller's to plan: the job comes back when it is over.
LONGEST_WAIT = 10.0
LONGEST_RETRY_AFTER = 3600.0

# What httpx raises before a request's first byte is written.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

# What may be over by itself.
_PATIENT = (ProviderUnavailable, RateLimited)

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """A whole answer; its body has at most `MAX_BODY` bytes.

    一个完整的应答。
    """

    status: int
    headers: httpx.Headers
    body: bytes


class Connections:
    """One provider's HTTP connections, made when first needed and made anew after `close`.

    `provider` is whose clock the answers tell. `transport` takes the network's place in tests.
    Redirects are never followed by themselves, and no cookie is kept.

    一个生成服务的 HTTP 连接。
    """

    def __init__(
        self,
        provider: str,
        transport: httpx.BaseTransport | None = None,
        timeouts: Timeouts = USUAL,
    ) -> None:
        self._part = f"provider {provider}"
        self._transport = transport or Wire(_tls)
        self._timeouts = timeouts

    def create(
        self,
        url: str,
        headers: Mapping[str, str],
        content: str | Iterator[bytes],
        deadline: Deadline,
    ) -> Answer:
        """POST what creates something: once, never again, on a connection of its own.

        Raises `ProviderUnavailable` if it certainly never went out (too little time, no connection
        made), `BucketUnavailable` if its body could not be read to its end, so that it went out
        in part, and `UnknownOutcome` for everything else that can go wrong.

        发送一次创建请求，绝不重发。
        """
        if deadline.remaining() < CREATE_NEEDS:
            raise ProviderUnavailable("too little time is left to begin a create")
        try:
            # A server may close an idle connection just as a request is written to it, and then
            # nothing tells whether it was carried out. With a new one that cannot happen.
            headers = {**headers, "Connection": "close"}
            patient = replace(self._timeouts, read=max(self._timeouts.read, CREATE_SECONDS))
            end = _sooner(deadline, patient.total)
            request = _request("POST", url, headers, content, patient, end, alone=True)
            return self._whole(request, end)
        except NOT_SENT as fault:
            said = f"no connection ({type(fault).__name__})"
            raise ProviderUnavailable(said, raw=_told("no connection to", url, fault)) from None
        except BucketUnavailable:
            # Of less than its length nobody makes anything; it is no try that had an outcome.
            raise
        except Exception as fault:
            raise UnknownOutcome(f"no readable answer ({type(fault).__name__})") from None

    def call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: str | Iterator[bytes] | None,
        deadline: Deadline,
    ) -> Answer:
        """Send what may be repeated; raises `ProviderUnavailable` without a whole answer.

        发送一次可以重复的请求。
        """
        if deadline.remaining() <= 0:
            raise ProviderUnavailable("no time is left for this call")
        try:
            end = _sooner(deadline, self._timeouts.total)
            request = _request(method, url, headers, content, self._timeouts, end)
            return self._whole(request, end)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as fault:
            said = f"no whole answer ({type(fault).__name__})"
            what = "no connection to" if isinstance(fault, NOT_SENT) else "no whole answer from"
            raise ProviderUnavailable(said, raw=_told(what, url, fault)) from None

    def open(
        self, url: httpx.URL, deadline: Deadline, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Begin to GET a link, with no credential but what `headers` hold; raises httpx's errors.

        打开一个链接，只带给定的请求头。
        """
        request = _request("GET", url, headers or {}, None, self._timeouts, deadline)
        return self._transport.handle_request(request)

    def close(self) -> None:
        """Close what is kept open; harmless when that is nothing.

        关闭所有连接。
        """
        self._transport.close()

    def repeat(self, call: Callable[[], T], clock: Clock, deadline: Deadline) -> T:
        """Call as often as the time-outs' `tries` say, while it raises `ProviderUnavailable` or
        `RateLimited`.

        Waits what the provider asks for, else half a second doubling, with jitter; gives up at
        once where the wait is over `LONGEST_WAIT` or past the deadline. Only for calls safe to
        repeat.

        对可安全重复的调用进行重试。
        """

        def wait(state: RetryCallState) -> float:
            fault = state.outcome.exception() if state.outcome else None
            known = fault.retry_after if isinstance(fault, _PATIENT) else None
            if known is not None:
                return known
            return 0.5 * 2.0 ** (state.attempt_number - 1) * (0.5 + clock.chance())

        def stop(state: RetryCallState) -> bool:
            wait_for = state.upcoming_sleep
            late = wait_for > LONGEST_WAIT or wait_for >= deadline.remaining()
            return late or state.attempt_number >= self._timeouts.tries

        retrying = Retrying(
            retry=retry_if_exception_type(_PATIENT),
            wait=wait,
            stop=stop,
            sleep=clock.sleep,
            reraise=True,
        )
        return retrying(call)

    def _whole(self, request: httpx.Request, deadline: Deadline) -> Answer:
        """Send a request, and read its answer to the end, which is bounded in bytes and in time.

        发送请求并读取完整应答。
        """
        response = self._transport.handle_request(request)
        with cut_off(response, end := _sooner(deadline, ANSWER_SECONDS)):
            # Before the body is read: that may take a while, and the date stands at the head.
            skew.saw_date(self._part, response.headers)
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_BODY:
                    raise ProviderUnavailable("the answer is too large")
                if end.remaining() <= 0:
                    raise ProviderUnavailable("the time ran out while the answer was read")
            return Answer(response.status_code, response.headers, bytes(body))


def _told(what: str, url: str, fault: BaseException) -> str:
    """What went wrong for the log: with which host, and the first cause in the system's own words.

    写入日志的原因：主机与系统给出的根本原因。
    """
    cause = fault
    while (earlier := cause.__cause__ or cause.__context__) is not None:
        cause = earlier
    said = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return f"{what} {urlsplit(url).netloc}: {said or type(cause).__name__}"


def _request(
    method: str,
    url: str | httpx.URL,
    headers: Mapping[str, str],
    content: str | Iterator[bytes] | None,
    timeouts: Timeouts,
    deadline: Deadline,
    *,
    alone: bool = False,
) -> httpx.Request:
    """A request with what goes along with each; `alone`, over a connection of its own.

    构造一个请求。
    """
    times = {
        "connect": deadline.limit(timeouts.connect),
        "read": deadline.limit(timeouts.read),
        "write": deadline.limit(timeouts.write),
    }
    return httpx.Request(
        method,
        url,
        headers={**_ALWAYS, **headers},
        content=content,
        extensions={"timeout": times, "deadline": deadline, "alone": alone},
    )


_ALWAYS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "maquette/0.1"}


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # Loading the certificates takes longer than anything else here; once is enough.
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _sooner(deadline: Deadline, seconds: float) -> Deadline:
    ahead = max(0.0, deadline.remaining() - seconds)
    return Deadline(lambda: deadline.remaining() - ahead)


@contextmanager
def cut_off(response: httpx.Response, deadline: Deadline) -> Iterator[None]:
    """Close the response at the end; no read of it lasts past the deadline meanwhile.

    到截止时间就切断应答。
    """
    line = response.extensions.get("line")
    if isinstance(line, Line):
        line.until(deadline)
    try:
        yield
    finally:
        response.close()


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
            moment = moment.replace(tzinfo=moment.tzinfo or timezone.utc)
            seconds = moment.timestamp() - now / 1000
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)
