"""Every death that a scenario has a place for, each in a run of its own, side by side.

逐一尝试场景中的每个中断点。
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from queue import Queue
from typing import Any

from infra.local.prove.crash import IDLE, Death, When
from infra.local.prove.receiver import Receiver
from infra.local.prove.scenario import Scenario
from infra.local.prove.tally import Tally

READS = frozenset(
    {"get", "query", "first", "head", "check", "find"}
    | {"GetItem", "BatchGetItem", "Query", "HeadObject", "GetObject", "ListMultipartUploads"}
    | {"GetBucket", "GetBucketACL", "BEGIN", "SELECT", "SET", "ROLLBACK"}
)
"""Calls that change nothing: dying after one is dying before the next."""
SERVICES = frozenset({"dynamodb", "s3", "sql", "cos"})
"""Those whose requests are counted one by one."""


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


class Sweep:
    """All runs of the chosen scenarios; what came out is in `tally`. With `freeze` workers are
    frozen in place of killed, before calls that change something.

    遍历全部中断点。
    """

    def __init__(
        self, pool: Pool, receiver: Receiver, secret: str, sample: int, *, freeze: bool = False
    ) -> None:
        self._pool, self._receiver, self._secret, self._sample = pool, receiver, secret, sample
        self._freeze = freeze
        self._numbers = iter(range(1, 10**9))
        self._lock = threading.Lock()
        self.tally = Tally()

    def count(self, scenario: Scenario, times: int) -> list[str]:
        """One run without a death: the names of all its calls, in order.

        不中断地运行一次，得到全部调用。
        """
        calls = list(self.run(scenario, times, ()).get("calls", ()))
        # A request is named like "dynamodb.Query", a call like "store.query".
        requests = Counter(name for name in calls if name.partition(".")[0] in SERVICES)
        self.tally.requests[f"{scenario.name}, events x{times}"] = requests
        return calls

    def deaths(self, scenario: Scenario, calls: Sequence[str]) -> Iterator[tuple[Death, ...]]:
        """Every single death of a scenario; the sampled ones, if not all are wanted.

        列出所有中断点。
        """
        counted: Counter[str] = Counter()
        step = self._sample * scenario.every
        for place, called in enumerate(calls, 1):
            name = called.removesuffix(IDLE)
            counted[name] += 1
            if not step or place % step:
                continue
            changes = name == called and name.rsplit(".")[-1] not in READS
            if not self._freeze:
                yield (Death(counted[name], "before", name),)
            if changes:
                when: When = "frozen before" if self._freeze else "after"
                yield (Death(counted[name], when, name),)

    def run(self, scenario: Scenario, times: int, deaths: Sequence[Death]) -> dict[str, Any]:
        """One run, whose first workers die so; its verdict.

        运行一次并记入汇总。
        """
        with self._lock:
            number = next(self._numbers)
        verdict = self._pool.run(
            {
                "number": number,
                "scenario": scenario.name,
                "deaths": [[death.at, death.when, death.of] for death in deaths],
                "times": times,
                "secret": self._secret,
                "receiver": self._receiver.url,
            }
        )
        with self._lock:
            killed = " and ".join(map(str, deaths))
            how = f"killed {killed}" if killed else "not killed"
            self.tally.add(f"{scenario.name}, events x{times}, {how}", verdict)
        return verdict


def pairs(
    singles: Sequence[tuple[Death, ...]], number: int, dice: random.Random
) -> list[tuple[Death, ...]]:
    """Some of all pairs of deaths, the second befalling the worker that comes after the first.

    Each name is drawn as often as any other, or the many looks would leave no pair for the rest.

    抽取若干对中断点。
    """
    by_name: dict[str, list[tuple[Death, ...]]] = {}
    for single in singles:
        by_name.setdefault(single[0].of, []).append(single)
    names = sorted(by_name)

    def one() -> tuple[Death, ...]:
        return dice.choice(by_name[dice.choice(names)])

    return [one() + one() for _ in range(number)] if names else []
