"""Saving what happened to a job, whoever else saves meanwhile.

保存任务的变化，并处理并发冲突。
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from shared.jobs.model import Job
from shared.jobs.ports import Ports
from shared.store.base import Conflict, StoreUnavailable

log = logging.getLogger("maquette.jobs")


Fact = Callable[[Job], Job]
"""What happened, as a pure function that may be applied to a newer state of the job as well."""


_SAVE_TRIES = 5


_CONFLICTS = 50


def apply(ports: Ports, job: Job, fact: Fact, *, insist: bool = True) -> Job | None:
    """Save what happened to a job; None if it could not be.

    On a conflict the job is read anew and the fact applied to what it is now: an answer that
    was paid for is not lost. With `insist` False a conflict means that the job is somebody
    else's by now, and nothing is written. A store that does not answer is asked again a few times.

    把发生的事写到任务上；冲突时重读再写。
    """
    failures = conflicts = 0
    while conflicts < _CONFLICTS:
        new = fact(job)
        if new is job:
            return job
        try:
            return ports.jobs.save(job, new)
        except Conflict:
            if not insist:
                return None
            conflicts += 1
            current = ports.jobs.get(job.id)
            if current is None:
                return None
            job = current
        except StoreUnavailable as error:
            log.warning("%s: the store did not take the save (%s)", job.id, error)
            failures += 1
            if failures == _SAVE_TRIES:
                raise
            ports.clock.sleep(0.1 * 2**failures)
    log.error("%s: gave up a save after %d conflicts", job.id, conflicts)
    return None
