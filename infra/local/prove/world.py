"""One worker's life: the deployed handlers over real ports, an injected clock, chosen events.

一个工作进程的一生：真实部件、可控时钟、指定的事件次数。
"""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from functions.callback.handler import handler as callback
from functions.postprocess.handler import handler as postprocess
from infra.local.prove.crash import Plan
from infra.local.prove.place import Addresses, Place
from shared import config, events, wiring
from shared.artifacts.images.image import ImageLimits, inspect_image
from shared.buckets.base import ObjectInfo
from shared.config import Settings
from shared.jobs.model import Job
from shared.jobs.service import NewImage, NewJob, idempotency_key
from shared.work.polling import poll

CALLER = "prove"
_ROUNDS = 400
"""More rounds than any job needs; one that is not done by then was lost."""
_MOVED_SECONDS = 300.0


class ShiftedClock:
    """The machine's clock plus a shift that all lives of one slot share; sleeping only shifts.

    可快进的时钟。
    """

    def __init__(self, shift: Synchronized[int]) -> None:
        self._shift = shift

    def now(self) -> int:
        """Milliseconds since 1970, shifted.

        当前时间（毫秒）。
        """
        return time.time_ns() // 1_000_000 + self._shift.value

    def sleep(self, seconds: float) -> None:
        """Move the clock forward instead of waiting.

        快进而不是等待。
        """
        with self._shift.get_lock():
            self._shift.value += max(0, round(seconds * 1000))

    def chance(self) -> float:
        """A random number in [0, 1).

        随机数。
        """
        return random.random()

    def token(self, bits: int) -> int:
        """An unguessable number.

        随机整数。
        """
        return secrets.randbits(bits)


@dataclass(frozen=True)
class Scenario:
    """What is asked for, of whom, and the roles of the artifacts that a success publishes.

    `faults` are those of the generator, as the stand-ins' `--fault` takes them. With `cancel` the
    caller cancels; with `kills` the generator itself is killed while it works. The worker is killed
    at every `every`-th call only.

    一个验证场景。
    """

    name: str
    provider: str
    kind: str
    roles: tuple[str, ...]
    prompt: str | None = None
    photo: bytes | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    cancel: bool = False
    kills: bool = False
    succeeds: bool = True
    every: int = 1

    def new_job(self, callback_url: str) -> NewJob:
        """The request every life of the scenario's caller sends.

        场景对应的创建请求。
        """
        images = {}
        if self.photo is not None:
            info = inspect_image(self.photo, ImageLimits())
            images["image"] = NewImage(self.photo, info.media_type, info.width, info.height)
        return NewJob(
            self.kind,
            self.provider,
            prompt=self.prompt,
            images=images,
            options=self.options,
            callback_url=callback_url,
        )


@dataclass(frozen=True)
class Context:
    """The part of Lambda's context object that the handlers use.

    模拟的调用上下文。
    """

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Always the same: time passes by the injected clock only.

        剩余时间（毫秒）。
        """
        return 60_000


def _poll_once(event: dict[str, Any], context: Context) -> None:
    """One pass of `poll`, as a wake-up makes it: staying would only turn the injected hands."""
    poll(wiring.current().ports, wiring.deadline_of(context), lambda: False)


_HANDLERS: dict[str, Callable[[dict[str, Any], Any], None]] = {
    "poll": _poll_once,
    "postprocess": postprocess,
    "callback": callback,
}


def settings_for(addresses: Addresses, generator: Mapping[str, str], secret: str) -> Settings:
    """Settings of a bundle whose `generator` is on this machine; the environment is not read.

    构造验证用的设置。
    """
    return config.load(
        {},
        store_url=addresses.store_url,
        bucket_url=addresses.bucket_url,
        link_secret="p" * 40,
        webhook_secrets=secret,
        log_level="ERROR",
        log_format="text",
        **generator,
    )


class Life:
    """One worker, from its start to the job's end or its own death.

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
    ) -> None:
        self._clock, self._standin, self._times, self._plan = clock, standin, times, plan
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._main = threading.current_thread()
        self._looking = False
        outside = wiring.Outside(wake=self._wake, on_created=self._created, clock=clock)
        self._bundle = wiring.build(settings, outside, wrap=place.wrap(plan, self._created))
        wiring.install(self._bundle)

    def run(self, scenario: Scenario, callback_url: str) -> Job:
        """Ask for the job (again), then let timers and events work until all is done.

        提交任务并推进到结束。
        """
        new = scenario.new_job(callback_url)
        key = idempotency_key(CALLER, "POST", "/api/v1/jobs", scenario.name, new)
        job, _ = self._bundle.jobs.create(CALLER, new, key)
        for _ in range(_ROUNDS):
            self._timers()
            self._events()
            seen, due = self._look(job.id)
            if scenario.cancel and seen.status.value in ("queued", "submitting", "running"):
                self._bundle.jobs.cancel(CALLER, job.id)
                seen, due = self._look(job.id)
            if due is None:
                return seen
            self._skip_to(due)
        raise AssertionError(f"the job did not end within {_ROUNDS} rounds: {seen.status.value}")

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
        _HANDLERS[name](event, Context(str(uuid.uuid4())))

    def _wake(self, function: str) -> None:
        by_timer = self._looking and threading.current_thread() is self._main
        self._put(function, dict(events.WAKE), 1 if by_timer else self._times)

    def _created(self, info: ObjectInfo) -> None:
        if info.key.startswith("incoming/"):
            record = {"s3": {"object": {"key": info.key, "size": info.bytes}}}
            self._put("postprocess", {"Records": [record]}, self._times)

    def _put(self, name: str, event: dict[str, Any], times: int) -> None:
        self._waiting.extend([(name, event)] * times)

    def _look(self, job_id: str) -> tuple[Job, int | None]:
        """The job, and when it or its webhook is due."""
        with self._plan.aside():
            job = self._bundle.jobs.get(CALLER, job_id)
            ended = job.status.terminal
            return job, self._bundle.ports.jobs.delivery_due() if ended else job.due_at

    def _skip_to(self, instant: int) -> None:
        ahead = (instant - self._clock.now()) / 1000
        if ahead > 0:
            self._clock.sleep(ahead)
            move_clock(self._standin, ahead)


def move_clock(standin: str, seconds: float) -> None:
    """Move the stand-in's clock forward; one whose time is real is given the time it needs.

    快进替身的时钟。
    """
    ask(f"{standin}/_clock", {"advance": seconds}, seconds=_MOVED_SECONDS)


def ask(url: str, body: Any = None, *, seconds: float = 30.0) -> Any:
    """One JSON request to a server of this machine.

    向本机服务发送一次请求。
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        return json.load(answer)
