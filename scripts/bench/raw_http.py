"""HTTP/1.1 with as little as will do, for the measurements: what they add must not be seen in them.

A server is an `asyncio.Protocol` around one plain function; a client keeps its connections. Bodies
have a `Content-Length`; nothing else is understood.

测量用的极简 HTTP 服务端与客户端。
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

Answerer = Callable[[str, str, bytes], bytes]
"""Method, path (with its query) and body of a request; a whole answer as `answer` makes it."""


def answer(body: bytes, status: str = "200 OK", media_type: str = "application/json") -> bytes:
    """An answer as it goes over the wire.

    生成一个应答。
    """
    head = (
        f"HTTP/1.1 {status}\r\nDate: {_date()}\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_dated = (0, "")


def _date() -> str:
    global _dated
    now = int(time.time())
    if _dated[0] != now:
        _dated = (now, formatdate(now, usegmt=True))
    return _dated[1]


class Wire(asyncio.Protocol):
    """One connection to a server: requests are answered in their order.

    服务端的一个连接。
    """

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._held = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are written to.

        连接建立。
        """
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is complete by now.

        收到数据。
        """
        assert self._transport is not None
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].decode("latin-1")
            lowered = head.lower()
            whole = end + 4 + _length(lowered)
            if len(self._held) < whole:
                return
            body = bytes(self._held[end + 4 : whole])
            del self._held[:whole]
            method, path, _ = head.split(" ", 2)
            self._transport.write(self._answerer(method, path, body))
            if "\r\nconnection: close" in lowered:
                self._transport.close()
                return


def _length(lowered: str) -> int:
    at = lowered.find("\r\ncontent-length:")
    return int(lowered[at + 17 :].split("\r\n", 1)[0]) if at >= 0 else 0


@asynccontextmanager
async def serving(answerer: Answerer) -> AsyncIterator[str]:
    """The address at which `answerer` answers, on a port that the system chose.

    启动服务端，给出其地址。
    """
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Wire(answerer), "127.0.0.1", 0, backlog=4096)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


class Client:
    """Requests to one server, each on an idle connection of its pool, or on a new one.

    保持连接的客户端。
    """

    def __init__(self, url: str) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send one request; status and body of its answer.

        发送一个请求。
        """
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        found = await reader.readexactly(_length(head.lower()))
        self._idle.append((reader, writer))
        return int(head.split(" ", 2)[1]), found

    def close(self) -> None:
        """Close all connections.

        关闭所有连接。
        """
        while self._idle:
            self._idle.pop()[1].close()
