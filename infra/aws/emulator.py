"""The emulated AWS on this machine: started on a port the system chooses, ended with us.

在本机启动和停止 AWS 模拟器。
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from urllib.request import urlopen

from infra.paths import ROOT

REGION = "us-east-1"
PYTHON = ROOT / ".venv-emulator" / "bin" / "python"
"""The emulator's own Python; `use_tool emulator` in the scripts makes it."""

_LOOPBACK = "127.0.0.1"
_READY_SECONDS = 60.0
_STOP_SECONDS = 3.0
_TRIES = 3


class EmulatorError(OSError):
    """The emulator does not start; the message says what to do.

    模拟器无法启动。
    """


class Emulator:
    """An emulated AWS, empty at the start, gone at the end. Use it as a context manager.

    `url` is its address, `environ` what every AWS SDK needs in its environment to reach it.
    `more` is set in the emulator's own environment; `log` is where its output goes.

    一个 AWS 模拟器。
    """

    def __init__(self, more: Mapping[str, str] | None = None, log: Path | None = None) -> None:
        self._more = dict(more or {})
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        # Each has its own: the emulator keeps files there under names that others would share.
        self._folder = tempfile.TemporaryDirectory(prefix="maquette-aws-")
        self.url = ""

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which an AWS SDK talks to this emulator and to nobody else.

        访问模拟器所需的环境变量。
        """
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start it and wait until it answers; raises `EmulatorError`.

        启动并等待就绪。
        """
        if not PYTHON.exists():
            raise EmulatorError(
                "the emulated AWS is not installed; ./scripts/serve --cloud aws installs it"
            )
        for _ in range(_TRIES):
            port = _free_port()
            self.url = f"http://{_LOOPBACK}:{port}"
            self._process = self._launch(port)
            if self._answers():
                return
            self._end()
        raise EmulatorError(f"the emulated AWS did not start; {self._log or 'its log'} says why")

    def close(self) -> None:
        """End it, and what it runs; calling it twice is harmless.

        停止模拟器。
        """
        self._end()
        self._folder.cleanup()

    def _launch(self, port: int) -> subprocess.Popen[bytes]:
        """Start the emulator on a port, under a keeper that ends it when this process is gone.

        在指定端口启动模拟器。
        """
        environ = {name: value for name, value in os.environ.items() if not _is_ours(name)}
        environ |= {
            "BIND_HOST": _LOOPBACK,
            "GATEWAY_PORT": str(port),
            "LOG_LEVEL": "WARNING",
            "MINISTACK_REGION": REGION,
            "TMPDIR": self._folder.name,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        output = subprocess.DEVNULL if self._log is None else self._log.open("ab")
        try:
            return subprocess.Popen(
                [str(PYTHON), str(ROOT / "infra" / "aws" / "keeper.py")],
                env=environ | self._more,
                cwd=self._folder.name,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for us, and a group of its own lets us end what it runs as well.
                start_new_session=True,
            )
        finally:
            if not isinstance(output, int):
                output.close()

    def _answers(self) -> bool:
        assert self._process is not None
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with urlopen(f"{self.url}/_ministack/health", timeout=2):
                    return True
            except OSError:
                time.sleep(0.05)
        return False

    def _end(self) -> None:
        """Stop the emulator, gently first, and the functions that it runs.

        停止模拟器及其函数。
        """
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        # Functions that it runs are processes of their own, in its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _is_ours(name: str) -> bool:
    return name.startswith(("AWS_", "MAQUETTE_", "TRIPO_", "PYTHON", "VIRTUAL_ENV"))


if __name__ == "__main__":
    with Emulator(log=Path("/dev/stderr")) as emulator:
        print(emulator.url, flush=True)
        sys.stdin.read()
