"""An HTTP proxy on loopback that stands before a real server, notes requests and gets in the way.

夹在客户端与真实服务器之间的测试代理，可按要求出错。
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from infra.local.standins.relay import HOP_BY_HOP, hand_on
from infra.local.standins.relay import Relayed as Answer

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>"


@dataclass(frozen=True)
class Request:
    """One request as it came in; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))


class Between:
    """Hands requests on to `target`; use it as a context manager.

    `requests` are those that came. `fault` says what to do with the next ones that match.

    测试代理。
    """

    def __init__(self, target: str) -> None:
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._target = urlsplit(target).netloc
        self._faults: list[_Planned] = []
        self._changed = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def fault(self, fault: Fault, matches: Callable[[Request], bool], times: int = 1) -> None:
        """Let the next `times` requests that match meet a fault."""
        self._faults.append(_Planned(fault, matches, times))

    def fault_for(self, request: Request) -> Fault | None:
        """Notes a request; the fault that it meets, if any."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            for planned in self._faults:
                if planned.left and planned.matches(request):
                    planned.left -= 1
                    return planned.fault
        return None

    def wait_for(self, count: int, seconds: float = 10.0) -> bool:
        """Wait until so many requests have come."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, seconds)

    def forward(self, request: Request) -> Answer:
        """What the server behind says to a request."""
        return hand_on(self._target, request.method, request.path, request.headers, request.body)

    def __enter__(self) -> Between:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Fault = Callable[["_Handler", Request], None]


@dataclass
class _Planned:
    fault: Fault
    matches: Callable[[Request], bool]
    left: int


def refuse(status: int, body: bytes = b"") -> Fault:
    """Answers by itself."""

    def fault(handler: _Handler, request: Request) -> None:
        handler.give(request, Answer(status, [("Content-Type", "application/xml")], body))

    return fault


def drop(handler: _Handler, request: Request) -> None:
    """Hangs up without a word; nothing is handed on."""
    handler.close_connection = True


def lose_the_answer(handler: _Handler, request: Request) -> None:
    """Hands the request on and hangs up instead of answering."""
    handler.between.forward(request)
    handler.close_connection = True


def stay_silent(handler: _Handler, request: Request) -> None:
    """Never answers."""
    handler.between.closing.wait()
    handler.close_connection = True


def cut_short(handler: _Handler, request: Request) -> None:
    """Hangs up halfway through the answer's body."""
    handler.give(request, handler.between.forward(request), share=0.5)
    handler.close_connection = True


def stall(handler: _Handler, request: Request) -> None:
    """Falls silent halfway through the answer's body."""
    handler.give(request, handler.between.forward(request), share=0.5)
    handler.between.closing.wait()
    handler.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    between: Between

    def handle_one_request(self) -> None:
        with suppress(ConnectionError, TimeoutError):
            super().handle_one_request()
            return
        self.close_connection = True

    def relay(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self.rfile.read(size))
        fault = self.between.fault_for(request)
        if fault is None:
            self.give(request, self.between.forward(request))
        else:
            fault(self, request)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = relay

    def give(self, request: Request, answer: Answer, share: float = 1.0) -> None:
        self.send_response(answer.status)
        length = str(len(answer.body))
        for name, value in answer.headers:
            if name.lower() == "content-length" and request.method == "HEAD":
                length = value
            elif name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(answer.body[: int(len(answer.body) * share)])
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


def _handler(owner: Between) -> type[_Handler]:
    class Handler(_Handler):
        between = owner

    return Handler
