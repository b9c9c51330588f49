"""What is wrong with how a run ended; nothing, when every promise was kept.

判断一次运行是否兑现了全部承诺。
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from infra.local.prove.place import Left
from infra.local.prove.scenario import Scenario
from infra.local.prove.trouble import Trouble
from shared.jobs.model import Job, Status

Log = Sequence[Mapping[str, Any]]


def tasks_in(log: Log) -> set[str]:
    """The tasks that creates in the log made; one that was asked for again is no other.

    日志中创建的任务。
    """
    return {entry["task_id"] for entry in log if entry["task_id"] is not None}


def judge(
    scenario: Scenario,
    trouble: Trouble,
    jobs: Sequence[Job],
    log: Log,
    bucket: Any,
    heard: Sequence[Mapping[str, Any]],
) -> list[str]:
    """What is wrong with all of a run's jobs, in the order of their creation; `heard` is what
    came by each one's webhook.

    判断一次运行的全部任务。
    """
    if len(jobs) != scenario.jobs:
        return [f"{len(jobs)} jobs exist where {scenario.jobs} were asked for"]
    faults = []
    owned = Counter(job.task_id for job in jobs if job.task_id is not None)
    faults += [f"task {task} has {n} jobs" for task, n in owned.items() if n > 1]
    for number, job in enumerate(jobs):
        creates = _creates(log, scenario.prompt_of(number) if scenario.jobs > 1 else None)
        found = _creating(job, creates)
        if not trouble.excuses(number, job):
            found += _ending(scenario, job)
        found += _results(scenario, job, bucket) + _webhooks(heard[number])
        faults += [f"job {number}: {fault}" if scenario.jobs > 1 else fault for fault in found]
    return faults


def judge_left(left: Left, jobs: Sequence[Job]) -> list[str]:
    """What is wrong with what a run left behind after a sweep: nothing may be, but what an
    unsuccessful job had, which is kept for its retry.

    清扫之后不应再有遗留。
    """
    kept = {job.id for job in jobs if job.status is not Status.SUCCEEDED}
    incoming = [key for key in left.incoming if key.split("/")[1] not in kept]
    orphans = {key.split("/")[1] for key in left.inputs} - {job.id for job in jobs}
    faults = []
    if left.uploads:
        faults.append(f"{left.uploads} uploads were left open")
    if incoming:
        faults.append(f"{len(incoming)} files were left under incoming/")
    if orphans:
        faults.append(f"inputs were left of {len(orphans)} jobs that do not exist")
    return faults


def _creates(log: Log, prompt: str | None) -> set[str]:
    """The tasks made for one prompt, or all of them."""
    bodies = [entry for entry in log if isinstance(entry["body"], dict)]
    return tasks_in([one for one in bodies if prompt in (None, one["body"].get("prompt"))])


def _creating(job: Job, creates: set[str]) -> list[str]:
    """Name what is wrong with how a job ended and what was created for it.

    检查任务的创建次数与结局。
    """
    faults = []
    if not job.status.terminal:
        faults.append(f"the job did not end: {job.status.value}")
    if len(creates) > 1:
        faults.append(f"{len(creates)} tasks were created")
    if not creates and job.status is Status.SUCCEEDED:
        faults.append("the job succeeded without a create")
    if job.task_id is not None and creates and job.task_id not in creates:
        faults.append("it has the task of another")
    if job.error is not None and job.error.code == "submit_unconfirmed" and creates:
        faults.append("a create that the log shows was not found again")
    return faults


def _ending(scenario: Scenario, job: Job) -> list[str]:
    code = job.error.code if job.error else None
    well = job.status is Status.SUCCEEDED or code == "submit_unconfirmed"
    if code == "worker_lost" or (scenario.succeeds and not scenario.cancel and not well):
        return [f"it ended {job.status.value}: {job.error}"]
    return []


def _results(scenario: Scenario, job: Job, bucket: Any) -> list[str]:
    """Name what is wrong with a finished job's artifacts, in the record and in the bucket.

    检查成果是否完整。
    """
    faults = []
    for artifact in job.artifacts:
        with bucket.open(artifact.key) as reader:
            if hashlib.sha256(reader.read()).hexdigest() != artifact.sha256:
                faults.append(f"{artifact.name} in the bucket is not what the job says")
    roles, wanted = tuple(artifact.role for artifact in job.artifacts), scenario.roles
    if any("container check alone" in warning for warning in job.warnings):
        # Whoever was there when workers died is drawn no more: it might have been the cause.
        wanted = wanted[:1]
    if job.status is Status.SUCCEEDED and roles != wanted:
        faults.append(f"{len(roles)} artifacts were published: {roles}, {job.warnings}")
    return faults


def _webhooks(heard: Mapping[str, Any]) -> list[str]:
    faults = []
    if not heard["verified"]:
        faults.append("no webhook arrived")
    if heard["refused"]:
        faults.append(f"{heard['refused']} webhooks did not verify")
    if len(heard["ids"]) > 1:
        faults.append("one event came under several ids")
    return faults
