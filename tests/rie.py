"""A built function in Lambda's own emulator: the Runtime Interface Emulator and the real client.

It runs as it lies in the build: the function's folder as working directory, its layer and the
runtime client on the path, and nothing else of this machine's Python but the standard library.

在运行时接口模拟器中运行构建好的函数。
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from types import TracebackType
from typing import Any

from infra.aws.build.pack import LAYERS
from infra.aws.building import RUNTIME, SAM

CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")
"""The runtime client and what it needs; on Lambda they belong to the runtime."""

_MACHINE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
_EMULATOR = f"samcli/local/rapid/aws-lambda-rie-{_MACHINE}"
_READY_SECONDS = 20.0
_ANSWER_SECONDS = 60.0
_TRIES = 3
_INIT = re.compile(r"INIT REPORT\(")


@dataclass(frozen=True)
class Answer:
    """What an invocation came to.

    一次调用的结果。
    """

    status: int
    text: str

    @property
    def value(self) -> Any:
        """The handler's return value; an error's document where it raised."""
        return json.loads(self.text)

    @property
    def error(self) -> str | None:
        """The type of the error reported, if one was."""
        with contextlib.suppress(ValueError):
            if isinstance(self.value, dict):
                return self.value.get("errorType")
        return None


def copy_client(folder: Path) -> Path:
    """Put the runtime client into a folder of its own, without the environment around it.

    复制运行时客户端。
    """
    for name in CLIENT:
        for file in files(name) or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), target)
    return folder


class Rie:
    """One function, one invocation at a time; use it as a context manager.

    `name` is the function's ("poll"), `build` what `sam build` made, `client` the folder of
    `copy_client`; `environ` its variables, `seconds` its time-out. A process starts with the first
    invocation, and anew after one that died.

    在模拟器中运行的一个函数。
    """

    def __init__(
        self,
        name: str,
        build: Path,
        client: Path,
        environ: Mapping[str, str],
        *,
        seconds: int = 30,
        log: Path,
    ) -> None:
        self.folder = build / name.capitalize()
        layer = next(layer for layer, names in LAYERS.items() if name in names)
        self.layer = build / layer / "python"
        self._name = name
        self._client = client
        self._environ = dict(environ)
        self._seconds = seconds
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def environ(self) -> dict[str, str]:
        """All that the function's process finds in its environment, besides Lambda's own."""
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(map(str, (self.layer, self._client))),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self._environ,
            "AWS_LAMBDA_FUNCTION_NAME": f"maquette-test-{self._name}",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(self._seconds),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        }

    @property
    def python(self) -> list[str]:
        """A Python with the standard library alone: no site-packages, neither its nor ours."""
        return [str(Path(sys.base_prefix, "bin", RUNTIME)), "-s", "-S"]

    def ask_python(self, code: str) -> Any:
        """What `code` prints as JSON where the function runs: same Python, folder, environment.

        在函数所在环境中执行一段代码。
        """
        ran = subprocess.run(
            [*self.python, "-c", code],
            cwd=self.folder,
            env=self.environ,
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(ran.stdout)

    def __enter__(self) -> Rie:
        for _ in range(_TRIES):
            self._start()
            if self._is_ready():
                return self
            self._stop()
        raise RuntimeError(f"the emulator does not start:\n{self.log}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def invoke(self, event: Any) -> Answer:
        """Invoke the function once; never two at a time, which the emulator does not survive.

        调用一次函数。
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(
                "POST", "/2015-03-31/functions/function/invocations", json.dumps(event).encode()
            )
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())
        finally:
            connection.close()

    @property
    def log(self) -> str:
        """What the function and the emulator wrote, so far."""
        return self._log.read_text("utf-8", "replace")

    @property
    def starts(self) -> int:
        """How many processes have been started and initialised."""
        return len(_INIT.findall(self.log))

    @property
    def pid(self) -> int:
        """The process that the function runs in now."""
        assert self._process is not None
        (child,) = _children(self._process.pid)
        return child

    def _start(self) -> None:
        self._port, api = _free_ports()
        (emulator,) = SAM.parents[1].glob(f"lib/*/site-packages/{_EMULATOR}")
        command = [str(emulator), "--log-level", "info"]
        command += ["--runtime-interface-emulator-address", f"127.0.0.1:{self._port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{api}"]
        handler = f"functions.{self._name}.handler.handler"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, *self.python, "-m", "awslambdaric", handler],
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _is_ready(self) -> bool:
        assert self._process is not None
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port)):
                return True
            time.sleep(0.02)
        return False

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # The emulator does not take its children along.
        children = _children(process.pid)
        process.kill()
        process.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    """A process's children that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state not in "ZX":
                found.append(int(stat.parent.name))
    return found


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])
