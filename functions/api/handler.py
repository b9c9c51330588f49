"""HTTP: one event of a gateway in, one answer out; AWS's gateways and Tencent's alike.

HTTP 函数的入口。
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import re
from typing import Any

from mangum import Mangum

from functions.api.app import app
from functions.api.http.threads import own_loop
from shared import wiring

_READABLE = {
    "host": re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?"),
    "x-forwarded-port": re.compile(r"[0-9]{1,5}"),
}
"""Headers that Mangum takes apart and fails on, if they are `[::1]:8000`, say; none is needed."""

_TEXTS = ["text/", "application/json", "application/problem+json"]
_UNREADABLE = "This request cannot be read."
_logger = logging.getLogger("maquette.api")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request: of AWS's API Gateway or a Function URL (payload format 2.0 or 1.0), of
    SCF's Function URL, or of Tencent's API gateway of old.

    处理一次 HTTP 请求。
    """
    own_loop.set(True)
    with wiring.invocation(context):
        return _answered(event, context)


def _answered(event: dict[str, Any], context: Any) -> dict[str, Any]:
    _own_loop()
    try:
        answer: dict[str, Any] = _adapter(_is_of_scf(event))(_plain(event), context)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        # The application answers its own errors: this is an event that no request can be read from.
        _logger.warning("unreadable event: %s", type(error).__name__)
        return _unreadable(getattr(error, "told", _UNREADABLE))
    return answer


def _is_of_scf(event: dict[str, Any]) -> bool:
    """Whether the event has one of SCF's shapes: AWS's say more of how it was routed."""
    return "httpMethod" in event and not {"resource", "version", "routeKey"} & event.keys()


@functools.lru_cache(maxsize=2)
def _adapter(of_scf: bool) -> Mangum:
    """What reads events and writes answers; SCF's shapes are imported where such an event comes.

    事件适配器。
    """
    if not of_scf:
        return Mangum(app, lifespan="off", text_mime_types=_TEXTS)
    from functions.api.scf_events import FunctionUrl, OldGateway

    shapes: list[Any] = [FunctionUrl, OldGateway]
    return Mangum(app, lifespan="off", text_mime_types=_TEXTS, custom_handlers=shapes)


def _own_loop() -> None:
    """See to it that this thread has an event loop: Mangum runs each request on it."""
    try:
        loop = asyncio.get_event_loop()
    except (RuntimeError, DeprecationWarning):  # none yet; which of the two depends on the Python
        asyncio.set_event_loop(asyncio.new_event_loop())
        return
    if loop.is_closed():
        asyncio.set_event_loop(asyncio.new_event_loop())


def _plain(event: dict[str, Any]) -> dict[str, Any]:
    """The event without headers that Mangum fails on."""
    headers = event.get("headers") or {}
    kept = {
        name: value
        for name, value in headers.items()
        if name.lower() not in _READABLE or _READABLE[name.lower()].fullmatch(value)
    }
    return event if len(kept) == len(headers) else {**event, "headers": kept}


def _unreadable(message: str) -> dict[str, Any]:
    """The answer to an event that is no request Mangum can read.

    无法读取的请求的响应。
    """
    body = {
        "type": "urn:maquette:problem:bad_request",
        "title": "Bad Request",
        "status": 400,
        "detail": message,
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "code": "bad_request",
            "param": None,
        },
        "retryable": False,
    }
    return {
        "statusCode": 400,
        "headers": {"content-type": "application/problem+json", "cache-control": "no-store"},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
