"""One instance of a function: a process that its platform starts, asks and ends.

函数的一个实例：由平台启动、调用和结束的进程。
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.tencent.emulator.installing import Installed
from infra.tencent.emulator.processes import Process

LOOPBACK = "127.0.0.1"
PORT_VARIABLE = "SCF_PORT"
"""Where a web function listens here; on SCF it is always 9000."""

_HERE = Path(__file__).parent
_LOG_SECONDS = 2.0
"""How long an invocation waits for the last lines of its log."""
_LOOK = 0.02


class StartError(Exception):
    """An instance did not start; the message says why.

    实例无法启动。
    """


class TimedOut(Exception):
    """A function did not answer within its time-out, and its instance was ended for it.

    函数超时。
    """


class Died(Exception):
    """The process ended instead of answering.

    实例进程已退出。
    """


@dataclass(frozen=True)
class Reply:
    """What an event function answered: JSON, or its error in words.

    事件函数的应答。
    """

    result: str = ""
    error: str | None = None


class EventInstance:
    """An instance of an event function: one event at a time, the next when it has answered.

    事件函数的实例。
    """

    def __init__(self, installed: Installed, log: Callable[[str], None]) -> None:
        reading, writing = os.pipe()
        try:
            self._process = Process(
                [sys.executable, str(_HERE / "host.py"), str(writing), installed.handler],
                installed,
                log,
                passed=(writing,),
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._answers = os.fdopen(reading, "rb", buffering=0)
        self._reading = threading.Lock()
        self._kept = b""

    @property
    def pid(self) -> int:
        """The number of its process.

        进程号。
        """
        return self._process.popen.pid

    @property
    def alive(self) -> bool:
        """Whether it can be given an event.

        是否可用。
        """
        return self._process.alive

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until the entry is imported; raises `StartError`.

        等待入口加载完毕。
        """
        try:
            told = self._next(seconds)
        except TimedOut:
            raise StartError(f"its entry was not imported within {seconds:g} seconds") from None
        except Died:
            raise StartError("its process ended while its entry was imported") from None
        if "failed" in told:
            raise StartError(f"its entry cannot be imported: {told['failed']}")

    def call(
        self,
        request_id: str,
        event: Any,
        context: Mapping[str, Any],
        seconds: float,
    ) -> Reply:
        """Give it an event and its context; raises `TimedOut` or `Died`.

        处理一个事件。
        """
        ask = {"id": request_id, "event": event, "context": context}
        self._process.tail.clear()
        try:
            self._process.say(json.dumps(ask))
        except OSError:
            raise Died from None
        told = self._next(seconds)
        self._process.wait_for_line(f"END RequestId: {request_id}", _LOG_SECONDS)
        return Reply(told.get("result", ""), told.get("error"))

    def log(self) -> str:
        """The last lines that it wrote.

        最近的日志。
        """
        return "\n".join(self._process.tail)

    def end(self) -> None:
        """End it at once, whatever it does; who waits for its answer hears that it died.

        立即结束。
        """
        self._process.end()
        with self._reading:
            self._answers.close()

    def _next(self, seconds: float) -> dict[str, Any]:
        """The next message out of the instance; raises `TimedOut` or `Died`.

        读取实例的下一条消息。
        """
        end = time.monotonic() + seconds
        with self._reading:
            while b"\n" not in self._kept:
                left = end - time.monotonic()
                if self._answers.closed:
                    raise Died
                if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                    raise TimedOut
                piece = self._answers.read(1 << 16)
                if not piece:
                    raise Died
                self._kept += piece
            line, _, self._kept = self._kept.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told


class WebInstance:
    """An instance of a web function: a server on a port of its own, started by `scf_bootstrap`.

    Web 函数的实例。
    """

    def __init__(self, installed: Installed, log: Callable[[str], None]) -> None:
        self._installed = installed
        self._log = log
        self._held = _held_port()
        self.port = int(self._held.getsockname()[1])
        if sys.platform != "linux":
            self._held.close()
        try:
            self._process = self._launch()
        except BaseException:
            self._held.close()
            raise

    @property
    def pid(self) -> int:
        """The number of its keeper's process.

        进程号。
        """
        return self._process.popen.pid

    @property
    def alive(self) -> bool:
        """Whether it can be sent requests.

        是否可用。
        """
        return self._process.alive

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until it listens; raises `StartError`.

        等待端口就绪。
        """
        end = time.monotonic() + seconds
        with self._held:
            while time.monotonic() < end and self.alive:
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection((LOOPBACK, self.port), timeout=1),
                ):
                    return
                time.sleep(_LOOK)
        if self.alive:
            raise StartError(f"it did not listen within {seconds:g} seconds")
        raise StartError("its scf_bootstrap ended before it listened")

    def end(self) -> None:
        """End it at once.

        立即结束。
        """
        self._process.end()

    def _launch(self) -> Process:
        """Start its program; raises `StartError` where there is none to start.

        启动进程。
        """
        program = self._installed.code / "scf_bootstrap"
        if not os.access(program, os.X_OK):
            raise StartError("the code has no scf_bootstrap that may be executed")
        return Process(
            [sys.executable, "-I", "-S", str(_HERE / "keeper.py"), str(program)],
            self._installed,
            self._log,
            # What a bootstrap does elsewhere than on SCF: listen on this machine alone, and run
            # this Python.
            more={
                PORT_VARIABLE: str(self.port),
                "SCF_HOST": LOOPBACK,
                "SCF_PYTHON": sys.executable,
            },
        )


def _held_port() -> socket.socket:
    """A port of this machine that nobody but a listener of ours gets while this socket is open:
    neither does the system choose it again, nor connects from it to itself what looks whether
    somebody listens there. Elsewhere than on Linux it can only be chosen, and is given back.

    占住一个空闲端口。
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((LOOPBACK, 0))
    return held
