"""The Tripo stand-in as a process of its own, one per state folder, kept alive.

Whoever comes first keeps it; others on the same folder use it, and one of them takes over when the
first one ends. The kernel's file lock decides, so that even a killed keeper is relieved at once.

管理 Tripo 替身进程：同一数据目录只有一个。
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
from contextlib import suppress
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit
from urllib.request import urlopen

from infra.local.home import ROOT

log = logging.getLogger("maquette.local")

SECONDS = 3.0
"""How long the stand-in takes for a task; long enough to be watched, short enough to wait for."""
_READY_SECONDS = 30.0
_RESTART_SECONDS = 0.5
_STOP_SECONDS = 5.0
_PORT_SECONDS = 2.0
_LOOPBACK = "127.0.0.1"


class StandinError(Exception):
    """The stand-in does not start; the message says what to do.

    替身无法启动。
    """


class Standin:
    """The stand-in of one state folder: `start`, then `url`, and `close` at the very end.

    一个数据目录的替身。
    """

    def __init__(self, home: Path, seconds: float = SECONDS) -> None:
        self._home = home
        self._seconds = seconds
        self._known = home / "standin.url"
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
        self._lock = (self._home / "standin.lock").open("w")
        self._keeper.start()

    def url(self, seconds: float = _READY_SECONDS) -> str:
        """Where it answers, once it does; raises `StandinError` if that takes too long.

        等待替身就绪并返回地址。
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._ready.wait(0.05):
                return self._known.read_text()
            found = self._known.read_text() if self._known.is_file() else ""
            if found and _answers(found):
                return found
        raise StandinError(
            "the stand-in for Tripo did not start; `python -m infra.local.standins.tripo` says why"
        )

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

    def _keep(self) -> None:
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
                    log.warning("the stand-in for Tripo ended; it is started again")

    def _launch(self) -> subprocess.Popen[str] | None:
        port = self._free_port()
        command = [sys.executable, "-m", "infra.local.standins.tripo", "--watch-stdin"]
        command += ["--state", str(self._home / "standin"), "--seconds", str(self._seconds)]
        with self._guard:
            if self._closing.is_set():
                return None
            process = self._process = subprocess.Popen(
                [*command, "--port", str(port)],
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name != "TRIPO_API_KEY"},
                # Its end of this pipe tells it that we are gone, even when we were killed.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
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
    with suppress(OSError, ValueError), urlopen(f"{url}/_health", timeout=1) as answer:
        return bool(json.load(answer).get("ok"))
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
