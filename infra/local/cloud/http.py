"""The HTTP server: every request becomes an event for the function that takes HTTP.

本机 HTTP 服务器：把请求变成事件交给函数。
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import uvicorn
from starlette.datastructures import Headers, MutableHeaders

from functions.api.http.cors import is_preflight
from functions.api.http.problems import MEDIA_TYPE, Problem, document
from functions.api.http.response_headers import add_headers, request_id
from infra.local.cloud.cors import cors_headers
from infra.local.cloud.files import PREFIX, BucketFiles, Receive, Send
from infra.local.cloud.payloads import (
    AnswerTooLarge,
    EventTooLarge,
    Gateway,
    HttpAnswer,
    HttpRequest,
)
from infra.local.cloud.stop import GRACE, Stop
from shared.config import Settings
from shared.limits import LAMBDA, LAMBDA_EVENT_BYTES, SCF, SCF_BODY_BYTES, WAY_ROUND, Door, Platform

log = logging.getLogger("maquette.local")

_DRAIN_BYTES = 64 * 2**20
"""How much of a body that is too large is still read, and thrown away: a client that is cut off
while sending never reads the answer that says why."""
_PATIENCE = GRACE - 2.0
"""Seconds that a stop leaves to requests in flight. A stop ends every wait for a job by itself, and
who made a job must hear of it: told to ask again, they would make, and pay for, another one."""
_BEGIN = 4.0
"""Seconds that a request waits for a thread. One that none has begun by then is taken back, and so
can be sent again; together with the store's own patience an answer comes within 15 s."""
_LOOK = 0.5
_KEEP_ALIVE = 75
_MOST = {LAMBDA.name: LAMBDA_EVENT_BYTES, SCF.name: SCF_BODY_BYTES}
"""Bytes of a body that a platform may take, whatever it is."""


class Front:
    """The ASGI application before the functions and the bucket; by `settings` its own errors know
    which pages may read them, by `platform` how much a request may hold.

    请求的入口。
    """

    def __init__(
        self,
        gateway: Gateway,
        stop: Stop,
        files: BucketFiles | None = None,
        settings: Settings | None = None,
        *,
        begin_seconds: float = _BEGIN,
        platform: Platform = LAMBDA,
    ) -> None:
        self._gateway = gateway
        self._stop = stop
        self._files = files
        self._settings = settings
        self._begin = begin_seconds
        self._platform = platform

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request.

        处理一个请求。
        """
        if scope["type"] != "http":
            return
        if self._stop.asked:
            await _send(send, self._told(_stopping(), scope))
        elif self._files is not None and scope["raw_path"].startswith(PREFIX.encode()):
            await self._files(scope, receive, send)
        else:
            answer = await self._invoke(scope, receive)
            told = self._told(answer, scope) if isinstance(answer, Problem) else answer
            await _send(send, told)

    async def _invoke(self, scope: Mapping[str, Any], receive: Receive) -> HttpAnswer | Problem:
        """Give a request to the gateway, and wait for its answer for as long as is allowed.

        转交请求并等待应答。
        """
        body = await _read(receive, _MOST[self._platform.name])
        if body is None:
            return _too_large(self._platform)
        request = _request(scope, body)
        work = self._gateway.request(request)
        answer = asyncio.wrap_future(work)
        begin_by = time.monotonic() + self._begin
        while not answer.done():
            await asyncio.wait({answer}, timeout=_LOOK)
            if answer.done():
                break
            if self._stop.remaining() < GRACE - _PATIENCE:
                work.cancel()  # what has not begun shall never be done
                answer.add_done_callback(_forget)
                return _stopping()
            if time.monotonic() > begin_by and work.cancel():
                return _busy()
        try:
            return answer.result()
        except EventTooLarge:
            return _too_large(self._platform)
        except AnswerTooLarge as error:
            log.error("%s %s: %s", request.method, request.path, error)
            return Problem(502, "answer_too_large", f"{error}; ask for less at once.")
        except Exception:
            log.exception("%s %s: the function failed", request.method, request.path)
            return Problem(502, "function_failed", "The function failed; the log says why.")

    def _told(self, problem: Problem, scope: Mapping[str, Any]) -> HttpAnswer:
        """An error of the front's own, with all that the API's errors have. Who only asks whether
        a request may be sent is told so, or a page could not read why it is refused.

        本机入口自身的错误应答。
        """
        asked = Headers(raw=list(scope["headers"]))
        path = unquote(scope["raw_path"].decode("latin-1"))
        identifier = request_id(asked)
        headers = MutableHeaders(problem.headers)
        add_headers(headers, asked, path=path, identifier=identifier, settings=self._settings)
        if path.startswith(PREFIX):
            headers.update(dict(cors_headers(scope["method"], asked)))
        if is_preflight(scope["method"], asked):
            return HttpAnswer(204, tuple(headers.items()))
        headers["Content-Type"] = MEDIA_TYPE
        body = document(problem, instance=path, request_id=identifier)
        return HttpAnswer(problem.status, tuple(headers.items()), json.dumps(body).encode())


def serve(
    front: Front,
    listener: socket.socket,
    stop: Stop,
    ready: Callable[[], None],
    certificate: Path | None = None,
) -> None:
    """Answer requests on a bound socket until `stop` is asked for; `ready` is called once. With a
    `certificate`, a file of the chain and its key, by TLS.

    Requests in flight are finished within the grace, idle connections closed at once.

    运行服务器直到被要求停止。
    """
    config = uvicorn.Config(
        front,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=round(GRACE),
        ssl_certfile=certificate,
    )
    asyncio.run(_run(_Server(config, ready), listener, stop))


class _Server(uvicorn.Server):
    """uvicorn without hands on the signals, which are ours."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


