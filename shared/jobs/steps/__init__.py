"""One step of one job: do it, then save what happened. Safe to repeat, safe to die in anywhere.

执行任务的一步并保存结果；可重复执行，随时中断都不会出错。
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from shared import context
from shared.clock import Deadline, OutOfTime
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Step
from shared.jobs.model import Job
from shared.jobs.ports import Ports
from shared.jobs.saving import apply, hand_back
from shared.jobs.steps.fetch import fetch
from shared.jobs.steps.find import ask_again, find
from shared.jobs.steps.store import store
from shared.jobs.steps.submit import submit
from shared.providers.base import Provider, ProviderUnavailable
from shared.store.base import StoreUnavailable

log = logging.getLogger("maquette.jobs")


def advance(ports: Ports, job: Job, deadline: Deadline) -> None:
    """Carry a claimed job that is not to be looked at one step forward.

    A step may raise anything: that is a failed try, and the job's deadlines run on.

    推进一个已认领的任务。
    """
    with context.job(job.id):
        if deadline.remaining() <= 0:
            hand_back(ports, job, begun=False)
            return
        step = lifecycle.step_of(job, ports.clock.now(), ports.policy)
        try:
            _STEPS[step](ports, job, deadline)
        except OutOfTime:
            hand_back(ports, job, begun=True)
        except StoreUnavailable as error:
            log.warning("%s: %s stopped: %s", job.id, step.value, error)
            ports.debts.add(job)
        except Exception as error:
            log.warning("%s: %s failed", job.id, step.value, exc_info=True)
            _failed(ports, job, f"{type(error).__name__}: {error}")


def _failed(ports: Ports, job: Job, reason: str) -> None:
    """Note that a step of a job failed, if the job is still under this lease.

    记录一次失败的步骤。
    """
    at = ports.moment()

    def fact(now: Job) -> Job:
        # Under another lease it is somebody else's by now.
        if now.due_at != job.due_at:
            return now
        return lifecycle.failed_try(now, reason, at, ports.policy)

    try:
        apply(ports, job, fact)
    except StoreUnavailable:
        ports.debts.add(job)


def _inspect(ports: Ports, job: Job, deadline: Deadline) -> None:
    from shared.jobs.steps.inspect import inspect  # as `process`, below

    inspect(ports, job, deadline)


def _submit(ports: Ports, job: Job, deadline: Deadline) -> None:
    submit(ports, job, _provider(ports, job), deadline)


def _find(ports: Ports, job: Job, deadline: Deadline) -> None:
    provider = _provider(ports, job)
    assert job.attempt is not None
    if ports.credentials.get(provider.name, job.attempt.credential) is None:
        raise ProviderUnavailable("the credential that the create was sent with is gone")
    if provider.key_seconds is not None:
        ask_again(ports, job, provider, deadline)
    else:
        find(ports, provider, job.attempt.credential, [job], deadline)


def _store(ports: Ports, job: Job, deadline: Deadline) -> None:
    store(ports, job, _provider(ports, job), deadline)


def _process(ports: Ports, job: Job, deadline: Deadline) -> None:
    from shared.jobs.steps.process import process  # only `postprocess` carries what this imports

    process(ports, job, deadline)


def _expire(ports: Ports, job: Job, deadline: Deadline) -> None:
    at = ports.moment()
    apply(ports, job, lambda now: lifecycle.overdue(now, at))


def _give_up(ports: Ports, job: Job, deadline: Deadline) -> None:
    at = ports.moment()
    apply(ports, job, lambda now: lifecycle.lost(now, at), insist=False)


def _provider(ports: Ports, job: Job) -> Provider:
    provider = ports.providers.get(job.provider)
    if provider is None:
        raise ProviderUnavailable(f"provider {job.provider} is not configured")
    return provider


_STEPS: dict[Step, Callable[[Ports, Job, Deadline], None]] = {
    Step.FETCH: fetch,
    Step.INSPECT: _inspect,
    Step.SUBMIT: _submit,
    Step.FIND: _find,
    Step.STORE: _store,
    Step.PROCESS: _process,
    Step.EXPIRE: _expire,
    Step.GIVE_UP: _give_up,
}
