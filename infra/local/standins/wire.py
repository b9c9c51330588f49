"""Requests and answers on the wire: reading them whole, writing them honestly or not.

It stands on the standard library's server, because it has to drop connections, cut bodies short
and lie about their length when asked to.
在网络上读请求、写应答,必要时按要求出错。
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import re
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

MAX_BODY = 200 << 20
DRIP = 16
"""Bytes that a dripping body sends ten times a second."""


@dataclass(frozen=True)
class Request:
    """One request as received, its body read in full, with the fault drawn for it.

    表示收到的一个请求。
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    body: bytes
    fault: str | None = None

    def summary(self) -> Any:
        """What the log says of the body: the JSON itself, or size and sha256 of anything else.

        给出日志里对请求体的概括。
        """
        if not self.body:
            return None
        if "json" in (self.headers.get("Content-Type") or ""):
            with contextlib.suppress(ValueError, RecursionError):
                return json.loads(self.body)
        return {"bytes": len(self.body), "sha256": hashlib.sha256(self.body).hexdigest()}


@dataclass(frozen=True)
class Answer:
    """What goes back. `length` is what Content-Length claims; `silent` closes without a word; with
    `drips` the body comes a few bytes at a time.

    表示要返回的应答。
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    task_id: str | None = None
    length: int | None = None
    silent: bool = False
    drips: bool = False


def html_answer(status: int) -> Answer:
    """A page such as a gateway puts before a service that is down, without any envelope.

    生成网关式的 HTML 错误页。
    """
    title = f"{status} {HTTPStatus(status).phrase}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Answer(status, page.encode(), "text/html")


def multipart(request: Request, name: str) -> bytes | None:
    """The content of one field of a form; None if this is no form or has no such field.

    从表单里取出一个字段的内容。
    """
    content_type = request.headers.get("Content-Type") or ""
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    if not content_type.startswith("multipart/form-data") or not boundary:
        return None
    field_name = re.compile(rb'name="?' + re.escape(name.encode()) + rb'"?(?:[;\r\n]|$)')
    for part in (b"\r\n" + request.body).split(b"\r\n--" + boundary[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        if field_name.search(head):
            return content
    return None


def file_answer(request: Request, data: bytes, content_type: str) -> Answer:
    """A file, or the part of it that a Range header asks for (206, or 416 beyond its end).

    返回一个文件,支持断点续传。
    """
    digest = hashlib.sha256(data).hexdigest()[:32]
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{digest}"'}
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range") or "")
    if not wanted or not any(wanted.groups()):
        return Answer(200, data, content_type, headers)
    first, last = wanted.groups()
    start = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last), len(data) - 1) if first and last else len(data) - 1
    if not start <= end:
        headers["Content-Range"] = f"bytes */{len(data)}"
        return Answer(416, b"", content_type, headers)
    headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
    return Answer(206, data[start : end + 1], content_type, headers)


def spoil(answer: Answer, fault: str | None, dice: random.Random) -> Answer:
    """The answer as a fault leaves it; errors stay as they are where the fault needs a file.

    按故障类型破坏一个应答。
    """
    half = len(answer.body) // 2
    if fault == "drop_after":
        return replace(answer, silent=True)
    if fault == "error_502_after":
        return replace(html_answer(502), task_id=answer.task_id)
    if fault == "bad_json":
        return replace(answer, body=answer.body[: half + 1])
    if fault == "dead_link":
        return html_answer(dice.choice((403, 404)))
    if fault == "html_file":
        return replace(html_answer(502), status=200)
    if answer.status >= 300 or not half:
        return answer
    if fault == "drip":
        return replace(answer, drips=True)
    if fault == "truncate":
        return replace(answer, body=answer.body[:half], length=len(answer.body))
    if fault == "short_file":
        return replace(answer, body=answer.body[:half])
    if fault == "wrong_length":
        return replace(answer, length=dice.choice((half, len(answer.body) + half)))
    return answer


class Owner(Protocol):
    """What a connection needs of the server it belongs to.

    连接所依赖的服务器接口。
    """

    lock: threading.RLock
    connections: set[socket.socket]
    stopping: threading.Event
    hang_seconds: float

    def handle(self, request: Request) -> Answer:
        """The answer to a request.

        应答一个请求。
        """

    def common_headers(self) -> dict[str, str]:
        """Headers of every answer.

        给出每个应答都带的头。
        """


class Listener(ThreadingHTTPServer):
    """The listening socket, on the loopback address only.

    只在本机回环地址上监听。
    """

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, owner: Owner, port: int) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away; anything else is a fault of this program.

        忽略客户端断开,其余错误照常报告。
        """
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection: reads whole requests, writes answers, honest or not.

    处理一条连接上的请求与应答。
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 75
    server: Listener

    def setup(self) -> None:
        """Make the connection known, so that stopping can close it.

        登记连接。
        """
        super().setup()
        with self.server.owner.lock:
            self.server.owner.connections.add(self.connection)
            if self.server.owner.stopping.is_set():
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """Forget the connection.

        注销连接。
        """
        with self.server.owner.lock:
            self.server.owner.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing on stderr: the log is at /_log.

        不向标准错误输出日志。
        """

    def do_GET(self) -> None:
        """Serve any method.

        处理任意方法的请求。
        """
        try:
            body = self._body()
        except ValueError:
            self.close_connection = True
            return self._send(html_answer(400))
        if len(body) > MAX_BODY:
            return self._send(html_answer(413))
        url = urlsplit(self.path)
        request = Request(self.command, url.path, dict(parse_qsl(url.query)), self.headers, body)
        answer = self.server.owner.handle(request)
        if answer.silent:
            self.close_connection = True
            return self._hang() if answer.length == -1 else None
        return self._send(answer)

    do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = do_OPTIONS = do_GET

    def _body(self) -> bytes:
        """The whole body, also of a request that is refused: unread bytes would be taken for the
        next request. Of one that is too long, one byte more than the limit is kept.

        读完整个请求体。
        """
        if "chunked" not in (self.headers.get("Transfer-Encoding") or "").lower():
            return self._read(int(self.headers.get("Content-Length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline(66).split(b";")[0], 16):
            body += self._read(size)
            del body[MAX_BODY + 1 :]
            self.rfile.readline(3)
        while self.rfile.readline(65537).strip():
            pass
        return bytes(body)

    def _read(self, size: int) -> bytes:
        """Read so many bytes of a body, keeping no more than is needed to refuse it.

        读取请求体。
        """
        if size < 0:
            raise ValueError(f"a length below zero: {size}")
        data = bytearray()
        while size and (part := self.rfile.read(min(size, 1 << 20))):
            size -= len(part)
            data += part
            del data[MAX_BODY + 1 :]
        if size:
            raise ValueError("the client went away in the middle of the body")
        return bytes(data)

    def _send(self, answer: Answer) -> None:
        """Send an answer; one that lies about its length, or drips, ends the connection.

        发送应答。
        """
        length = len(answer.body) if answer.length is None else answer.length
        # After a lie about the length the connection is of no further use.
        broken = length != len(answer.body) or answer.drips
        self.close_connection = self.close_connection or broken
        self.send_response_only(answer.status)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(length))
        for name, value in {**self.server.owner.common_headers(), **answer.headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self._drip(answer.body) if answer.drips else self.wfile.write(answer.body)

    def _hang(self) -> None:
        """Say nothing until the client goes away, the time is up or the stand-in stops."""
        owner = self.server.owner
        began = time.monotonic()
        self.connection.settimeout(0.05)
        while time.monotonic() < began + owner.hang_seconds and not owner.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1, socket.MSG_PEEK):
                    return
                owner.stopping.wait(0.05)

    def _drip(self, body: bytes) -> None:
        """Send some bytes ten times a second, until the time is up, and no more."""
        owner = self.server.owner
        began = time.monotonic()
        for start in range(0, len(body), DRIP):
            if time.monotonic() > began + owner.hang_seconds or owner.stopping.is_set():
                return
            self.wfile.write(body[start : start + DRIP])
            owner.stopping.wait(0.1)
