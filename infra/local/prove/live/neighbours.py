"""Two providers, one of them in a bad way: what that costs the jobs of the other.

两个生成服务，其中一个出了问题：另一个的任务受多少影响。
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.local.prove.live.judge import ends_of, judge, until_all_heard
from infra.local.prove.live.server import Server, submit, until_all_ended
from infra.local.prove.place import Place
from infra.local.prove.receiver import Receiver
from infra.local.standins.qwen_service import QwenService
from infra.local.standins.serving import Server as Standin
from infra.local.standins.tripo import Standin as Tripo
from shared.deliveries.signing import new_secret
from shared.store.tables import JOBS

MEDIAN, WORST, WRITES = 0.5, 2.0, 20.0
"""What the other's jobs may wait for their create, in seconds, and the writes a second to the
table of jobs while the troubled ones rest."""
KINDS = {"qwen-image": "text-to-image", "tripo": "text-to-3d"}
"""What is asked of each provider."""


@dataclass(frozen=True)
class Plight:
    """What is wrong with one provider (faults as the stand-ins take them), and how many of its
    jobs wait meanwhile.

    某个生成服务的困境。
    """

    faults: Mapping[str, Any]
    jobs: int


PLIGHTS = {
    "hangs": Plight({"hang": {"rate": 1, "scope": "create"}}, 60),
    "drips": Plight({"drip": 1}, 64),
    "refuses": Plight({"rate_limit": {"rate": 1, "scope": "create"}}, 3000),
}


@dataclass
class Measured:
    """Seconds from POST to create of each of the other's jobs, the table's writes a second while
    nothing is asked, and what is wrong with how all ended.

    测量结果。
    """

    waits: list[float] = field(default_factory=list)
    writes: float = 0.0
    ends: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median wait in seconds.

        等待时间的中位数。
        """
        return statistics.median(self.waits)

    @property
    def worst(self) -> float:
        """The longest wait in seconds.

        最长的等待时间。
        """
        return max(self.waits)

    def told(self) -> str:
        """The figures in one line.

        一行文字的结果。
        """
        return (
            f"POST to create {self.median:.2f} s at the median, {self.worst:.2f} s at worst; "
            f"{self.writes:.1f} writes/s to the table of jobs"
        )

    def too_much(self) -> list[str]:
        """What is more than it may be.

        超出限度的数值。
        """
        limits = ((self.median, MEDIAN), (self.worst, WORST), (self.writes, WRITES))
        return [self.told()] if any(value > most for value, most in limits) else []


