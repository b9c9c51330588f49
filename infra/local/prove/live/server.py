"""`serve` in a process of its own, and a careful client of it.

独立进程中的服务，以及谨慎的调用方。
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.local.prove.clock import ask
from infra.local.prove.place import Addresses

ENDED = frozenset({"succeeded", "failed", "canceled", "expired"})
_START_SECONDS = 60.0


class Server:
    """`serve` in its own process group, started again after every end, on the same port.

    `generators` are the settings of those it talks to, `more` any others.

    可反复停止和重启的服务。
    """

    def __init__(
        self,
        home: Path,
        secret: str,
        generators: Mapping[str, str],
        *,
        addresses: Addresses | None = None,
        workers: int = 1,
        more: Mapping[str, str] | None = None,
    ) -> None:
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._workers = workers
        self._env = {
            **{name: value for name, value in os.environ.items() if "MAQUETTE" not in name},
            "MAQUETTE_HOME": str(home),
            "MAQUETTE_WEBHOOK_SECRETS": secret,
            "MAQUETTE_LEASE_MARGIN_SECONDS": "2",
            "MAQUETTE_LOG_LEVEL": "ERROR",
            # Real time passes here: what an operator gives a quarter of an hour gets a minute.
            "MAQUETTE_FIND_SECONDS": "60",
            "MAQUETTE_RETRY_CEILING_SECONDS": "10",
            "QWEN_IMAGE_BASE_URL": "off",
            **generators,
            **(more or {}),
        }
        if addresses is not None:
            self._env["MAQUETTE_STORE_URL"] = addresses.store_url
            self._env["MAQUETTE_BUCKET_URL"] = addresses.bucket_url
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers.

        启动并等待就绪。
        """
        command = [sys.executable, "-m", "infra.local.cli.serve", "--port", str(self._port)]
        command += ["--workers", str(self._workers)]
        self._process = subprocess.Popen(
            command, env=self._env, start_new_session=True, stdout=subprocess.DEVNULL
        )
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            try:
                ask(f"{self.url}/health")
                return
            except OSError:
                if self._process.poll() is not None:
                    raise RuntimeError("serve did not start") from None
                time.sleep(0.1)
        raise RuntimeError("serve does not answer")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal (SIGKILL: to all of its processes) and wait for the end; its exit status.

        发送信号并等待结束。
        """
        assert self._process is not None
        if number == signal.SIGKILL:
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)
        return self._process.wait(timeout=60)


def submit(
    url: str, body: Mapping[str, Any], key: str, *, wait: int = 0, patience: float = 120.0
) -> dict[str, Any]:
    """Ask for a job until the server has answered, as a careful client does; the job.

    反复提交直到得到应答。
    """
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    if wait:
        headers["Prefer"] = f"wait={wait}"
    end = time.monotonic() + patience
    while True:
        request = urllib.request.Request(f"{url}/api/v1/jobs", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10 + wait) as answer:
                job: dict[str, Any] = json.load(answer)
                return job
        except (OSError, ValueError) as error:
            if time.monotonic() > end:
                raise RuntimeError(f"job {key} could not be submitted: {error}") from error
            time.sleep(0.2)


def until_all_ended(url: str, ids: Sequence[str], patience: float) -> list[dict[str, Any]]:
    """The jobs once all have ended, or as they stand when patience is at its end (seconds).

    等待全部任务结束。
    """
    from rich.console import Console
    from rich.progress import Progress

    end = time.monotonic() + patience
    ended: dict[str, dict[str, Any]] = {}
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("jobs ended", total=len(ids))
        while len(ended) < len(ids) and time.monotonic() < end:
            for job_id in ids:
                if job_id not in ended:
                    job = ask(f"{url}/api/v1/jobs/{job_id}")
                    if job["status"] in ENDED:
                        ended[job_id] = job
            progress.update(task, completed=len(ended))
            time.sleep(0.5)
    return [ended.get(job_id) or ask(f"{url}/api/v1/jobs/{job_id}") for job_id in ids]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
