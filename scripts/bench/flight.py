"""Many jobs in flight on one process: `python -m scripts.bench.flight`.

Ten thousand jobs are submitted over two minutes; each takes about two minutes at a stub of Tripo in
a process of its own, so that all are in flight at once and their ends are spread over two minutes.
Measured are memory, looks, and the lag from the moment a task was done at the provider to its
webhook's arrival: with the bundle's own schedule, and with looks at fixed intervals.

测量大量任务同时运行时的内存、查询次数与延迟。
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

from scripts.bench.harness import (
    Receiver,
    Subject,
    TaskSeen,
    figures_of,
    load,
    percentile,
    receiver,
    served,
    stub,
    submit,
    tasks_of,
)
from scripts.bench.raw_http import Client
from scripts.bench.served import EVERY

PATIENCE = 120.0
"""Seconds without any webhook, beside what tasks take, after which the run has failed."""
AT_ONCE = 32
PAST_A_SECOND = 20
WINDOW = 10


@dataclass(frozen=True)
class Flight:
    """What one run showed: memory in bytes; lag in seconds; `looks` a job;
    `cpu` in cores; `commits` a job. Of `lag_parts`, median and 99 %, the first is the schedule's,
    the others are what the steps after it take.

    一次测量的结果。
    """

    looks_at: str
    jobs: int
    most_in_flight: int
    submitted_in: float
    seconds: float
    idle_bytes: int
    peak_bytes: int
    looks: float
    looks_p99: float
    looks_per_second: float
    requests_per_second: float
    lag_p50: float
    lag_p99: float
    lag_most: float
    lag_parts: dict[str, tuple[float, float]]
    cpu: float
    commits: float


@dataclass
class Watch:
    """What the stub has counted, asked once a second.

    每秒采样一次。
    """

    provider: str
    looks: list[tuple[float, float]] = field(default_factory=list)
    requests: list[tuple[float, float]] = field(default_factory=list)

    async def run(self) -> None:
        """Ask until cancelled.

        持续采样。
        """
        while True:
            counted, now = await figures_of(self.provider), time.monotonic()
            self.looks.append((now, counted.get("looks", 0)))
            self.requests.append((now, counted.get("list", 0) + counted.get("task", 0)))
            await asyncio.sleep(1.0)


async def fly(subject: Subject, options: argparse.Namespace) -> Flight:
    """Submit, wait for all webhooks, and judge.

    完成一次飞行测量。
    """
    idle, patience = subject.child.ask(), PATIENCE + 2 * options.takes[0]
    async with receiver() as hooks:
        past = [f"past-{number}" for number in range(options.past)]
        await _submit(subject.url, past, hooks, options.past / PAST_A_SECOND)
        await hooks.until(past, patience)
        before, written = subject.child.ask(), subject.commits()
        watch = Watch(subject.provider)
        watching = asyncio.create_task(watch.run())
        names = [f"job-{number}" for number in range(options.jobs)]
        began = time.monotonic()
        await _submit(subject.url, names, hooks, options.over)
        submitted = time.monotonic() - began
        await hooks.until(names, patience)
        seconds = time.monotonic() - began
        watching.cancel()
        after = subject.child.ask()
        if wrong := hooks.unlike(names):
            raise RuntimeError(f"{len(wrong)} jobs did not succeed: {hooks.bodies[wrong[0]]!r}")
        tasks = await tasks_of(subject.provider)
    mine = [tasks[name] for name in names]
    lags = [hooks.arrived[name] - tasks[name].done_at for name in names]
    parts = {
        "seen": [task.seen_at - task.done_at for task in mine],
        "fetched": [task.fetched_at - task.seen_at for task in mine],
        "told": [hooks.arrived[name] - tasks[name].fetched_at for name in names],
    }
    return Flight(
        looks_at=subject.name,
        jobs=len(names),
        most_in_flight=_most_at_once(mine),
        submitted_in=submitted,
        seconds=seconds,
        idle_bytes=int(idle["memory"]),
        peak_bytes=int(after["peak"]),
        looks=sum(task.looks for task in mine) / len(mine),
        looks_p99=percentile([task.looks for task in mine], 0.99),
        looks_per_second=_most_a_second(watch.looks),
        requests_per_second=_most_a_second(watch.requests),
        lag_p50=percentile(lags, 0.5),
        lag_p99=percentile(lags, 0.99),
        lag_most=max(lags),
        lag_parts={part: (percentile(of, 0.5), percentile(of, 0.99)) for part, of in parts.items()},
        cpu=(after["all"] - before["all"]) / seconds,
        commits=(subject.commits() - written) / len(names),
    )


async def _submit(url: str, names: Sequence[str], hooks: Receiver, over: float) -> None:
    """Submit jobs evenly over so many seconds, or as fast as they are taken if that is slower.

    匀速提交任务。
    """
    client, began = Client(url), time.monotonic()
    waiting = iter(enumerate(names))

    async def one_after_the_other() -> None:
        for number, name in waiting:
            await asyncio.sleep(began + over * number / len(names) - time.monotonic())
            await submit(client, name, hooks.url)

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
    client.close()


def _most_at_once(tasks: Sequence[TaskSeen]) -> int:
    """How many of these tasks were under way at the busiest moment.

    同时进行的最大数量。
    """
    moves = [(task.made_at, 1) for task in tasks]
    moves += [(task.made_at + task.takes, -1) for task in tasks]
    now = most = 0
    for _, step in sorted(moves):
        now += step
        most = max(most, now)
    return most


def _most_a_second(counts: Sequence[tuple[float, float]]) -> float:
    """The steepest rise of a count within ten samples, a second."""
    rises = [
        (counts[at][1] - counts[at - WINDOW][1]) / (counts[at][0] - counts[at - WINDOW][0])
        for at in range(WINDOW, len(counts))
    ]
    return max(rises, default=0.0)


def main(argv: list[str] | None = None) -> int:
    """Measure each way of looking, print.

    运行测量并打印结果。
    """
    chosen = _options(argv)
    flights = []
    for looks_at in chosen.looks or ("own", "2", "5", "15"):
        flags = ["--takes", *map(str, chosen.takes)] + ["--no-progress"] * chosen.no_progress
        every = "" if looks_at == "own" else looks_at
        with ExitStack() as stack:
            provider = stack.enter_context(stub(*flags))
            settings = {"MAQUETTE_PREVIEW": "off", EVERY: every}
            found = stack.enter_context(served(provider, settings))
            name = "its own schedule" if looks_at == "own" else f"every {looks_at} s"
            flights.append(asyncio.run(fly(Subject(name, *found, provider), chosen)))
        if not chosen.json:
            print(_told(flights[-1]), flush=True)
    if chosen.json:
        found_all = [asdict(flight) for flight in flights]
        print(json.dumps({"machine": load(), "flights": found_all}, indent=2))
    return 0


def _told(flight: Flight) -> str:
    """A run in words.

    用文字描述结果。
    """
    parts = ", ".join(f"{n} after {p[0]:.2f} s ({p[1]:.2f})" for n, p in flight.lag_parts.items())
    return (
        f"looks at {flight.looks_at}: {flight.jobs} jobs, {flight.most_in_flight} in flight, "
        f"submitted in {flight.submitted_in:.0f} s, over after {flight.seconds:.0f} s, {load()}\n"
        f"  memory   {flight.peak_bytes / 2**20:.0f} MiB at most, "
        f"{flight.idle_bytes / 2**20:.0f} before\n"
        f"  looks    {flight.looks:.1f} a job ({flight.looks_p99:.0f}); "
        f"{flight.looks_per_second:.0f} a second at most, "
        f"in {flight.requests_per_second:.1f} requests\n"
        f"  lag      {flight.lag_p50:.2f} s (median), {flight.lag_p99:.2f} s (99 %), "
        f"{flight.lag_most:.2f} s at most, from the task's end to the webhook\n"
        f"           {parts}\n"
        f"  cost     {flight.cpu:.2f} of a core on the average, {flight.commits:.1f} commits a job"
    )


def _options(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line.

    读取命令行参数。
    """
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench.flight", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--over", type=float, default=120.0, help="seconds to submit them in (120)")
    parser.add_argument(
        "--takes",
        type=float,
        nargs=2,
        default=(120.0, 0.15),
        metavar=("MEDIAN", "SIGMA"),
        help="seconds a task takes, lognormal (120 0.15)",
    )
    parser.add_argument("--no-progress", action="store_true", help="running tasks tell none")
    parser.add_argument(
        "--past", type=int, default=200, help="jobs done before, to learn from (200)"
    )
    parser.add_argument(
        "--looks", action="append", metavar="own|SECONDS", help="default: own, 2, 5 and 15"
    )
    parser.add_argument("--json", action="store_true", help="print figures for programs")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
