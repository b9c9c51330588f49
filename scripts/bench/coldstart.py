"""Measure the functions' cold starts: `python -m scripts.bench.coldstart [--rounds 15]`.

A start is: import the handler, read the settings, wire the bundle for AWS, make the DynamoDB
client. Every one is a fresh process; the yardstick, bare boto3 with a DynamoDB client, runs right
before and after it, for a busy machine slows all of them alike. Nothing is asked of AWS.

测量各函数的冷启动时间。
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field

from infra.local.home import ROOT

FUNCTIONS = ("poll", "postprocess", "callback", "api")
YARDSTICK = "import boto3; boto3.client('dynamodb')"
START = """\
import functions.{name}.handler
from shared import wiring
from shared.aws.clients import client
wiring.current()
client("dynamodb")
"""
SETTINGS = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "MAQUETTE_STAGE": "dev",
    "MAQUETTE_STORE_URL": "dynamodb://maquette-dev",
    "MAQUETTE_BUCKET_URL": "s3://maquette-dev",
    "MAQUETTE_WAKE_URL": "lambda://maquette-dev",
    "MAQUETTE_PUBLIC_URL": "https://models.example.com",
    "MAQUETTE_METRICS": "emf",
    "MAQUETTE_LOG_FORMAT": "json",
    "MAQUETTE_LINK_SECRET": "link-secret-of-thirty-two-characters",
    "MAQUETTE_API_KEYS": "shop:a-key-of-sixteen-characters",
    "MAQUETTE_WEBHOOK_SECRETS": "whsec_"
    + base64.b64encode(b"webhook-secret-of-32-characters!").decode(),
    "TRIPO_API_KEY": "tsk_test",
}
"""A deployed function's settings; none leads anywhere."""

_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| *(\S+)")
_IMPORT_RUNS = 3
_TOP = 10


@dataclass
class Times:
    """What the starts of one function took, in milliseconds, and times the yardstick's.

    一个函数的启动耗时。
    """

    milliseconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)


def main() -> None:
    """Start everything some times, print the table, and what the imports cost.

    运行测量并打印结果。
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="starts of each function")
    rounds = parser.parse_args().rounds
    codes = {name: START.format(name=name) for name in FUNCTIONS}
    for code in (YARDSTICK, *codes.values()):
        _start(code)  # writes the compiled files
    yardstick, found = _measure(codes, rounds)
    print(f"{'ms':14}{'min':>7}{'median':>8}{'times bare boto3: min':>24}{'median':>8}")
    _print("bare boto3", yardstick, min(yardstick.milliseconds))
    for name, times in found.items():
        _print(name, times, min(yardstick.milliseconds))
    for name, code in codes.items():
        print(f"\n{name}: what is imported, by package (ms, python -X importtime; modules)")
        for package, (milliseconds, modules) in _imports(code)[:_TOP]:
            print(f"{milliseconds:8.1f}{modules:5}  {package}")


def environment() -> dict[str, str]:
    """What such a process runs in: nothing of this one's, but the settings above.

    子进程的环境变量。
    """
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **SETTINGS}


def _measure(codes: dict[str, str], rounds: int) -> tuple[Times, dict[str, Times]]:
    yardstick, found = Times(), {name: Times() for name in codes}
    for _ in range(rounds):
        before = _start(YARDSTICK)
        yardstick.milliseconds.append(before)
        for name, code in codes.items():
            took, after = _start(code), _start(YARDSTICK)
            found[name].milliseconds.append(took)
            found[name].ratios.append(2 * took / (before + after))
            yardstick.milliseconds.append(after)
            before = after
    return yardstick, found


def _start(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)
    return 1000 * (time.perf_counter() - begun)


def _print(name: str, times: Times, shortest: float) -> None:
    taken = times.milliseconds
    ratio = statistics.median(times.ratios) if times.ratios else 1.0
    print(
        f"{name:14}{min(taken):7.0f}{statistics.median(taken):8.0f}"
        f"{min(taken) / shortest:24.2f}{ratio:8.2f}"
    )


def _imports(code: str) -> list[tuple[str, tuple[float, int]]]:
    """Packages by the time of their modules, each module's the shortest of a few runs."""
    shortest: dict[str, float] = {}
    command = [sys.executable, "-X", "importtime", "-c", code]
    for _ in range(_IMPORT_RUNS):
        ran = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
        for line in filter(None, map(_LINE.match, ran.stderr.splitlines())):
            module, milliseconds = line[2], int(line[1]) / 1000
            shortest[module] = min(milliseconds, shortest.get(module, milliseconds))
    packages: dict[str, tuple[float, int]] = {}
    for module, milliseconds in shortest.items():
        name = module.partition(".")[0]
        package = "(standard library)" if name in sys.stdlib_module_names else name
        total, modules = packages.get(package, (0.0, 0))
        packages[package] = total + milliseconds, modules + 1
    return sorted(packages.items(), key=lambda item: -item[1][0])


if __name__ == "__main__":
    main()
