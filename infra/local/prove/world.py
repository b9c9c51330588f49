"""One worker's life: the deployed handlers over real ports, an injected clock, chosen events.

一个工作进程的一生：真实部件、可控时钟、指定的事件次数。
"""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from functions.callback.handler import handler as callback
from functions.postprocess.handler import handler as postprocess
from infra.local.prove.clock import ShiftedClock, move_clock
from infra.local.prove.crash import Plan
from infra.local.prove.place import Addresses, Place
from infra.local.prove.scenario import CALLER, Scenario
from infra.local.prove.trouble import Trouble
from shared import config, events, wiring
from shared.buckets.base import BucketUnavailable, ObjectInfo
from shared.config import Settings
from shared.errors import Unavailable
from shared.jobs.model import Status
from shared.jobs.polling import poll, run_errands
from shared.jobs.service import idempotency_key
from shared.jobs.steps import process
from shared.jobs.sweep import UPLOAD_AGE, YOUNG, sweep
from shared.store.base import StoreUnavailable
from shared.store.tables import DELIVERIES, JOBS

ROUNDS = 600
"""More rounds than any run needs; what is not done by then was lost."""
INVOCATION = 60
"""Seconds that an invocation may last."""
THAW = 3
"""Rounds that go by before a frozen worker goes on, beside the one that has gone on without it."""
TIMER = 60.0
"""Seconds between two calls by a timer, where nothing is known to be due sooner."""
PREVIEW_SIDE = 64
"""Pixels a side: a large picture takes a second, most of a run's time, and proves nothing more."""
_DOWN = (StoreUnavailable, BucketUnavailable, Unavailable)

T = TypeVar("T")


class Context:
    """The part of Lambda's context object that the handlers use; the injected clock ends it.

    模拟的调用上下文。
    """

    def __init__(self, clock: ShiftedClock) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self._clock, self._end = clock, clock.now() + INVOCATION * 1000

    def get_remaining_time_in_millis(self) -> int:
        """Until the invocation's end.

        剩余时间（毫秒）。
        """
        return max(0, self._end - self._clock.now())


def _poll_once(event: dict[str, Any], context: Context) -> None:
    """One pass of `poll`, as a wake-up makes it: staying would only turn the injected hands."""
    ports = wiring.current().ports
    if isinstance(events.parse(event), events.Timer):
        run_errands(ports)
    poll(ports, wiring.deadline_of(context), lambda: False)


_HANDLERS: dict[str, Callable[[dict[str, Any], Any], None]] = {
    "poll": _poll_once,
    "postprocess": postprocess,
    "callback": callback,
}


def settings_for(
    addresses: Addresses, generator: Mapping[str, str], secret: str, more: Mapping[str, Any]
) -> Settings:
    """Settings of a bundle whose `generator` is on this machine; the environment is not read.

    构造验证用的设置。
    """
    made = {
        "store_url": addresses.store_url,
        "bucket_url": addresses.bucket_url,
        "link_secret": "p" * 40,
        "webhook_secrets": secret,
        "log_level": "ERROR",
        "log_format": "text",
    }
    return config.load({}, **{**made, **generator, **more})


