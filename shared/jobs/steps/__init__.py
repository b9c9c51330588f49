"""One step of one job: do it, then save what happened. Safe to repeat, safe to die in anywhere.

执行任务的一步并保存结果；可重复执行，随时中断都不会出错。
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from shared import context
from shared.buckets.base import BucketUnavailable
from shared.clock import Deadline, OutOfTime
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Step
from shared.jobs.model import Job
from shared.jobs.ports import Ports
from shared.jobs.saving import apply
from shared.jobs.steps.find import find
from shared.jobs.steps.store import store
from shared.jobs.steps.submit import submit
from shared.store.base import StoreUnavailable

log = logging.getLogger("maquette.jobs")


def advance(ports: Ports, job: Job, deadline: Deadline) -> None:
    """Carry a claimed job that is not to be looked at one step forward.

    推进一个已认领的任务。
    """
    with context.job(job.id):
        _advance(ports, job, deadline)


def _advance(ports: Ports, job: Job, deadline: Deadline) -> None:
    step = lifecycle.step_of(job, ports.clock.now(), ports.policy)
    if deadline.remaining() <= 0:
        hand_back(ports, job, begun=False)
        return
    try:
        _STEPS[step](ports, job, deadline)
    except OutOfTime:
        hand_back(ports, job, begun=True)
    except (StoreUnavailable, BucketUnavailable) as error:
        # The lease runs out by itself; nothing is decided on half a view.
        log.warning("%s: %s stopped: %s", job.id, step.value, error)


def _process(ports: Ports, job: Job, deadline: Deadline) -> None:
    from shared.jobs.steps.process import process  # only `postprocess` carries what this imports

    process(ports, job, deadline)


def _expire(ports: Ports, job: Job, deadline: Deadline) -> None:
    at = ports.moment()
    apply(ports, job, lambda now: lifecycle.overdue(now, at))


def _give_up(ports: Ports, job: Job, deadline: Deadline) -> None:
    at = ports.moment()
    apply(ports, job, lambda now: lifecycle.lost(now, at), insist=False)


def hand_back(ports: Ports, job: Job, *, begun: bool) -> None:
    """Let somebody else go on at once; a step that had saved since has nothing to hand back."""
    at = ports.moment()
    try:
        apply(ports, job, lambda now: lifecycle.handed_back(now, at, begun=begun), insist=False)
    except StoreUnavailable:
        log.warning("%s: could not be handed back; its lease will run out", job.id)


_STEPS: dict[Step, Callable[[Ports, Job, Deadline], None]] = {
    Step.SUBMIT: submit,
    Step.FIND: find,
    Step.STORE: store,
    Step.PROCESS: _process,
    Step.EXPIRE: _expire,
    Step.GIVE_UP: _give_up,
}
