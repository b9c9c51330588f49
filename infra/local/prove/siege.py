"""`./scripts/serve` under siege: many jobs, the server killed at random, a provider that fails.

Every job must end, with at most one create each in the stand-in's log, and every webhook must
arrive and verify.

围攻测试：大量任务、随机杀死服务、生成服务频繁出错。
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from infra.local.prove.clock import ask
from infra.local.prove.receiver import Receiver
from shared.deliveries.signing import new_secret

_KEY = "tsk_siege"
_ENDED = frozenset({"succeeded", "failed", "canceled", "expired"})


class Server:
    """`serve` in its own process group, started again after every kill, on the same port.

    被反复杀死和重启的服务。
    """

    def __init__(self, home: Path, standin: str, secret: str, workers: int) -> None:
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
            "TRIPO_API_KEY": _KEY,
            "TRIPO_BASE_URL": standin,
        }
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
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                ask(f"{self.url}/health")
                return
            except OSError:
                if self._process.poll() is not None:
                    raise RuntimeError("serve did not start") from None
                time.sleep(0.1)
        raise RuntimeError("serve does not answer")

    def stop(self, number: int) -> int:
        """Send a signal to all of its processes and wait for the end.

        向服务的所有进程发送信号。
        """
        assert self._process is not None
        if number == signal.SIGKILL:
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)
        return self._process.wait(timeout=60)


def main(argv: list[str] | None = None) -> int:
    """Lay the siege; 0 if every promise held.

    围攻测试的入口。
    """
    options = _options(argv)
    # A polite end must end the server and the stand-in as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    secret = new_secret()
    command = [sys.executable, "-m", "infra.local.standins.tripo", "--port", "0", "--watch-stdin"]
    command += ["--seconds", "2", "--concurrency", "25", "--hang-seconds", "3"]
    for fault in options.fault:
        command += ["--fault", fault]
    pipe = subprocess.PIPE
    standin = subprocess.Popen(command, stdin=pipe, stdout=pipe)
    assert standin.stdout is not None
    address = standin.stdout.readline().decode().split("listening on ")[1].strip()
    try:
        with tempfile.TemporaryDirectory() as home, Receiver(secret) as receiver:
            server = Server(Path(home), address, secret, options.workers)
            return _siege(server, address, receiver, options)
    finally:
        standin.terminate()
        standin.wait(timeout=10)


def _siege(server: Server, standin: str, receiver: Receiver, options: argparse.Namespace) -> int:
    began = time.monotonic()
    server.start()
    try:
        with ThreadPoolExecutor(8) as threads:
            asked = [
                threads.submit(_submit, server.url, number, receiver.url)
                for number in range(options.jobs)
            ]
            for _ in range(options.kills):
                time.sleep(random.uniform(0.5, options.every))
                server.stop(signal.SIGKILL)
                server.start()
            ids = [future.result() for future in asked]
        jobs = _until_all_ended(server.url, ids, options.patience)
        _until_all_heard(receiver, jobs, options.patience)
    finally:
        status = server.stop(signal.SIGTERM)
    log = ask(f"{standin}/_log")
    faults = judge(jobs, log, receiver)
    if status != 0:
        faults.append(f"serve ended with {status} on SIGTERM")
    ends = Counter(
        job["status"] + (f": {job['error']['code']}" if job["error"] else "") for job in jobs
    )
    print(f"{len(jobs)} jobs, {options.kills} kills, {time.monotonic() - began:.0f} s")
    print(f"  ends: {dict(ends)}")
    print(f"  creates in the log: {sum(1 for entry in log if entry['task_id'])}")
    print(
        f"  requests to the stand-in: {len(log)}, "
        f"with a fault: {sum(1 for entry in log if entry['fault'])}"
    )
    for fault in faults:
        print(f"BROKEN  {fault}")
    if not faults:
        print("Every job ended, none was created twice, every webhook arrived and verified.")
    return 1 if faults else 0


def judge(jobs: list[dict[str, Any]], log: list[dict[str, Any]], receiver: Receiver) -> list[str]:
    """What is wrong with how it all ended; creates are told apart by their prompts.

    判断承诺是否都兑现。
    """
    creates = Counter(
        entry["body"]["prompt"]
        for entry in log
        if entry["task_id"] is not None
        and isinstance(entry["body"], dict)
        and "prompt" in entry["body"]
    )
    faults = [f"{prompt!r} was created {n} times" for prompt, n in creates.items() if n > 1]
    for job in jobs:
        prompt, code = job["input"]["prompt"], (job["error"] or {}).get("code")
        if job["status"] not in _ENDED:
            faults.append(f"{job['id']} did not end: {job['status']}")
        if job["status"] == "succeeded" and creates[prompt] != 1:
            faults.append(f"{job['id']} succeeded with {creates[prompt]} creates")
        if code not in (None, "submit_unconfirmed", "artifact_invalid", "provider_rejected"):
            faults.append(f"{job['id']} failed: {job['error']}")
        heard = receiver.heard(prompt.split()[-1])
        if not heard["verified"] or heard["refused"] or len(heard["ids"]) != 1:
            faults.append(f"{job['id']}: its webhook: {heard}")
    return faults


def _submit(url: str, number: int, hooks: str) -> str:
    """Ask for a job until the server has answered, as a careful client does."""
    body = {
        "kind": "text-to-3d",
        "prompt": f"oak {number}",
        "callback_url": f"{hooks}/hook/{number}",
    }
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"siege-{number}"}
    end = time.monotonic() + 120
    while True:
        request = urllib.request.Request(f"{url}/api/v1/jobs", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return str(json.load(answer)["id"])
        except (OSError, ValueError) as error:
            if time.monotonic() > end:
                raise RuntimeError(f"job {number} could not be submitted: {error}") from error
            time.sleep(0.2)


def _until_all_ended(url: str, ids: list[str], patience: float) -> list[dict[str, Any]]:
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
                    if job["status"] in _ENDED:
                        ended[job_id] = job
            progress.update(task, completed=len(ended))
            time.sleep(1.0)
    return [ended.get(job_id) or ask(f"{url}/api/v1/jobs/{job_id}") for job_id in ids]


def _until_all_heard(receiver: Receiver, jobs: list[dict[str, Any]], patience: float) -> None:
    end = time.monotonic() + min(patience, 120)
    cases = [job["input"]["prompt"].split()[-1] for job in jobs]
    while time.monotonic() < end and not all(receiver.heard(case)["ids"] for case in cases):
        time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/prove siege", description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--every", type=float, default=8.0, help="longest time between two kills")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--patience", type=float, default=1500.0, help="seconds until giving up")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME:RATE")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