class Life:
    """One worker, from its start to the jobs' ends or its own death. After `THAW` rounds it thaws
    the processes that are `frozen`.

    一个工作进程。
    """

    def __init__(
        self,
        place: Place,
        settings: Settings,
        clock: ShiftedClock,
        standin: str,
        times: int,
        plan: Plan,
        trouble: Trouble,
        frozen: Sequence[int] = (),
    ) -> None:
        self._frozen = frozen
        self._clock, self._standin, self._times, self._plan = clock, standin, times, plan
        self._trouble = trouble
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._main = threading.current_thread()
        self._looking = False
        process.PREVIEW_SIDE = PREVIEW_SIDE
        trouble.spoil()
        placed = place.wrap(plan, self._created)
        outside = wiring.Outside(wake=self._wake, on_created=self._created, clock=clock)
        self._bundle = wiring.build(
            settings, outside, wrap=lambda name, part: placed(name, trouble.wrap(name, part))
        )
        wiring.install(self._bundle)

    def run(self, scenario: Scenario, callback_url: str) -> None:
        """Ask for the jobs (again), let timers and events work until all is done, then sweep.

        `callback_url` holds a place for the job's number. A worker that was frozen leaves once the
        invocation is over that it was frozen in: two that turn the same clock's hands would take
        each other's leases for run out while both are at work.

        提交任务并推进到结束。
        """
        ids = [
            self._create(scenario, number, callback_url.format(number))
            for number in range(scenario.jobs)
        ]
        before: int | None = None
        for number in range(ROUNDS):
            if self._plan.is_thawed:
                return  # the one that went on without it has the hands of the clock
            if number == THAW:
                self._thaw()
            self._trouble.round()
            self._timers()
            self._events()
            if scenario.cancel:
                self._cancel(ids)
            due = self._due([*ids, *self._trouble.also])
            if due is None:
                self._sweep()
                return
            # Where nothing has moved only the next timer can bring something new.
            self._skip_to(due if due != before else self._clock.now() + round(TIMER * 1000))
            before = due
        raise AssertionError(f"not everything ended within {ROUNDS} rounds: {self._open(ids)}")

    def _create(self, scenario: Scenario, number: int, callback_url: str) -> str:
        new = scenario.new_job(number, callback_url)
        name = f"{scenario.name} {number}"
        key = idempotency_key(CALLER, "POST", "/api/v1/jobs", name, new)
        job, _ = self._patiently(lambda: self._bundle.jobs.create(CALLER, new, key))
        self._trouble.created(number, job.id)
        return job.id

    def _patiently(self, call: Callable[[], T]) -> T:
        """What a careful caller does: ask again while the answer is 503."""
        for _ in range(ROUNDS):
            try:
                return call()
            except _DOWN:
                self._skip_to(self._clock.now() + 5_000)
        raise AssertionError("the caller was never answered")

    def _thaw(self) -> None:
        for worker in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGCONT)

    def _timers(self) -> None:
        # What a timer's poll wakes by its own look at the queues is the recovery under test.
        self._looking = True
        for name in ("poll", "callback"):
            self._call(name, {"detail-type": "Scheduled Event"})
        self._looking = False

    def _events(self) -> None:
        while self._waiting:
            name, event = self._waiting.pop(0)
            self._call(name, event)

    def _call(self, name: str, event: dict[str, Any]) -> None:
        if self._plan.is_thawed:
            return  # it ends what it was frozen in, and begins nothing more
        with suppress(*_DOWN):  # an invocation that failed; the timer comes again
            _HANDLERS[name](event, Context(self._clock))

    def _wake(self, function: str) -> None:
        by_timer = self._looking and threading.current_thread() is self._main
        self._put(function, dict(events.WAKE), 1 if by_timer else self._times)

    def _created(self, info: ObjectInfo) -> None:
        if info.key.startswith("incoming/"):
            record = {"s3": {"object": {"key": info.key, "size": info.bytes}}}
            self._put("postprocess", {"Records": [record]}, self._times)

    def _put(self, name: str, event: dict[str, Any], times: int) -> None:
        self._waiting.extend([(name, event)] * times)

    def _cancel(self, ids: list[str]) -> None:
        with self._plan.aside():
            seen = [self._bundle.jobs.get(CALLER, job_id) for job_id in ids]
        for job in seen:
            if job.status in (Status.QUEUED, Status.SUBMITTING, Status.RUNNING):
                self._bundle.jobs.cancel(CALLER, job.id)

    def _due(self, ids: list[str]) -> int | None:
        """When the first of the jobs, or of their webhooks, is due; None if all is done.

        最早的到期时间。
        """
        store = self._bundle.store
        dues: list[int | None] = []
        try:
            with self._plan.aside():
                for job_id in ids:
                    job = _seen(partial(store.get, JOBS, job_id))
                    assert job is not None
                    dues.append(job.due_at)
                    sent = partial(store.query, DELIVERIES, "by_job", {"job_id": job_id})
                    dues += [record.due_at for record in _seen(sent).records]
        except StoreUnavailable:
            return self._clock.now() + round(TIMER * 1000)
        return min((due for due in dues if due is not None), default=None)

    def _open(self, ids: list[str]) -> list[Any]:
        """What did not end, for whoever reads of it."""
        records = [self._bundle.store.get(JOBS, job_id) for job_id in (*ids, *self._trouble.also)]
        return [(r.fields, r.due_at, r.claims) for r in records if r and r.due_at is not None]

    def _sweep(self) -> None:
        """A day later, when all that nobody needs may go."""
        self._trouble.end()
        ports = self._bundle.ports
        for _ in range(_SWEEPS):
            self._skip_to(self._clock.now() + round(1000 * (UPLOAD_AGE + YOUNG)))
            deadline = wiring.deadline_of(Context(self._clock))
            if sweep(self._bundle.store, ports.jobs, ports.bucket, self._clock, deadline):
                return

    def _skip_to(self, instant: int) -> None:
        ahead = max(_MOMENT, (instant - self._clock.now()) / 1000)
        self._clock.sleep(ahead)
        move_clock(self._standin, ahead)


_MOMENT = 0.5
_SWEEPS = 3
_GLANCES = 10


def _seen(look: Callable[[], T]) -> T:
    """What a look shows, at the first glance or at one of the next."""
    for _ in range(_GLANCES - 1):
        with suppress(StoreUnavailable):
            return look()
    return look()
