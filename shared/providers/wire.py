"""HTTP/1.1 over plain sockets, as httpx's transport: all that the adapters need of it, at a quarter
of what httpx's own costs, and with a deadline over every read and write.

Time-outs of HTTP libraries are per read and fixed when a request starts: an answer that drips would
outlive them all. Here each read waits no longer than its own time-out, nor past the deadline.

供应商适配器使用的精简 HTTP 传输层，每次读写都受截止时间约束。
"""

from __future__ import annotations

import base64
import http.client
import io
import re
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from shared.clock import Deadline

IDLE_SECONDS = 15.0
"""How long a connection that nobody uses is kept: less than servers do."""
IDLE_MOST = 20
"""Connections to one server that are kept."""
_PIECE = 64 * 1024
_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]
"""Scheme, host and port."""


class Line:
    """A connection; `until` says how long its reads and writes may take.

    一条受时间限制的连接。
    """

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self._reading = self._writing = 0.0
        self._deadline = Deadline.after(0.0)
        self.idle_since = 0.0
        self.is_spoilt = False

    def until(
        self, deadline: Deadline, *, reading: float | None = None, writing: float | None = None
    ) -> None:
        """From now on no read lasts longer than `reading` seconds, and no write of a piece longer
        than `writing` (as before: None), nor either past the deadline.

        设定时间限制。
        """
        self._deadline = deadline
        self._reading = self._reading if reading is None else reading
        self._writing = self._writing if writing is None else writing

    def send(self, data: bytes) -> None:
        """Send all of it; raises `TimeoutError`.

        发送全部数据。
        """
        for start in range(0, len(data), _PIECE):
            self._raw.settimeout(self._left(self._writing))
            self._raw.sendall(data[start : start + _PIECE])

    def receive(self, into: memoryview) -> int:
        """Read what has arrived, at least one byte, 0 at the end; raises `TimeoutError`.

        接收数据。
        """
        self._raw.settimeout(self._left(self._reading))
        return self._raw.recv_into(into)

    def is_fresh(self, now: float) -> bool:
        """Whether another request may be sent: it was used lately, and the server has neither
        closed it nor said anything since.

        是否还能继续使用。
        """
        if now - self.idle_since > IDLE_SECONDS:
            return False
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._raw, selectors.EVENT_READ)
            return not waiting.select(0)

    def close(self) -> None:
        """Close the connection; calling it twice is harmless.

        关闭连接。
        """
        self._raw.close()

    def _left(self, patience: float) -> float:
        left = min(patience, self._deadline.remaining())
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class _Held:
    """A line as `http.client` takes it for a socket; to close it is nobody's business there. What
    is sent waits for `flush` until it is worth sending: a head and a short body go out as one."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._waiting = bytearray()

    def sendall(self, data: bytes) -> None:
        self._waiting += data
        if len(self._waiting) >= _PIECE:
            self.flush()

    def flush(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        self._line.send(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Arriving(self._line), _PIECE)

    def close(self) -> None:
        pass


class _Arriving(io.RawIOBase):
    """What arrives on a line; closing it leaves the line open."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        return self._line.receive(memoryview(into).cast("B"))


