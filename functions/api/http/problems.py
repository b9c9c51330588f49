"""The one place where errors become HTTP: RFC 9457 problems that SDKs can read as well.

把各种错误统一变成 HTTP 应答。
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match

from shared import errors
from shared.buckets.base import BucketUnavailable
from shared.config import SettingsError
from shared.providers.base import ProviderError
from shared.store.base import Conflict, StoreUnavailable
from shared.validation import sentence

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
LIMIT_SECONDS = 60
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

_logger = logging.getLogger("maquette.api")

_STATUS: Mapping[type[errors.MaquetteError], int] = {
    errors.TooLarge: 413,
    errors.UnsupportedFormat: 415,
    errors.InvalidInput: 400,
    errors.Unauthenticated: 401,
    errors.NotFound: 404,
    errors.Refused: 409,
    errors.Gone: 410,
    errors.KeyReused: 422,
    errors.NotMade: 422,
    errors.LimitReached: 429,
    errors.Unavailable: 503,
}
_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": 'Bearer realm="maquette"'},
    429: {"Retry-After": str(LIMIT_SECONDS)},
    503: {"Retry-After": str(RETRY_SECONDS)},
}
_PARTS: Mapping[type[Exception], str] = {
    StoreUnavailable: "store",
    Conflict: "store",
    BucketUnavailable: "bucket",
    ProviderError: "provider",
}


@dataclass(frozen=True)
class Problem:
    """What went wrong, as HTTP tells it; `more` holds members besides the usual ones.

    一个错误应答的内容。
    """

    status: int
    code: str
    message: str
    param: str | None = None
    retryable: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def respond(request: Request, error: Exception) -> Response:
    """The answer to an error of any kind; what is our own fault is logged, not told.

    由异常生成应答。
    """
    problem = _problem_of(request, error)
    if problem.status >= 500:
        unexpected = problem.status == 500
        _logger.error("%s: %s", problem.code, error, exc_info=error if unexpected else None)
    return write(request, problem)


def write(request: Request, problem: Problem) -> Response:
    """A problem as an answer.

    写出错误应答。
    """
    body = document(problem, instance=request.scope["path"], request_id=request.state.request_id)
    headers = {**_HEADERS.get(problem.status, {}), **problem.headers}
    # ASCII with escapes: whatever the caller sent, and is told of, can be encoded.
    content = json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()
    return Response(content, problem.status, headers, media_type=MEDIA_TYPE)


def document(problem: Problem, *, instance: str, request_id: str) -> dict[str, Any]:
    """The body: RFC 9457 members, an `error` object, the request's id, whether to try again.

    错误应答的正文。
    """
    message = clean(problem.message, 1000)
    return {
        "type": f"urn:maquette:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": message,
        "instance": clean(instance, 200),
        "error": {
            "message": message,
            "type": _family(problem.status),
            "code": problem.code,
            "param": None if problem.param is None else clean(problem.param, 100),
        },
        "request_id": request_id,
        "retryable": problem.retryable,
        **problem.more,
    }


def clean(text: str, longest: int) -> str:
    """Text that may be shown: no control characters, no lone surrogates, not endless.

    去除不可显示的字符并限制长度。
    """
    shown = "".join(one if one.isprintable() else "\ufffd" for one in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _problem_of(request: Request, error: Exception) -> Problem:
    """The problem that an exception is shown as; one that nobody foresaw is an internal error.

    把异常转成错误响应。
    """
    if isinstance(error, errors.MaquetteError):
        return _told(error)
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return _routing(request, error)
    if isinstance(error, ClientDisconnect):
        return Problem(400, "body_incomplete", "The body ended too early.", "body")
    if isinstance(error, SettingsError):
        message = "This deployment's settings are wrong; its log says which."
        return Problem(503, "misconfigured", message, retryable=True)
    for kind, part in _PARTS.items():
        if isinstance(error, kind):
            message = f"The {part} does not answer just now; ask again."
            return Problem(503, f"{part}_unavailable", message, retryable=True)
    return Problem(500, "internal", "Something went wrong here; the log knows the request's id.")


def _told(error: errors.MaquetteError) -> Problem:
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return Problem(status, error.code, error.message, error.param, error.retryable)
    return Problem(500, "internal", "Something went wrong here; the log knows the request's id.")


def _invalid(error: RequestValidationError) -> Problem:
    """The first fault of a query or path parameter."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("query", "path", "header", "body")]
    param = ".".join(place) or "query"
    if first["type"] == "extra_forbidden":
        return Problem(400, "unknown_parameter", f"There is no parameter {param!r}.", param)
    return Problem(400, "invalid_input", sentence(first, param), param)


def _routing(request: Request, error: HTTPException) -> Problem:
    if error.status_code == 404:
        return Problem(404, "route_not_found", f"There is nothing at {request.scope['path']}.")
    if error.status_code == 405:
        allowed = ", ".join(_allowed(request))
        message = f"{request.scope['method']} is not possible here; use {allowed}."
        return Problem(405, "method_not_allowed", message, headers={"Allow": allowed})
    return Problem(
        error.status_code, "http_error", str(error.detail), headers=dict(error.headers or {})
    )


def _allowed(request: Request) -> list[str]:
    """The methods of all routes of this path: the router itself tells those of the first only."""
    found = []
    for method in METHODS:
        routed = "GET" if method == "HEAD" else method
        scope = {**request.scope, "method": routed}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes):
            found.append(method)
    return found


def _family(status: int) -> str:
    if status >= 500:
        return "server_error"
    return "authentication_error" if status == 401 else "invalid_request_error"
