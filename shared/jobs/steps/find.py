"""Find: settle creates that were never answered.

查找：处理没有应答的创建请求。
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from shared import context
from shared.clock import Deadline
from shared.jobs import lifecycle
from shared.jobs.model import Job
from shared.jobs.ports import Ports
from shared.jobs.saving import apply
from shared.jobs.steps.refusals import answered, refused
from shared.jobs.steps.submit import CREATE_NEEDS, adopt, send
from shared.providers.base import NotReadYet, Provider, ProviderError, Request, Wanted
from shared.store.base import StoreUnavailable

log = logging.getLogger("maquette.jobs")


def ask_again(ports: Ports, job: Job, provider: Provider, deadline: Deadline) -> None:
    """Settle one create by sending it once more with its key, where the provider takes keys.

    带同一个键重发创建请求。
    """
    deadline.check(CREATE_NEEDS)
    now = ports.clock.now()
    if lifecycle.may_ask_again(job, now, provider.key_seconds, ports.policy):
        send(ports, job, provider, deadline, again=True)
    else:
        _unfound(ports, job, read=True)


def find(
    ports: Ports, provider: Provider, credential: str, jobs: Sequence[Job], deadline: Deadline
) -> None:
    """Look for the tasks of several creates among the account's recent ones, by one scan.

    Only a task that no other job owns is taken, and only where exactly one can be it.

    在最近的任务中查找多个未应答的创建。
    """
    wanted = [
        Wanted(Request(job.attempt.path, job.attempt.body, job.attempt.mark), job.attempt.begun_at)
        for job in jobs
        if job.attempt is not None
    ]
    try:
        found = provider.find(wanted, credential, deadline)
    except Exception as error:  # an adapter may raise anything: then nothing was read
        log.warning("%s: its tasks could not be searched: %s", provider.name, error)
        if isinstance(error, ProviderError) and not isinstance(error, NotReadYet):
            refused(ports, provider, credential, error, "read")
        for job in jobs:
            _settle(ports, provider, job, None, deadline)
        return
    answered(ports, provider, credential, "read")
    for job, ids in zip(jobs, found, strict=True):
        _settle(ports, provider, job, ids, deadline)


def _settle(
    ports: Ports, provider: Provider, job: Job, ids: Sequence[str] | None, deadline: Deadline
) -> None:
    """What a search means for one job; `ids` is None where it could not be read to its end.

    处理一个任务的查找结果。
    """
    with context.job(job.id):
        try:
            if ids is None:
                _unfound(ports, job, read=False)
                return
            free = [one for one in ids if _is_free(ports, provider, job, one)]
            if len(free) == 1:
                adopt(ports, job, free[0], deadline)
            else:
                _unfound(ports, job, read=True, matches=len(free))
        except StoreUnavailable as error:
            log.warning("%s: what was found could not be saved: %s", job.id, error)
            ports.debts.add(job)


def _is_free(ports: Ports, provider: Provider, job: Job, task_id: str) -> bool:
    return ports.jobs.task_owner(provider.name, task_id) in (None, job.id)


def _unfound(ports: Ports, job: Job, *, read: bool, matches: int = 0) -> None:
    at = ports.moment()
    apply(
        ports,
        job,
        lambda now: lifecycle.not_found(now, at, ports.policy, read=read, matches=matches),
    )
