"""The two shapes in which SCF brings an HTTP request to an event function, for Mangum.

A Function URL's event has few members (583/96099); that of the API gateway which was shut down has
more (583/12513), and those who still call a function with it are answered as well. Both want the
same answer. Neither page says how a body that is no text is brought: a Function URL's event has no
`isBase64Encoded`, so such bodies may come through damaged, which their length tells. A web function
has none of this.

SCF 事件函数收到的两种 HTTP 事件。
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlencode

from mangum.handlers.utils import handle_base64_response_body, handle_exclude_headers
from mangum.types import LambdaConfig, LambdaContext, LambdaEvent, Response, Scope

PLATFORM = "x-scf-"
"""How the headers begin that the platform adds; the application sees none of them."""

_TEXT = re.compile(r"\s*(text/|application/([a-z0-9.+-]+\+)?json\b)", re.IGNORECASE)
"""Bodies that are text come through an event as they are."""


class UnreadableRequest(ValueError):
    """The event is no request, or its body is not what was sent; `told` is what the caller hears.

    事件不是可读的请求。
    """

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.told = told


class _Request:
    """What both shapes have in common."""

    def __init__(self, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> None:
        self.event: Mapping[str, Any] = event
        self.context = context
        self.config = config
        self._headers = [one for one in _headers(event) if not one[0].startswith(PLATFORM)]

    @property
    def body(self) -> bytes:
        """The request's body as it was sent; raises `UnreadableRequest` where it was damaged.

        请求正文。
        """
        encoded = _is_true(self.event.get("isBase64Encoded"))
        body = _bytes(self.event.get("body"), encoded)
        headers = dict(self._headers)
        announced = headers.get("content-length", "")
        if encoded or not announced.isdecimal() or _TEXT.match(headers.get("content-type", "")):
            return body
        if announced.lstrip("0") != (str(len(body)) if body else ""):
            raise UnreadableRequest(
                f"The body did not come through whole: {len(body)} bytes instead of {announced}. "
                "Files go by POST /api/v1/uploads here."
            )
        return body

    @property
    def scope(self) -> Scope:
        """The request as ASGI has it.

        ASGI 形式的请求。
        """
        headers = dict(self._headers)
        return {
            "type": "http",
            "http_version": "1.1",
            "method": _text(self.event["httpMethod"]).upper(),
            "headers": [(name.encode(), value.encode()) for name, value in self._headers],
            "path": unquote(_text(self.event["path"])) or "/",
            "raw_path": None,
            "root_path": "",
            "scheme": headers.get("x-forwarded-proto", "https"),
            "query_string": self._query().encode(),
            "server": (headers.get("host", "scf"), 443),
            "client": (self._client(), 0),
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "aws.event": self.event,
            "aws.context": self.context,
        }

    def __call__(self, response: Response) -> dict[str, Any]:
        """The answer as SCF takes it: of each header one line.

        SCF 形式的应答。
        """
        headers: dict[str, str] = {}
        for name, value in response["headers"]:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        body, encoded = handle_base64_response_body(
            response["body"], headers, self.config["text_mime_types"]
        )
        return {
            "statusCode": response["status"],
            "headers": handle_exclude_headers(headers, self.config),
            "body": body,
            "isBase64Encoded": encoded,
        }

    def _query(self) -> str:
        for name in ("queryString", "queryStringParameters"):
            given = self.event.get(name)
            if given is not None:
                return given if isinstance(given, str) else urlencode(list(_pairs(given)))
        return ""

    def _client(self) -> str:
        return dict(_headers(self.event)).get(f"{PLATFORM}remote-addr", "")


class FunctionUrl(_Request):
    """A request by way of a Function URL.

    函数 URL 的请求。
    """

    @classmethod
    def infer(cls, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> bool:
        """Whether the event is one: it has a method and a path, and nothing that tells whence.

        是否为函数 URL 的事件。
        """
        return {"httpMethod", "path"} <= event.keys() and "requestContext" not in event


class OldGateway(_Request):
    """A request by way of Tencent's API gateway, no new ones of which can be made since 2024.

    旧 API 网关的请求。
    """

    @classmethod
    def infer(cls, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> bool:
        """Whether the event is one; AWS's name a `resource` or a `version`, or a load balancer.

        是否为旧 API 网关的事件。
        """
        told = event.get("requestContext")
        if not isinstance(told, Mapping) or not {"httpMethod", "path"} <= event.keys():
            return False
        return "elb" not in told and not {"resource", "version"} & event.keys()

    def _client(self) -> str:
        return str(self.event["requestContext"].get("sourceIp") or "")


def _headers(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The request's headers, names in lower case; several lines of one may come as a list.

    请求头。
    """
    for name, value in _mapping(event.get("headers")).items():
        for line in value if isinstance(value, list) else (value,):
            yield _text(name).lower(), _text(line)


def _pairs(query: Any) -> Iterator[tuple[str, str]]:
    """The query's pairs; one without a value may be told as true, null or "".

    查询参数。
    """
    for name, value in _mapping(query).items():
        for one in value if isinstance(value, list) else (value,):
            if one is None or one is True:
                yield _text(name), ""
            elif isinstance(one, (int, float)) and not isinstance(one, bool):
                yield _text(name), str(one)
            else:
                yield _text(name), _text(one)


def _bytes(body: Any, encoded: bool) -> bytes:
    """A body's bytes; raises `UnreadableRequest`."""
    text = "" if body is None else _text(body)
    try:
        return base64.b64decode(text, validate=True) if encoded else text.encode()
    except (binascii.Error, ValueError):
        raise UnreadableRequest("The body is not what the event says it is.") from None


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None or value == "" or value == []:
        return {}
    if not isinstance(value, Mapping):
        raise UnreadableRequest("The event is no request.")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UnreadableRequest("The event is no request.")
    return value


def _is_true(value: Any) -> bool:
    return value is True or value == "true"
