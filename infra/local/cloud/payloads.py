"""The JSON that wakes a function, as AWS writes it: HTTP requests, timers, new objects.

按 AWS 的格式生成触发函数的事件。
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol
from urllib.parse import unquote

from shared.buckets.base import ObjectInfo

ACCOUNT = "000000000000"
REGION = "local"
BUCKET = "maquette"
_TEXT = re.compile(
    r"text/.*|application/(?:[a-z.+-]+\+)?(?:json|xml)|application/javascript", re.IGNORECASE
)


@dataclass(frozen=True)
class HttpRequest:
    """One request as the server read it: the path still quoted, header names in lower case.

    一个 HTTP 请求。
    """

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    address: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"

    def header(self, name: str) -> str:
        """A header's values joined by commas, "" without one; `name` in lower case.

        读取请求头。
        """
        return ",".join(value for known, value in self.headers if known == name)


def is_probe(request: HttpRequest) -> bool:
    """Whether this only asks if the process is alive; it is answered whatever else goes on.

    是否为存活检查。
    """
    return request.path == "/health" and request.method in ("GET", "HEAD")


def http_event(request: HttpRequest, request_id: str, now: int) -> dict[str, Any]:
    """API Gateway's event for an HTTP API, payload version 2.0; `now` in milliseconds since 1970.

    HTTP 请求事件。
    """
    names = dict.fromkeys(name for name, _ in request.headers if name != "cookie")
    host = request.header("host") or "localhost"
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(request.path),
        "rawQueryString": request.query,
        "headers": {name: request.header(name) for name in names},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": unquote(request.path),
                "protocol": request.protocol,
                "sourceIp": request.address,
                "userAgent": request.header("user-agent"),
            },
            "requestId": request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": _moment(now).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": now,
        },
        "isBase64Encoded": False,
    }
    cookies = [part.strip() for value in _cookies(request) for part in value.split(";")]
    if cookies:
        event["cookies"] = cookies
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request)
    return event


def timer_event(schedule: str, identifier: str, now: int) -> dict[str, Any]:
    """EventBridge Scheduler's event for a target without an input of its own.

    定时事件。
    """
    return {
        "version": "0",
        "id": identifier,
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": _moment(now).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{schedule}"],
        "detail": "{}",
    }


OBJECT_CREATED = "s3:ObjectCreated:Put"


def object_event(info: ObjectInfo, identifier: str, now: int) -> dict[str, Any]:
    """One new object as S3 tells EventBridge, which passes it on; the key is as it is.

    新对象事件。
    """
    return {
        "version": "0",
        "id": identifier,
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": _moment(now).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:s3:::{BUCKET}"],
        "detail": {
            "version": "0",
            "bucket": {"name": BUCKET},
            "object": {"key": info.key, "size": info.bytes, "sequencer": f"{now:016X}"},
            "request-id": identifier,
            "requester": ACCOUNT,
            "source-ip-address": "127.0.0.1",
            "reason": "PutObject",
        },
    }


def size(payload: Any) -> int:
    """How many bytes a payload has as JSON, which is what Lambda counts.

    计算事件的字节数。
    """
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class HttpAnswer:
    """What goes back over HTTP.

    一个 HTTP 应答。
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class EventTooLarge(Exception):
    """The request is beyond the platform's limit, so no function ever hears of it.

    请求超出事件大小上限。
    """


class AnswerTooLarge(Exception):
    """The function's answer is beyond the platform's limit.

    应答超出大小上限。
    """


class Gateway(Protocol):
    """What stands before the function that takes HTTP, as API Gateway does.

    HTTP 函数前的网关。
    """

    def request(self, request: HttpRequest) -> Future[HttpAnswer]:
        """Answer a request, in the background.

        The future's `EventTooLarge` and `AnswerTooLarge` mean the platform's limit; any other
        exception is a failure behind the gateway.

        处理一个 HTTP 请求。
        """


def http_answer(result: Any) -> HttpAnswer:
    """The answer that a handler's result stands for; one without a status is a 200 with JSON.

    Raises `ValueError` for a result that API Gateway would not understand.

    把函数的返回值变成 HTTP 应答。
    """
    if not isinstance(result, dict) or "statusCode" not in result:
        return HttpAnswer(200, (("content-type", "application/json"),), json.dumps(result).encode())
    text = result.get("body") or ""
    if not isinstance(text, str):
        raise ValueError("the body of an answer must be a string")
    body = base64.b64decode(text) if result.get("isBase64Encoded") else text.encode()
    return HttpAnswer(int(result["statusCode"]), tuple(_headers(result)), body)


def _headers(result: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in (result.get("headers") or {}).items():
        yield name.lower(), str(value)
    for name, values in (result.get("multiValueHeaders") or {}).items():
        yield from ((name.lower(), str(value)) for value in values)
    for cookie in result.get("cookies") or ():
        yield "set-cookie", cookie


def _cookies(request: HttpRequest) -> list[str]:
    return [value for name, value in request.headers if name == "cookie"]


def _body(request: HttpRequest) -> tuple[str, bool]:
    """Text types go as they are, all else in base64, as API Gateway does it."""
    media_type = request.header("content-type").partition(";")[0].strip()
    if _TEXT.fullmatch(media_type):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def _moment(now: int) -> datetime:
    return datetime.fromtimestamp(now / 1000, tz=timezone.utc)
