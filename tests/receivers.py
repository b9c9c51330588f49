"""A real HTTP server on loopback that takes webhooks, or gives files, and misbehaves as told.

接收回调、提供文件的测试服务器，可按要求出错。
"""

from __future__ import annotations

import fcntl
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Seen:
    """One request as it came in; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Serves from a free port; each request gets the next behaviour, the last one for ever.

    `most_at_once` is how many requests were ever in hand together.
    """

    def __init__(
        self,
        *behaviours: Behaviour,
        tls: ssl.SSLContext | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.requests: list[Seen] = []
        self.most_at_once = 0
        self.sent_bytes = 0
        self.closing = threading.Event()
        self.changed = threading.Condition()
        self.at_once = 0
        self._behaviours = behaviours or (answer(200),)
        self._scheme = "https" if tls else "http"
        self._server = _Server((address, port), self._handler())
        if tls:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self.port}{path}"

    def wait_for(self, count: int, seconds: float = 5.0) -> bool:
        """Wait until so many requests have come."""
        with self.changed:
            return self.changed.wait_for(lambda: len(self.requests) >= count, seconds)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        with self.changed:
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.path, headers, self.rfile.read(length))
                with receiver.changed:
                    place = len(receiver.requests)
                    receiver.requests.append(seen)
                    receiver.at_once += 1
                    receiver.most_at_once = max(receiver.most_at_once, receiver.at_once)
                    receiver.changed.notify_all()
                try:
                    behaviours = receiver._behaviours
                    behaviours[min(place, len(behaviours) - 1)](receiver, self)
                except OSError:
                    # The sender hung up, which is often what the test is about.
                    pass
                finally:
                    self.close_connection = True
                    with receiver.changed:
                        receiver.at_once -= 1

            do_GET = do_POST

            def end_headers(self) -> None:
                # It is closed after each request: who keeps connections has to know, or sends the
                # next request into one that is being closed.
                self.send_header("connection", "close")
                super().end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = False

    def handle_error(self, *_: object) -> None:
        """A failed TLS handshake is no news."""


Behaviour = Callable[[Receiver, BaseHTTPRequestHandler], None]


def answer(status: int, **headers: str) -> Behaviour:
    """Answer at once; `retry_after="7"` becomes the header `retry-after`."""

    def behave(_: Receiver, request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("content-length", "2")
        request.end_headers()
        request.wfile.write(b"ok")

    return behave


def give(data: bytes, **headers: str) -> Behaviour:
    """Answer 200 with a file; `content_encoding="gzip"` becomes the header `content-encoding`."""

    def behave(_: Receiver, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        if "content_length" not in headers:
            request.send_header("content-length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return behave


def redirect(place: str, status: int = 302) -> Behaviour:
    """Answer with a redirect to this place."""
    return answer(status, location=place)


def hang(receiver: Receiver, _: BaseHTTPRequestHandler) -> None:
    """Never answer."""
    receiver.closing.wait(20)


def drip_headers(receiver: Receiver, request: BaseHTTPRequestHandler) -> None:
    """Send a header for ever, a byte at a time."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while not receiver.closing.wait(0.02):
        request.wfile.write(b"a")


def drip_body(receiver: Receiver, request: BaseHTTPRequestHandler) -> None:
    """Answer 200, then send the body for ever, a byte at a time."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while not receiver.closing.wait(0.02):
        request.wfile.write(b"a")


def huge(receiver: Receiver, request: BaseHTTPRequestHandler) -> None:
    """Answer 200 with a body of half a gigabyte, and count what the sender let through."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 536870912\r\n\r\n")
    piece = bytes(256 * 1024)
    for _ in range(2048):
        request.wfile.write(piece)
        receiver.sent_bytes += len(piece)


def nonsense(_: Receiver, request: BaseHTTPRequestHandler) -> None:
    """Answer with something that is not HTTP."""
    request.wfile.write(b"220 mail.example ESMTP\r\n")


def raw(head: bytes) -> Behaviour:
    """Answer with exactly these bytes, then hang up."""

    def behave(_: Receiver, request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(head)

    return behave


def cut_off(_: Receiver, request: BaseHTTPRequestHandler) -> None:
    """Answer with a status line, and drop the connection with a TCP reset once it has arrived."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    request.wfile.flush()
    while _unread(request.connection):
        pass
    reset(_, request)


def _unread(connection: socket.socket) -> int:
    """How many bytes that were sent the other side has not acknowledged."""
    return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0])


def reset(_: Receiver, request: BaseHTTPRequestHandler) -> None:
    """Drop the connection with a TCP reset."""
    linger = struct.pack("ii", 1, 0)
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    request.connection.close()


def together(count: int) -> Behaviour:
    """Answer 200 once `count` requests are in hand together, or a fifth of a second has passed."""

    def behave(receiver: Receiver, request: BaseHTTPRequestHandler) -> None:
        with receiver.changed:
            receiver.changed.wait_for(lambda: receiver.at_once >= count, 0.2)
        answer(200)(receiver, request)

    return behave


def after(event: threading.Event) -> Behaviour:
    """Answer 200 once the event has happened."""

    def behave(receiver: Receiver, request: BaseHTTPRequestHandler) -> None:
        event.wait(10)
        answer(200)(receiver, request)

    return behave


class Silent:
    """A port that takes no connection: its queue is full, so the network never answers."""

    def __init__(self, address: str, port: int = 0) -> None:
        self._listening = socket.socket()
        self._listening.bind((address, port))
        self._listening.listen(0)
        self.port = int(self._listening.getsockname()[1])
        self._waiting = [socket.socket() for _ in range(3)]
        for one in self._waiting:
            one.setblocking(False)
            one.connect_ex((address, self.port))

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (*self._waiting, self._listening):
            one.close()
