"""Several worker processes behind one socket: started, watched, started again, stopped.

管理多个工作进程。
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from infra.local.cloud.stop import GRACE, Stop
from infra.paths import ROOT

log = logging.getLogger("maquette.local")

SETTINGS_WRONG = 2
_LOOK = 0.1
_BACKOFF = (0.2, 10.0)
"""Seconds before a dead worker is started again: at first, and at most."""
_STEADY = 10.0
"""A worker that lived this long was all right; its end is the first one again."""
_KILL_AFTER = GRACE + 5.0


@dataclass
class _Slot:
    """One worker's place: who is in it, since when, and when a dead one may be replaced."""

    process: subprocess.Popen[bytes]
    since: float
    pause: float = _BACKOFF[0]
    again_at: float | None = None


class Workers:
    """The workers of one listening socket; `run` returns once all have ended.

    `on_ready` is called once, when the first of them answers; `more` are further arguments of each.

    一组工作进程。
    """

    def __init__(
        self,
        count: int,
        listener: socket.socket,
        environ: Mapping[str, str],
        stop: Stop,
        on_ready: Callable[[], None],
        more: Sequence[str] = (),
    ) -> None:
        self._more = tuple(more)
        self._listener = listener
        self._environ = dict(environ)
        self._stop = stop
        self._on_ready = on_ready
        # Nobody writes to this pipe: its end tells the workers that this process is gone.
        self._life, self._hold = os.pipe()
        self._ready, self._say_ready = os.pipe()
        self._slots = [_Slot(self._spawn(), time.monotonic()) for _ in range(count)]

    def run(self) -> int:
        """Keep the workers alive until a stop is asked for; their exit status.

        运行直到被要求停止。
        """
        threading.Thread(target=self._announce, daemon=True).start()
        status = 0
        while not self._stop.wait(_LOOK):
            for slot in self._slots:
                if slot.process.poll() == SETTINGS_WRONG:
                    status = SETTINGS_WRONG
                    self._stop.ask()
                elif slot.process.returncode is not None:
                    self._replace(slot)
        self._end()
        return status

    def kill(self) -> None:
        """End all of them at once.

        立即结束所有工作进程。
        """
        for slot in self._slots:
            slot.process.kill()

    def _replace(self, slot: _Slot) -> None:
        """Start another worker for one that has died, after a pause that grows if it dies at once.

        替换死去的工作进程。
        """
        now = time.monotonic()
        if slot.again_at is None:
            if now - slot.since > _STEADY:
                slot.pause = _BACKOFF[0]
            slot.again_at = now + slot.pause
            slot.pause = min(2 * slot.pause, _BACKOFF[1])
            code = slot.process.returncode
            log.warning("worker %d ended (%s); it is started again", slot.process.pid, code)
        elif now >= slot.again_at:
            slot.process, slot.since, slot.again_at = self._spawn(), now, None

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start a worker with the listener and the pipes that it inherits.

        启动一个工作进程。
        """
        handles = (self._listener.fileno(), self._life, self._say_ready)
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "infra.local.cli.serve",
                "--worker",
                ",".join(map(str, handles)),
                *self._more,
            ],
            cwd=ROOT,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            pass_fds=handles,
            # Ctrl-C reaches this process, which passes it on once.
            start_new_session=True,
        )

    def _announce(self) -> None:
        if os.read(self._ready, 1):
            self._on_ready()

    def _end(self) -> None:
        """Ask every worker to stop, and kill those that have not after a while.

        结束全部工作进程。
        """
        for slot in self._slots:
            if slot.process.poll() is None:
                slot.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + _KILL_AFTER
        for slot in self._slots:
            try:
                slot.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                slot.process.kill()
                slot.process.wait()


@dataclass(frozen=True)
class Inherited:
    """What a worker was given by its parent.

    工作进程从父进程继承的句柄。
    """

    listener: socket.socket
    life: int
    ready: int

    @classmethod
    def of(cls, text: str) -> Inherited:
        """From the handles' numbers on the command line.

        从命令行参数恢复。
        """
        listener, life, ready = map(int, text.split(","))
        return cls(socket.socket(fileno=listener), life, ready)

    def watch(self, stop: Stop) -> None:
        """Ask for a stop when the parent is gone.

        父进程消失时停止。
        """

        def wait() -> None:
            os.read(self.life, 1)
            stop.ask()

        threading.Thread(target=wait, name="parent", daemon=True).start()

    def say_ready(self) -> None:
        """Tell the parent that this worker answers.

        通知父进程已就绪。
        """
        os.write(self.ready, b"r")