async def _run(server: _Server, listener: socket.socket, stop: Stop) -> None:
    """Run the server until a stop is asked for.

    运行服务器直到停止。
    """

    async def watch() -> None:
        await asyncio.to_thread(stop.wait)
        server.should_exit = True

    watching = asyncio.create_task(watch())
    try:
        await server.serve([listener])
    finally:
        stop.ask()
        await watching


def _request(scope: Mapping[str, Any], body: bytes) -> HttpRequest:
    """An ASGI request as the gateway takes it.

    转换请求的形式。
    """
    headers = (
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
    )
    client = scope.get("client")
    return HttpRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=tuple(headers),
        body=body,
        address=client[0] if client else "127.0.0.1",
        protocol=f"HTTP/{scope['http_version']}",
    )


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The body, or None if it has more than `limit` bytes; never more than that in memory.

    读取请求体。
    """
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= limit + _DRAIN_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            break
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        if size <= limit:
            chunks.append(message.get("body", b""))
        else:
            chunks.clear()
    return None if size > limit else b"".join(chunks)


async def _send(send: Send, answer: HttpAnswer) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _too_large(platform: Platform) -> Problem:
    """What a platform says of a request that it cannot take at all.

    请求过大。
    """
    if platform is SCF:
        message = (
            f"The request has more than {SCF_BODY_BYTES // 10**6} MB, the most that SCF takes: "
            f"a body may have {SCF.bytes[Door.FORM]} bytes. {WAY_ROUND}"
        )
        return Problem(413, "event_too_large", message, "body")
    message = (
        f"The request makes an event of more than {LAMBDA_EVENT_BYTES // 2**20} MB, the most that "
        "AWS Lambda takes (a file in it grows by a third): a form may have "
        f"{LAMBDA.bytes[Door.FORM]} bytes, JSON {LAMBDA.bytes[Door.JSON]}. {WAY_ROUND}"
    )
    return Problem(413, "event_too_large", message, "body")


def _stopping() -> Problem:
    message = "This server is being stopped; ask again in a moment."
    headers = {"Retry-After": "2", "Connection": "close"}
    return Problem(503, "stopping", message, retryable=True, headers=headers)


def _busy() -> Problem:
    message = "Every thread is busy; this request was not begun. Ask again in a moment."
    return Problem(503, "busy", message, retryable=True, headers={"Retry-After": "5"})


def _forget(answer: asyncio.Future[HttpAnswer]) -> None:
    if not answer.cancelled():
        answer.exception()
