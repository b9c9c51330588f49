"""Simulate when running tasks are looked at: `python -m scripts.bench.looks [--tasks 10000]`.

Tasks of several kinds begin one after another; how long they take is drawn from log-normal
distributions, with a time in the provider's queue, some that take several times as long, and
providers that become slower and faster on the way. Some kinds report their progress, some as it is,
some in steps, some not in proportion, some not at all. Each schedule meets the very same tasks. The
learning one is the product's own: its lifecycle decides, from what has ended so far.

模拟查询时机：学习式与固定间隔、倍增间隔的比较。
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.jobs import lifecycle
from shared.jobs.durations import Durations
from shared.jobs.lifecycle import Moment
from shared.jobs.model import Job, JobInput, Status
from shared.jobs.policy import Policy
from shared.providers.base import RemoteFile, TaskState
from shared.values import replace

APART = 0.3
"""Seconds between two tasks' beginnings, on the average."""
TWO_MINUTES = (105.0, 135.0)
_START = 1_800_000_000_000
_FILE = (RemoteFile("model", "https://example.com/model.glb", "model/gltf-binary"),)


@dataclass(frozen=True)
class Kind:
    """What tasks of a kind are like: the median of their seconds, the spread of its logarithm, the
    mean seconds in the queue, how progress is told, its share of all tasks, whether the provider
    tells how long a task took.

    一类任务的特征。
    """

    provider: str
    kind: str
    model: str
    seconds: float
    spread: float
    queue: float
    progress: str
    share: float
    tells: bool = True


KINDS = (
    Kind("tripo", "text-to-3d", "v3.1", 95, 0.25, 5, "even", 3),
    Kind("tripo", "image-to-3d", "v3.1", 120, 0.2, 3, "even", 3),
    Kind("tripo", "image-to-3d", "v2.5", 120, 0.15, 0, "none", 1),
    Kind("tripo", "text-to-3d", "low-poly", 45, 0.3, 3, "early", 1),
    Kind("tripo", "multiview-to-3d", "v3.1", 180, 0.3, 10, "none", 1),
    Kind("tripo", "text-to-3d", "v3.0", 110, 0.3, 5, "bent", 1),
    Kind("qwen-image", "text-to-image", "", 25, 0.35, 4, "steps", 2),
    Kind("apimart", "text-to-image", "", 40, 0.35, 2, "none", 1, tells=False),
)


@dataclass(frozen=True)
class Task:
    """One task: when it begins (s), how long it waits in the queue and takes in all (s).

    一个任务。
    """

    number: int
    kind: Kind
    begins: float
    queue: float
    takes: float

    def progress(self, at: float) -> int | None:
        """The per cent it tells `at` seconds after its beginning; None where it tells none.

        报告的进度。
        """
        how = self.kind.progress
        part = min(1.0, max(0.0, (at - self.queue) / (self.takes - self.queue)))
        bent = {
            "even": part,
            "steps": int(30 * part) / 30,
            "bent": part**1.3,
            "early": min(0.99, 3 * part),
        }
        return int(100 * bent[how]) if how in bent else None


def tasks(
    number: int, seed: int, kinds: Sequence[Kind] = KINDS, apart: float = APART
) -> list[Task]:
    """That many tasks, the same for the same seed, `apart` seconds on the average. For a while in
    their middle providers take half as long again, after that a fifth less than at first; one in a
    hundred takes 3 to 8 times as long, one in thirty waits 20 to 120 s more.

    生成一批任务。
    """
    chance, begins, made = random.Random(seed), 0.0, []
    for at in range(number):
        begins += chance.expovariate(1 / apart)
        kind = chance.choices(kinds, [one.share for one in kinds])[0]
        speed = 1.5 if 0.4 < at / number < 0.7 else 0.8 if at / number >= 0.7 else 1.0
        takes = kind.seconds * speed * math.exp(chance.gauss(0, kind.spread))
        takes *= chance.uniform(3, 8) if chance.random() < 0.01 else 1.0
        queue = chance.expovariate(1 / kind.queue) if kind.queue else 0.0
        queue += chance.uniform(20, 120) if kind.queue and chance.random() < 0.03 else 0.0
        made.append(Task(at, kind, begins, queue, queue + takes))
    return made


class Schedule(Protocol):
    """Says when a task is looked at; seconds after its beginning.

    查询时机的安排。
    """

    def begins(self, task: Task) -> float:
        """When a task that begins is looked at first.

        首次查询的时间。
        """

    def runs(self, task: Task, at: float) -> float:
        """When to look again at a task that still ran at its look `at` seconds.

        下一次查询的时间。
        """

    def ends(self, task: Task, at: float) -> None:
        """A task's look `at` seconds has found it done.

        任务已结束。
        """


@dataclass(frozen=True)
class Fixed:
    """Looks at equal intervals.

    固定间隔。
    """

    seconds: float

    def begins(self, task: Task) -> float:
        """After one interval.

        首次查询的时间。
        """
        return self.seconds

    def runs(self, task: Task, at: float) -> float:
        """After another.

        下一次查询的时间。
        """
        return at + self.seconds

    def ends(self, task: Task, at: float) -> None:
        """Nothing is learned.

        不学习。
        """


@dataclass(frozen=True)
class Doubling(Fixed):
    """Looks after intervals of which each is twice the one before.

    倍增间隔。
    """

    def runs(self, task: Task, at: float) -> float:
        """The sum of such intervals, plus one, doubles.

        下一次查询的时间。
        """
        return 2 * at + self.seconds


