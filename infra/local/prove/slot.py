"""One slot of the proof: its own generator and clock; a forked process for every life.

Started by `infra.local.prove.proof`, which hands it cases as JSON lines and reads verdicts back.

验证的一个槽位：独立的生成服务和时钟，每个工作进程都是真实的子进程。
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.local.prove.clock import ShiftedClock, ask
from infra.local.prove.crash import KILLED, Death, Plan
from infra.local.prove.generators import GENERATORS, Account, Generator
from infra.local.prove.judge import judge, judge_left, tasks_in
from infra.local.prove.leftovers import left_behind
from infra.local.prove.place import Addresses, Place
from infra.local.prove.places import PLACES
from infra.local.prove.scenario import CALLER, Scenario
from infra.local.prove.trouble import Scene, Trouble
from infra.local.prove.world import Life, settings_for
from infra.local.standins.faults import parse_fault
from shared import wiring
from shared.config import Settings
from shared.jobs.model import Job

FROZEN = 128 + signal.SIGSTOP
"""The status of a process that was frozen and still is there."""


@dataclass(frozen=True)
class Case:
    """One run: the scenario, where the first workers are killed, how often events come.

    一次验证运行。
    """

    number: int
    scenario: Scenario
    deaths: tuple[Death, ...]
    times: int
    secret: str
    receiver: str

    @classmethod
    def read(cls, line: str, scenarios: Mapping[str, Scenario]) -> Case:
        """A case from its JSON line, which names one of the scenarios.

        从一行 JSON 读取。
        """
        values = json.loads(line)
        deaths = tuple(Death(*each) for each in values.pop("deaths"))
        return cls(scenario=scenarios[values.pop("scenario")], deaths=deaths, **values)

    @property
    def callback_url(self) -> str:
        """Where its webhooks go, with a place for a job's number.

        回调地址。
        """
        return f"{self.receiver}/hook/{self.number}-{{}}"

    def heard(self, number: int) -> dict[str, Any]:
        """What has come by the webhooks of a job.

        某个任务收到的通知。
        """
        url = self.callback_url.format(number).replace("/hook/", "/heard/")
        found: dict[str, Any] = ask(url)
        return found


class Slot:
    """Runs cases one after another in one place, against one generator at `standin`.

    依次运行各个案例。
    """

    def __init__(self, generator: Generator, standin: str, place: Place) -> None:
        self._generator, self._standin, self._place = generator, standin, place
        self._shift = multiprocessing.Value("q", 0)

    def run(self, case: Case) -> dict[str, Any]:
        """Live until all jobs have ended; the verdict with all faults found.

        运行一个案例并给出结论。
        """
        name = f"prove-{case.number}"
        addresses = self._place.make(name)
        try:
            with tempfile.TemporaryDirectory(prefix="maquette-prove-") as folder:
                return self._judged(case, name, addresses, Path(folder))
        finally:
            self._place.remove(name)

    def _judged(self, case: Case, name: str, addresses: Addresses, folder: Path) -> dict[str, Any]:
        """Carry out one case in a store and a bucket of its own; what happened, and its faults.

        执行一个案例并判定。
        """
        scenario, clock = case.scenario, ShiftedClock(self._shift)
        key = f"prove{os.getpid()}x{case.number}"
        generator = self._generator.settings(self._standin, key)
        settings = settings_for(addresses, generator, case.secret, scenario.settings)
        health = ask(f"{self._standin}/_health")
        # A process that waits moves its own clock alone: over hundreds of runs that adds up to
        # more than the minutes by which two clocks may be off.
        clock.set(round(health["now"] * 1000))
        since = health["requests"]
        ask(f"{self._standin}/_faults", dict(map(parse_fault, scenario.faults)))
        books = self._generator.open(self._standin, scenario)
        trouble = scenario.trouble(
            Scene(clock, self._standin, generator, case.callback_url, folder)
        )
        with _bundle(settings, clock) as bundle:
            trouble.before(bundle)
            case = replace(case, scenario=scenario.prepared(bundle))
        laid = self._place.rows(name)
        killed, status, names = self._lives(case, settings, clock, trouble)
        if status not in (0, KILLED):
            return {"number": case.number, "faults": [f"a worker ended with {status}"]}
        log = ask(f"{self._standin}/_log?since={since}")
        with _bundle(settings, clock) as bundle:
            listed = bundle.jobs.page(CALLER, limit=100, newest_first=False).jobs
            known = {row.key for row in laid}
            jobs = [job for job in listed if job.id not in known]
            heard = [case.heard(number) for number in range(len(jobs))]
            faults = judge(scenario, trouble, jobs, log, bundle.bucket, heard)
            needless = left_behind(bundle.bucket, bundle.ports.jobs)
            faults += [f"{key} was left behind" for key in needless]
        account = Account()
        if len(jobs) == 1:
            tasks = tasks_in(log)
            account = self._generator.close(self._standin, books, scenario, jobs[0], tasks)
        left = self._place.left(name)
        faults += [*account.faults, *judge_left(left, jobs)]
        return {
            "number": case.number,
            "faults": [*faults, *trouble.judge(laid, self._place.rows(name), jobs)],
            "killed": killed,
            "figures": {"creates in the log": len(tasks_in(log)), **account.figures},
            "calls": names,
            "left": {"uploads": left.uploads, "objects": len(needless)},
            "ends": [_end_of(job) for job in jobs],
        }

    def _lives(
        self, case: Case, settings: Settings, clock: ShiftedClock, trouble: Trouble
    ) -> tuple[int, int, list[str]]:
        """How many workers were killed or frozen, how the last one ended, and its calls if none was
        to be. Those that were frozen have been thawed, and have ended as well.

        依次运行并杀死（或冻结）工作进程。
        """
        frozen: list[int] = []
        with tempfile.NamedTemporaryFile("r") as calls:
            killed, status = 0, KILLED
            while status in (KILLED, FROZEN) and killed < case.scenario.lives:
                death = case.deaths[killed] if killed < len(case.deaths) else None
                plan = Plan(death.at, death.when, death.of) if death else Plan()

                def live(plan: Plan = plan) -> None:
                    world = (self._place, settings, clock, self._standin)
                    life = Life(*world, case.times, plan, trouble, frozen)
                    life.run(case.scenario, case.callback_url)
                    if not case.deaths:
                        Path(calls.name).write_text(json.dumps(plan.names))

                status = _fork(live, frozen)
                killed += status in (KILLED, FROZEN)
            ends = [_thawed(worker) for worker in frozen]
            return killed, max(status, *ends, 0), json.loads(calls.read() or "[]")


@contextmanager
def _bundle(settings: Settings, clock: ShiftedClock) -> Iterator[wiring.Bundle]:
    """A bundle to look at things with, or to lay them out."""
    bundle = wiring.build(settings, wiring.Outside(clock=clock))
    try:
        yield bundle
    finally:
        bundle.close()


def _end_of(job: Job) -> str:
    return f"{job.status.value}: {job.error.code}" if job.error else job.status.value


def _fork(work: Any, frozen: list[int] | None = None) -> int:
    """Run `work` in a child process; its exit status, 128 + n for a signal. One that freezes is
    left as it is, `FROZEN`, and added to those `frozen`.

    在子进程中运行。
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, encoded = os.waitpid(child, 0 if frozen is None else os.WUNTRACED)
    if frozen is not None and os.WIFSTOPPED(encoded):
        frozen.append(child)
        return FROZEN
    return _status(encoded)


