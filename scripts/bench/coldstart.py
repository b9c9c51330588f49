"""Measure the functions' cold starts: `python -m scripts.bench.coldstart [--cloud aws|tencent]`.

A start is: import the handler, read the settings, wire the bundle for the cloud, make the client
that every start needs: DynamoDB's on AWS, that of the secrets and the database's on Tencent Cloud.
Every one is a fresh process; the yardstick, these clients bare, runs right before and after it, for
a busy machine slows all of them alike. Nothing is asked of any cloud. Measured
is the processor time until all is ready, without Python's tidying up at the end, which no cold
start waits for; the same with it is shown beside it.

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
from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.paths import ROOT
from infra.tencent.build import entries

FUNCTIONS = ("poll", "postprocess", "callback", "api")

_SECRETS = {
    "MAQUETTE_STAGE": "dev",
    "MAQUETTE_PUBLIC_URL": "https://models.example.com",
    "MAQUETTE_LOG_FORMAT": "json",
    "MAQUETTE_LINK_SECRET": "link-secret-of-thirty-two-characters",
    "MAQUETTE_API_KEYS": "shop:a-key-of-sixteen-characters",
    "MAQUETTE_WEBHOOK_SECRETS": "whsec_"
    + base64.b64encode(b"webhook-secret-of-32-characters!").decode(),
    "TRIPO_API_KEY": "tsk_test",
}


@dataclass(frozen=True)
class Cloud:
    """Where a function starts: its settings, what a start does (`{name}` is the function, `{entry}`
    its root entry), how the client is made that every start needs, the yardstick, and what is left
    to the first request that needs it. No setting leads anywhere.

    一个云平台上的启动方式。
    """

    settings: Mapping[str, str]
    start: str
    client: str
    yardstick: str
    later: Mapping[str, tuple[str, str]]

    def started(self, function: str, *, client: bool = True) -> str:
        """The code of one function's start.

        一个函数的启动代码。
        """
        web = "from functions.api import server"
        entry = web if function == "api" else entries.entry(function)
        return self.start.format(name=function, entry=entry) + (self.client if client else "")


_LATER = {
    "Tripo's adapter": ("poll", "wiring.current().providers['tripo']._adapter()"),
    "the sender of webhooks": ("callback", "wiring.current().deliveries"),
    "reading and drawing models": (
        "postprocess",
        "import shared.artifacts.gltf.measure, shared.artifacts.render.preview",
    ),
    "checking pictures": ("api", "import PIL.Image"),
    "the OpenAPI document": (
        "api",
        "from functions.api.docs import openapi; openapi.document(wiring.current())",
    ),
}
AWS = Cloud(
    settings={
        **_SECRETS,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "MAQUETTE_STORE_URL": "dynamodb://maquette-dev",
        "MAQUETTE_BUCKET_URL": "s3://maquette-dev",
        "MAQUETTE_WAKE_URL": "lambda://maquette-dev",
        "MAQUETTE_METRICS": "emf",
    },
    start="""\
import functions.{name}.handler
from shared import wiring
wiring.current()
""",
    client="""\
from shared.aws.clients import client
client("dynamodb")
""",
    yardstick="import boto3; boto3.client('dynamodb')",
    later={"the S3 client": ("poll", "client('s3')"), **_LATER},
)
TENCENT = Cloud(
    settings={
        **_SECRETS,
        "TENCENTCLOUD_RUNENV": "SCF",
        "TENCENTCLOUD_REGION": "ap-guangzhou",
        "TENCENTCLOUD_SECRETID": "test",
        "TENCENTCLOUD_SECRETKEY": "test",
        "TENCENTCLOUD_SESSIONTOKEN": "test",
        "MAQUETTE_STORE_URL": "mysql://maquette:test@127.0.0.1/maquette",
        "MAQUETTE_BUCKET_URL": "cos://maquette-1250000000",
        "MAQUETTE_WAKE_URL": "scf://maquette-dev",
        "MAQUETTE_METRICS": "cls",
    },
    # A package for Tencent Cloud has none of AWS's, which Powertools would import.
    start="""\
import sys
sys.modules["botocore"] = sys.modules["boto3"] = None
{entry}
from shared import wiring
wiring.current()
""",
    client="""\
from shared.tencent.clients import client
client("ssm", 3.0)
""",
    yardstick="""\
