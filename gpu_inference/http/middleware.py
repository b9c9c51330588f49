"""What happens around every request: its id, its log line, its count, and the bound on its body.

每个请求都经过的处理：编号、日志、计数与大小限制。
"""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gpu_inference.errors import TooLarge
from gpu_inference.http.problems import answer
from gpu_inference.logs import request_id
from gpu_inference.metrics import Metrics

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_QUIET = ("/health", "/ready", "/ping", "/metrics")

_logger = logging.getLogger("qwen_image.access")


class Around:
    """Gives each request an id, bounds its body, and writes one line when it is answered.

    为每个请求编号、限界并记录。
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, body_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        处理一个请求。
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        identity = given if _ID.fullmatch(given) else secrets.token_hex(12)
        token = request_id.set(identity)
        began, status = time.monotonic(), 0
        bare = scope["method"] == "HEAD"

        async def marked(message: Message) -> None:
            """Send with the request's id; to HEAD without a body.

            附上请求编号后发送。
            """
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {
                    **message,
                    "headers": [*message["headers"], (b"x-request-id", identity.encode())],
                }
            elif bare:
                message = {**message, "body": b""}
            await send(message)

        # HEAD is answered as GET is, without the body; the log tells it as it came.
        asked = {**scope, "method": "GET"} if bare else scope
        try:
            await self._bounded(asked, receive, marked, headers)
        finally:
            self._note({**asked, "method": scope["method"]}, status, time.monotonic() - began)
            request_id.reset(token)

    async def _bounded(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes]
    ) -> None:
        """Pass a request on, its body bounded by what it announces and by what arrives.

        限制请求体大小后转交。
        """
        told = headers.get(b"content-length", b"0")
        too_large = TooLarge(f"A request may have {self._body_bytes} bytes.")
        if told.isdigit() and int(told) > self._body_bytes:
            await answer(too_large, scope["path"])(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._body_bytes:
                raise too_large
            return message

        await self._app(scope, counted, send)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer and write its log line; routes asked all the time are written as debug.

        记录一次应答。
        """
        # The route's pattern, not the path: job ids must not become labels.
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.answered(route, status)
        level = logging.DEBUG if route in _QUIET else logging.INFO
        facts = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "seconds": round(seconds, 4),
        }
        line = f"{scope['method']} {scope['path']} {status}"
        _logger.log(level, line, extra={"facts": facts})
