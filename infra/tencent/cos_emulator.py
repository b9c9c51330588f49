"""The emulated COS on this machine: a process of its own on a port the system chooses.

在本机启动和停止 COS 模拟器。
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import urlopen

from infra.paths import ROOT
from infra.tencent.cos_gate import Created
from infra.tencent.cos_server import REQUESTS
from infra.tencent.cos_signature import Secret

REGION = "ap-guangzhou"
APPID = "1250000000"
BUCKET = f"maquette-{APPID}"
KEYS = {
    "test-id": Secret("test-key-of-the-emulator"),
    "test-temporary-id": Secret("test-temporary-key", "test-token/+="),
}
"""The keys of an emulated account, by their ids: a lasting one, and a role's temporary one."""
PYTHON = ROOT / ".venv-tencent" / "bin" / "python"
"""The emulator's own Python; `use_tool tencent` in the scripts makes it."""

SMALLEST_PART = 1 << 20
"""COS's own; S3's is five times that."""
_STOP_SECONDS = 5.0

_log = logging.getLogger("maquette.emulator")


def keys_of(name: str, secret: Secret) -> dict[str, str]:
    """A key as SCF puts it into a function's environment.

    密钥对应的环境变量。
    """
    return {
        "TENCENTCLOUD_SECRETID": name,
        "TENCENTCLOUD_SECRETKEY": secret.key,
        "TENCENTCLOUD_SESSIONTOKEN": secret.token or "",
    }


class CosEmulatorError(OSError):
    """The emulator does not start; the message says what to do.

    模拟器无法启动。
    """


class CosEmulator:
    """An emulated COS, empty at the start, gone at the end. Use it as a context manager.

    `url` is its address, `environ` what the bucket's adapter needs to reach it. `on_created` is
    called for each new object, one after the other, in a thread of this emulator's; what it raises
    is logged. `keys` are those that it knows; `log` is where its output goes; but for the last, no
    part of an upload may have fewer bytes than `smallest_part`.

    一个 COS 模拟器。
    """

    def __init__(
        self,
        on_created: Callable[[Created], None] | None = None,
        *,
        keys: Mapping[str, Secret] = KEYS,
        log: Path | None = None,
        smallest_part: int = SMALLEST_PART,
    ) -> None:
        self._on_created = on_created or (lambda created: None)
        self._keys = dict(keys)
        self._log = log
        self._smallest_part = smallest_part
        self._process: subprocess.Popen[bytes] | None = None
        self._listener: threading.Thread | None = None
        self.url = ""

    def __enter__(self) -> CosEmulator:
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
        """The environment in which the adapter talks to this emulator and to nobody else.

        访问模拟器所需的环境变量。
        """
        name, secret = next(iter(self._keys.items()))
        return {"COS_ENDPOINT": self.url, "TENCENTCLOUD_REGION": REGION, **keys_of(name, secret)}

    def start(self) -> None:
        """Start it and wait until it answers; raises `CosEmulatorError`.

        启动并等待就绪。
        """
        if not PYTHON.exists():
            raise CosEmulatorError(
                "the emulated COS is not installed; ./scripts/serve --cloud tencent installs it"
            )
        self._process = self._launch()
        assert self._process.stdout is not None
        first = self._process.stdout.readline()  # it says its port, or ends
        if not first:
            self.close()
            raise CosEmulatorError(
                f"the emulated COS did not start; {self._log or 'its log'} says why"
            )
        self.url = f"http://127.0.0.1:{int(first)}"
        self._listener = threading.Thread(target=self._listen, args=(self._process.stdout,))
        self._listener.start()

    def requests(self) -> list[dict[str, Any]]:
        """What was asked so far: each request's key, action, bucket, object, method and status.

        迄今收到的请求。
        """
        with urlopen(self.url + REQUESTS, timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def close(self) -> None:
        """End it; calling it twice is harmless.

        停止模拟器。
        """
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._listener is not None:
            self._listener.join()
        process.stdout.close()

    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the process, with nothing of our environment but what it needs.

        启动模拟器进程。
        """
        kept = ("HOME", "LANG", "PATH", "SYSTEMROOT", "TMPDIR")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        environ["PYTHONPATH"] = str(ROOT)
        environ["COS_EMULATOR_KEYS"] = json.dumps(
            {name: [secret.key, secret.token] for name, secret in self._keys.items()}
        )
        environ["S3_UPLOAD_PART_MIN_SIZE"] = str(self._smallest_part)
        log = subprocess.DEVNULL if self._log is None else self._log.open("ab")
        try:
            return subprocess.Popen(
                [str(PYTHON), "-m", "infra.tencent.cos_server"],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us
            )
        finally:
            if not isinstance(log, int):
                log.close()

    def _listen(self, lines: Any) -> None:
        with contextlib.suppress(ValueError):  # a last line that was cut short
            for line in lines:
                created = Created(**json.loads(line))
                try:
                    self._on_created(created)
                except Exception:
                    _log.exception("nobody heard that %s was created", created.key)
