"""Saving what happened to a job, whoever else saves meanwhile.

保存任务的变化，并处理并发冲突。
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from shared.jobs import lifecycle
from shared.jobs.model import PROCESS, Job
from shared.jobs.ports import Ports
from shared.store.base import Conflict, StoreUnavailable
from shared.store.tables import JOBS

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
    A conflict over a record that is written with the job is the caller's: `Conflict` names its
    table.

    把发生的事写到任务上；冲突时重读再写。
    """
    failures = conflicts = 0
    while conflicts < _CONFLICTS:
        new = fact(job)
        if new is job:
            return job
        try:
            saved = ports.jobs.save(job, new)
            _wake(ports, job, saved)
            return saved
        except Conflict as lost:
            if lost.table != JOBS.name:
                raise
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


def _wake(ports: Ports, old: Job, new: Job) -> None:
    """Wake whoever has work by this save: what moves from one function's queue into another's."""
    before, after = old.queue == PROCESS, new.queue == PROCESS
    if after and not before:
        ports.wake("postprocess")
    elif before and not after and new.queue is not None:
        ports.wake("poll")
    elif new.status.terminal and not old.status.terminal and new.callback_url is not None:
        ports.wake("callback")


def hand_back(ports: Ports, job: Job, *, begun: bool, pause: int = 0) -> None:
    """Let somebody else go on with a claimed job, after `pause` ms; a step that had saved since has
    nothing to give back. Where the store does not answer that is done as soon as it does.

    交还一个已认领的任务。
    """
    at = ports.moment()
    try:
        apply(
            ports,
            job,
            lambda now: lifecycle.handed_back(now, at, begun=begun, pause=pause),
            insist=False,
        )
    except StoreUnavailable:
        ports.debts.add(job)


def settle(ports: Ports) -> None:
    """Give back, uncounted, what could not be given back when the store did not answer.

    An outage is nobody's death: whoever is claimed again and again meanwhile must not be blamed.

    任务表恢复后交还任务。
    """
    jobs = ports.debts.take()
    while jobs:
        job, at = jobs.pop(), ports.moment()
        back = lifecycle.handed_back(job, at, begun=False)
        try:
            ports.jobs.save(job, back)
        except Conflict:
            continue
        except StoreUnavailable:
            for left in (job, *jobs):
                ports.debts.add(left)
            return
