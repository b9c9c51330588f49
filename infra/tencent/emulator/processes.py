"""A process of the emulated platform: its output read line by line, its end in our hands.

模拟平台的进程：逐行读取输出，可随时结束。
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from infra.tencent.emulator.installing import Installed

_LAST_WORDS_SECONDS = 2.0
"""How long what it wrote last is waited for."""


class Process:
    """A process group whose output goes, line by line, to `log`; its end is nobody else's.

    一个输出被逐行记录的进程组。
    """

    def __init__(
        self,
        arguments: Sequence[str],
        installed: Installed,
        log: Callable[[str], None],
        *,
        more: Mapping[str, str] | None = None,
        passed: tuple[int, ...] = (),
    ) -> None:
        self.tail: deque[str] = deque(maxlen=200)
        self._log = log
        self._seen = threading.Condition()
        self._over = False
        self.popen = subprocess.Popen(
            list(arguments),
            env={**installed.variables(), **(more or {})},
            cwd=installed.code,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=passed,
            # Ctrl-C is for us, and a group of its own lets us end what it runs as well.
            start_new_session=True,
        )
        self._reader = threading.Thread(
            target=self._read, name=f"log-{installed.name}", daemon=True
        )
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether it still runs.

        是否仍在运行。
        """
        return self.popen.poll() is None

    def say(self, line: str) -> None:
        """Write to its standard input; raises `OSError` where it has ended.

        写入标准输入。
        """
        source: IO[bytes] | None = self.popen.stdin
        assert source is not None
        source.write(line.encode() + b"\n")
        source.flush()

    def end(self) -> None:
        """End the whole group at once; twice is harmless.

        立即结束。
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        self._reader.join(_LAST_WORDS_SECONDS)
        if self.popen.stdin is not None:
            with contextlib.suppress(OSError):
                self.popen.stdin.close()

    def wait_for_line(self, line: str, seconds: float) -> None:
        """Wait until its log has a line, or cannot have it any more.

        等待某行日志。
        """
        with self._seen:
            self._seen.wait_for(lambda: self._over or line in self.tail, seconds)

    def _read(self) -> None:
        """Hand on every line of its output, until that ends.

        逐行转交输出。
        """
        assert self.popen.stdout is not None
        with self.popen.stdout as output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip("\n")
                if line:
                    self._log(line)
                with self._seen:
                    self.tail.append(line)
                    self._seen.notify_all()
        with self._seen:
            self._over = True
            self._seen.notify_all()
