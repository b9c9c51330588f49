"""Where endpoints run: on the request's own thread, where it has an event loop to itself.

A function that answers one request at a time has a loop for each, so an endpoint that waits holds
up nobody; to hand it to another thread and back costs as much as the endpoint itself. Under a
server with one loop for many requests it goes to a thread.

接口函数在哪个线程执行。
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from inspect import iscoroutinefunction
from typing import Any

from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute

own_loop: ContextVar[bool] = ContextVar("own_loop", default=False)
"""Whether this request's event loop serves nobody else; whoever runs the loop says so."""


class Route(APIRoute):
    """A route whose plain functions run on the request's own thread where it has its `own_loop`.

    尽量在请求自身线程上执行的路由。
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        super().__init__(path, _awaited(endpoint), **more)


def _awaited(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint as a coroutine function of the same signature.

    把接口函数变成协程函数。
    """
    if iscoroutinefunction(endpoint):
        return endpoint

    @functools.wraps(endpoint)
    async def call(*args: Any, **named: Any) -> Any:
        if own_loop.get():
            return endpoint(*args, **named)
        return await run_in_threadpool(endpoint, *args, **named)

    return call
