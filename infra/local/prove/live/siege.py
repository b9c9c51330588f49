"""`./scripts/serve` under siege: many jobs, the server killed at random, providers that fail.

Every job must end, with at most one create each in the stand-ins' logs, and every webhook must
arrive and verify.

围攻测试：大量任务、随机杀死服务、生成服务频繁出错。
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from infra.local.prove.clock import ask
from infra.local.prove.live.judge import ends_of, judge, until_all_heard
from infra.local.prove.live.server import Server, submit, until_all_ended
from infra.local.prove.places import PLACES
from infra.local.prove.receiver import Receiver
from shared.deliveries.signing import new_secret

KINDS = {"tripo": "text-to-3d", "qwen-image": "text-to-image"}
"""What is asked of each provider; they take turns."""
_STANDINS = {
    "tripo": ("infra.local.standins.tripo", "--concurrency", "25"),
    "qwen-image": ("infra.local.standins.qwen_service",),
}


def main(argv: list[str] | None = None) -> int:
    """Lay the siege; 0 if every promise held.

    围攻测试的入口。
    """
    options = _options(argv)
    # A polite end must end the server and the stand-ins as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    secret = new_secret()
    with ExitStack() as stack:
        standins = {
            name: stack.enter_context(_standin(name, options.fault)) for name in options.provider
        }
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = stack.enter_context(Receiver(secret))
        place = None
        if options.cloud != "local":
            place = stack.enter_context(PLACES[options.cloud]()).make("siege")
        made = _settings(standins)
        server = Server(home, secret, made, addresses=place, workers=options.workers)
        return _siege(server, standins, receiver, options)


def _siege(
    server: Server, standins: Mapping[str, str], receiver: Receiver, options: argparse.Namespace
) -> int:
    """Ask for the jobs, kill the server again and again, and judge; the exit status.

    反复杀死服务并检验结果。
    """
    began = time.monotonic()
    server.start()
    try:
        with ThreadPoolExecutor(8) as threads:
            asked = [
                threads.submit(submit, server.url, _wanted(number, options, receiver), f"{number}")
                for number in range(options.jobs)
            ]
            for _ in range(options.kills):
                time.sleep(random.uniform(0.5, options.every))
                server.stop(signal.SIGKILL)
                server.start()
            ids = [future.result()["id"] for future in asked]
        jobs = until_all_ended(server.url, ids, options.patience)
        until_all_heard(receiver, jobs, min(options.patience, 120))
    finally:
        status = server.stop()
    log = [entry for url in standins.values() for entry in ask(f"{url}/_log")]
    faults = judge(jobs, log, receiver)
    if status != 0:
        faults.append(f"serve ended with {status} on SIGTERM")
    print(f"{len(jobs)} jobs, {options.kills} kills, {time.monotonic() - began:.0f} s")
    print(f"  ends: {dict(ends_of(jobs))}")
    print(f"  creates in the logs: {len({e['task_id'] for e in log if e['task_id']})}")
    print(
        f"  requests to the stand-ins: {len(log)}, "
        f"with a fault: {sum(1 for entry in log if entry['fault'])}"
    )
    for fault in faults:
        print(f"BROKEN  {fault}")
    if not faults:
        print("Every job ended, none was created twice, every webhook arrived and verified.")
    return 1 if faults else 0


def _wanted(number: int, options: argparse.Namespace, receiver: Receiver) -> dict[str, Any]:
    provider = options.provider[number % len(options.provider)]
    return {
        "kind": KINDS[provider],
        "provider": provider,
        "prompt": f"oak {number}",
        "callback_url": f"{receiver.url}/hook/{number}",
    }


def _settings(standins: Mapping[str, str]) -> dict[str, str]:
    made = {"TRIPO_API_KEY": "tsk_siege", "TRIPO_BASE_URL": standins.get("tripo", "")}
    if "tripo" not in standins:
        made = {"TRIPO_API_KEY": "", "TRIPO_BASE_URL": ""}
    return {**made, "QWEN_IMAGE_BASE_URL": standins.get("qwen-image", "off")}


@contextmanager
def _standin(name: str, faults: list[str]) -> Iterator[str]:
    """The address of a stand-in in a process of its own.

    在单独进程里运行替身。
    """
    module, *more = _STANDINS[name]
    command = [sys.executable, "-m", module, *more, "--port", "0", "--watch-stdin"]
    command += ["--seconds", "2", "--hang-seconds", "3"]
    for fault in faults:
        command += ["--fault", fault]
    pipe = subprocess.PIPE
    standin = subprocess.Popen(command, stdin=pipe, stdout=pipe)
    try:
        assert standin.stdout is not None
        yield standin.stdout.readline().decode().split("listening on ")[1].strip()
    finally:
        standin.terminate()
        standin.wait(timeout=10)


def _options(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line.

    读取命令行参数。
    """
    parser = argparse.ArgumentParser(prog="scripts/prove siege", description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--every", type=float, default=8.0, help="longest time between two kills")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--cloud", choices=PLACES, default="local", help="where store and bucket are (local)"
    )
    parser.add_argument("--patience", type=float, default=1500.0, help="seconds until giving up")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME:RATE")
    parser.add_argument(
        "--provider", action="append", choices=KINDS, help="default: all, taking turns"
    )
    options = parser.parse_args(argv)
    options.provider = options.provider or list(KINDS)
    return options


if __name__ == "__main__":
    sys.exit(main())
