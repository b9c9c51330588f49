"""The API as an HTTP server: a web function of SCF, whose requests come as they are, not as events.

`scf_bootstrap` runs `python -m functions.api.server`, and the platform passes requests on to port
9000 (583/40688). What it says of an invocation comes in headers that it sets itself. The role's
keys, which come the same way, are left alone: nobody can tell them from ones that a caller made up,
and with those the secrets would be a stranger's. So the process uses the keys that its environment
began with, and ends itself before they do.

以 Web 函数方式运行的接口服务器。
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import time
from collections.abc import Mapping
from types import FrameType
from uuid import uuid4

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.api.app import app
from shared import wiring
from shared.tencent.runtime import Context, limit_ms
from shared.waiting import Waiters
from shared.wiring import Outside

PORT = 9000
LIFE_SECONDS = 5 * 3600.0
"""How long a process uses the temporary keys it began with; a role's last six hours (583/39466)."""
GRACE_SECONDS = 9
"""Seconds that a stop leaves to requests in flight."""

_KEEP_ALIVE = 75
_BACKLOG = 128
_PLATFORM = b"x-scf-"
_SANE_ID = re.compile(r"[!-~]{1,128}")


class Invocations:
    """ASGI around the application: each request is an invocation, with the id and the time limit
    that SCF gives it. The application sees none of the platform's headers, keys among them.

    把每个请求当作一次函数调用。
    """

    def __init__(self, application: ASGIApp, environ: Mapping[str, str]) -> None:
        self._app = application
        self._name = environ.get("SCF_FUNCTIONNAME", "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        处理一次请求。
        """
        if scope["type"] != "http":
            return
        headers = scope["headers"]
        context = self._context(headers)
        kept = [(name, value) for name, value in headers if not name.startswith(_PLATFORM)]
        if not any(name == b"x-request-id" for name, _ in kept):
            kept.append((b"x-request-id", context.aws_request_id.encode()))
        # The application looks for the time left where Mangum puts a function's context.
        scope = {**scope, "headers": kept, "aws.context": context}
        with wiring.invocation(context):
            await self._app(scope, receive, send)

    def _context(self, headers: list[tuple[bytes, bytes]]) -> Context:
        """The invocation that a request is. Of several headers the last counts: a caller's own
        would come before the platform's.

        由请求头得到调用上下文。
        """
        told = {name: value.decode("latin-1") for name, value in headers}
        given = told.get(b"x-scf-request-id", "")
        return Context(
            aws_request_id=given if _SANE_ID.fullmatch(given) else str(uuid4()),
            function_name=self._name,
            ends=time.monotonic() + limit_ms(told.get(b"x-scf-timeout")) / 1000,
        )


class Server(uvicorn.Server):
    """A server that ends in good order: on a signal, and when its keys have been used for long
    enough; what waits for a job is answered then.

    有序退出的服务器。
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        config = uvicorn.Config(
            Invocations(app, environ),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        super().__init__(config)
        passing = bool(environ.get("TENCENTCLOUD_SESSIONTOKEN"))
        # Not by the monotonic clock, which may stand still while the platform freezes an instance.
        self._ends = time.time() + LIFE_SECONDS if passing else float("inf")
        self._signaled = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; the second time, at once.

        处理退出信号。
        """
        self.force_exit = self._signaled
        self._signaled = self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Say whether the server is to stop.

        是否应当停止。
        """
        if time.time() >= self._ends:
            self.should_exit = True
        return await super().on_tick(counter)


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Serve until a signal or the keys' end; returns the process's exit status.

    运行服务器直到停止。
    """
    host = environ.get("SCF_HOST", "0.0.0.0")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(environ.get("SCF_PORT") or PORT)))
        listener.listen(_BACKLOG)
        print(f"listening on port {listener.getsockname()[1]}", file=sys.stderr, flush=True)
        server = Server(environ)
        wiring.run_in(Outside(waiters=Waiters(stopping=lambda: server.should_exit)))
        server.run([listener])
    return 0


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    sys.stdout.flush()
    # Whatever a request that was given up still does in its thread, the process ends.
    os._exit(status)