def _thawed(worker: int) -> int:
    """How a worker ended that was frozen, once it goes on."""
    os.kill(worker, signal.SIGCONT)
    return _status(os.waitpid(worker, 0)[1])


def _status(encoded: int) -> int:
    code = os.waitstatus_to_exitcode(encoded)
    return code if code >= 0 else 128 - code


def start(generator: Generator, home: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A generator in its own process, which ends with this one; and its address.

    启动一个生成服务进程。
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(generator.command(home), stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    if "listening on " not in line:
        raise RuntimeError(f"{generator.name} did not start")
    return process, line.split("listening on ")[1].strip()


def main() -> None:
    """Read cases, run them, write verdicts, until stdin ends.

    槽位进程的入口。
    """
    # Loaded before any fork, so that no life pays for it.
    import shared.artifacts.render.preview
    import shared.deliveries.runner
    import shared.jobs.steps.process
    import shared.providers.qwen_image.adapter
    import shared.providers.tripo.adapter
    import shared.store.dynamodb.store
    import shared.store.sql.store

    assert shared
    parser = argparse.ArgumentParser()
    parser.add_argument("--provider", choices=GENERATORS, required=True)
    parser.add_argument("--cloud", choices=PLACES, default="local")
    options = parser.parse_args()
    generator, place = GENERATORS[options.provider], PLACES[options.cloud]()
    scenarios = {one.name: one for one in generator.scenarios()}
    with tempfile.TemporaryDirectory(prefix="maquette-prove-") as home:
        process, url = start(generator, Path(home))
        try:
            with place:
                slot = Slot(generator, url, place)
                for line in sys.stdin:
                    print(json.dumps(slot.run(Case.read(line, scenarios))), flush=True)
        finally:
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
            process.wait(timeout=30)


if __name__ == "__main__":
    main()
