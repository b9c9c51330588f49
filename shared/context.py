"""What the work at hand belongs to: the invocation, the request, the job; log lines say it.

当前工作所属的调用、请求和任务。
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

request_id: ContextVar[str] = ContextVar("request_id", default="-")
job_id: ContextVar[str | None] = ContextVar("job_id", default=None)
function: ContextVar[Mapping[str, Any]] = ContextVar("function", default=MappingProxyType({}))

_cold = True


@contextmanager
def request(identifier: str) -> Iterator[None]:
    """Name the request that the lines logged inside belong to.

    标明日志所属的请求。
    """
    with _put(request_id, identifier):
        yield


@contextmanager
def job(identifier: str) -> Iterator[None]:
    """Name the job that the lines logged inside belong to.

    标明日志所属的任务。
    """
    with _put(job_id, identifier):
        yield


@contextmanager
def invocation(context: Any) -> Iterator[None]:
    """Name a function's invocation, from Lambda's context object; its id is the request's, too.

    `function_name`, `function_request_id` and `cold_start` (the first one of this process) are
    the names that Powertools gives them.

    标明日志所属的函数调用。
    """
    global _cold
    name = getattr(context, "aws_request_id", None)
    facts = {
        "function_name": getattr(context, "function_name", None),
        "function_request_id": name,
        "cold_start": _cold,
    }
    _cold = False
    with _put(function, facts), request(name or "-"):
        yield


class Pool(ThreadPoolExecutor):
    """Threads that know what their work belongs to: of themselves they would not.

    会继承当前上下文的线程池。
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` in a thread, as part of what the caller works on.

        在线程中执行。
        """
        return super().submit(partial(copy_context().run, fn, *args, **kwargs))


@contextmanager
def _put(variable: ContextVar[T], value: T) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
