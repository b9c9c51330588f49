"""Find: settle a create that was never answered.

查找：处理没有应答的创建请求。
"""

from __future__ import annotations

import logging

from shared.clock import Deadline
from shared.jobs import lifecycle
from shared.jobs.model import Job, Status
from shared.jobs.ports import Ports
from shared.jobs.saving import apply
from shared.jobs.steps.submit import CREATE_NEEDS, adopt, send
from shared.providers.base import (
    ProviderError,
    Request,
    Wanted,
)

log = logging.getLogger("maquette.jobs")


def find(ports: Ports, job: Job, deadline: Deadline) -> None:
    """Settle a create that was never answered: same key again, or look for the task.

    处理没有应答的创建请求。
    """
    assert job.attempt is not None
    attempt = job.attempt
    provider = ports.providers.get(job.provider)
    if provider is None or ports.credentials.get(job.provider, attempt.credential) is None:
        _unfound(ports, job, read=False)
        return
    if provider.key_seconds is not None:
        deadline.check(CREATE_NEEDS)
        # What is not wanted any more is not asked for again: the first create may have failed.
        still_wanted = job.status is Status.SUBMITTING
        if still_wanted and ports.clock.now() < attempt.begun_at + round(ports.policy.find * 1000):
            send(ports, job, provider, deadline, again=True)
        else:
            _unfound(ports, job, read=True)
        return
    wanted = Wanted(Request(attempt.path, attempt.body, attempt.mark), attempt.begun_at)
    try:
        (found,) = provider.find([wanted], attempt.credential, deadline)
    except ProviderError as error:
        log.warning("%s: the provider's tasks could not be searched: %s", job.id, error)
        _unfound(ports, job, read=False)
        return
    if len(found) == 1:
        adopt(ports, job, found[0], deadline)
    else:
        _unfound(ports, job, read=True, matches=len(found))


def _unfound(ports: Ports, job: Job, *, read: bool, matches: int = 0) -> None:
    at = ports.moment()
    apply(
        ports,
        job,
        lambda now: lifecycle.not_found(now, at, ports.policy, read=read, matches=matches),
    )
