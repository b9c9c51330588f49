"""A generator on this machine as a process of its own, one per state folder, kept alive: the Tripo
stand-in, and the Qwen-Image service.

Whoever comes first keeps it; others on the same folder use it, and one of them takes over when the
first one ends. The kernel's file lock decides, so that even a killed keeper is relieved at once.

管理本机的生成服务进程：同一数据目录只有一个。
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit
from urllib.request import urlopen

from infra.paths import ROOT

log = logging.getLogger("maquette.local")

SECONDS = 3.0
"""How long the stand-in takes for a task; long enough to be watched, short enough to wait for."""
_READY_SECONDS = 30.0
_RESTART_SECONDS = 0.5
_STOP_SECONDS = 5.0
_PORT_SECONDS = 2.0
_LOOPBACK = "127.0.0.1"


class StandinError(Exception):
    """The server does not start; the message says what to do.

    本机服务无法启动。
    """


@dataclass(frozen=True)
class Server:
    """A server that can be kept: its name in the state folder, what people call it, how it is run.

    `command` is given the state folder and a port. The server prints "listening on URL" once it
    can be used, ends with its standard input, and answers at `probe`. What it says on stderr goes
    into the file `log` in the state folder, where one is named.

    一种可在本机运行的服务。
    """

    name: str
    label: str
    command: Callable[[Path, int], Sequence[str]]
    probe: str = "/_health"
    ready_seconds: float = _READY_SECONDS
    log: str | None = None


def tripo(seconds: float = SECONDS) -> Server:
    """The stand-in for Tripo; `seconds` is how long a task takes.

    Tripo 的替身。
    """

    def command(home: Path, port: int) -> Sequence[str]:
        made = [sys.executable, "-m", "infra.local.standins.tripo", "--watch-stdin"]
        made += ["--state", str(home / "standin"), "--seconds", str(seconds)]
        return [*made, "--port", str(port)]

    return Server("standin", "the stand-in for Tripo", command)


QWEN_PYTHON = ROOT / ".venv-gpu" / "bin" / "python"
"""The Qwen-Image service's own Python; `use_tool gpu` in the scripts makes it."""


def qwen_image(*flags: str, log: str | None = None) -> Server:
    """The Qwen-Image service, on a tiny model where the operator names no other; `flags` are more
    of its own.

    本机的 Qwen-Image 服务。
    """

    def command(home: Path, port: int) -> Sequence[str]:
        return [str(QWEN_PYTHON), "-m", "infra.local.cloud.qwen", str(home), str(port), *flags]

    # A large model takes minutes to load.
    return Server("qwen-image", "the Qwen-Image service", command, "/health", 600.0, log)


class Standin:
    """A server of one state folder: `start`, then `url`, and `close` at the very end.

    一个数据目录中的服务。
    """

    def __init__(self, home: Path, server: Server | None = None) -> None:
        self._home = home
        self._server = server or tripo()
        self._known = home / f"{self._server.name}.url"
        self._ready = threading.Event()
        self._closing = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._lock: TextIO | None = None
        self._keeper = threading.Thread(target=self._keep, name="standin", daemon=True)
        self._guard = threading.Lock()

    def start(self) -> None:
        """Begin to start it, or to wait until it has to be taken over; returns at once.

        开始启动替身。
        """
        self._lock = (self._home / f"{self._server.name}.lock").open("w")
        self._keeper.start()

    def url(self, seconds: float | None = None) -> str:
        """Where it answers, once it does; raises `StandinError` if that takes too long.

        等待替身就绪并返回地址。
        """
        end = time.monotonic() + (seconds or self._server.ready_seconds)
        while time.monotonic() < end:
            if self._ready.wait(0.05):
                return self._known.read_text()
            found = self._known.read_text() if self._known.is_file() else ""
            if found and _answers(found + self._server.probe):
                return found
        command = " ".join(self._server.command(self._home, 0))
        raise StandinError(f"{self._server.label} did not start; `{command}` says why")

    def close(self) -> None:
        """End it if it is ours, and let another process take over.

        停止替身。
        """
        self._closing.set()
        with self._guard:
            process = self._process
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

    def _keep(self) -> None:
        """Run the server, again when it has died, while this machine's lock is held.

        保持服务器运行。
        """
        assert self._lock is not None
        with self._lock as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            while not self._closing.is_set():
                process = self._launch()
                if process is not None:
                    process.wait()
                    _end(process)
                self._ready.clear()
                if not self._closing.wait(_RESTART_SECONDS):
                    log.warning("%s ended; it is started again", self._server.label)

    def _launch(self) -> subprocess.Popen[str] | None:
        """Start the server and wait for its address; None if all is being closed.

        启动服务器。
        """
        port = self._free_port()
        with self._guard, self._said() as said:
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
            self._ready.set()
        return process

    def _said(self) -> AbstractContextManager[TextIO | None]:
        """Where its stderr goes; None is ours."""
        name = self._server.log
        return nullcontext() if name is None else (self._home / name).open("a")

    def _free_port(self) -> int:
        """The port it had before, so that links stay right; any other if that one is taken."""
        known = self._known.read_text() if self._known.is_file() else ""
        port = urlsplit(known).port or 0
        end = time.monotonic() + _PORT_SECONDS
        while port and not _is_free(port):
            # A keeper that was killed leaves a stand-in that is just ending.
            if time.monotonic() > end or self._closing.wait(0.05):
                return 0
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
            probe.listen()
        except OSError:
            return False
    return True


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
