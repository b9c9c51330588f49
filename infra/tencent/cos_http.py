"""Serves a WSGI application over connections that stay open: werkzeug's server closes each.

Whole bodies are read before the application is called, so that a refused one does not stand in the
way of the next request.

保持连接的小型 HTTP 服务器。
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

from infra.tencent.cos_behind import Wsgi

_IDLE_SECONDS = 60.0


class Server(ThreadingHTTPServer):
    """A server on a loopback port that the system chooses; a thread for each connection.

    本机 HTTP 服务器。
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, application: Wsgi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.application = application

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks off is its client's to know; anything else is told.

        忽略对方断开的连接。
        """
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer leaves at once, head and body
    timeout = _IDLE_SECONDS
    server: Server

    def _serve(self) -> None:
        """Reads a request to its end, has it answered, and writes the answer.

        处理一个请求。
        """
        body, whole = self._body()
        self.close_connection = self.close_connection or not whole
        told: list[Any] = []
        content = b"".join(
            self.server.application(self._environ(body, whole), lambda *given: told.extend(given))
        )
        status, headers = told
        self.send_response_only(int(status.split()[0]))
        self.send_header("Date", self.date_time_string())
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = _serve

    def _environ(self, body: bytes, whole: bool) -> dict[str, Any]:
        """As much of a request as the gate reads, by WSGI's names; `REQUEST_URI` as it came.

        按 WSGI 的名称给出请求。
        """
        environ = {
            "REQUEST_METHOD": self.command,
            "REQUEST_URI": self.path,
            "PATH_INFO": self.path.partition("?")[0],
            "CONTENT_LENGTH": self.headers.get("Content-Length", ""),
            "wsgi.input": BytesIO(body),
            "wsgi.input_terminated": whole,
        }
        for name, value in self.headers.items():
            variable = name.upper().replace("-", "_")
            if variable not in ("CONTENT_LENGTH", "CONTENT_TYPE"):
                variable = f"HTTP_{variable}"
            environ[variable] = value
        return environ

    def _body(self) -> tuple[bytes, bool]:
        """The request's body, and whether it came to its end.

        请求体及其是否完整。
        """
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            try:
                return b"".join(self._chunks()), True
            except ValueError:
                return b"", False
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        return body, len(body) == size

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass

    def log_message(self, *_: Any) -> None:
        """Nothing is logged: the gate notes what was asked."""
