"""Check: look at running tasks, many with one request.

查询：一次请求查看多个任务。
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from shared import context
from shared.clock import Deadline
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Moment
from shared.jobs.model import Job, Status
from shared.jobs.ports import Ports
from shared.jobs.saving import Fact, apply
from shared.jobs.steps.refusals import answered, refused
from shared.providers.base import Provider, ProviderError, TaskState
from shared.store.base import StoreUnavailable

log = logging.getLogger("maquette.jobs")


def check(
    ports: Ports, provider: Provider, credential: str, jobs: Sequence[Job], deadline: Deadline
) -> None:
    """Look at the tasks of several jobs with one request; jobs without news cost no write.

    Whatever an adapter raises counts as "not seen": deadlines run on.

    一次请求查询多个任务。
    """
    for job in jobs:
        if job.status is Status.CANCELING:
            with context.job(job.id):
                _cancel_at_provider(ports, provider, credential, job, deadline)
    tasks = [job.task_id for job in jobs if job.task_id is not None]
    states: Mapping[str, TaskState] = {}
    try:
        states = provider.check(tasks, credential, deadline)
        answered(ports, provider, credential, "read")
    except Exception as error:  # an adapter may raise anything
        log.warning("%s: %d tasks could not be read: %s", provider.name, len(tasks), error)
        if isinstance(error, ProviderError):
            refused(ports, provider, credential, error, "read")
    at = ports.moment()
    saved = _saved_together(ports, jobs, states, at)
    # Each save by itself takes its time, and somebody waits for what has ended.
    for job in sorted(jobs, key=lambda job: not _has_ended(states.get(job.task_id or ""))):
        state = states.get(job.task_id or "")
        with context.job(job.id):
            if job.id in saved:
                _note(ports, job, saved[job.id], state, at)
            else:
                look(ports, job, state)


def look(ports: Ports, job: Job, state: TaskState | None) -> None:
    """Save what was seen of a job's task; None: it could not be read.

    保存一次查询的结果。
    """
    at = ports.moment()
    try:
        after = apply(ports, job, _seen(ports, job, state, at))
    except StoreUnavailable:
        log.warning("%s: a look could not be saved and will be repeated", job.id)
        return
    if after is not None:
        _note(ports, job, after, state, at)


def _saved_together(
    ports: Ports, jobs: Sequence[Job], states: Mapping[str, TaskState], at: Moment
) -> dict[str, Job]:
    """The jobs that have news and could be saved in one go, by their ids; an end, which is written
    with its webhook, and one that others have changed meanwhile are looked at one by one.

    把有变化的任务一次保存。
    """
    changes = []
    for job in jobs:
        with context.job(job.id):
            new = _seen(ports, job, states.get(job.task_id or ""), at)(job)
        if new is not job and not new.status.terminal:
            changes.append((job, new))
    if len(changes) < 2:
        return {}
    try:
        saved = ports.jobs.save_each(changes)
    except StoreUnavailable as error:
        log.warning("the store did not take %d looks at once (%s)", len(changes), error)
        return {}
    return {one.id: one for one in saved if one is not None}


def _note(ports: Ports, job: Job, after: Job, state: TaskState | None, at: Moment) -> None:
    """Let the durations learn from a look."""
    if state is None or job.status is not Status.RUNNING:
        return
    if after.status is Status.RUNNING:
        ports.durations.runs(job, at.now)
    elif after.status is Status.STORING:
        ports.durations.ended(job, at.now, state.seconds)


def _seen(ports: Ports, job: Job, state: TaskState | None, at: Moment) -> Fact:
    if state is None:
        return lambda now: lifecycle.unseen(now, at, ports.policy)
    past = ports.durations.of(job)
    return lambda now: lifecycle.observed(now, state, at, ports.policy, past)


def _has_ended(state: TaskState | None) -> bool:
    return state is not None and state.status in ("succeeded", "failed", "canceled")


def _cancel_at_provider(
    ports: Ports, provider: Provider, credential: str, job: Job, deadline: Deadline
) -> None:
    """Ask the provider to stop the task; where it cannot, the task is watched until it ends.

    请生成服务取消任务。
    """
    assert job.task_id is not None
    try:
        stopped = provider.cancel(job.task_id, credential, deadline)
    except Exception as error:  # an adapter may raise anything; the task is watched either way
        log.info("%s: the provider could not be told to cancel: %s", job.id, error)
        return
    if not stopped:
        return
    at = ports.moment()
    try:
        apply(ports, job, lambda now: lifecycle.canceled_at_provider(now, at))
    except StoreUnavailable:
        log.warning("%s: its stopped task could not be saved; it will be", job.id)
