"""The one place where errors become HTTP: RFC 9457 problems that SDKs can read as well.

把各种错误统一变成 HTTP 应答。
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match

from gpu_inference.errors import ServiceError
from gpu_inference.logs import request_id

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:qwen-image:problem:"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_LONGEST_PATH = 200
_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "format_unsupported"}

_logger = logging.getLogger("qwen_image.http")


def install(app: FastAPI) -> None:
    """Let the application answer every error as a problem.

    安装错误处理。
    """
    app.add_exception_handler(ServiceError, _service)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def answer(error: ServiceError, path: str) -> JSONResponse:
    """Return the problem that an error is told by; `path` is what was asked for.

    错误对应的应答。
    """
    kind = _TYPES.get(
        error.status, "server_error" if error.status >= 500 else "invalid_request_error"
    )
    headers = {}
    if error.status in (429, 503):
        headers["Retry-After"] = str(error.retry_after or 5)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="qwen-image"'
    return JSONResponse(
        {
            "type": f"{TYPE}{error.code}",
            "title": HTTPStatus(error.status).phrase,
            "status": error.status,
            "detail": error.message,
            "instance": _shown(path),
            "error": {
                "message": error.message,
                "type": kind,
                "code": error.code,
                "param": error.param,
            },
            "request_id": request_id.get(),
            "retryable": error.retryable,
        },
        status_code=error.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def invalid(
    error: RequestValidationError | ValueError, faults: list[dict[str, object]]
) -> ServiceError:
    """Return the error for a body that pydantic refused: all faults, the first one's field.

    参数校验错误。
    """
    told, first = [], None
    for fault in faults:
        location = fault.get("loc")
        place = location if isinstance(location, tuple) else ()
        name = ".".join(str(part) for part in place if part != "body")
        first = first or name or None
        told.append(f"`{name}`: {fault['msg']}" if name else str(fault["msg"]))
    found = ServiceError("; ".join(told) + ".", code="invalid_input", param=first)
    found.status = 400
    return found


async def _service(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    return answer(error, request.scope["path"])


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return answer(invalid(error, list(error.errors())), request.scope["path"])


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    found = ServiceError(str(error.detail), code=_CODES.get(error.status_code, "invalid_request"))
    found.status = error.status_code
    told = answer(found, request.scope["path"])
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        told.headers["Allow"] = ", ".join(_allowed(request))
    return told


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _logger.error("unexpected", exc_info=error)
    error = ServiceError("Something went wrong inside; the log says what.")
    return answer(error, request.scope["path"])


def _allowed(request: Request) -> list[str]:
    """Return the methods of all routes of this path: the router knows those of the first only.

    该路径允许的全部方法。
    """
    found = []
    for method in _METHODS:
        scope = {**request.scope, "method": "GET" if method == "HEAD" else method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes):
            found.append(method)
    return found


def _shown(path: str) -> str:
    """Return a path without control characters and half characters, and not endless."""
    return "".join(one if one.isprintable() else "\ufffd" for one in path[:_LONGEST_PATH])
