"""One slot of the proof: its own generator and clock; a forked process for every life.

Started by `infra.local.prove.proof`, which hands it cases as JSON lines and reads verdicts back.

验证的一个槽位：独立的生成服务和时钟，每个工作进程都是真实的子进程。
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from infra.local.prove.crash import KILLED, Plan, When
from infra.local.prove.generators import GENERATORS, Account, Generator
from infra.local.prove.place import Addresses, Left, LocalPlace, Place
from infra.local.prove.place_aws import AwsPlace
from infra.local.prove.world import (
    CALLER,
    Life,
    Scenario,
    ShiftedClock,
    ask,
    settings_for,
)
from infra.local.standins.faults import parse_fault
from shared import wiring
from shared.config import Settings
from shared.jobs.model import Job, Status

PLACES: dict[str, type[Place]] = {"aws": AwsPlace, "local": LocalPlace}
"""Where the store and the bucket can be, as `--cloud` names it."""

_LIVES = 4


@dataclass(frozen=True)
class Case:
    """One run: the scenario, where the first worker is killed, how often events come.

    The worker is killed at its call number `at`, among those named `of` if that is given.

    一次验证运行。
    """

    number: int
    scenario: Scenario
    at: int
    when: When
    times: int
    secret: str
    receiver: str
    of: str = ""

    @classmethod
    def read(cls, line: str, scenarios: Mapping[str, Scenario]) -> Case:
        """A case from its JSON line, which names one of the scenarios.

        从一行 JSON 读取。
        """
        values = json.loads(line)
        return cls(scenario=scenarios[values.pop("scenario")], **values)


class Slot:
    """Runs cases one after another in one place, against one generator at `standin`.

    依次运行各个案例。
    """

    def __init__(self, generator: Generator, standin: str, place: Place) -> None:
        self._generator, self._standin, self._place = generator, standin, place
        self._shift = multiprocessing.Value("q", 0)

    def run(self, case: Case) -> dict[str, Any]:
        """Live until the job has ended; the verdict with all faults found.

        运行一个案例并给出结论。
        """
        name = f"prove-{case.number}"
        addresses = self._place.make(name)
        try:
            return self._judged(case, name, addresses)
        finally:
            self._place.remove(name)

    def _judged(self, case: Case, name: str, addresses: Addresses) -> dict[str, Any]:
        key = f"prove{os.getpid()}x{case.number}"
        generator = self._generator.settings(self._standin, key)
        settings = settings_for(addresses, generator, case.secret)
        since = ask(f"{self._standin}/_health")["requests"]
        ask(f"{self._standin}/_faults", dict(map(parse_fault, case.scenario.faults)))
        books = self._generator.open(self._standin, case.scenario)
        clock = ShiftedClock(self._shift)
        killed, status, names = self._lives(case, settings, clock)
        if status not in (0, KILLED):
            return {"number": case.number, "faults": [f"a worker ended with {status}"]}
        log = ask(f"{self._standin}/_log?since={since}")
        bundle = wiring.build(settings, wiring.Outside(clock=clock))
        try:
            jobs = bundle.jobs.page(CALLER, limit=10).jobs
            heard = ask(f"{case.receiver}/heard/{case.number}")
            faults = judge(case, jobs, log, bundle, heard)
            account = Account()
            if len(jobs) == 1:
                account = self._generator.close(
                    self._standin, books, case.scenario, jobs[0], tasks_in(log)
                )
        finally:
            bundle.close()
        left = self._place.left(name)
        ended = jobs[0].status if jobs else None
        files = len(jobs[0].files) if jobs else 1
        if ended is not Status.SUCCEEDED:
            # A job that failed keeps its files: a retry takes them over.
            left = replace(left, incoming=0)
        return {
            "number": case.number,
            "faults": [*faults, *account.faults, *judge_left(left, killed, files)],
            "killed": killed,
            "figures": {"creates in the log": len(tasks_in(log)), **account.figures},
            "calls": names,
            "left": asdict(left),
            "end": ended.value if ended else "none",
            "code": jobs[0].error.code if jobs and jobs[0].error else None,
        }

    def _lives(
        self, case: Case, settings: Settings, clock: ShiftedClock
    ) -> tuple[int, int, list[str]]:
        """How many workers were killed, how the last one ended, and its calls if none was to be."""
        with tempfile.NamedTemporaryFile("r") as calls:
            killed, status = 0, KILLED
            while status == KILLED and killed < _LIVES:
                plan = Plan() if killed else Plan(case.at, case.when, case.of)

                def live(plan: Plan = plan) -> None:
                    life = Life(self._place, settings, clock, self._standin, case.times, plan)
                    life.run(case.scenario, f"{case.receiver}/hook/{case.number}")
                    if case.at == 0:
                        Path(calls.name).write_text(json.dumps(plan.names))

                status = _fork(live)
                killed += status == KILLED
            return killed, status, json.loads(calls.read() or "[]")


def tasks_in(log: list[dict[str, Any]]) -> set[str]:
    """The tasks that creates in the log made; one that was asked for again is no other.

    日志中创建的任务。
    """
    return {entry["task_id"] for entry in log if entry["task_id"] is not None}


def judge(
    case: Case, jobs: tuple[Job, ...], log: list[dict[str, Any]], bundle: Any, heard: dict[str, Any]
) -> list[str]:
    """What is wrong with how a case ended; empty when every promise was kept.

    判断承诺是否都兑现。
    """
    if len(jobs) != 1:
        return [f"{len(jobs)} jobs exist where one was asked for"]
    (job,) = jobs
    creates = tasks_in(log)
    faults = []
    if not job.status.terminal:
        faults.append(f"the job did not end: {job.status.value}")
    if len(creates) > 1:
        faults.append(f"{len(creates)} tasks were created")
    if not creates and job.status is Status.SUCCEEDED:
        faults.append("the job succeeded without a create")
    code = job.error.code if job.error else None
    expected = job.status is Status.SUCCEEDED or code == "submit_unconfirmed"
    if case.scenario.succeeds and not case.scenario.cancel and not expected:
        faults.append(f"it ended {job.status.value}: {job.error}")
    if code == "submit_unconfirmed" and creates:
        faults.append("a create that the log shows was not found again")
    for artifact in job.artifacts:
        with bundle.bucket.open(artifact.key) as reader:
            if hashlib.sha256(reader.read()).hexdigest() != artifact.sha256:
                faults.append(f"{artifact.name} in the bucket is not what the job says")
    roles = tuple(artifact.role for artifact in job.artifacts)
    if job.status is Status.SUCCEEDED and roles != case.scenario.roles:
        faults.append(f"{len(roles)} artifacts were published: {roles}, {job.warnings}")
    if not heard["verified"]:
        faults.append("no webhook arrived")
    if heard["refused"]:
        faults.append(f"{heard['refused']} webhooks did not verify")
    if len(heard["ids"]) > 1:
        faults.append("one event came under several ids")
    return faults


def judge_left(left: Left, killed: int, files: int = 1) -> list[str]:
    """What is wrong with what a case left behind. A death may leave one upload, and each of the
    job's files.

    判断遗留内容是否合理。
    """
    faults = []
    if left.uploads > killed:
        faults.append(f"{left.uploads} uploads were left open")
    if left.incoming > killed * files:
        faults.append(f"{left.incoming} files were left under incoming/")
    return faults


def _fork(work: Any) -> int:
    """Run `work` in a child process; its exit status, 128 + n for a signal."""
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
    _, encoded = os.waitpid(child, 0)
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
    import shared.jobs.steps.process
    import shared.providers.qwen_image.adapter
    import shared.providers.tripo.adapter
    import shared.store.dynamodb.store
    import shared.store.sql.store
    import shared.work.runner

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
