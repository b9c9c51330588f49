"""The work of `poll`: claim what is due, run it many at once, wake whoever has work waiting.

poll 函数的主循环。
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from shared.clock import Deadline
from shared.context import Pool
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Step
from shared.jobs.lifecycle.transitions import Moment
from shared.jobs.model import Job, Queue
from shared.jobs.ports import Ports
from shared.jobs.saving import apply
from shared.jobs.steps import advance
from shared.jobs.steps.check import check
from shared.metrics import QUEUE_AGE
from shared.store.base import Lease, StoreUnavailable
from shared.store.tables import LANES

log = logging.getLogger("maquette.poll")

THREADS = 16
"""Steps at once; they wait on the network most of the time."""
LOOKERS = 4
"""Requests at once that ask for the state of tasks; slow downloads must not hold them up."""
_LOOKS_A_LANE = 250
_NAP = 1.0
"""Seconds between two looks at the queues while nothing is known to be due sooner."""
_BLINK = 0.05
"""Seconds to wait at least: what is due but cannot be claimed (an index may lag) is no work."""
BACKLOG = 30.0
"""Seconds that something due has waited when its lane counts as falling behind."""
_WIND_DOWN = 15.0
"""Seconds before the end at which nothing new is claimed."""

MINE = (Queue.CHECK, Queue.STEP)


def poll(
    ports: Ports,
    deadline: Deadline,
    stay: Callable[[], bool],
    lanes: Sequence[int] = tuple(range(LANES)),
    *,
    woken: bool = False,
) -> None:
    """Carry the due jobs of these lanes forward; return when nothing is due, or at the deadline.

    While `stay()` is true it waits for what becomes due later, as long as anything is unfinished.
    After it did something, or was `woken` because there is work, it looks once more before it
    leaves: an index may not show at once where a save has put a job.

    推进所有到期任务。
    """
    with (
        Pool(THREADS, "poll") as pool,
        Pool(LOOKERS, "look") as lookers,
    ):
        steps: set[Future[None]] = set()
        looks: set[Future[None]] = set()
        looked_at, news = 0, False
        while True:
            # While requests hang, the tasks they ask about become due again; they are not
            # claimed anew, or ever more requests would wait for a thread.
            if len(looks) < LOOKERS:
                looks |= _start_looks(ports, deadline, lookers, lanes)
            steps |= _start_steps(ports, deadline, pool, THREADS - len(steps), lanes)
            if ports.clock.now() - looked_at >= _NAP * 1000:
                looked_at, news = ports.clock.now(), False
                wake_others(ports)
            if steps or looks:
                done, _ = wait(steps | looks, timeout=_NAP, return_when=FIRST_COMPLETED)
                _report(done)
                steps, looks, news = steps - done, looks - done, news or bool(done)
                continue
            due = _next_due(ports, lanes)
            if due is None and (news or woken) and stay():
                due, woken = ports.clock.now() + round(_NAP * 1000), False
            if due is None or deadline.remaining() <= _WIND_DOWN or not stay():
                if news:
                    wake_others(ports)
                return
            pause = min(_NAP, (due - ports.clock.now()) / 1000, deadline.remaining())
            ports.clock.sleep(max(_BLINK, pause))


def drain(ports: Ports, deadline: Deadline, queue: Queue, *, at_once: int) -> int:
    """Run the steps that are due in one queue, `at_once` at a time, until none is; their number.

    处理某个队列中所有到期的任务。
    """
    count = 0
    with Pool(at_once, queue.value) as pool:
        flight: set[Future[None]] = set()
        while True:
            room = at_once - len(flight)
            jobs = (
                _claim(ports, deadline, queue, 1, total=room)
                if room and _time_left(deadline)
                else []
            )
            count += len(jobs)
            flight |= {pool.submit(advance, ports, job, deadline) for job in jobs}
            if not flight:
                return count
            done, flight = wait(flight, timeout=_NAP, return_when=FIRST_COMPLETED)
            _report(done)


def ask_for_help(ports: Ports, most: int) -> None:
    """Hand lanes in which something has waited too long to further polls, `most` at most.

    Only for a timer's `poll`: those it asks ask nobody, so their number is bounded.

    积压时请求协助。
    """
    asked = 0
    for lane in range(LANES):
        if asked == most:
            return
        try:
            due = ports.jobs.next_due(MINE, [lane])
        except StoreUnavailable as error:
            log.warning("the queues could not be read: %s", error)
            return
        if due is not None and ports.clock.now() - due > BACKLOG * 1000:
            asked += 1
            ports.help(lane)


def wake_others(ports: Ports) -> None:
    """Wake `postprocess` and `callback` if something lies due for them; claims nothing.

    有待处理的工作时唤醒其他函数。
    """
    now = ports.clock.now()
    try:
        due = ports.jobs.next_due((Queue.PROCESS,))
        _measure_age(ports, Queue.PROCESS.value, now, due)
        if due is not None and due <= now:
            ports.wake("postprocess")
        due = ports.jobs.delivery_due()
        _measure_age(ports, "deliveries", now, due)
        if due is not None and due <= now:
            ports.wake("callback")
    except StoreUnavailable as error:
        log.warning("nobody could be woken: %s", error)


def _measure_age(ports: Ports, queue: str, now: int, due: int | None) -> None:
    """Note how long what is due first has been waiting; 0 if nothing has to."""
    waited = max(0, now - due) if due is not None else 0
    ports.metrics.add(QUEUE_AGE, waited / 1000, queue=queue)


def _next_due(ports: Ports, lanes: Sequence[int]) -> int | None:
    try:
        return ports.jobs.next_due(MINE, lanes)
    except StoreUnavailable as error:
        log.warning("the queues could not be read: %s", error)
        return ports.clock.now() + round(_NAP * 1000)


def _start_looks(
    ports: Ports, deadline: Deadline, pool: Pool, lanes: Sequence[int]
) -> set[Future[None]]:
    if not _time_left(deadline):
        return set()
    started: set[Future[None]] = set()
    for provider, credential, jobs in _batches(
        ports, _claim(ports, deadline, Queue.CHECK, _LOOKS_A_LANE, lanes)
    ):
        started.add(
            pool.submit(check, ports, ports.providers[provider], credential, jobs, deadline)
        )
    return started


def _start_steps(
    ports: Ports, deadline: Deadline, pool: Pool, room: int, lanes: Sequence[int]
) -> set[Future[None]]:
    if room <= 0 or not _time_left(deadline):
        return set()
    claimed = _claim(ports, deadline, Queue.STEP, max(1, room // len(lanes)), lanes)
    ordered = sorted(claimed, key=lambda job: (-job.priority, job.id))
    return {pool.submit(advance, ports, job, deadline) for job in ordered}


def _claim(
    ports: Ports,
    deadline: Deadline,
    queue: Queue,
    limit: int,
    lanes: Sequence[int] = tuple(range(LANES)),
    total: int | None = None,
) -> list[Job]:
    lasts = round((max(0.0, deadline.remaining()) + ports.policy.lease_margin) * 1000)
    at = ports.moment()
    first_due = at.now

    def lease(job: Job) -> Lease:
        nonlocal first_due
        first_due = min(first_due, job.due_at if job.due_at is not None else at.now)
        drawn = Moment(at.now, ports.clock.chance())
        return lifecycle.lease(job, drawn, lasts, ports.policy)

    try:
        # Where not every lane is asked, chance says which is the first: none may starve.
        first = int(at.chance * len(lanes))
        ordered = (*lanes[first:], *lanes[:first])
        claimed = ports.jobs.claim(queue, at.now, lease, limit, total=total, lanes=ordered)
    except StoreUnavailable as error:
        log.warning("nothing could be claimed: %s", error)
        return []
    _measure_age(ports, queue.value, at.now, first_due)
    return claimed


def _batches(ports: Ports, jobs: Iterable[Job]) -> Iterable[tuple[str, str, list[Job]]]:
    groups: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        provider = ports.providers.get(job.provider)
        credential = job.attempt.credential if job.attempt else ""
        if provider is not None and ports.credentials.get(job.provider, credential) is not None:
            groups[provider.name, credential].append(job)
        else:
            log.error("%s: nobody here may ask %s for its task", job.id, job.provider)
            _unseen(ports, job)
    for (name, credential), group in groups.items():
        size = ports.providers[name].check_limit
        for start in range(0, len(group), size):
            yield name, credential, group[start : start + size]


def _unseen(ports: Ports, job: Job) -> None:
    at = ports.moment()
    try:
        apply(ports, job, lambda now: lifecycle.unseen(now, at, ports.policy))
    except StoreUnavailable:
        log.warning("%s: a look could not be saved and will be repeated", job.id)


def _time_left(deadline: Deadline) -> bool:
    return deadline.remaining() > _WIND_DOWN


def _report(done: Iterable[Future[None]]) -> None:
    for future in done:
        error = future.exception()
        if error is not None:
            log.error(
                "a step stopped; its job is taken up again when its lease ends", exc_info=error
            )


__all__ = ["MINE", "THREADS", "Step", "ask_for_help", "drain", "poll", "wake_others"]
