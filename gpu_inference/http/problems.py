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

from gpu_inference.errors import ServiceError
from gpu_inference.logs import request_id

MEDIA_TYPE = "application/problem+json"
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


def answer(error: ServiceError) -> JSONResponse:
    """Return the problem that an error is told by.

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
            "type": "about:blank",
            "title": HTTPStatus(error.status).phrase,
            "status": error.status,
            "detail": error.message,
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
    return answer(error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return answer(invalid(error, list(error.errors())))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    found = ServiceError(str(error.detail), code=_CODES.get(error.status_code, "invalid_request"))
    found.status = error.status_code
    return answer(found)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _logger.error("unexpected", exc_info=error)
    return answer(ServiceError("Something went wrong inside; the log says what."))
