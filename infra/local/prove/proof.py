"""Kill the worker before and after every call into store, bucket and provider, and see.

For each way of asking and each number of times that events arrive, one run counts the calls;
then, for every call, a run is killed before it and another after it, and other workers go on.
Every job must end, with at most one create in the generator's log, a whole result in the bucket
and a webhook that verifies. The generator is Tripo's stand-in, or a real Qwen-Image service on a
tiny model (`--provider qwen-image`). On AWS (`--cloud aws`, emulated) a call is a single request.

在每一次外部调用的前后杀死进程，验证任务不丢、不重复付费。
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from queue import Queue
from typing import Any

from infra.local.prove.crash import IDLE, When
from infra.local.prove.generators import GENERATORS
from infra.local.prove.receiver import Receiver
from infra.local.prove.world import Scenario
from shared.deliveries.signing import new_secret

READS = frozenset(
    {"get", "query", "head", "check", "find"}
    | {"GetItem", "BatchGetItem", "Query", "HeadObject", "GetObject"}
)
"""Calls that change nothing: dying after one is dying before the next."""
AWS = frozenset({"dynamodb", "s3"})
"""The services whose requests are counted one by one."""


@dataclass
class Tally:
    """What came out so far.

    验证结果的汇总。
    """

    runs: int = 0
    killed: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)
    requests: dict[str, Counter[str]] = field(default_factory=dict)
    broken: list[tuple[str, list[str]]] = field(default_factory=list)

    def add(self, label: str, verdict: dict[str, Any]) -> None:
        """Count one verdict.

        计入一次结论。
        """
        self.runs += 1
        self.killed += verdict.get("killed", 0)
        self.left.update(verdict.get("left", {}))
        self.figures.update(verdict.get("figures", {}))
        end = verdict.get("end", "crashed")
        self.ends[f"{end}: {verdict['code']}" if verdict.get("code") else end] += 1
        if verdict["faults"]:
            self.broken.append((label, verdict["faults"]))


class Pool:
    """Slot processes, each busy with one case at a time.

    槽位进程池。
    """

    def __init__(self, size: int, cloud: str, provider: str) -> None:
        command = [sys.executable, "-m", "infra.local.prove.slot", "--cloud", cloud]
        command += ["--provider", provider]
        pipe = subprocess.PIPE
        self._all = [subprocess.Popen(command, stdin=pipe, stdout=pipe) for _ in range(size)]
        self._free: Queue[subprocess.Popen[bytes]] = Queue()
        for process in self._all:
            self._free.put(process)

    def run(self, case: dict[str, Any]) -> dict[str, Any]:
        """Have the next free slot run a case; blocks.

        运行一个案例。
        """
        process = self._free.get()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(case).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                return {"faults": [f"a slot ended with {process.wait()}"]}
            verdict: dict[str, Any] = json.loads(line)
            return verdict
        finally:
            self._free.put(process)

    def close(self) -> None:
        """End every slot.

        结束全部槽位。
        """
        for process in self._all:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._all:
            process.wait(timeout=30)


class Proof:
    """All cases of the chosen scenarios, run side by side.

    整个验证过程。
    """

    def __init__(self, pool: Pool, receiver: Receiver, secret: str, sample: int) -> None:
        self._pool, self._receiver, self._secret, self._sample = pool, receiver, secret, sample
        self._numbers = iter(range(1, 10**9))
        self._lock = threading.Lock()
        self.tally = Tally()

    def count(self, scenario: Scenario, times: int) -> list[str]:
        """One run without a death: the names of all its calls, in order.

        不中断地运行一次，得到全部调用。
        """
        verdict = self._run(scenario, times)
        calls = list(verdict.get("calls", ()))
        # A request to AWS is named like "dynamodb.Query", a call like "store.query".
        requests = Counter(name for name in calls if name.partition(".")[0] in AWS)
        self.tally.requests[f"{scenario.name}, events x{times}"] = requests
        return calls

    def deaths(self, scenario: Scenario, times: int, calls: list[str]) -> Iterator[tuple[Any, ...]]:
        """Every death of a scenario, as arguments for `die`.

        列出所有中断点。
        """
        counted: Counter[str] = Counter()
        for place, called in enumerate(calls, 1):
            name = called.removesuffix(IDLE)
            counted[name] += 1
            if place % (self._sample * scenario.every):
                continue
            yield scenario, times, counted[name], "before", name
            if name == called and name.rsplit(".")[-1] not in READS:
                yield scenario, times, counted[name], "after", name

    def die(self, scenario: Scenario, times: int, at: int, when: When, name: str) -> None:
        """One run whose first worker dies at a call: the `at`-th of that name.

        在指定调用处中断并观察结果。
        """
        self._run(scenario, times, at, when, name)

    def _run(
        self, scenario: Scenario, times: int, at: int = 0, when: When = "before", name: str = ""
    ) -> dict[str, Any]:
        with self._lock:
            number = next(self._numbers)
        verdict = self._pool.run(
            {
                "number": number,
                "scenario": scenario.name,
                "at": at,
                "when": when,
                "of": name,
                "times": times,
                "secret": self._secret,
                "receiver": self._receiver.url,
            }
        )
        with self._lock:
            death = f"killed {when} {name} {at}" if at else "not killed"
            self.tally.add(f"{scenario.name}, events x{times}, {death}", verdict)
        return verdict


def main(argv: list[str] | None = None) -> int:
    """Run the proof; 0 if every promise held, 1 otherwise.

    验证的入口。
    """
    options = _options(argv)
    known = GENERATORS[options.provider].scenarios()
    chosen = [item for item in known if item.name in options.scenario]
    secret = new_secret()
    pool = Pool(options.jobs, options.cloud, options.provider)
    with Receiver(secret) as receiver:
        try:
            proof = Proof(pool, receiver, secret, options.sample)
            _carry_out(proof, chosen, options)
        finally:
            pool.close()
    return _report(proof.tally)


def _carry_out(proof: Proof, chosen: list[Scenario], options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with (
        Progress(*bar, TimeRemainingColumn(), console=console) as progress,
        ThreadPoolExecutor(options.jobs) as threads,
    ):
        for scenario in chosen:
            for times in options.events:
                calls = proof.count(scenario, times)
                deaths = list(proof.deaths(scenario, times, calls))
                label = f"{scenario.name}, events x{times}, {len(calls)} calls"
                task = progress.add_task(label, total=len(deaths))
                for _ in as_completed([threads.submit(proof.die, *death) for death in deaths]):
                    progress.advance(task)
                if not console.is_terminal:
                    print(f"{label}, {len(deaths)} deaths", file=sys.stderr, flush=True)


def _report(tally: Tally) -> int:
    print(f"{tally.runs} runs, {tally.killed} workers killed")
    for end, count in tally.ends.most_common():
        print(f"  {count:5d}  {end}")
    for label, requests in tally.requests.items():
        if requests:
            by_operation = ", ".join(f"{name} {count}" for name, count in requests.most_common())
            print(f"{label}, one job: {requests.total()} requests to AWS ({by_operation})")
    for figure, count in tally.figures.items():
        print(f"  {count:5d}  {figure}")
    print(
        f"Left behind by the killed: {tally.left['incoming']} files under incoming/, "
        f"{tally.left['uploads']} unfinished uploads"
    )
    for label, faults in tally.broken:
        print(f"BROKEN  {label}: {'; '.join(faults)}")
    if tally.broken:
        print(f"{len(tally.broken)} runs broke a promise")
        return 1
    print("Every job ended, none was created twice, every webhook arrived and verified.")
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/prove", description=__doc__.split("\n")[0])
    known = {name: [item.name for item in one.scenarios()] for name, one in GENERATORS.items()}
    default = next(iter(GENERATORS))
    parser.add_argument(
        "--provider",
        choices=GENERATORS,
        default=default,
        help=f"who makes what is asked for: a stand-in for Tripo, or a real Qwen-Image service on "
        f"a tiny model ({default})",
    )
    parser.add_argument(
        "--scenario",
        action="append",
        metavar="NAME",
        help="; ".join(
            f"{name}: {', '.join(known[name])} ({', '.join(one.usual)})"
            for name, one in GENERATORS.items()
        ),
    )
    parser.add_argument("--all", action="store_true", help="every scenario")
    parser.add_argument(
        "--cloud",
        choices=("local", "aws"),
        default="local",
        help="where store and bucket are: this machine's disk, or an emulated AWS (local)",
    )
    parser.add_argument(
        "--events", type=int, action="append", choices=(0, 1, 2), help="default: 0, 1 and 2"
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side (2)")
    parser.add_argument("--sample", type=int, default=1, help="kill at every n-th call only (1)")
    options = parser.parse_args(argv)
    names = known[options.provider]
    for name in options.scenario or ():
        if name not in names:
            parser.error(f"no scenario {name!r} for {options.provider}; there are: {names}")
    usual = GENERATORS[options.provider].usual
    options.scenario = names if options.all else options.scenario or list(usual)
    options.events = options.events or [0, 1, 2]
    return options


if __name__ == "__main__":
    sys.exit(main())
