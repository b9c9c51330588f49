"""What a job costs from its submit to its webhook: `python -m scripts.bench.lifecycle`.

The real `serve` in a process of its own (SQLite, or with `--on mariadb` a MariaDB server, and a
folder) is given jobs by HTTP; a stub of
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
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from scripts.bench.harness import (
    Receiver,
    Subject,
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
ROUNDS = 2
PROFILED = 60
PATIENCE = 60.0
"""Seconds without any webhook after which the run has failed."""
SETTINGS = {
    "MAQUETTE_POLL_FIRST_SECONDS": "0.5",
    "MAQUETTE_POLL_FACTOR": "1.1",
    "MAQUETTE_POLL_CEILING_SECONDS": "0.75",
}
"""How `serve` looks at its own stand-in, which is as quick; and never more rarely than each second:
a task that is done at its third look lasts the longer the later one looks, and the schedule would
learn that from itself, round after round."""
FUNCTIONS = ("api", "poll", "postprocess", "callback")
_CALLS = ("create", "list", "task", "download", "usage")


@dataclass(frozen=True)
class Cost:
    """What the jobs of one subject cost: processor time in ms a job, in all and by function;
    requests to the provider and commits a job; memory in bytes.

    一项测量的结果。
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
    subjects: Sequence[Subject], jobs: int, *, warm: int = WARM, rounds: int = ROUNDS
) -> list[Cost]:
    """Give each subject jobs and wait for their webhooks, in turns: what else the machine does
    meets them alike.

    轮流测量各服务。
    """
    spent: dict[str, Counter[str]] = {subject.name: Counter() for subject in subjects}
    async with receiver() as hooks:
        for subject in subjects if warm else ():
            await _carry(subject, hooks, [f"{subject.name}-warm-{n}" for n in range(warm)])
        for number in range(rounds):
            for subject in subjects:
                names = [f"{subject.name}-{number}-{n}" for n in range(jobs // rounds)]
                spent[subject.name].update(await _carry(subject, hooks, names))
    return [_cost(subject, spent[subject.name]) for subject in subjects]


async def _carry(subject: Subject, hooks: Receiver, names: Sequence[str]) -> Counter[str]:
    """What jobs of these names cost a subject; raises `RuntimeError` where one did not succeed.

    完成一批任务并统计开销。
    """
    before, began = await _counted(subject), time.monotonic()
    await submit_all(subject.url, names, hooks.url, AT_ONCE)
    await hooks.until(names, PATIENCE)
    seconds = time.monotonic() - began
    await asyncio.sleep(1.0)  # what the last of them left to be done
    found = await _counted(subject)
    if wrong := hooks.unlike(names):
        raise RuntimeError(f"{len(wrong)} jobs did not succeed: {hooks.bodies[wrong[0]]!r}")
    found.subtract(before)
    found.update({"jobs": len(names), "seconds": seconds})
    return found


async def _counted(subject: Subject) -> Counter[str]:
    counted: Counter[str] = Counter(subject.child.ask())
    provider = await figures_of(subject.provider)
    counted.update({call: provider.get(call, 0.0) for call in _CALLS})
    counted.update({"stub": provider["cpu"], "commits": subject.commits()})
    return counted


def _cost(subject: Subject, spent: Counter[str]) -> Cost:
    """A subject's cost a job.

    折算为每个任务的开销。
    """
    jobs = spent["jobs"]
    by_function = {name: spent[name] * 1000 / jobs for name in FUNCTIONS if spent[name]}
    if by_function:
        by_function["rest"] = spent["all"] * 1000 / jobs - sum(by_function.values())
    calls = {call: spent[call] / jobs for call in _CALLS if spent[call]}
    return Cost(
        name=subject.name,
        jobs=jobs,
        jobs_per_second=jobs / spent["seconds"],
        ms=spent["all"] * 1000 / jobs,
        ms_by_function=by_function,
        requests=sum(calls.values()),
        requests_by_call=calls,
        commits=spent["commits"] / jobs,
        peak_bytes=subject.child.ask()["peak"],
        stub_ms=spent["stub"] * 1000 / jobs,
    )


@dataclass(frozen=True)
class Waits:
    """How long callers waited for their 202, in ms from when each was to be sent, and how late the
    caller here was itself; `refused` counts 503s, which were sent again.

    提交的等待时间。
    """

    submits: int
    per_second: float
    p50: float
    p99: float
    most: float
    own_delay_p99: float
    refused: int


async def measure_submits(url: str, options: argparse.Namespace) -> Waits:
    """Submit at a steady rate, whatever the answers take, while the jobs' steps run.

    按固定速率提交，测量等待时间。
    """
    client = Client(url)
    waits: list[float] = []
    delays: list[float] = []
    repeated: list[int] = []

    async def one(name: str, at: float, hooks: str) -> None:
        await asyncio.sleep(at - time.monotonic())
        delays.append(time.monotonic() - at)
        repeated.append(await submit(client, name, hooks))
        waits.append(time.monotonic() - at)

    async with receiver() as hooks:
        warm = [f"warm-{number}" for number in range(options.warm)]
        await submit_all(url, warm, hooks.url, AT_ONCE)
        await hooks.until(warm, PATIENCE)
        names = [f"job-{number}" for number in range(options.submits)]
        began = time.monotonic() + 0.1
        await asyncio.gather(
            *(one(name, began + at / options.rate, hooks.url) for at, name in enumerate(names))
        )
        await hooks.until(names, PATIENCE)
    client.close()
    found = (percentile(waits, 0.5), percentile(waits, 0.99), max(waits), percentile(delays, 0.99))
    p50, p99, most, own = (seconds * 1000 for seconds in found)
    return Waits(options.submits, options.rate, p50, p99, most, own, sum(repeated))


def main(argv: list[str] | None = None) -> int:
    """Measure with and without the preview, print.

    运行测量并打印结果。
    """
    chosen = _options(argv)
    if chosen.submits:
        with ExitStack() as stack:
            subject = _serving(stack, "off", chosen.on)
            waits = asyncio.run(measure_submits(subject.url, chosen))
        figures = {"machine": load(), **asdict(waits)}
        print(json.dumps(figures, indent=2) if chosen.json else _told_waits(waits))
        return 0
    costs: list[Cost] = []
    for preview in chosen.preview or ("off", "on"):
        with ExitStack() as stack:
            subjects = [_serving(stack, preview, chosen.on)]
            jobs = chosen.jobs if preview == "off" else max(ROUNDS, chosen.jobs // 10)
            if chosen.peer and preview == "off":
                provider = stack.enter_context(stub("--looks", str(LOOKS)))
                subjects.append(Subject("dbos", *stack.enter_context(peer(provider)), provider))
            if chosen.profile:
                subjects[0].child.ask("sample")
            costs += asyncio.run(measure(subjects, jobs, warm=chosen.warm))
            if chosen.profile:
                _print_profile(subjects[0].child.ask("samples"), jobs + chosen.warm)
    if chosen.json:
        print(json.dumps({"machine": load(), "costs": [asdict(cost) for cost in costs]}, indent=2))
        return 0
    for cost in costs:
        print(_told(cost))
    for beside in costs[1:]:
        if beside.name == "dbos":
            print(f"ratio: {costs[0].ms / beside.ms:.2f} of dbos")
    return 0


def _serving(stack: ExitStack, preview: str, database: str) -> Subject:
    provider = stack.enter_context(stub("--looks", str(LOOKS)))
    settings = {**SETTINGS, "MAQUETTE_PREVIEW": preview}
    found = stack.enter_context(served(provider, settings, database))
    return Subject(f"preview-{preview}", *found, provider)


def _print_profile(samples: Mapping[str, Mapping[str, float]], jobs: int) -> None:
    """Print where the time went, in ms a job: by file, and by function with all that it called.

    打印剖析结果。
    """
    for title, found in samples.items():
        print(f"{title}:")
        for name, seconds in list(found.items())[:PROFILED]:
            print(f"  {seconds * 1000 / jobs:8.2f} ms  {name}")


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
        f"{waits.most:.0f} ms at most; {waits.refused} were refused at first\n"
        f"  the caller  {waits.own_delay_p99:.0f} ms late itself (99 %)"
    )


def _options(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line.

    读取命令行参数。
    """
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench.lifecycle", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--profile", action="store_true", help="where the time goes, by sampling")
    parser.add_argument("--jobs", type=int, default=600, help="a tenth of it with the preview")
    parser.add_argument("--warm", type=int, default=WARM, help=f"jobs done before ({WARM})")
    parser.add_argument("--preview", action="append", choices=("on", "off"), help="default: both")
    parser.add_argument("--on", choices=("sqlite", "mariadb"), default="sqlite")
    parser.add_argument("--peer", choices=("dbos",), help="the same lifecycle on it, beside")
    parser.add_argument(
        "--submits", type=int, nargs="?", const=1000, help="instead: how long so many (1000) wait"
    )
    parser.add_argument("--rate", type=float, default=100.0, help="those a second (100)")
    parser.add_argument("--json", action="store_true", help="print figures for programs")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
