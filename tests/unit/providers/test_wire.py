"""The transport below the adapters, over sockets whose other end says exactly what a test wants."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import trustme

from shared.clock import Deadline
from shared.providers import wire as wires
from shared.providers.wire import Wire

SOON = 30.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"


class Server:
    """Answers each connection by its script: pieces to send, one a request read, then it closes.

    按脚本应答的服务器。
    """

    def __init__(self, *scripts: Any, tls: ssl.SSLContext | None = None) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = threading.Semaphore(0)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def url(self, path: str = "/x", scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def _serve(self) -> None:
        for script in self.scripts:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            raw.settimeout(SOON)
            with raw:
                try:
                    if self._tls is not None:
                        raw = self._tls.wrap_socket(raw, server_side=True)
                    for answer in script:
                        self._one(raw, answer)
                except OSError:
                    pass
            self.closed.release()

    def _one(self, raw: socket.socket, answer: Any) -> None:
        said = b""
        while b"\r\n\r\n" not in said:
            piece = raw.recv(65536)
            if not piece:
                raise OSError("gone")
            said += piece
        self.requests.append(said)
        if callable(answer):
            answer(raw, said)
        else:
            raw.sendall(answer)


@contextmanager
def serving(*scripts: Any, **more: Any) -> Iterator[Server]:
    server = Server(*scripts, **more)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire(ssl.create_default_context)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def asked(url: str, *, seconds: float = SOON, read: float = SOON, **more: Any) -> httpx.Request:
    alone = more.pop("alone", False)
    return httpx.Request(
        more.pop("method", "GET"),
        url,
        extensions={
            "timeout": {"connect": 5.0, "read": read},
            "deadline": Deadline.after(seconds),
            "alone": alone,
        },
        **more,
    )


def answer(wire: Wire, *given: Any, **more: Any) -> httpx.Response:
    response = wire.handle_request(asked(*given, **more))
    try:
        response.read()
    finally:
        response.close()
    return response


def test_an_answer_is_read_and_its_connection_used_again(wire: Wire) -> None:
    with serving([OK, OK]) as server:
        first = answer(wire, server.url("/a?b=c%20d"), headers={"X-Name": "1"})
        second = answer(wire, server.url("/b"), method="POST", content="hello")
    assert [first.status_code, first.content, second.content] == [200, b"whole", b"whole"]
    assert server.connections == 1
    head = server.requests[0].split(b"\r\n")
    assert head[0] == b"GET /a?b=c%20d HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}".encode() in head
    assert b"X-Name: 1" in head
    assert server.requests[1].endswith(b"Content-Length: 5\r\n\r\nhello")


def test_a_request_that_is_to_be_alone_shares_no_connection(wire: Wire) -> None:
    with serving([OK], [OK], [OK]) as server:
        answer(wire, server.url())
        answer(wire, server.url(), alone=True)
        answer(wire, server.url(), alone=True)
    assert server.connections == 3


def test_a_connection_that_the_server_closed_is_not_used(wire: Wire) -> None:
    with serving([OK], [OK]) as server:
        answer(wire, server.url())
        assert server.closed.acquire(timeout=SOON)
        assert answer(wire, server.url()).content == b"whole"
    assert server.connections == 2


def test_a_connection_that_was_idle_for_long_is_not_used(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving([OK], [OK]) as server:
        answer(wire, server.url())
        monkeypatch.setattr(wires, "IDLE_SECONDS", -1.0)
        answer(wire, server.url())
    assert server.connections == 2


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nwhole",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nwhole",
        b"HTTP/1.1 200 OK\r\n\r\nwhole",
    ],
)
def test_a_connection_that_is_to_be_closed_is_not_kept(wire: Wire, said: bytes) -> None:
    with serving([said], [said]) as server:
        assert [answer(wire, server.url()).content for _ in range(2)] == [b"whole"] * 2
    assert server.connections == 2


def test_an_answer_that_was_not_read_to_its_end_takes_its_connection_along(wire: Wire) -> None:
    with serving([OK], [OK]) as server:
        wire.handle_request(asked(server.url())).close()
        answer(wire, server.url())
    assert server.connections == 2


def test_an_answer_in_chunks_is_put_together(wire: Wire) -> None:
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n3\r\nole\r\n0\r\n\r\n"
    with serving([said, OK]) as server:
        assert [answer(wire, server.url()).content for _ in range(2)] == [b"whole"] * 2
    assert server.connections == 1


def test_interim_answers_are_passed_over(wire: Wire) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n"
    with serving([interim + OK]) as server:
        found = answer(wire, server.url())
    assert (found.status_code, found.content) == (200, b"whole")
    assert "link" not in found.headers


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nwhole",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nwhole",
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "no HTTP", "cut short", "chunk cut short", "many headers", "long header"],
)
def test_what_is_no_whole_answer_is_an_error(wire: Wire, said: bytes) -> None:
    with serving([said]) as server, pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        answer(wire, server.url())


@pytest.mark.parametrize("after", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwh"])
def test_a_server_that_falls_silent_is_left_in_time(wire: Wire, after: bytes) -> None:
    hold = threading.Event()

    def silent(raw: socket.socket, _said: bytes) -> None:
        raw.sendall(after)
        hold.wait(SOON)

    for limits in ({"read": 0.05}, {"seconds": 0.05}):
        with serving([silent]) as server, pytest.raises(httpx.ReadTimeout):
            answer(wire, server.url(), **limits)
    hold.set()


def test_a_deadline_that_is_drawn_nearer_ends_an_answer_that_drips(wire: Wire) -> None:
    ended = threading.Event()

    def drip(raw: socket.socket, _said: bytes) -> None:
        raw.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not ended.wait(0.005):
            raw.sendall(b".")

    with serving([drip]) as server:
        response = wire.handle_request(asked(server.url()))
        left = iter([1.0] * 3)
        response.extensions["line"].until(Deadline(lambda: next(left, 0.0)))
        with pytest.raises(httpx.ReadTimeout):
            response.read()
        ended.set()
        response.close()


def test_what_was_never_sent_is_told_from_what_may_have_been(wire: Wire) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    with pytest.raises(httpx.ConnectError):
        answer(wire, f"http://127.0.0.1:{free}/")
    with pytest.raises(httpx.ConnectError):
        answer(wire, "http://no-such-host.invalid/")


def test_who_refuses_a_large_body_and_leaves_is_still_heard(wire: Wire) -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
    sent = threading.Event()

    def refuse(raw: socket.socket, _said: bytes) -> None:
        raw.sendall(refusal)
        raw.shutdown(socket.SHUT_WR)
        sent.set()
        while raw.recv(1 << 20):
            pass

    def body() -> Iterator[bytes]:
        yield b"x" * (1 << 16)
        assert sent.wait(SOON)
        yield b"x" * (1 << 20)

    headers = {"Content-Length": str((1 << 16) + (1 << 20))}
    with serving([refuse]) as server:
        found = answer(wire, server.url(), method="POST", content=body(), headers=headers)
    assert (found.status_code, found.content) == (413, b"no")


def test_a_body_of_unknown_length_goes_out_in_chunks(wire: Wire) -> None:
    def take(raw: socket.socket, said: bytes) -> None:
        while not said.endswith(b"0\r\n\r\n"):
            said += raw.recv(65536)
        server.requests.append(said)
        raw.sendall(OK)

    with serving([take]) as server:
        answer(wire, server.url(), method="POST", content=iter([b"he", b"llo"]))
    assert server.requests[-1].endswith(b"\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")


def test_what_the_body_s_source_raises_goes_on_as_it_is(wire: Wire) -> None:
    class Gone(Exception):
        pass

    def body() -> Iterator[bytes]:
        yield b"x"
        raise Gone

    with serving([OK]) as server, pytest.raises(Gone):
        answer(wire, server.url(), method="POST", content=body())


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> Callable[[], ssl.SSLContext]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return lambda: context


def test_tls_is_verified_against_the_host_s_name(authority: trustme.CA) -> None:
    wire = Wire(trusting(authority))
    with serving([OK, OK], tls=server_tls(authority, "localhost")) as server:
        found = [answer(wire, server.url(scheme="https", host="localhost")) for _ in range(2)]
    assert [one.content for one in found] == [b"whole"] * 2
    assert server.connections == 1
    with (
        serving([OK], tls=server_tls(authority, "elsewhere.example")) as server,
        pytest.raises(httpx.ConnectError),
    ):
        answer(wire, server.url(scheme="https", host="localhost"))
    wire.close()


def test_a_proxy_of_the_environment_is_asked_for_the_whole_url(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving([OK], [OK]) as server:
        monkeypatch.setenv("http_proxy", f"http://me:se%20cret@127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert answer(wire, "http://far.example/x?y=1").content == b"whole"
        assert answer(wire, server.url("/near")).content == b"whole"
    head = server.requests[0].split(b"\r\n")
    assert head[0] == b"GET http://far.example/x?y=1 HTTP/1.1"
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"me:se cret") in head
    assert server.requests[1].startswith(b"GET /near HTTP/1.1")
    assert b"Proxy-Authorization" not in server.requests[1]


def test_a_proxy_of_the_environment_opens_a_tunnel_for_tls(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    within = server_tls(authority, "far.example")

    def tunnel(raw: socket.socket, _said: bytes) -> None:
        raw.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with within.wrap_socket(raw, server_side=True) as inner:
            server.requests.append(inner.recv(65536))
            inner.sendall(OK)

    wire = Wire(trusting(authority))
    with serving([tunnel]) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.port}")
        assert answer(wire, "https://far.example/x").content == b"whole"
    assert server.requests[0].startswith(b"CONNECT far.example:443 HTTP/1.")
    assert server.requests[1].startswith(b"GET /x HTTP/1.1\r\nHost: far.example\r\n")
    wire.close()


def test_a_proxy_that_refuses_has_sent_nothing(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    with serving([b"HTTP/1.1 403 Forbidden\r\n\r\n"]) as server:
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{server.port}")
        with pytest.raises(httpx.ConnectError):
            answer(wire, "https://far.example/x")
