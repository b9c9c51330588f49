"""What holds for every request: its id, CORS, security headers, the log line, the last catch.

每个请求都经过的一层：编号、跨域、安全头、日志与兜底。
"""

from __future__ import annotations

import hmac
import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.api.http import problems
from functions.api.http.cors import is_preflight
from functions.api.http.response_headers import add_headers, request_id
from shared import observability, wiring
from shared.config import Settings

_UNWIRED = ("/health",)

_logger = logging.getLogger("maquette.api")


class Middleware:
    """ASGI middleware around the whole application.

    包裹整个应用的中间件。
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and see its answer out.

        处理一次请求。
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = request_id(Headers(scope=scope))
        scope.setdefault("state", {}).update(request_id=identifier, method=scope["method"])
        with observability.request(identifier):
            await _Passage(self._app, scope, receive, send).run()


class _Passage:
    """One request on its way through the middleware."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._method: str = scope["method"]
        self._settings: Settings | None = None
        self._status = 0

    async def run(self) -> None:
        """Answer the request, whatever happens.

        应答一个请求。
        """
        begun = time.perf_counter()
        request = Request(self._scope, self._receive)
        if self._method == "HEAD":
            # The same answer as to GET, without its body.
            self._scope["method"] = "GET"
        try:
            await self._answer(request)
        except Exception as error:
            if self._status:
                raise
            await problems.respond(request, error)(self._scope, self._receive, self._out)
        finally:
            self._log(1000 * (time.perf_counter() - begun))

    async def _answer(self, request: Request) -> None:
        """Answer a preflight here, and pass on what comes by the public address.

        检查并转交请求。
        """
        if request.scope["path"] not in _UNWIRED:
            self._settings = wiring.current().settings
        asked = request.headers
        if is_preflight(self._method, asked):
            await Response(status_code=204)(self._scope, self._receive, self._out)
            return
        if self._settings is not None and not _is_let_in(asked, self._settings):
            raise HTTPException(403, "The API answers at its public address only.")
        await self._app(self._scope, self._receive, self._out)

    async def _out(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._add_headers(MutableHeaders(scope=message))
        elif self._method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    def _add_headers(self, headers: MutableHeaders) -> None:
        add_headers(
            headers,
            Headers(scope=self._scope),
            path=self._scope["path"],
            identifier=self._scope["state"]["request_id"],
            settings=self._settings,
        )

    def _log(self, milliseconds: float) -> None:
        facts = {
            "method": self._method,
            "route": _template(self._scope),
            "status": self._status,
            "milliseconds": round(milliseconds, 1),
            "caller": self._scope["state"].get("caller", "-"),
        }
        line = "%(method)s %(route)s %(status)s %(milliseconds)s ms caller=%(caller)s"
        _logger.info(line % facts, extra=facts)


def _is_let_in(asked: Headers, settings: Settings) -> bool:
    """Whether a request came by way of the CDN, where there is one: it alone knows the secret."""
    if settings.origin_secret is None:
        return True
    expected = settings.origin_secret.get_secret_value().encode()
    return hmac.compare_digest(asked.get("x-origin-secret", "").encode(), expected)


def _template(scope: Scope) -> str:
    """The route's template: paths themselves would flood the log's reader with ids."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) and path else "(no route)"
