"""The local cloud: the deployed handlers, called with the events that AWS would call them with.

本机云环境：用真实的事件调用将要部署的函数。
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from infra.aws.template import Function, TemplateError
from infra.local.cloud import payloads
from infra.local.cloud.payloads import (
    ACCOUNT,
    REGION,
    AnswerTooLarge,
    EventTooLarge,
    HttpAnswer,
    HttpRequest,
)
from infra.local.cloud.stop import Stop
from shared.buckets.base import ObjectInfo
from shared.clock import Clock, SystemClock
from shared.events import WAKE
from shared.limits import LAMBDA_EVENT_BYTES
from shared.work.courtesy import Courtesy

log = logging.getLogger("maquette.local")

Handler = Callable[[dict[str, Any], Any], Any]

AT_ONCE: Mapping[str, int] = {"poll": 3}
"""Invocations of a function at once: of `poll` one that stays, one that relieves it, one woken."""
_AT_ONCE = 2
_TRIES = 3
"""Lambda's own for asynchronous invocations: a failed one is tried twice more."""
_RETRY_SECONDS = 1.0
"""Lambda waits a minute, then two; nobody at this machine wants to."""
_ANSWER_SECONDS = 0.5


class Context:
    """What Lambda hands a handler besides the event.

    调用上下文。
    """

    def __init__(self, function: Function, stop: Stop) -> None:
        self._end = time.monotonic() + function.timeout
        self._stop = stop
        self.aws_request_id = str(uuid4())
        self.function_name = function.name
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.name}"
        self.memory_limit_in_mb = str(function.memory)
        self.log_group_name = f"/aws/lambda/{function.name}"
        self.log_stream_name = "local"

    def get_remaining_time_in_millis(self) -> int:
        """Until the function's time-out, or the end of the grace once a stop was asked for.

        剩余的毫秒数。
        """
        left = min(self._end - time.monotonic(), self._stop.remaining())
        return max(0, round(left * 1000))


@dataclass
class _Lane:
    """One function's asynchronous invocations: those waiting, and how many run."""

    at_once: int
    waiting: deque[Mapping[str, Any]] = field(default_factory=deque)
    running: int = 0


