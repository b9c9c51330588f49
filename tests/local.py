"""Commands of this checkout as processes of a test: started, read line by line, stopped.

测试用：启动并观察本机命令。
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from infra.local.cloud.home import VARIABLE
from infra.paths import ROOT
from shared.config import variables

SOON = 30.0


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment that knows no setting but these: neither this machine's nor .env's.

    干净的环境变量。
    """
    # Set but empty: then not even a .env in the checkout can fill them in.
    empty = dict.fromkeys(variables(), "")
    known = {name: value for name, value in os.environ.items() if not name.startswith("MAQUETTE_")}
    # Where the picture service is installed, it would be started with everything else.
    return {**known, **empty, "QWEN_IMAGE_BASE_URL": "off", VARIABLE: str(home), **more}


class Command:
    """A running `python -m MODULE`; its stderr is read as it comes, its stdout at the end.

    一个运行中的命令。
    """

    def __init__(self, module: str, *arguments: str, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.output = ""
        self._fresh: queue.Queue[str | None] = queue.Queue()
        self._readers = [
            threading.Thread(target=target, daemon=True) for target in (self._err, self._out)
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Command:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def said(self) -> str:
        """All of stderr so far.

        已输出的错误流。
        """
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, seconds: float = SOON) -> re.Match[str]:
        """The first line of stderr not yet looked at that matches; fails if none comes.

        等待某行输出。
        """
        end = time.monotonic() + seconds
        while True:
            try:
                line = self._fresh.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"{pattern!r} was never said:\n{self.said}"
            if match := re.search(pattern, line):
                return match

    def wait(self, seconds: float = SOON) -> int:
        """Its exit status; by then `output` and `lines` are whole.

        等待退出。
        """
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end:\n{self.said}") from None
        for reader in self._readers:
            reader.join(5)
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal.

        发送信号。
        """
        self.process.send_signal(number)

    def _err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            self._fresh.put(self.lines[-1])
        self._fresh.put(None)

    def _out(self) -> None:
        assert self.process.stdout is not None
        self.output = self.process.stdout.read()


def until(condition: Callable[[], bool], seconds: float = SOON) -> None:
    """Wait for a condition; fails if it does not come true.

    等待条件成立。
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.02)


def processes(home: Path) -> dict[int, str]:
    """The command lines of all processes that work in a state folder, by their number (Linux).

    使用某个数据目录的进程。
    """
    found = {}
    marker = f"{VARIABLE}={home}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if marker in (folder / "environ").read_bytes().split(b"\0"):
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(folder.name)] = line.decode()
            except OSError:
                continue  # it has ended, or is another user's
    return found
