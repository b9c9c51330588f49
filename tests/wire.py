"""A wire between us and DynamoDB that notes what goes over it, and on which answers get lost.

本机代理，记录发往 DynamoDB 的请求，并可让应答丢失。
"""

from __future__ import annotations

import http.client
import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Body = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]
Behaviour = Callable[[Callable[[Body], Answer], Body], "Answer | None"]


class Wire:
    """An HTTP proxy on `url` before the server at `to`. Use it as a context manager.

    `sent` holds every request as (operation, body); `on` says what becomes of the next ones of an
    operation, which otherwise just pass.
    """

    def __init__(self, to: str) -> None:
        self.sent: list[tuple[str, Body]] = []
        self._to = urlsplit(to).netloc
        self._behaviours: dict[str, deque[Behaviour]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def on(self, operation: str, *behaviours: Behaviour) -> None:
        """Let the next requests of an operation meet these, one each."""
        with self._lock:
            self._behaviours[operation].extend(behaviours)

    def operations(self) -> list[str]:
        """What was asked since the last time, and forget it."""
        with self._lock:
            named, self.sent = [operation for operation, _ in self.sent], []
        return named

    def _meet(self, operation: str, headers: dict[str, str], body: Body) -> Answer | None:
        def forward(body: Body) -> Answer:
            connection = http.client.HTTPConnection(self._to, timeout=30)
            try:
                connection.request("POST", "/", json.dumps(body).encode(), headers)
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                connection.close()

        with self._lock:
            self.sent.append((operation, body))
            waiting = self._behaviours[operation]
            behaviour = waiting.popleft() if waiting else None
        return forward(body) if behaviour is None else behaviour(forward, body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                headers = {
                    name: self.headers[name]
                    for name in ("X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date")
                }
                answer = wire._meet(operation, headers, body)
                if answer is None:
                    self.close_connection = True
                    return
                status, named, content = answer
                self.send_response(status)
                for name in ("Content-Type", "x-amzn-errortype"):
                    if name in named:
                        self.send_header(name, named[name])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def lose_the_answer(forward: Callable[[Body], Answer], body: Body) -> None:
    """The request is carried out, and nobody hears of it."""
    forward(body)


def refuse(code: str, **more: Any) -> Behaviour:
    """DynamoDB answers with this error, having done nothing."""

    def behave(_forward: Callable[[Body], Answer], _body: Body) -> Answer:
        error = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code, **more}
        return 400, {}, json.dumps(error).encode()

    return behave


def first(action: Callable[[], Any]) -> Behaviour:
    """Something happens before the request gets there."""

    def behave(forward: Callable[[Body], Answer], body: Body) -> Answer:
        action()
        return forward(body)

    return behave


def then(action: Callable[[], Any]) -> Behaviour:
    """Something happens before the answer gets back."""

    def behave(forward: Callable[[Body], Answer], body: Body) -> Answer:
        answer = forward(body)
        action()
        return answer

    return behave
