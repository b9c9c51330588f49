"""What a job costs from its submit to its webhook: `python -m scripts.bench.lifecycle`.

The real `serve` in a process of its own (SQLite and a folder) is given jobs by HTTP; a stub of
Tripo, in another one, is done at the third look and gives a model of a kilobyte; the webhook's
receiver is here. Processor time is that of the serving process alone, by function.

测量一个任务从提交到回调的全部开销。
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.bench.harness import (
    Child,
    commits,
    figures_of,
    load,
    peer,
    percentile,
    receiver,
    served,
    stub,
    submit,
    submit_all,
)
from scripts.bench.raw_http import Client

LOOKS = 3
WARM = 30
AT_ONCE = 16
PATIENCE = 60.0
"""Seconds without any webhook after which the run has failed."""
SETTINGS = {"MAQUETTE_POLL_FIRST_SECONDS": "0.5", "MAQUETTE_POLL_FACTOR": "1.1"}
"""How `serve` looks at its own stand-in, which is as quick."""
_CALLS = ("create", "list", "task", "download", "usage")


@dataclass(frozen=True)
class Cost:
    """What the jobs of one run cost: processor time in ms a job, in all and by function; requests
    to the provider and commits a job; memory in bytes.

    一次运行的开销。
    """

    name: str
    jobs: int
    jobs_per_second: float
    ms: float
    ms_by_function: dict[str, float]
    requests: float
    requests_by_call: dict[str, float]
    commits: float
    peak_bytes: int
    stub_ms: float


async def measure(
    name: str, url: str, child: Child, database: Path, provider: str, jobs: int
) -> Cost:
    """Submit jobs to a server that answers at `url`, and wait for all their webhooks.

    提交任务并等待全部回调。
    """
    async with receiver() as hooks:
        names = [f"warm-{number}" for number in range(WARM)]
        await submit_all(url, names, hooks.url, AT_ONCE)
        await hooks.until(names, PATIENCE)
        await asyncio.sleep(1.0)  # what the last of them left to be done
        before, asked, written = child.ask(), await figures_of(provider), commits(database)
        began = time.monotonic()
        names = [f"job-{number}" for number in range(jobs)]
        await submit_all(url, names, hooks.url, AT_ONCE)
        await hooks.until(names, PATIENCE)
        seconds = time.monotonic() - began
        await asyncio.sleep(1.0)
        after, asked_after, written = (
            child.ask(),
            await figures_of(provider),
            commits(database) - written,
        )
        if wrong := hooks.unlike(names):
            raise RuntimeError(f"{len(wrong)} jobs did not succeed: {hooks.bodies[wrong[0]]!r}")
    spent = {key: (after[key] - before.get(key, 0.0)) * 1000 / jobs for key in after}
    calls = {key: (asked_after.get(key, 0) - asked.get(key, 0)) / jobs for key in _CALLS}
    by_function = {key: spent[key] for key in spent if key not in ("all", "memory", "peak")}
    if by_function:
        by_function["rest"] = spent["all"] - sum(by_function.values())
    return Cost(
        name,
        jobs,
        jobs / seconds,
        spent["all"],
        by_function,
        sum(calls.values()),
        calls,
        written / jobs,
        int(after["peak"]),
        (asked_after["cpu"] - asked["cpu"]) * 1000 / jobs,
    )


@dataclass(frozen=True)
class Waits:
    """How long callers waited for their 202, in ms from when each was to be sent, and how late the
    caller here was itself.

    提交的等待时间。
    """

    submits: int
    per_second: float
    p50: float
    p99: float
    most: float
    own_delay_p99: float


async def measure_submits(url: str, count: int, per_second: float) -> Waits:
    """Submit at a steady rate, whatever the answers take, while the jobs' steps run.

    按固定速率提交，测量等待时间。
    """
    client, waits, delays = Client(url), [], []

    async def one(name: str, at: float, hooks: str) -> None:
        await asyncio.sleep(at - time.monotonic())
        delays.append(time.monotonic() - at)
        await submit(client, name, hooks)
        waits.append(time.monotonic() - at)

    async with receiver() as hooks:
        warm = [f"warm-{number}" for number in range(WARM)]
        await submit_all(url, warm, hooks.url, AT_ONCE)
        await hooks.until(warm, PATIENCE)
        names = [f"job-{number}" for number in range(count)]
        began = time.monotonic() + 0.1
        await asyncio.gather(
            *(one(name, began + at / per_second, hooks.url) for at, name in enumerate(names))
        )
        await hooks.until(names, PATIENCE)
    client.close()
    found = (percentile(waits, 0.5), percentile(waits, 0.99), max(waits), percentile(delays, 0.99))
    p50, p99, most, own = (seconds * 1000 for seconds in found)
    return Waits(count, per_second, p50, p99, most, own)


def main(argv: list[str] | None = None) -> int:
    """Measure with and without the preview, print.

    运行测量并打印结果。
    """
    chosen = _options(argv)
    if chosen.submits:
        with (
            stub("--looks", str(LOOKS)) as provider,
            served(provider, {**SETTINGS, "MAQUETTE_PREVIEW": "off"}) as (url, _, _),
        ):
            waits = asyncio.run(measure_submits(url, chosen.submits, chosen.rate))
        figures = {"machine": load(), **asdict(waits)}
        print(json.dumps(figures, indent=2) if chosen.json else _told_waits(waits))
        return 0
    costs = []
    for preview in chosen.preview or ("off", "on"):
        settings = {**SETTINGS, "MAQUETTE_PREVIEW": preview}
        jobs = chosen.jobs if preview == "off" else max(1, chosen.jobs // 10)
        with (
            stub("--looks", str(LOOKS)) as provider,
            served(provider, settings) as (url, child, database),
        ):
            name = f"preview {preview}"
            costs.append(asyncio.run(measure(name, url, child, database, provider, jobs)))
        if not chosen.json:
            print(_told(costs[-1]), flush=True)
    if chosen.peer:
        with (
            stub("--looks", str(LOOKS)) as provider,
            peer(provider) as (url, child, database),
        ):
            beside = asyncio.run(measure("dbos", url, child, database, provider, chosen.jobs))
        costs.append(beside)
        if not chosen.json:
            print(_told(beside), flush=True)
            for cost in costs[:-1]:
                print(f"ratio: {cost.ms / beside.ms:.2f} of dbos, {cost.name}")
    if chosen.json:
        print(json.dumps({"machine": load(), "costs": [asdict(cost) for cost in costs]}, indent=2))
    return 0


def _told(cost: Cost) -> str:
    """A run's figures in words.

    用文字描述结果。
    """
    by_function = ", ".join(f"{name} {ms:.1f}" for name, ms in cost.ms_by_function.items())
    calls = ", ".join(f"{name} {n:.2f}" for name, n in cost.requests_by_call.items() if n)
    return (
        f"{cost.name}: {cost.jobs} jobs, {load()}\n"
        f"  processor   {cost.ms:.1f} ms a job{': ' if by_function else ''}{by_function}\n"
        f"  end to end  {cost.jobs_per_second:.1f} jobs/s\n"
        f"  requests    {cost.requests:.2f} a job: {calls}\n"
        f"  commits     {cost.commits:.2f} a job\n"
        f"  memory      {cost.peak_bytes / 2**20:.0f} MiB at most\n"
        f"  the stub    {cost.stub_ms:.2f} ms a job, in its own process"
    )


def _told_waits(waits: Waits) -> str:
    return (
        f"{waits.submits} submits at {waits.per_second:.0f}/s while steps run, {load()}\n"
        f"  202 after   {waits.p50:.0f} ms (median), {waits.p99:.0f} ms (99 %), "
        f"{waits.most:.0f} ms at most\n"
        f"  the caller  {waits.own_delay_p99:.0f} ms late itself (99 %)"
    )


def _options(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line.

    读取命令行参数。
    """
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench.lifecycle", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--jobs", type=int, default=600, help="a tenth of it with the preview")
    parser.add_argument("--preview", action="append", choices=("on", "off"), help="default: both")
    parser.add_argument("--peer", choices=("dbos",), help="the same lifecycle on it, beside")
    parser.add_argument(
        "--submits", type=int, nargs="?", const=1000, help="instead: how long so many (1000) wait"
    )
    parser.add_argument("--rate", type=float, default=100.0, help="those a second (100)")
    parser.add_argument("--json", action="store_true", help="print figures for programs")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
