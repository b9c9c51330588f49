"""Check: look at running tasks, many with one request.

查询：一次请求查看多个任务。
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from shared import context
from shared.clock import Deadline
from shared.jobs import lifecycle
from shared.jobs.model import Job, Status
from shared.jobs.ports import Ports
from shared.jobs.saving import Fact, apply
from shared.providers.base import (
    Provider,
    ProviderError,
    TaskState,
)
from shared.store.base import StoreUnavailable

log = logging.getLogger("maquette.jobs")


def check(
    ports: Ports, provider: Provider, credential: str, jobs: Sequence[Job], deadline: Deadline
) -> None:
    """Look at the tasks of several jobs with one request; jobs without news cost no write.

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
    except ProviderError as error:
        log.warning("%s: %d tasks could not be read: %s", provider.name, len(tasks), error)
    for job in jobs:
        with context.job(job.id):
            _look(ports, job, seen(states.get(job.task_id or ""), ports))


def _look(ports: Ports, job: Job, seen: Fact) -> None:
    try:
        apply(ports, job, seen)
    except StoreUnavailable:
        log.warning("%s: a look could not be saved and will be repeated", job.id)


def seen(state: TaskState | None, ports: Ports) -> Fact:
    """What a state that was read, or could not be, means for a job.

    把查询结果变成任务的变化。
    """
    at = ports.moment()
    if state is None:
        return lambda job: lifecycle.unseen(job, at, ports.policy)
    return lambda job: lifecycle.observed(job, state, at, ports.policy)


def _cancel_at_provider(
    ports: Ports, provider: Provider, credential: str, job: Job, deadline: Deadline
) -> None:
    assert job.task_id is not None
    try:
        stopped = provider.cancel(job.task_id, credential, deadline)
    except ProviderError as error:
        log.info("%s: the provider could not be told to cancel: %s", job.id, error)
        return
    if not stopped:
        return
    at = ports.moment()
    try:
        apply(ports, job, lambda now: lifecycle.canceled_at_provider(now, at))
    except StoreUnavailable:
        log.warning("%s: its stopped task could not be saved; it will be", job.id)
