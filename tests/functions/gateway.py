"""API Gateway's side of the wire: literal payload 2.0 events, and answers made readable.

在测试中扮演 API 网关。
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from functions.api.handler import handler
from shared.errors import MaquetteError

BOUNDARY = "----maquette-test"


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers in lower case, the body as text.

    网关收到的应答。
    """

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


class Context:
    """Lambda's context object; `milliseconds` are what is left of the invocation.

    函数调用的上下文。
    """

    aws_request_id = "8a9a7c4e-lambda"

    def __init__(self, milliseconds: int = 30_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


def event(
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    query: str = "",
) -> dict[str, Any]:
    """An event as an HTTP API or a Function URL sends it; bodies travel as base64.

    构造网关事件。
    """
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "cookies": ["theme=dark"],
        "headers": {
            "accept": "*/*",
            "host": "abc123.lambda-url.eu-central-1.on.aws",
            "x-forwarded-for": "203.0.113.9",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            **{name.lower(): value for name, value in (headers or {}).items()},
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": "abc123.lambda-url.eu-central-1.on.aws",
            "domainPrefix": "abc123",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.9",
                "userAgent": "curl/8.10.1",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:21:00:00 +0000",
            "timeEpoch": 1795294800000,
        },
        "isBase64Encoded": False,
    }
    if body is not None:
        made["body"] = base64.b64encode(body).decode()
        made["isBase64Encoded"] = True
        made["headers"].setdefault("content-length", str(len(body)))
    return made


def call(
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    query: Mapping[str, Any] | None = None,
    context: Context | None = None,
) -> Answer:
    """Send one request through the function.

    发送一次请求。
    """
    path, _, written = target.partition("?")
    sent = event(method, path, headers=headers, body=body, query=written or urlencode(query or {}))
    got = handler(sent, context or Context())
    # Nothing here is binary: files are answered with a link.
    assert got["isBase64Encoded"] is False
    return Answer(got["statusCode"], got["headers"], got.get("body") or "")


def get(target: str, **more: Any) -> Answer:
    """GET.

    读取。
    """
    return call("GET", target, **more)


def post_json(path: str, content: Any, *, headers: Mapping[str, str] | None = None) -> Answer:
    """POST JSON; bytes are sent as they are.

    提交 JSON。
    """
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return call(
        "POST", path, headers={"content-type": "application/json", **(headers or {})}, body=body
    )


Field = tuple[str, bytes | str]


def form_body(fields: Sequence[Field] = (), files: Sequence[tuple[str, bytes]] = ()) -> bytes:
    """A multipart body, byte for byte.

    拼出表单正文。
    """
    made = b""
    for name, value in fields:
        data = value.encode() if isinstance(value, str) else value
        made += _part(f'name="{name}"', data)
    for name, data in files:
        made += _part(f'name="{name}"; filename="{name}.bin"', data, "application/octet-stream")
    return made + f"--{BOUNDARY}--\r\n".encode()


def post_form(
    path: str,
    fields: Sequence[Field] = (),
    files: Sequence[tuple[str, bytes]] = (),
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """POST a multipart form.

    提交表单。
    """
    sent = form_body(fields, files) if body is None else body
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    return call("POST", path, headers={"content-type": content_type, **(headers or {})}, body=sent)


def _part(disposition: str, data: bytes, media_type: str | None = None) -> bytes:
    lines = [f"--{BOUNDARY}", f"Content-Disposition: form-data; {disposition}"]
    if media_type:
        lines.append(f"Content-Type: {media_type}")
    return "\r\n".join([*lines, "", ""]).encode() + data + b"\r\n"


def refusal(call: Callable[[], Any]) -> MaquetteError | None:
    """What a call refuses with, if it does.

    调用被拒绝时的错误。
    """
    try:
        call()
    except MaquetteError as error:
        return error
    return None
