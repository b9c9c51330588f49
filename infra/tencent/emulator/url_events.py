"""HTTP through an event function: a function URL's event, and what its result answers.

以事件函数处理 HTTP：函数 URL 的事件与应答。
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any
from urllib.parse import parse_qsl

from infra.tencent.emulator.web import Request, Response


def event_of(request: Request) -> dict[str, Any]:
    """A function URL's event (document 583/96099). A body that is no text comes through damaged:
    the event has no member that could say otherwise.

    函数 URL 的事件。
    """
    names = dict.fromkeys(name for name, _ in request.headers)
    headers = {
        name: ",".join(value for known, value in request.headers if known == name) for name in names
    }
    query: dict[str, Any] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        known = query.get(name)
        query[name] = value if known is None else [*_listed(known), value]
    return {
        "body": request.body.decode("utf-8", "replace"),
        "headers": {**headers, "x-scf-remote-addr": request.address},
        "httpMethod": request.method,
        "path": request.path,
        "queryString": query,
    }


def response_of(result: str) -> Response:
    """The response that a function's result stands for; one without a status is a 200 with JSON.
    Raises `ValueError` for one that stands for none.

    把函数的返回值变成应答。
    """
    told = json.loads(result or "null")
    if not isinstance(told, dict) or "statusCode" not in told:
        return Response(200, (("content-type", "application/json"),), result.encode())
    body, headers = told.get("body") or "", told.get("headers") or {}
    if not isinstance(body, str) or not isinstance(headers, dict):
        raise ValueError("the body is no text, or the headers are no object")
    try:
        data = base64.b64decode(body) if told.get("isBase64Encoded") else body.encode()
    except binascii.Error:
        raise ValueError("the body is no base64") from None
    pairs = [(str(name).lower(), one) for name, value in headers.items() for one in _listed(value)]
    return Response(int(told["statusCode"]), tuple((name, str(one)) for name, one in pairs), data)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
