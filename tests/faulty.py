"""A generator that fails on command and knows the truth, and steps that stop at every call.

可按指令出错的生成服务，以及能在每次外部调用处停下或中断的工作步骤。
"""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from shared.clock import Deadline
from shared.providers.base import (
    Ask,
    Download,
    DownloadFailed,
    OutOfCredit,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    RemoteFile,
    Request,
    TaskState,
    Unauthorized,
    UnknownOutcome,
    Wanted,
)
from tests.fakes import FakeClock
from tests.models import box_model

MODEL = box_model()
_local = threading.local()


class Killed(BaseException):
    """The worker died here: nothing may catch this.

    工作进程在此中断。
    """


class Step:
    """Work in a thread of its own that stops before and after every call to the outside.

    `move(verdict)` lets it go on to the next stop: "go", "kill", or "fail" (what is called does
    not answer). Only one of them runs at a time, so every run can be repeated.

    可在每次外部调用处停下的工作步骤。
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.where = "start"
        self.ended = False
        self.killed = False
        self.refused = False
        self.answer: tuple[str, str] | None = None
        self.failure: BaseException | None = None
        self.luck: list[int] = []
        self._verdict = "go"
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def move(self, verdict: str = "go") -> None:
        if self.ended:
            return
        self._verdict = verdict
        self._go.release()
        self._stopped.acquire()
        if self.ended:
            self._thread.join()
        if self.failure is not None:
            raise self.failure

    def finish(self) -> None:
        while not self.ended:
            self.move()

    def up_to(self, where: str) -> None:
        """Go on to the next stop whose name begins so, or to the end."""
        self.move()
        while not self.ended and not self.where.startswith(where):
            self.move()

    def kill(self) -> None:
        while not self.ended:
            self.move("kill")

    def stop(self, where: str, refusal: type[Exception] | None) -> None:
        """Called by the work itself: wait here for what is to become of it."""
        self.where = where
        self._stopped.release()
        self._go.acquire()
        if self._verdict == "kill":
            self.killed = True
            raise Killed
        if self._verdict == "fail" and refusal is not None:
            self.refused = True
            raise refusal(f"no answer {where}")

    def _run(self) -> None:
        _local.step = self
        self._go.acquire()
        try:
            if self._verdict == "kill":
                self.killed = True
                return
            self._work()
        except Killed:
            pass
        except BaseException as error:
            self.failure = error
        finally:
            self.ended = True
            self._stopped.release()


def current() -> Step | None:
    """The step this thread belongs to, if any.

    当前线程所属的步骤。
    """
    return getattr(_local, "step", None)


class Stopping:
    """Something outside, its every call a place where a step stops.

    每次调用前后都可停下的外部部件。
    """

    def __init__(self, inner: Any, name: str, refusal: type[Exception] | None = None) -> None:
        self._inner = inner
        self._name = name
        self._refusal = refusal

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._inner, attribute)
        if not callable(value):
            return value

        def call(*args: Any, **named: Any) -> Any:
            step = current()
            if step is None:
                return value(*args, **named)
            step.stop(f"before {self._name}.{attribute}", self._refusal)
            result = value(*args, **named)
            step.stop(f"after {self._name}.{attribute}", self._refusal)
            return result

        return call


class Options(BaseModel):
    """Whatever is asked.

    测试用的选项。
    """

    marked: bool = True


@dataclass
class Task:
    """One task at the generator, as it truly is.

    生成服务上真实的任务。
    """

    id: str
    key: str
    body: str
    mark: str | None
    created_at: int
    state: str = "running"
    progress: int = 0


@dataclass
class FaultyProvider:
    """A generator whose answers tests choose, with the ground truth of what it carried out.

    The `luck` of the step that calls picks the outcomes of its next calls one by one: 0 is the
    good one. Links live for ten minutes. `will` scripts the next outcomes by name.

    可按指令出错并记录真相的生成服务。
    """

    clock: FakeClock
    key_seconds: float | None = None
    cancels: bool = False
    heeds_deadline: bool = True
    name: str = "tripo"
    check_limit: int = 100
    judge: Any = None
    options: Mapping[str, type[BaseModel]] = field(default_factory=lambda: {"text-to-3d": Options})
    files: int = 1
    role: str = "model"
    media_type: str = "model/gltf-binary"
    model: bytes = MODEL
    link_ms: int = 600_000

    def __post_init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.calls: Counter[str] = Counter()
        self.sent: list[tuple[str, str]] = []
        self.executions: Counter[str] = Counter()
        self.scripts: dict[str, list[Any]] = defaultdict(list)
        self.mistakes: list[str] = []
        self._bodies: dict[str, str] = {}
        self._by_key: dict[str, str] = {}
        self._number = 0
        self._lock = threading.Lock()

    def will(self, call: str, *outcomes: Any) -> None:
        """The next outcomes of a call: an exception to raise, a value to return, or a name."""
        self.scripts[call] += outcomes

    def prepare(self, ask: Ask, credential: str, deadline: Deadline) -> Request:
        outcome = self._outcome(
            "prepare",
            ["ok", "ok", ProviderUnavailable("down"), RateLimited("busy"), Rejected("no")],
        )
        if isinstance(outcome, ProviderError):
            raise outcome
        for image in ask.images.values():
            with image.open() as reader:
                reader.read()
        self._number += 1
        seed = 2**30 + self._number
        mark = str(seed) if ask.options.get("marked", True) else None
        return Request("/v3/make", json.dumps({"prompt": ask.prompt, "seed": seed}), mark)

    def submit(self, request: Request, key: str, credential: str, deadline: Deadline) -> str:
        outcome = self._outcome(
            "submit",
            [
                "ok",
                "unknown, made",
                "unknown, not made",
                RateLimited("busy"),
                RateLimited("busy", retry_after=7.0),
                RateLimited("busy", retry_after=3600.0),
                ProviderUnavailable("no connection"),
                Rejected("no"),
                Unauthorized("who?"),
                OutOfCredit("pay"),
            ],
        )
        job = key.partition(":")[0]
        if self.heeds_deadline and deadline.remaining() < 5:
            raise ProviderUnavailable("too little time is left to begin a create")
        self.sent.append((key, request.body))
        if self._bodies.setdefault(key, request.body) != request.body:
            self.mistakes.append(f"{key} came with other bytes")
        if isinstance(outcome, ProviderError):
            raise outcome
        if outcome == "unknown, not made":
            raise UnknownOutcome("the connection dropped")
        task = self._carry_out(request, key)
        if outcome == "unknown, made":
            raise UnknownOutcome("the connection dropped")
        step = current()
        if step is not None:
            step.answer = (job, task.id)
        return task.id

    def check(
        self, task_ids: Sequence[str], credential: str, deadline: Deadline
    ) -> Mapping[str, TaskState]:
        if len(task_ids) > self.check_limit:
            self.mistakes.append(f"{len(task_ids)} tasks in one request")
        outcome = self._outcome(
            "check", ["ok", "ok", "leaves out", "missing", ProviderUnavailable("bad JSON"), "ok"]
        )
        if isinstance(outcome, Exception):
            raise outcome
        if outcome == "missing":
            return {task_id: TaskState("missing") for task_id in task_ids}
        if isinstance(outcome, Mapping):
            return outcome
        states = {one: self._state(one) for one in task_ids}
        return dict(list(states.items())[1:]) if outcome == "leaves out" else states

    def cancel(self, task_id: str, credential: str, deadline: Deadline) -> bool:
        outcome = self._outcome("cancel", ["ok", ProviderUnavailable("down")])
        if isinstance(outcome, Exception):
            raise outcome
        task = self.tasks.get(task_id)
        if not self.cancels or task is None or task.state not in ("running", "canceled"):
            return False
        task.state = "canceled"
        return True

    def find(
        self, wanted: Sequence[Wanted], credential: str, deadline: Deadline
    ) -> Sequence[Sequence[str]]:
        outcome = self._outcome(
            "find", ["ok", "ok", "none", "two", ProviderUnavailable("unreadable")]
        )
        if isinstance(outcome, Exception):
            raise outcome
        return [self._made_by(one.request, outcome) for one in wanted]

    @contextmanager
    def download(self, file: RemoteFile, credential: str, deadline: Deadline) -> Iterator[Download]:
        outcome = self._outcome("download", ["ok", "ok", "breaks", "truncated", "expired"])
        deadline.check()
        if isinstance(outcome, Exception):
            raise outcome
        _, _, until = file.url.split("/")
        if outcome == "expired" or self.clock.now() >= int(until):
            raise DownloadFailed("the link answers 403", expired=True)
        data = self.model[: len(self.model) // 2] if outcome == "truncated" else self.model
        yield Download(len(data), self._chunks(data, deadline, breaks=outcome == "breaks"))

    def ready(self, deadline: Deadline) -> None:
        """It always is."""

    def limits(self, deadline: Deadline) -> None:
        """It has none."""

    def close(self) -> None:
        """Nothing is held open."""

    def finish_all(self, state: str = "succeeded") -> None:
        """Every running task ends so."""
        for task in self.tasks.values():
            if task.state == "running":
                task.state = state

    def _carry_out(self, request: Request, key: str) -> Task:
        with self._lock:
            if self.key_seconds is not None and key in self._by_key:
                return self.tasks[self._by_key[key]]
            number = len(self.tasks) + 1
            task = Task(f"task-{number}", key, request.body, request.mark, self.clock.now())
            self.tasks[task.id] = task
            self._by_key[key] = task.id
            self.executions[key.partition(":")[0]] += 1
            return task

    def _state(self, task_id: str) -> TaskState:
        task = self.tasks.get(task_id)
        if task is None:
            return TaskState("missing")
        if task.state == "succeeded":
            url = f"links/{task_id}/{self.clock.now() + self.link_ms}"
            files = (RemoteFile(self.role, url, self.media_type),) * self.files
            return TaskState("succeeded", 100, files=files, credits=30.0)
        if task.state == "failed":
            return TaskState("failed", error=("bad", "it did not work"))
        if task.state == "canceled":
            return TaskState("canceled")
        return TaskState("running", task.progress)

    def _made_by(self, request: Request, outcome: str) -> Sequence[str]:
        if request.mark is None or outcome == "none":
            return ()
        found = [task.id for task in self.tasks.values() if task.mark == request.mark]
        return (*found, "task-of-another") if found and outcome == "two" else found

    def _chunks(self, data: bytes, deadline: Deadline, *, breaks: bool) -> Iterator[bytes]:
        half = len(data) // 2
        yield data[:half]
        deadline.check()
        if breaks:
            raise DownloadFailed("the result broke off")
        yield data[half:]

    def _outcome(self, call: str, table: Sequence[Any]) -> Any:
        self.calls[call] += 1
        if self.scripts[call]:
            return self.scripts[call].pop(0)
        step = current()
        luck = step.luck.pop(0) if step is not None and step.luck else 0
        return table[luck % len(table)]
