"""A provider that says nothing, or too little, is given up after the time that is set, and asked as
often as is set.

测试调用生成服务的超时与尝试次数。
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from shared import config
from shared.clock import Deadline
from shared.providers import http
from shared.providers.base import Adapter, Ask, ProviderUnavailable, UnknownOutcome
from shared.providers.credentials import KeptCredentials
from shared.providers.declaration import Surroundings, Timeouts
from shared.providers.http import Connections
from shared.providers.registry import PROVIDERS
from tests.fakes import FakeClock
from tests.unit.test_config import GOOD

LONG = 300.0
"""Seconds that no test waits for: a time-out that does not hold would stop it."""
PATIENT = Timeouts(connect=LONG, read=LONG, write=LONG, total=LONG)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


class Silent:
    """Takes connections, and does with each what it is made with; by default nothing.

    只接受连接、不作应答的服务器。
    """

    def __init__(self, behave: Callable[[socket.socket, threading.Event], None] | None) -> None:
        self._peers: list[Any] = []
        self._news = threading.Condition()
        self._behave = behave or (lambda line, over: None)
        self._over = threading.Event()
        self._lines: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._listener.close()
        for line in self._lines:
            line.close()

    def connections(self) -> int:
        """How many there were until now: one of ours comes behind them all."""
        host, _, port = self.place.partition(":")
        with socket.create_connection((host, int(port))) as last, self._news:
            assert self._news.wait_for(lambda: last.getsockname() in self._peers, LONG)
            return len(self._peers) - 1

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self._lines.append(line)
            with self._news:
                self._peers.append(line.getpeername())
                self._news.notify_all()
            threading.Thread(target=self._behave, args=(line, self._over), daemon=True).start()


@contextmanager
def silent(behave: Any = None) -> Iterator[Silent]:
    server = Silent(behave)
    try:
        yield server
    finally:
        server.close()


def drip(line: socket.socket, over: threading.Event) -> None:
    try:
        line.sendall(HEAD)
        while not over.wait(0.02):
            line.sendall(b"x")
    except OSError:
        pass


def call(timeouts: Timeouts, url: str, content: Any = None) -> None:
    connections = Connections("tripo", None, timeouts)
    try:
        connections.call("POST", url, {}, content, Deadline.after(LONG))
    finally:
        connections.close()


def test_who_never_completes_a_connection_is_given_up() -> None:
    # The handshake of TLS belongs to connecting.
    with silent() as server, pytest.raises(ProviderUnavailable, match="ConnectTimeout"):
        call(Timeouts(**{**vars(PATIENT), "connect": 0.1}), f"https://{server.place}/")


def test_who_never_answers_is_given_up() -> None:
    with silent() as server, pytest.raises(ProviderUnavailable, match="ReadTimeout"):
        call(Timeouts(**{**vars(PATIENT), "read": 0.1}), f"http://{server.place}/")


def test_who_takes_no_body_is_given_up() -> None:
    # More than the buffers of both ends hold.
    body = "x" * (64 << 20)
    with silent() as server, pytest.raises(ProviderUnavailable, match="Timeout"):
        call(Timeouts(**{**vars(PATIENT), "write": 0.1}), f"http://{server.place}/", body)


def test_who_answers_by_drips_is_given_up_after_the_time_for_all() -> None:
    with silent(drip) as server, pytest.raises(ProviderUnavailable):
        call(Timeouts(**{**vars(PATIENT), "total": 0.3}), f"http://{server.place}/")


def test_a_create_that_nobody_answers_has_no_known_outcome(monkeypatch: Any) -> None:
    monkeypatch.setattr(http, "CREATE_SECONDS", 0.2)
    connections = Connections("tripo", None, Timeouts(read=0.1))
    with silent() as server:
        with pytest.raises(UnknownOutcome):
            connections.create(f"http://{server.place}/", {}, "{}", Deadline.after(LONG))
        assert server.connections() == 1


def adapter(provider: str, place: str, **settings: str) -> tuple[Adapter, str]:
    """An adapter as a deployment's settings make it, and its credential."""
    prefix = provider.upper().replace("-", "_")
    told = {f"{prefix}_{name.upper()}": value for name, value in settings.items()}
    told |= {"TRIPO_API_KEY": "tsk_a-key-for-tests", f"{prefix}_BASE_URL": f"http://{place}"}
    declared, found = PROVIDERS[provider], config.load({**GOOD, **told}).providers[provider]
    kept = found.credentials()
    around = Surroundings(KeptCredentials({provider: kept}), FakeClock(), 1000)
    return declared.make(found, around), kept[0].name


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
@pytest.mark.parametrize("tries", [1, 2, 5])
def test_a_silent_provider_is_asked_as_often_as_is_set(provider: str, tries: int) -> None:
    with silent() as server:
        made, credential = adapter(provider, server.place, read_seconds="0.1", tries=str(tries))
        with pytest.raises(ProviderUnavailable):
            made.check(["a-task"], credential, Deadline.after(LONG))
        assert server.connections() == tries
        made.close()


@pytest.mark.parametrize(
    ("provider", "kind"), [("tripo", "text-to-3d"), ("qwen-image", "text-to-image")]
)
def test_a_create_is_sent_once_however_many_tries_are_set(
    provider: str, kind: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(http, "CREATE_SECONDS", 0.1)
    with silent() as server:
        made, credential = adapter(provider, server.place, read_seconds="0.1", tries="9")
        deadline = Deadline.after(LONG)
        request = made.prepare(Ask(kind, "a cup", {}, {}), credential, deadline)
        with pytest.raises(UnknownOutcome):
            made.submit(request, "a-key", credential, deadline)
        assert server.connections() == 1
        made.close()