class Neighbours:
    """One provider in a plight, the other well, behind one `serve` over what is in `place`.

    Use it as a context manager: `stuck` fills the first one's queue, `ask` measures the second,
    `writes` the store, and `end` lifts the plight and sees all jobs to their ends.

    一个出问题、一个正常的两家生成服务。
    """

    def __init__(self, place: Place, case: str, plight: Plight, troubled: str) -> None:
        self._place, self._case, self._plight, self._troubled = place, case, plight, troubled
        (self._well,) = KINDS.keys() - {troubled}
        self._stack = ExitStack()
        self._ids: list[str] = []

    def __enter__(self) -> Neighbours:
        enter = self._stack.enter_context
        secret = new_secret()
        self._receiver = enter(Receiver(secret))
        self._standins: dict[str, Standin] = {
            "tripo": enter(Tripo(seconds=0.2, concurrency=10**6, balance=1e9, hang_seconds=600)),
            "qwen-image": enter(QwenService(seconds=0.2, hang_seconds=600)),
        }
        addresses = self._place.make(self._case)
        self._stack.callback(self._place.remove, self._case)
        home = enter(tempfile.TemporaryDirectory(prefix="maquette-prove-"))
        generators = {
            "TRIPO_API_KEY": "tsk_neighbours",
            "TRIPO_BASE_URL": self._standins["tripo"].url,
            "QWEN_IMAGE_BASE_URL": self._standins["qwen-image"].url,
        }
        more = {"MAQUETTE_FIND_SECONDS": "5"}
        self._server = Server(Path(home), secret, generators, addresses=addresses, more=more)
        self._server.start()
        self._stack.callback(self._server.stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def stuck(self, settle: float) -> None:
        """Ask the first for its jobs, until it is seen in its plight and for `settle` seconds more.

        让第一家的队列堆满。
        """
        standin = self._standins[self._troubled]
        standin.faults = self._plight.faults
        with ThreadPoolExecutor(16) as threads:
            made = threads.map(
                lambda number: self._submit(self._troubled, number), range(self._plight.jobs)
            )
            self._ids += list(made)
        end = time.monotonic() + 60
        while not any(entry["fault"] for entry in standin.log()):
            if time.monotonic() > end:
                raise RuntimeError("the provider's plight was not seen")
            time.sleep(0.05)
        time.sleep(settle)

    def ask(self, jobs: int, every: float) -> list[float]:
        """Ask the second for a job every so many seconds; how long each waited for its create.

        测量第二家的任务等待创建的时间。
        """
        began: dict[str, float] = {}
        for number in range(jobs):
            began[f"oak {self._well}-{number}"] = time.time()
            self._ids.append(self._submit(self._well, number))
            time.sleep(every)
        created = self._created(set(began))
        return [created[prompt] - start for prompt, start in began.items()]

    def writes(self, seconds: float) -> float:
        """Writes a second to the table of jobs, over so many seconds.

        任务表每秒的写入次数。
        """
        before, began = self._versions(), time.monotonic()
        time.sleep(seconds)
        return (self._versions() - before) / (time.monotonic() - began)

    def end(self, patience: float) -> tuple[dict[str, int], list[str]]:
        """Lift the plight; how all jobs ended, and what is wrong with that.

        解除困境并检查全部任务的结局。
        """
        standin = self._standins[self._troubled]
        standin.faults, standin.hang_seconds = {}, 0.0
        jobs = until_all_ended(self._server.url, self._ids, patience)
        until_all_heard(self._receiver, jobs, patience)
        log = [entry for each in self._standins.values() for entry in each.log()]
        return dict(ends_of(jobs)), judge(jobs, log, self._receiver)

    def _submit(self, provider: str, number: int) -> str:
        name = f"{provider}-{number}"
        body = {"kind": KINDS[provider], "provider": provider, "prompt": f"oak {name}"}
        body["callback_url"] = f"{self._receiver.url}/hook/{name}"
        return str(submit(self._server.url, body, name)["id"])

    def _created(self, prompts: set[str]) -> dict[str, float]:
        """When (seconds since 1970) the create of each came; one that does not is waited for.

        各个创建请求到达的时间。
        """
        end = time.monotonic() + 180
        while True:
            found = {
                entry["body"]["prompt"]: datetime.fromisoformat(entry["time"]).timestamp()
                for entry in self._standins[self._well].log()
                if entry["task_id"] is not None
            }
            if prompts <= found.keys():
                return found
            if time.monotonic() > end:
                raise RuntimeError(f"{len(prompts - found.keys())} creates never came")
            time.sleep(0.05)

    def _versions(self) -> int:
        return sum(row.version for row in self._place.rows(self._case) if row.table == JOBS.name)


def measure(
    place: Place,
    case: str,
    plight: Plight,
    *,
    troubled: str = "qwen-image",
    asked: int = 20,
    every: float = 0.5,
    window: float = 10.0,
    patience: float | None = None,
) -> Measured:
    """All figures of one plight; without `patience` (seconds) nobody waits for its end.

    测量一种困境。
    """
    found = Measured()
    with Neighbours(place, case, plight, troubled) as neighbours:
        neighbours.stuck(settle=3.0)
        found.writes = neighbours.writes(window)
        found.waits = neighbours.ask(asked, every)
        if patience is not None:
            found.ends, found.faults = neighbours.end(patience)
    return found
