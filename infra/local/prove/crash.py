"""The crash wrapper: counts every call into a port; ends or freezes the process at one.

崩溃包装：数清每次外部调用，并在指定的那一次结束或冻结进程。
"""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

from shared.providers.base import Download

KILLED = 137
"""The exit status of a killed process, as a shell gives it for SIGKILL."""

IDLE = " (nothing due)"
"""Marks the name of a claim that took nothing, and so changed nothing."""

_UNCOUNTED = 0

When = Literal["before", "after", "frozen before"]


@dataclass(frozen=True)
class Death:
    """Where a worker is killed: before or after its call number `at`, of those named `of` if that
    is given. One that is frozen before it stands still, with all that it holds, until it is thawed.

    一次中断的位置。
    """

    at: int
    when: When
    of: str = ""

    def __str__(self) -> str:
        return f"{self.when} {self.of} {self.at}"


_HARMLESS = frozenset({"close", "path", "verify"})


@dataclass
class Plan:
    """Which call (counted from 1, over all ports) ends the process, before or after it, or freezes
    it before it.

    With `of`, only calls of that name count: how often an idle worker looks around varies, how
    often it writes does not. `at` 0 kills nothing; `names` then is the list of all calls in their
    order.

    崩溃计划。
    """

    at: int = 0
    when: When = "before"
    of: str = ""
    names: list[str] = field(default_factory=list)
    is_thawed: bool = False
    """Whether the process was frozen, and goes on."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _aside: bool = False
    _counted: int = 0
    _last: int = -1

    def around(self, name: str, call: Callable[[], Any]) -> Any:
        """Make one call, or die before or after it. Nothing is cleaned up, as in a real death.

        执行一次调用，或在其前后中断进程。
        """
        place = self.begin(name)
        try:
            result = call()
        finally:
            self.end(place)
        if place != _UNCOUNTED and name.endswith(".claim") and not result:
            self.names[place - 1] = name + IDLE
        return result

    def begin(self, name: str) -> int:
        """A call begins: its place among all, for `end`. May end or freeze the process.

        一次调用开始。
        """
        if self._aside:
            return _UNCOUNTED
        with self._lock:
            self.names.append(name)
            place = len(self.names)
            self._counted += self.of in ("", name)
            if self._counted == self.at and self._last < 0:
                self._last = place
        if place == self._last and self.when == "before":
            os._exit(KILLED)
        if place == self._last and self.when == "frozen before":
            os.kill(os.getpid(), signal.SIGSTOP)
            self.is_thawed = True
        return place

    def end(self, place: int) -> None:
        """The call of that place has ended, well or not. May end the process.

        一次调用结束。
        """
        if place == self._last and self.when == "after":
            os._exit(KILLED)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is called meanwhile is not the worker's doing, and does not count.

        期间的调用不计入。
        """
        self._aside = True
        try:
            yield
        finally:
            self._aside = False

    def wrap(self, name: str, part: Any) -> Any:
        """The same part, each of its calls counted; fits `wiring.build(wrap=...)`.

        包装一个部件。
        """
        return _Counted(self, name, part)


class _Counted:
    """A port whose every call goes through the plan."""

    def __init__(self, plan: Plan, name: str, part: Any) -> None:
        self._plan, self._name, self._part = plan, name, part

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._part, attribute)
        if not callable(found) or attribute in _HARMLESS:
            return found
        name = f"{self._name}.{attribute}"

        def call(*args: Any, **named: Any) -> Any:
            result = self._plan.around(name, lambda: found(*args, **named))
            if isinstance(result, AbstractContextManager):
                return _Entered(self._plan, name, result)
            return result

        return call


class _Entered:
    """A context manager whose entering is a call, and each chunk of a download as well."""

    def __init__(self, plan: Plan, name: str, inner: AbstractContextManager[Any]) -> None:
        self._plan, self._name, self._inner = plan, name, inner

    def __enter__(self) -> Any:
        result = self._plan.around(f"{self._name} (open)", self._inner.__enter__)
        if isinstance(result, Download):
            return dataclasses.replace(result, chunks=self._each(result.chunks))
        return result

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._inner.__exit__(kind, error, trace)

    def _each(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        end = object()
        while True:
            chunk = self._plan.around(f"{self._name} (chunk)", lambda: next(chunks, end))
            if chunk is end:
                return
            yield chunk
