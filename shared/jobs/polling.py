"""The work of `poll` and `postprocess`: which sources there are, and the loop over them.

poll 与 postprocess 函数的主循环。
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle

from shared.clock import Deadline
from shared.jobs import lifecycle
from shared.jobs.fetches import Fetches
from shared.jobs.model import PROCESS, Job, queues_of
from shared.jobs.ports import Ports
from shared.jobs.repository import OldQueue
from shared.jobs.saving import settle
from shared.jobs.sources import Downloads, Looks, Processing, Steps
from shared.jobs.steps import advance
from shared.jobs.steps.check import look
from shared.metrics import QUEUE_AGE
from shared.store.base import Lease, StoreUnavailable
from shared.work.loop import WIND_DOWN, HeldUnits, Loop, Source, Unit

log = logging.getLogger("maquette.poll")

BACKLOG = 30.0
"""Seconds that something due has waited when its provider counts as falling behind."""
_ABSENT_LEASE = 60_000
_REFILED = 100
"""Records of an old queue that are moved at once."""


def poll(
    ports: Ports,
    deadline: Deadline,
    stay: Callable[[], bool],
    *,
    providers: Sequence[str] = (),
    woken: bool = False,
) -> None:
    """Carry the due jobs of these providers (all: none named) forward; return when nothing is due,
    or at the deadline.

    While `stay()` is true it waits for what becomes due later, as long as anything is unfinished.

    推进所有到期任务。
    """
    sources = _Sources(ports, deadline, tuple(providers) or tuple(ports.providers))
    loop = Loop(
        sources,
        ports.clock,
        deadline,
        stay,
        woken=woken,
        company=ports.company,
        alarm=ports.alarm,
        each_round=lambda: _each_round(ports, stay),
    )
    try:
        if loop.run():
            wake_postprocess(ports)
    finally:
        ports.durations.refresh(ports.clock.now(), stay, at_once=True)


def drain(ports: Ports, deadline: Deadline, *, at_once: int) -> int:
    """Process what is due, `at_once` jobs at a time, until none is; their number.

    处理所有待后处理的任务。
    """
    source = Processing(ports, deadline, at_once)
    loop = Loop(
        lambda: (source,),
        ports.clock,
        deadline,
        company=ports.company,
        alarm=ports.alarm,
        each_round=lambda: settle(ports),
    )
    return loop.run()


def ask_for_help(ports: Ports, most: int) -> None:
    """Hand providers for which something has waited too long to further polls, `most` at most.

    Only for a timer's `poll`: those it asks ask nobody, so their number is bounded.

    积压时请求协助。
    """
    asked = 0
    for provider in ports.providers:
        if asked >= most:
            return
        try:
            due = [ports.jobs.first_due(queue) for queue in queues_of(provider)]
        except StoreUnavailable as error:
            log.warning("the queues could not be read: %s", error)
            return
        now = ports.clock.now()
        if any(at is not None and now - at > BACKLOG * 1000 for at in due):
            asked += 1
            ports.help(provider)


def run_errands(ports: Ports) -> None:
    """Do every rare errand once, if that was not done a while ago; among them: move what lies in
    the queues of older versions.

    For a timer's `poll`: where nothing else is to be done it leaves before it has come to them in
    turn, and to what lies in an old queue nothing else leads.

    依次完成所有少见的杂务，包括迁移旧队列中的任务。
    """
    if not ports.errands_once_more.is_time(ports.clock.now()):
        return
    try:
        for errand in _rare(ports):
            errand()
    except StoreUnavailable as error:
        log.warning("the queues of older versions could not be read: %s", error)


def wake_postprocess(ports: Ports) -> None:
    """Wake `postprocess` if something lies due for it; claims nothing.

    有待处理的任务时唤醒后处理函数。
    """
    try:
        due = ports.jobs.first_due(PROCESS)
    except StoreUnavailable as error:
        log.warning("nobody could be woken: %s", error)
        return
    now = ports.clock.now()
    ports.metrics.add(QUEUE_AGE, max(0, now - (due or now)) / 1000, queue=PROCESS)
    if due is not None and due <= now:
        ports.wake("postprocess")


class _Sources:
    """The sources of a poll, each made once; asked for anew every round, since a credential's own
    queue is one of them while its rest has not been over for long."""

    def __init__(self, ports: Ports, deadline: Deadline, providers: Sequence[str]) -> None:
        self._ports = ports
        self._deadline = deadline
        self._providers = providers
        self._parked: dict[str, Steps | Looks] = {}
        self._errands = _Errands(ports)
        self._fetches = Fetches(ports, deadline)
        self._of: dict[str, list[Source]] = {
            name: [
                Steps(ports, deadline, name),
                Looks(ports, deadline, name),
                Downloads(ports, deadline, name),
            ]
            for name in providers
        }

    def __call__(self) -> list[Source]:
        # Who was refused lately has a long queue, maybe, and to look at it takes its time.
        names = sorted(self._of, key=self._ports.rests.refused_lately)
        fixed: list[Source] = [source for name in names for source in self._of[name]]
        return [self._fetches, *fixed, *self._of_ended_rests(), self._errands]

    def _of_ended_rests(self) -> Iterator[Source]:
        """The queues of credentials whose rest is over: what waited there may be claimed again.

        休息结束的凭据的队列。
        """
        for provider in self._providers:
            wanted: list[tuple[type[Steps] | type[Looks], str]] = [
                (Steps, name) for name in self._ports.rests.ended(provider, "create")
            ]
            for name in self._ports.rests.ended(provider, "read"):
                wanted += [(Looks, name), (Steps, name)]
            for kind, name in dict.fromkeys(wanted):
                source = self._made(kind, provider, name)
                if not source.is_quiet():
                    yield source

    def _made(self, kind: type[Steps] | type[Looks], provider: str, name: str) -> Steps | Looks:
        key = f"{kind.__name__}/{provider}/{name}"
        if key not in self._parked:
            self._parked[key] = kind(self._ports, self._deadline, provider, name)
        return self._parked[key]


class _Errands(HeldUnits):
    """What a poll does beside its jobs, one small thing a look, in turn: whether `postprocess` has
    work that nobody woke it for; and the queues of older versions, whose records move."""

    name = "errands"
    group = "errands"
    threads = 1
    lasting = False
    needs = WIND_DOWN

    def __init__(self, ports: Ports) -> None:
        super().__init__()
        self._ports = ports
        self._turns = cycle(_in_turn(ports))

    def next_due(self) -> int | None:
        next(self._turns)()
        return None

    def claim(self, room: int) -> int:
        return 0

    def start(self) -> Unit | None:
        return None


def _in_turn(ports: Ports) -> list[Callable[[], object]]:
    """The bells come between any two errands: by turns one of these is one query a look."""
    bells: list[Callable[[], object]] = [partial(wake_postprocess, ports)]
    bells += [partial(_run, ports, bell) for bell in ports.bells]
    return [turn for one in _rare(ports) for turn in (*bells, one)]


def _rare(ports: Ports) -> list[Callable[[], object]]:
    old: list[Callable[[], object]] = [
        partial(_refile, ports, queue) for queue in ports.jobs.old_queues
    ]
    of_absent: list[Callable[[], object]] = [
        partial(_carry_absent, ports, queue) for name in ports.absent for queue in queues_of(name)
    ]
    return [*old, *of_absent, *(partial(_run, ports, errand) for errand in ports.errands)]


def _carry_absent(ports: Ports, queue: str) -> None:
    """Jobs of a provider that is not configured here any more wait, and end by their deadlines.

    处理未配置的生成服务的任务。
    """
    now = ports.clock.now()

    def lease(job: Job) -> Lease:
        return lifecycle.lease(job, ports.moment(), _ABSENT_LEASE, ports.policy)

    for job in ports.jobs.claim(queue, now, lease, _REFILED):
        if job.watched:
            look(ports, job, None)
        else:
            advance(ports, job, Deadline.after(_ABSENT_LEASE / 1000))


def _run(ports: Ports, errand: Callable[[int], object]) -> None:
    errand(ports.clock.now())


def _refile(ports: Ports, old: OldQueue) -> None:
    ports.jobs.refile(old, ports.clock.now(), _REFILED)


def _each_round(ports: Ports, stay: Callable[[], bool]) -> None:
    ports.rests.refresh()
    ports.durations.refresh(ports.clock.now(), stay)
    settle(ports)