class Learning:
    """The product's own schedule: its lifecycle, over what it learns by the way.

    产品自身的安排。
    """

    def __init__(self, policy: Policy | None = None, seed: int = 1) -> None:
        self._policy = policy or Policy()
        self._chance = random.Random(seed)
        self._durations = Durations()
        self._jobs: dict[int, Job] = {}

    def begins(self, task: Task) -> float:
        """As the job is saved when the provider took its task.

        首次查询的时间。
        """
        kind, now = task.kind, _now(task, 0.0)
        options = {"model": kind.model} if kind.model else {}
        asked = JobInput("a chair", options=options)
        job = Job(
            str(task.number), kind.kind, kind.provider, "", now, asked, status=Status.SUBMITTING
        )
        past = self._durations.of(job)
        job = lifecycle.submitted(job, "task", self._moment(now), self._policy, past)
        return self._due(task, self._kept(task, job))

    def runs(self, task: Task, at: float) -> float:
        """As the claim and the look leave the job.

        下一次查询的时间。
        """
        state = TaskState("running", task.progress(at))
        job = self._kept(task, self._looked(task, at, state))
        self._durations.runs(job, _now(task, at))
        return self._due(task, job)

    def ends(self, task: Task, at: float) -> None:
        """What the look has found is learned from, in the poll's next round.

        从结束的任务学习。
        """
        now, told = _now(task, at), task.takes if task.kind.tells else None
        ran = self._jobs[task.number]
        ended = self._looked(task, at, TaskState("succeeded", 100, files=_FILE))
        assert ended.status is Status.STORING
        self._durations.ended(ran, now, told)
        del self._jobs[task.number]

    def _looked(self, task: Task, at: float, state: TaskState) -> Job:
        now = _now(task, at)
        self._durations.refresh(now, lambda: False)
        job = self._jobs[task.number]
        past = self._durations.of(job)
        lease = lifecycle.lease(job, self._moment(now), 0, self._policy, past)
        claimed = replace(job, due_at=lease.due_at, looks=job.looks + 1)
        after = lifecycle.observed(claimed, state, self._moment(now), self._policy, past)
        return after if after is claimed else replace(after, looks=0)

    def _kept(self, task: Task, job: Job) -> Job:
        self._jobs[task.number] = job
        return job

    def _due(self, task: Task, job: Job) -> float:
        assert job.due_at is not None
        return (job.due_at - _now(task, 0.0)) / 1000

    def _moment(self, now: int) -> Moment:
        return Moment(now, self._chance.random())


@dataclass(frozen=True)
class Seen:
    """How often a task was looked at, and how long it was done before that was seen (s).

    一个任务的查询次数与延迟。
    """

    task: Task
    looks: int
    lag: float


def simulate(schedule: Schedule, made: Sequence[Task]) -> list[Seen]:
    """What a schedule makes of these tasks, all in the order of time.

    模拟一种安排。
    """
    waiting = [(task.begins, task.number, 0) for task in made]
    heapq.heapify(waiting)
    seen = []
    while waiting:
        moment, number, looks = heapq.heappop(waiting)
        task = made[number]
        at = moment - task.begins
        if looks and at >= task.takes:
            schedule.ends(task, at)
            seen.append(Seen(task, looks, at - task.takes))
            continue
        following = schedule.runs(task, at) if looks else schedule.begins(task)
        heapq.heappush(waiting, (task.begins + following, number, looks + 1))
    return seen


SCHEDULES: dict[str, Callable[[], Schedule]] = {
    "learning": Learning,
    "every 2 s": lambda: Fixed(2.0),
    "every 5 s": lambda: Fixed(5.0),
    "every 15 s": lambda: Fixed(15.0),
    "doubling": lambda: Doubling(2.0),
}


def looks(seen: Sequence[Seen]) -> float:
    """Looks a task, on the average.

    平均查询次数。
    """
    return statistics.fmean(one.looks for one in seen)


def lag(seen: Sequence[Seen], share: float) -> float:
    """The lag (s) that this share of the tasks does not exceed.

    延迟的分位数。
    """
    lags = sorted(one.lag for one in seen)
    return lags[min(len(lags) - 1, int(share * len(lags)))]


def main() -> None:
    """Simulate every schedule and print what it costs and how late it is.

    运行模拟并打印表格。
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="how many tasks")
    parser.add_argument("--seed", type=int, default=1, help="which tasks")
    args = parser.parse_args()
    made = tasks(args.tasks, args.seed)
    print(f"{'':24}{'all tasks':>30}{'tasks of two minutes':>36}")
    head = f"{'looks':>9}{'median':>9}{'99 %':>9}"
    print(f"{'':27}{head}{'':9}{head}   lag in s")
    for name, schedule in SCHEDULES.items():
        begun = time.process_time()
        seen = simulate(schedule(), made)
        took = time.process_time() - begun
        two = [one for one in seen if TWO_MINUTES[0] <= one.task.takes <= TWO_MINUTES[1]]
        each = 1e6 * took / sum(one.looks for one in seen)
        print(f"{name:27}{_row(seen)}{'':9}{_row(two)}   {each:.0f} µs a look")
        if name == "learning":
            for kind in KINDS:
                of_kind = [one for one in seen if one.task.kind is kind]
                print(f"  {kind.kind} {kind.model:8}"[:25].ljust(27) + _row(of_kind))


def _row(seen: Sequence[Seen]) -> str:
    return f"{looks(seen):9.1f}{lag(seen, 0.5):9.2f}{lag(seen, 0.99):9.2f}"


def _now(task: Task, at: float) -> int:
    return _START + round(1000 * (task.begins + at))


if __name__ == "__main__":
    main()
