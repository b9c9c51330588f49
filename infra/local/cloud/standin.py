"""A server on this machine as a process of its own, one per state folder, kept alive.

Whoever comes first keeps it; others on the same folder use it, and one of them takes over when the
first one ends. The kernel's file lock decides, so that even a killed keeper is relieved at once.
One that does not start is tried again after pauses that grow, and what keeps it from starting is
told to whoever listens.

管理本机的服务进程：同一数据目录只有一个。
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit
from urllib.request import urlopen

from infra.local.cloud.kept_server import Server
from infra.local.cloud.ports import LOOPBACK, any_port, is_free
from infra.local.cloud.service_log import ServiceLog
from infra.paths import ROOT

log = logging.getLogger("maquette.local")

_PAUSES = (0.5, 300.0)
"""Seconds before one that ended is started again: at first, and, doubled each time, at most."""
_STEADY_SECONDS = 30.0
"""One that answered for this long was all right; its end is the first one again."""
_GIVEN_UP = 2
"""So many starts in vain, and whoever waits for it is told."""
_STOP_SECONDS = 5.0
_PORT_SECONDS = 2.0


class StandinError(Exception):
    """The server does not start; the message says what to do.

    本机服务无法启动。
    """


News = Callable[[str | None], None]
"""Hears how a kept server is: what keeps it from working, or None once it answers; never fails."""


class Standin:
    """A server of one state folder: `start`, then `url`, and `close` at the very end.

    `settle` before `start` gives its address at once, whether or not it ever answers there.

    一个数据目录中的服务。
    """

    def __init__(self, home: Path, server: Server) -> None:
        self._home = home
        self._server = server
        self._known = home / f"{self._server.name}.url"
        self._log = ServiceLog(home / server.log if server.log else None)
        self._settled = ""
        self._ready = threading.Event()
        self._closing = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._lock: TextIO | None = None
        self._keeper = threading.Thread(target=self._keep, name="standin", daemon=True)
        self._guard = threading.Lock()
        self._news: News = lambda trouble: None
        self._trouble: str | None = None
        self._in_vain = 0

    def settle(self) -> str:
        """Where it is going to answer: what whoever keeps it has settled, or, where nobody does, an
        address that is free now. Called before `start`, and afterwards as often as one likes.

        先确定服务的地址，不等待其启动。
        """
        if self._settled:
            return self._settled
        lock = self._opened()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            end = time.monotonic() + _PORT_SECONDS
            while not self._known.is_file() and time.monotonic() < end:
                time.sleep(0.01)
        else:
            port = self._port()
            if not port or not is_free(port):
                _write(self._known, f"http://{LOOPBACK}:{any_port()}")
        self._settled = self._known.read_text()
        return self._settled

    def start(self) -> None:
        """Begin to start it, or to wait until it has to be taken over; returns at once.

        开始启动替身。
        """
        self._opened()
        self._keeper.start()

    def tell(self, news: News) -> None:
        """Have `news` told how it is, from now on, and of what is wrong already.

        告知服务的状态。
        """
        with self._guard:
            self._news = news
            trouble = self._trouble
        if trouble is not None:
            news(trouble)

    def url(self, seconds: float | None = None) -> str:
        """Where it answers, once it does; raises `StandinError` if that takes too long, or if it
        was started twice in vain.

        等待替身就绪并返回地址。
        """
        end = time.monotonic() + (seconds or self._server.ready_seconds)
        while time.monotonic() < end and self._in_vain < _GIVEN_UP:
            if self._ready.wait(0.05):
                return self._known.read_text()
            found = self._known.read_text() if self._known.is_file() else ""
            if found and _answers(found + self._server.probe):
                return found
        if self._trouble is not None:
            raise StandinError(self._trouble)
        command = " ".join(self._server.command(self._home, 0))
        raise StandinError(f"{self._server.label} did not start; `{command}` says why")

    def close(self) -> None:
        """End it if it is ours, and let another process take over.

        停止替身。
        """
        self._closing.set()
        with self._guard:
            process = self._process
            self._news = lambda trouble: None
        if process is not None:
            _end(process)
            self._keeper.join(_STOP_SECONDS)
        # A keeper that still waits for the lock is left to the end of this process.

    def kill(self) -> None:
        """Kill it without warning, as a crash would, if it is ours; it is started again.

        直接杀死服务，随后会自动重启。
        """
        with self._guard:
            process = self._process
        if process is not None:
            process.kill()
            process.wait()

    def _opened(self) -> TextIO:
        if self._lock is None:
            self._lock = (self._home / f"{self._server.name}.lock").open("w")
        return self._lock

    def _keep(self) -> None:
        """Run the server, again when it has died, while this machine's lock is held.

        保持服务器运行。
        """
        pause, most = _PAUSES
        with self._opened() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            while not self._closing.is_set():
                why, steady = self._run_once()
                if self._closing.is_set():
                    return
                pause = _PAUSES[0] if steady else pause
                again = f"it is started again in {pause:g} s"
                log.warning("%s ended: %s; %s", self._server.label, why, again)
                self._closing.wait(pause)
                pause = min(2 * pause, most)

    def _run_once(self) -> tuple[str, bool]:
        """Run the server until it ends: why it did, and whether it had been well for a while.

        运行一次，直到结束。
        """
        lacks = self._server.lacks()
        if lacks is not None:
            self._failed(lacks)
            return lacks, False
        try:
            process = self._launch()
        except OSError as error:
            self._failed(str(error))
            return str(error), False
        since = time.monotonic()
        if process is None:
            return "", False
        was_ready = self._ready.is_set()
        status = process.wait()
        _end(process)
        self._ready.clear()
        why = self._log.last_words() or f"exit status {status}"
        if self._closing.is_set():
            return why, False
        self._failed(why, in_vain=not was_ready)
        return why, was_ready and time.monotonic() - since > _STEADY_SECONDS

    def _failed(self, why: str, *, in_vain: bool = True) -> None:
        remedy = self._server.remedy(why)
        trouble = f"{self._server.label} does not start: {why}{remedy and f'; {remedy}'}"
        with self._guard:
            self._trouble = trouble
            news = self._news
        self._in_vain += in_vain
        news(trouble)

    def _works(self) -> None:
        with self._guard:
            self._trouble = None
            news = self._news
        self._in_vain = 0
        self._ready.set()
        news(None)

    def _launch(self) -> subprocess.Popen[str] | None:
        """Start the server and wait for its address; None if all is being closed.

        启动服务器。
        """
        port = self._free_port()
        with self._guard, self._log.begin() as said:
            if self._closing.is_set():
                return None
            process = self._process = subprocess.Popen(
                self._server.command(self._home, port),
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name != "TRIPO_API_KEY"},
                # Its end of this pipe tells it that we are gone, even when we were killed.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                # Ctrl-C is for us; the stand-in is stopped last.
                start_new_session=True,
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        if line.startswith("listening on "):
            _write(self._known, line.removeprefix("listening on ").strip())
            self._works()
        return process

    def _free_port(self) -> int:
        """The port it had before, so that links stay right; any other if that one is taken."""
        port = self._port()
        end = time.monotonic() + _PORT_SECONDS
        while port and not is_free(port):
            # A keeper that was killed leaves a stand-in that is just ending.
            if time.monotonic() > end or self._closing.wait(0.05):
                return 0
        return port

    def _port(self) -> int:
        known = self._known.read_text() if self._known.is_file() else ""
        return urlsplit(known).port or 0


def _answers(url: str) -> bool:
    with suppress(OSError, ValueError), urlopen(url, timeout=1) as answer:
        return isinstance(json.load(answer), dict)
    return False


def _end(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    os.replace(aside, path)
