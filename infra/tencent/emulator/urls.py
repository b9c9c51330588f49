"""Function URLs: where a function answers HTTP on this machine.

函数 URL：函数在本机的地址。
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from infra.tencent.emulator import web
from infra.tencent.emulator.instances import LOOPBACK

BODY_BYTES = 6_000_000
"""What a request may hold ("6 MB", 583/11637)."""
_DRAIN_BYTES = 64 * 2**20
"""How much of a body that is too large is still read, and thrown away: a client that is cut off
while sending never reads the answer that says why."""
_LOOK = 0.05

Answer = Callable[[web.Request], web.Response]


class FunctionUrl:
    """A server on a port of its own whose requests are answered by a function.

    一个函数的地址。
    """

    def __init__(self, answer: Answer) -> None:
        self._http = _Server(answer)
        self.url = f"http://{LOOPBACK}:{self._http.server_address[1]}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(_LOOK,), name="function url", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Take no more requests.

        停止服务。
        """
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__((LOOPBACK, 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away is nobody's fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server

    def _any(self) -> None:
        """Answer one request, of whatever method.

        处理一个请求。
        """
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            self._refuse(411, 0)
        elif int(length) > BODY_BYTES:
            self._refuse(413, int(length))
        else:
            path, _, query = self.path.partition("?")
            headers = tuple((name.lower(), value) for name, value in self.headers.items())
            body = self.rfile.read(int(length))
            request = web.Request(
                self.command, path, query, headers, body, str(self.client_address[0])
            )
            self._give(self.server.answer(request))

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _any

    def _refuse(self, status: int, length: int) -> None:
        self.close_connection = True
        left = min(length, _DRAIN_BYTES)
        while left and (piece := self.rfile.read(min(left, 1 << 16))):
            left -= len(piece)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _give(self, response: web.Response) -> None:
        self.send_response_only(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if not any(name == "content-length" for name, _ in response.headers):
            self.send_header("content-length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:
        pass