import pymysql, sqlalchemy
from sqlalchemy.dialects import mysql
from tencentcloud.common.common_client import CommonClient
sqlalchemy.create_engine("mysql+pymysql://127.0.0.1/maquette")
CommonClient("ssm", "2019-09-23", None, "ap-guangzhou")
""",
    later={
        "COS's client": (
            "poll",
            "from shared.tencent import cos; cos.client('maquette-1250000000', seconds=5)",
        ),
        **_LATER,
    },
)
CLOUDS = {"aws": AWS, "tencent": TENCENT}
BARE = "bare clients"
READY = "\nimport os; os._exit(0)"
"""Ends the process at once: Python would take down all that was built, a fifth of the time."""
TIMED = """\
import time
begun = time.process_time()
{use}
print(1000 * (time.process_time() - begun))
"""
_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| *(\S+)")
_RUNS = 3
_TOP = 10


@dataclass
class Times:
    """What the starts of one function took of the processor, in milliseconds, and times the
    yardstick's.

    一个函数的启动耗时。
    """

    milliseconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)


def main() -> None:
    """Start everything some times, print the table, and what the imports cost.

    运行测量并打印结果。
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cloud", choices=CLOUDS, default="aws")
    parser.add_argument("--rounds", type=int, default=12, help="starts of each function")
    options = parser.parse_args()
    cloud, rounds = CLOUDS[options.cloud], options.rounds
    codes = {name: cloud.started(name) for name in FUNCTIONS}
    for code in (cloud.yardstick, *codes.values()):
        _start(code, cloud)  # writes the compiled files
    ready = _measure(cloud, {name: code + READY for name, code in codes.items()}, rounds, READY)
    whole = _measure(cloud, codes, rounds)
    print(f"{'':14}{'ms until ready':>16}{'times bare':>17}{'whole process':>17}")
    print(f"{'':14}{'min':>8}{'median':>8}{'min':>9}{'median':>8}{'min':>9}{'median':>8}")
    for name in (BARE, *FUNCTIONS):
        taken = ready[name].milliseconds
        print(
            f"{name:14}{min(taken):8.0f}{statistics.median(taken):8.0f}"
            f"{_ratios(ready, name)}{_ratios(whole, name)}"
        )
    print("\nms at the first use, none of it at the start (min)")
    for what, (name, use) in cloud.later.items():
        code = codes[name] + TIMED.format(use=use)
        print(f"{min(_printed(code, cloud) for _ in range(_RUNS)):8.0f}  {name}: {what}")
    for name, code in codes.items():
        print(f"\n{name}: what is imported, by package (ms, python -X importtime; modules)")
        for package, (milliseconds, modules) in _imports(code, cloud)[:_TOP]:
            print(f"{milliseconds:8.1f}{modules:5}  {package}")


def environment(settings: Mapping[str, str] = AWS.settings) -> dict[str, str]:
    """What such a process runs in: nothing of this one's, but a cloud's settings.

    子进程的环境变量。
    """
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


def _measure(
    cloud: Cloud, codes: Mapping[str, str], rounds: int, end: str = ""
) -> dict[str, Times]:
    """Return the times of each code, the yardstick measured before and after every start.

    测量各段代码的启动时间。
    """
    found = {name: Times() for name in (BARE, *codes)}
    yardstick = cloud.yardstick + end
    for _ in range(rounds):
        before = _start(yardstick, cloud)
        found[BARE].milliseconds.append(before)
        for name, code in codes.items():
            took, after = _start(code, cloud), _start(yardstick, cloud)
            found[name].milliseconds.append(took)
            found[name].ratios.append(2 * took / (before + after))
            found[BARE].milliseconds.append(after)
            before = after
    return found


def _ratios(found: dict[str, Times], name: str) -> str:
    shortest = min(found[BARE].milliseconds)
    median = statistics.median(found[name].ratios) if found[name].ratios else 1.0
    return f"{min(found[name].milliseconds) / shortest:9.2f}{median:8.2f}"


def _start(code: str, cloud: Cloud) -> float:
    """Run some code in a fresh process; its milliseconds of processor time."""
    process = subprocess.Popen([sys.executable, "-c", code], env=environment(cloud.settings))
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return 1000 * (used.ru_utime + used.ru_stime)


def _printed(code: str, cloud: Cloud) -> float:
    command = [sys.executable, "-c", code]
    ran = subprocess.run(
        command, env=environment(cloud.settings), check=True, capture_output=True, text=True
    )
    return float(ran.stdout)


def _imports(code: str, cloud: Cloud) -> list[tuple[str, tuple[float, int]]]:
    """Packages by the time of their modules, each module's the shortest of a few runs.

    按包统计导入时间。
    """
    shortest: dict[str, float] = {}
    command = [sys.executable, "-X", "importtime", "-c", code]
    for _ in range(_RUNS):
        ran = subprocess.run(
            command, env=environment(cloud.settings), check=True, capture_output=True, text=True
        )
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