class _Background:
    """Threads for what nobody waits for, each called by what it does; one that has nothing to do
    stays for the next. They end with the process, whatever they do."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[str, Callable[[], None]]] = SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0

    def run(self, name: str, work: Callable[[], None]) -> None:
        with self._lock:
            needs_one = not self._free
            self._free -= not needs_one
        self._work.put((name, work))
        if needs_one:
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        me = threading.current_thread()
        while True:
            me.name, work = self._work.get()
            work()
            me.name = "idle"
            with self._lock:
                self._free += 1


class Cloud:
    """Invokes functions: for HTTP at once, for timers, objects and wake-ups in the background.

    `courtesy` hears of every caller that waits for an answer. `handlers` replaces what the template
    names. `retry_seconds` lies between two tries of a failed background invocation. Use `close` to
    end it; a handler's exception never does.

    函数的调度者。
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        stop: Stop,
        *,
        handlers: Mapping[str, Handler] | None = None,
        clock: Clock | None = None,
        http_threads: int = 32,
        retry_seconds: float = _RETRY_SECONDS,
        courtesy: Courtesy | None = None,
    ) -> None:
        self.functions = functions
        self.stop = stop
        self._handlers = dict(handlers or {})
        self._clock = clock or SystemClock()
        self._retry_seconds = retry_seconds
        self._courtesy = courtesy or Courtesy()
        self._lanes = {name: _Lane(AT_ONCE.get(name, _AT_ONCE)) for name in functions}
        self._idle = threading.Condition()
        self._answers: set[Future[HttpAnswer]] = set()
        self._loops: list[asyncio.AbstractEventLoop] = []
        self._background = _Background()
        self._http = ThreadPoolExecutor(http_threads, "http", initializer=self._own_loop)
        # Who asks whether the process is alive must not stand in line with everybody else.
        self._health = ThreadPoolExecutor(1, "http-health", initializer=self._own_loop)

    def handler(self, name: str) -> Handler:
        """A function's handler, imported on first use; raises `TemplateError` if there is none.

        取得函数的入口。
        """
        known = self._handlers.get(name)
        if known is None:
            module, _, attribute = self.functions[name].handler.rpartition(".")
            try:
                known = getattr(importlib.import_module(module), attribute)
            except (ModuleNotFoundError, AttributeError) as error:
                raise TemplateError(f"{name}: the handler cannot be imported: {error}") from error
            self._handlers[name] = known
        return known

    def import_handlers(self) -> None:
        """Import every handler now, so that a wrong one is known before anything is served.

        预先加载所有函数。
        """
        for name in self.functions:
            self.handler(name)

    def request(self, request: HttpRequest) -> Future[HttpAnswer]:
        """Answer a request through the function that takes HTTP; see `Gateway`.

        处理一个 HTTP 请求。
        """
        threads = self._health if payloads.is_probe(request) else self._http
        leaves = self._courtesy.arrives()
        answer = threads.submit(self._answer, request)
        answer.add_done_callback(lambda _: leaves())
        with self._idle:
            self._answers = {one for one in self._answers if not one.done()} | {answer}
        return answer

    def wake(self, name: str) -> None:
        """Invoke a function soon; while one such wake-up waits already, nothing more is needed.

        唤醒一个函数。
        """
        if name not in self._lanes:
            log.error("nobody is named %s, so nobody was woken", name)
            return
        self.send(name, WAKE)

    def created(self, info: ObjectInfo) -> None:
        """Tell the functions whose filter matches of a new object, as the bucket would; while one
        such event waits already, nothing more is needed: it is a hint that there is something.

        通知新对象。
        """
        for name, function in self.functions.items():
            for one in function.objects:
                if one.matches(payloads.OBJECT_CREATED, info.key) and not self._hints_wait(name):
                    event = payloads.object_event(info, uuid4().hex, self._clock.now())
                    self.send(name, event)

    def start_timers(self) -> None:
        """Fire every schedule now, and from then on at its rate.

        启动全部定时器。
        """
        for name, function in self.functions.items():
            for schedule in function.schedules:
                arguments = (name, schedule.name, schedule.seconds)
                threading.Thread(target=self._tick, args=arguments, daemon=True).start()

    def send(self, name: str, event: Mapping[str, Any]) -> None:
        """Invoke a function in the background; its exceptions are logged and tried again.

        在后台调用函数。
        """
        lane = self._lanes[name]
        with self._idle:
            if self.stop.asked or (event is WAKE and WAKE in lane.waiting):
                return
            lane.waiting.append(event)
            if lane.running >= lane.at_once:
                return
            lane.running += 1
        self._background.run(name, lambda: self._work(name, lane))

    def busy(self) -> dict[str, int]:
        """How many background invocations run, by function; those without any are left out.

        正在运行的后台调用数。
        """
        with self._idle:
            return {name: lane.running for name, lane in self._lanes.items() if lane.running}

    def close(self, seconds: float = 2.0) -> dict[str, int]:
        """Stop, and wait until nothing runs, or until the grace and `seconds` more are over.

        Returns how many invocations still run, by function: none, if all went well. Requests,
        which by now have been answered somehow, are hardly waited for.

        停止并等待所有调用结束。
        """
        self.stop.ask()
        limit = self.stop.remaining() + seconds
        with self._idle:
            self._idle.wait_for(self._nothing_runs, timeout=limit)
        _, waiting = wait(self._answers, timeout=_ANSWER_SECONDS)
        for threads in (self._health, self._http):
            threads.shutdown(wait=not waiting, cancel_futures=True)
        if waiting:
            return {**self.busy(), self._front(): len(waiting)}
        for loop in self._loops:
            loop.close()
        return self.busy()

    def _hints_wait(self, name: str) -> bool:
        with self._idle:
            return any("detail" in event for event in self._lanes[name].waiting)

    def _front(self) -> str:
        return next(name for name, function in self.functions.items() if function.http)

    def _nothing_runs(self) -> bool:
        return not any(lane.running for lane in self._lanes.values())

    def _own_loop(self) -> None:
        # Mangum runs the application on the calling thread's own event loop.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self._loops.append(loop)

    def _answer(self, request: HttpRequest) -> HttpAnswer:
        name = self._front()
        context = Context(self.functions[name], self.stop)
        event = payloads.http_event(request, context.aws_request_id, self._clock.now())
        if payloads.size(event) > LAMBDA_EVENT_BYTES:
            raise EventTooLarge
        result = self.handler(name)(event, context)
        if payloads.size(result) > LAMBDA_EVENT_BYTES:
            raise AnswerTooLarge(f"{name} answered more than Lambda's 6 MB")
        return payloads.http_answer(result)

    def _tick(self, name: str, schedule: str, seconds: int) -> None:
        while True:
            event = payloads.timer_event(schedule, str(uuid4()), self._clock.now())
            self.send(name, event)
            if self.stop.wait(seconds):
                return

    def _work(self, name: str, lane: _Lane) -> None:
        while True:
            with self._idle:
                if self.stop.asked or not lane.waiting:
                    lane.waiting.clear()
                    lane.running -= 1
                    self._idle.notify_all()
                    return
                event = lane.waiting.popleft()
            self._invoke(name, event)

    def _invoke(self, name: str, event: Mapping[str, Any]) -> None:
        """Run a function on an event, again after a failure, as often as the platform would.

        调用一个函数。
        """
        function = self.functions[name]
        for attempt in range(1, _TRIES + 1):
            context = Context(function, self.stop)
            try:
                self.handler(name)(dict(event), context)
                return
            except Exception:
                log.exception("%s failed (%s, try %d)", name, context.aws_request_id, attempt)
            if attempt < _TRIES and self.stop.wait(self._retry_seconds):
                return