class _Head(http.client.HTTPResponse):
    """An answer whose interim ones (RFC 9110, 15.2) are passed over, whichever they are."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            said: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if not 101 < said[1] < 200:
                return said
            while self.fp.readline(_PIECE) not in (b"\r\n", b"\n", b""):
                pass


class Wire(httpx.BaseTransport):
    """Sends requests over connections that are kept for a while, but for one whose extension
    `alone` is true: that has a connection of its own. The extensions `deadline` and `timeout`
    bound all that is read and written, by `Line.until`; an answer's `line` is the connection.

    Raises httpx's errors: `ConnectError` and `ConnectTimeout` where nothing was sent. `tls` gives
    what connections are verified by. A proxy that the environment names is used.

    发送请求并复用连接。
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._idle: dict[Origin, deque[Line]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and read the head of its answer.

        发送请求并读取应答头。
        """
        url = request.url
        host = url.raw_host.decode("ascii").strip("[]")
        origin = (url.scheme, host, url.port or _PORTS[url.scheme])
        alone = bool(request.extensions.get("alone"))
        deadline = request.extensions["deadline"]
        line = None if alone else self._kept(origin)
        proxied = _proxy(origin) if line is None else None
        if line is None:
            with _as_httpx(httpx.ConnectTimeout, httpx.ConnectError):
                line = self._connected(origin, proxied, request)
        times = request.extensions["timeout"]
        line.until(deadline, reading=times["read"], writing=times.get("write", times["read"]))
        try:
            with _as_httpx(httpx.ReadTimeout, httpx.ReadError):
                answer = _exchanged(line, request, proxied)
        except BaseException:
            line.close()
            raise
        keeps = not (alone or answer.will_close or line.is_spoilt)
        keep = (lambda: self._keep(origin, line)) if keeps else None
        headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in answer.getheaders()]
        return httpx.Response(
            answer.status,
            headers=headers,
            stream=_Body(answer, line, keep),
            extensions={"line": line},
        )

    def close(self) -> None:
        """Close the connections that are kept.

        关闭空闲连接。
        """
        with self._lock:
            kept, self._idle = self._idle, {}
        for lines in kept.values():
            for line in lines:
                line.close()

    def _kept(self, origin: Origin) -> Line | None:
        """A connection that is still open, the one used last first.

        取出一条仍可用的连接。
        """
        now = time.monotonic()
        while True:
            with self._lock:
                lines = self._idle.get(origin)
                if not lines:
                    return None
                line = lines.pop()
            if line.is_fresh(now):
                return line
            line.close()

    def _keep(self, origin: Origin, line: Line) -> None:
        line.idle_since = time.monotonic()
        with self._lock:
            lines = self._idle.setdefault(origin, deque())
            lines.append(line)
            spare = lines.popleft() if len(lines) > IDLE_MOST else None
        if spare is not None:
            spare.close()

    def _connected(self, origin: Origin, proxied: str | None, request: httpx.Request) -> Line:
        """A new connection, verified where that is asked for.

        建立新连接。
        """
        scheme, host, port = origin
        seconds = request.extensions["deadline"].limit(request.extensions["timeout"]["connect"])
        there = urlsplit(proxied) if proxied else None
        to = (there.hostname or "", there.port or _PORTS["http"]) if there else (host, port)
        raw = socket.create_connection(to, seconds)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme == "https":
                if proxied:
                    _tunnel(raw, origin, proxied)
                raw = self._tls().wrap_socket(raw, server_hostname=host)
        except BaseException:
            raw.close()
            raise
        return Line(raw)


class _Body(httpx.SyncByteStream):
    """An answer's body; read to its end, the connection is kept by `keep`, else closed."""

    def __init__(
        self, answer: http.client.HTTPResponse, line: Line, keep: Callable[[], None] | None
    ) -> None:
        self._answer = answer
        self._end = line.close
        self._keep = keep

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx(httpx.ReadTimeout, httpx.ReadError):
            while piece := self._answer.read1(_PIECE):
                yield piece
            if self._answer.length:  # of what was announced, so much has not come
                raise http.client.IncompleteRead(b"", self._answer.length)
        if self._keep is not None:
            self._end = self._keep

    def close(self) -> None:
        end, self._end = self._end, lambda: None
        self._answer.close()
        end()


def _exchanged(line: Line, request: httpx.Request, proxied: str | None) -> http.client.HTTPResponse:
    """Write a request, and read the head of its answer.

    写出请求并读取应答头。
    """
    plain_proxy = proxied is not None and request.url.scheme == "http"
    target = str(request.url) if plain_proxy else request.url.raw_path.decode("ascii")
    connection = http.client.HTTPConnection("wire")
    connection.response_class = _Head
    held = _Held(line)
    connection.sock = cast(socket.socket, held)
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers.raw:
        connection.putheader(name, value)
    if plain_proxy:
        _authorize(connection.putheader, proxied)
    chunked = request.headers.get("Transfer-Encoding", "").lower() == "chunked"
    try:
        body: Any = request.content or None
    except httpx.RequestNotRead:
        body = request.stream
    try:
        connection.endheaders(body, encode_chunked=chunked)
        held.flush()
    except (BrokenPipeError, ConnectionResetError):
        # Who refuses a large body may say so and leave: the answer is there to be read.
        line.is_spoilt = True
    return connection.getresponse()


def _tunnel(raw: socket.socket, origin: Origin, proxied: str) -> None:
    """Have a proxy connect this socket to the origin; raises `OSError` where it does not.

    通过代理建立隧道。
    """
    there = f"{origin[1]}:{origin[2]}"
    lines = [f"CONNECT {there} HTTP/1.1", f"Host: {there}"]
    _authorize(lambda name, value: lines.append(f"{name}: {value}"), proxied)
    raw.sendall("\r\n".join([*lines, "", ""]).encode())
    said = b""
    # Nothing of the origin's can follow the head: it waits for the first word.
    while b"\r\n\r\n" not in said and len(said) < _PIECE and (piece := raw.recv(4096)):
        said += piece
    if not re.match(rb"HTTP/1\.[01] 2\d\d ", said):
        raise OSError("the proxy refuses the connection")


def _authorize(put: Callable[[str, str], object], proxied: str | None) -> None:
    there = urlsplit(proxied or "")
    if there.username:
        said = f"{unquote(there.username)}:{unquote(there.password or '')}"
        put("Proxy-Authorization", f"Basic {base64.b64encode(said.encode()).decode()}")


def _proxy(origin: Origin) -> str | None:
    """The proxy that the environment names for an origin, if it names one."""
    named = getproxies()
    found = named.get(origin[0]) or named.get("all")
    if not found or proxy_bypass(f"{origin[1]}:{origin[2]}"):
        return None
    return found if "://" in found else f"http://{found}"


@contextmanager
def _as_httpx(late: type[httpx.HTTPError], broken: type[httpx.HTTPError]) -> Iterator[None]:
    """Raise httpx's errors for those of sockets and of `http.client`.

    转换为 httpx 的错误类型。
    """
    try:
        yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except http.client.HTTPException as error:
        raise httpx.RemoteProtocolError(type(error).__name__) from error
    except (OSError, ValueError) as error:
        raise broken(type(error).__name__) from error
