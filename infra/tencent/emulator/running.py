"""Runs deployed functions on this machine: the data plane of the emulated SCF.

Event functions are processes that answer one event at a time and are kept while they are warm; a
web function is a server that its `scf_bootstrap` starts. Asynchronous events wait in a queue, are
tried again as often as the function says, and are dropped when they are too old.

在本机运行已部署的函数。
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

from infra.tencent.emulator import cron, events, url_events, web
from infra.tencent.emulator.deployed import Deployed, Outcome, Trigger
from infra.tencent.emulator.events import Created
from infra.tencent.emulator.fleet import (
    EVENTS_AT_ONCE,
    REQUESTS_AT_ONCE,
    Fleet,
    Name,
    Platform,
    name_of,
)
from infra.tencent.emulator.installing import BadCode
from infra.tencent.emulator.instances import (
    Died,
    StartError,
    TimedOut,
)
from infra.tencent.emulator.lanes import RETRY_SECONDS, Lane
from infra.tencent.emulator.pools import NoInstance
from infra.tencent.emulator.urls import FunctionUrl

_SECOND = timedelta(seconds=1)


class Running:
    """A `Runner`. Use it as a context manager: leaving it ends every instance at once.

    `say` is given every line that a function writes, with the function's name before it;
    `retry_seconds` lies between two tries of a failed asynchronous event, whose age `monotonic`
    tells. `ended` hears how asynchronous ones ended, by the function's name.

    运行已部署的函数。
    """

    def __init__(
        self,
        platform: Platform,
        say: Callable[[str], object] = lambda line: sys.stderr.write(line + "\n"),
        *,
        events_at_once: int = EVENTS_AT_ONCE,
        requests_at_once: int = REQUESTS_AT_ONCE,
        retry_seconds: float = RETRY_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        ended: Callable[[str, Outcome], None] = lambda name, outcome: None,
    ) -> None:
        self.platform = platform
        self._say = say
        self._at_once = events_at_once
        self._retry_seconds = retry_seconds
        self._monotonic = monotonic
        self.ended = ended
        self._fleet = Fleet(
            platform,
            self._note,
            events_at_once=events_at_once,
            requests_at_once=requests_at_once,
        )
        self._functions: dict[Name, Deployed] = {}
        self._lanes: dict[Name, Lane] = {}
        self._urls: dict[Name, FunctionUrl] = {}
        self._lock = threading.RLock()
        self._over = threading.Event()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything at once, as a machine's end does; twice is harmless.

        立即结束一切。
        """
        self._over.set()
        with self._lock:
            urls = list(self._urls.values())
            self._urls.clear()
        for url in urls:
            url.close()
        self._fleet.close()

    def changed(self, function: Deployed) -> None:
        """A function was made, or it is another one now: warm instances of older code end.

        函数已创建或变更。
        """
        with self._lock:
            name = name_of(function)
            self._functions[name] = function
            self._serve(function)
        self._fleet.retire(function, but=function.revision)

    def removed(self, function: Deployed) -> None:
        """A function is gone; what its instances do they may still end.

        函数已删除。
        """
        with self._lock:
            name = name_of(function)
            self._functions.pop(name, None)
            self._serve(function, gone=True)
        self._fleet.retire(function)

    def invoke(self, function: Deployed, event: Any, *, wait: bool) -> Outcome:
        """Give an event function an event; without `wait` only to see that it is taken.

        调用函数。
        """
        request_id = str(uuid4())
        if wait:
            return self._run(function, event, request_id)
        with self._lock:
            lane = self._lanes.setdefault(name_of(function), self._new_lane())
        lane.send(function, event, request_id)
        return Outcome(request_id)

    def request(self, function: Deployed, request: web.Request) -> web.Response:
        """Have a function answer an HTTP request, within its time-out: a web function as it is, an
        event function by an event.

        由函数处理 HTTP 请求。
        """
        request_id = str(uuid4())
        if function.kind == "Event":
            return self._by_event(function, request, request_id)
        try:
            return self._asked(function, request, request_id)
        except TimedOut:
            words = f"Invoking task timed out after {function.timeout} seconds"
            refused = web.refusal(433, "InvokeTimeout", words, request_id)
        except NoInstance as error:
            refused = web.refusal(429, "ResourceLimitReached", str(error), request_id)
        except (StartError, BadCode) as error:
            refused = web.refusal(446, "ContainerStartFailed", str(error), request_id)
        except Died:
            refused = web.refusal(439, "UserProcessExit", "its process ended", request_id)
        if not self._over.is_set():
            self._note(function, f"ERROR RequestId: {request_id} {refused.body.decode()}")
        return refused

    def created(self, one: Created) -> None:
        """Tell the functions that have a trigger for it of a new object.

        通知新对象。
        """
        region = self.platform.region
        for function, trigger in self._triggers("cos"):
            if events.wanted(trigger, one, region):
                moment = datetime.now(timezone.utc)
                event = events.created(one, region, moment, str(uuid4()))
                self.invoke(function, event, wait=False)

    def tick(self, moment: datetime) -> None:
        """Fire the timers of this second (UTC).

        触发这一秒的定时器。
        """
        for function, trigger in self._triggers("timer"):
            try:
                fires = cron.parse(trigger.description).fires(moment)
            except cron.CronError as error:
                self._note(function, f"the timer {trigger.name} never fires: {error}")
            else:
                if fires:
                    self.invoke(function, events.timer(trigger, moment), wait=False)

    def start_timers(self) -> None:
        """Have the timers fire from now on, in the background.

        启动定时器。
        """
        threading.Thread(target=self._tick_on, name="timers", daemon=True).start()

    def warm(self, function: Deployed) -> None:
        """Start an instance of a function, so that the first one who needs it finds it warm.

        预热函数。
        """
        try:
            self._fleet.pool(function).start_one()
        except (NoInstance, StartError, BadCode) as error:
            if not self._over.is_set():
                self._note(function, f"an instance did not start: {error}")

    def pids(self) -> dict[str, set[int]]:
        """The processes of every function's instances, by the function's name.

        各函数的进程。
        """
        return self._fleet.pids()

    def _serve(self, function: Deployed, *, gone: bool = False) -> None:
        """Have a function's URL answer, for as long as it has one.

        开启或关闭函数 URL。
        """
        name = name_of(function)
        wanted = any(one.kind == "http" and one.enabled for one in function.triggers.values())
        if wanted and not gone and name not in self._urls:
            self._urls[name] = FunctionUrl(lambda request: self.request(function, request))
        elif name in self._urls and (gone or not wanted):
            self._urls.pop(name).close()
        function.url = self._urls[name].url if name in self._urls else ""

    def _tick_on(self) -> None:
        last = _whole_second()
        while not self._over.wait(1.0 - datetime.now(timezone.utc).microsecond / 1e6):
            now = _whole_second()
            # A machine that slept does not make up for hours, one that was busy for a moment does.
            last = max(last, now - timedelta(seconds=59))
            while last < now:
                last += _SECOND
                self.tick(last)

    def _triggers(self, kind: str) -> list[tuple[Deployed, Trigger]]:
        with self._lock:
            return [
                (function, trigger)
                for function in self._functions.values()
                for trigger in list(function.triggers.values())
                if trigger.kind == kind and trigger.enabled
            ]

    def _by_event(self, function: Deployed, request: web.Request, request_id: str) -> web.Response:
        """The response that an event function's result stands for.

        由事件函数作答。
        """
        outcome = self._run(function, url_events.event_of(request), request_id)
        if outcome.error is not None:
            return web.refusal(430, "UserCodeException", outcome.error, request_id)
        try:
            return url_events.response_of(outcome.result)
        except ValueError as error:
            return web.refusal(430, "InvalidResponse", str(error), request_id)

    def _asked(self, function: Deployed, request: web.Request, request_id: str) -> web.Response:
        """The response of an instance; raises what keeps it from giving one.

        由实例作出的应答。
        """
        region, keys = self.platform.region, self.platform.keys(function)
        added = {**events.headers(function, region, request_id), **web.key_headers(keys)}
        late: TimedOut | None = None
        with self._fleet.pool(function).lent(function.timeout) as instance:
            try:
                return web.ask(instance.port, request, added, function.timeout)
            except TimedOut as error:
                if function.concurrency == 1:
                    raise
                late = error  # others are being answered by this very instance: it stays
        raise late

    def _run(self, function: Deployed, event: Any, request_id: str) -> Outcome:
        """Run an event function once; its error is part of the outcome.

        运行一次事件函数。
        """
        begun, result, said = time.monotonic(), "", ""
        error: str | None
        try:
            with self._fleet.pool(function).lent(function.timeout) as instance:
                begun = time.monotonic()
                keys = self.platform.keys(function)
                context = events.context(function, self.platform.region, request_id, keys)
                reply = instance.call(request_id, event, context, function.timeout)
                result, error, said = reply.result, reply.error, instance.log()
        except TimedOut:
            error = f"Invoking task timed out after {function.timeout} seconds"
        except Died:
            error = "its process ended before it answered"
        except (NoInstance, StartError, BadCode) as fault:
            error = str(fault)
        seconds = time.monotonic() - begun
        if not self._over.is_set():
            if error is not None:
                self._note(function, f"ERROR RequestId: {request_id} {error}")
            self._note(
                function, f"Report RequestId: {request_id} Duration:{round(seconds * 1000)}ms"
            )
        return Outcome(request_id, result, error, seconds, said)

    def _new_lane(self) -> Lane:
        """A queue whose events' ends are told.

        新建异步队列。
        """

        def run(function: Deployed, event: Any, request_id: str) -> Outcome:
            outcome = self._run(function, event, request_id)
            self.ended(function.name, outcome)
            return outcome

        return Lane(
            run,
            self._note,
            self._over,
            at_once=self._at_once,
            retry_seconds=self._retry_seconds,
            monotonic=self._monotonic,
        )

    def _note(self, function: Deployed, line: str) -> None:
        self._say(f"[{function.name}] {line}")


def _whole_second() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)
