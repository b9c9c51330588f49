"""HTTP between the platform and a web function's instance.

平台与 Web 函数实例之间的 HTTP。
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from infra.tencent.emulator.instances import LOOPBACK, Died, TimedOut

_PLATFORMS = "x-scf-"
_HOPS = frozenset(("connection", "date", "expect", "keep-alive", "te", "transfer-encoding"))
"""Headers about one connection, of which there are two here."""
_KEYS = {
    "TENCENTCLOUD_SECRETID": "x-scf-secret-id",
    "TENCENTCLOUD_SECRETKEY": "x-scf-secret-key",
    "TENCENTCLOUD_SESSIONTOKEN": "x-scf-session-token",
}
_PIECE = 1 << 16


@dataclass(frozen=True)
class Request:
    """An HTTP request: the path still quoted, header names in lower case.

    一个请求。
    """

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    address: str = LOOPBACK


@dataclass(frozen=True)
class Response:
    """An HTTP response.

    一个应答。
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def key_headers(keys: Mapping[str, str]) -> dict[str, str]:
    """The role's keys as the headers by which a web function gets them.

    以请求头形式给出的临时密钥。
    """
    return {_KEYS[name]: value for name, value in keys.items() if name in _KEYS}


def ask(port: int, request: Request, added: Mapping[str, str], seconds: float) -> Response:
    """Send a request to an instance, with the platform's headers in place of any like them that the
    caller sent; raises `TimedOut` or `Died`.

    向实例转发请求。
    """
    end = time.monotonic() + seconds
    connection = HTTPConnection(LOOPBACK, port, timeout=seconds)
    try:
        _send(connection, request, added)
        _patience(connection, end)
        answer = connection.getresponse()
        body = b""
        while piece := answer.read1(_PIECE):
            body += piece
            _patience(connection, end)
        headers = ((name.lower(), value) for name, value in answer.getheaders())
        kept = tuple((name, value) for name, value in headers if name not in _HOPS)
        return Response(answer.status, kept, body)
    except TimeoutError:
        raise TimedOut from None
    except (OSError, HTTPException):
        raise Died from None
    finally:
        connection.close()


def refusal(status: int, code: str, words: str, request_id: str) -> Response:
    """The platform's own answer where a function gave none.

    平台自身的错误应答。
    """
    body = {
        "errorCode": -1,
        "errorMessage": words,
        "requestId": request_id,
        "statusCode": status,
        "status": code,
    }
    headers = (("content-type", "application/json"), ("x-scf-request-id", request_id))
    return Response(status, headers, json.dumps(body).encode())


def _send(connection: HTTPConnection, request: Request, added: Mapping[str, str]) -> None:
    """Send a request with the platform's headers, and without the caller's own of that name.

    发送请求。
    """
    query = f"?{request.query}" if request.query else ""
    target = f"{request.path}{query}"
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers:
        if name not in _HOPS and name != "content-length" and not name.startswith(_PLATFORMS):
            connection.putheader(name, value.encode("latin-1"))
    for name, value in {**added, "x-scf-remote-addr": request.address}.items():
        connection.putheader(name, value)
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        connection.putheader("content-length", str(len(request.body)))
    connection.endheaders(request.body)


def _patience(connection: HTTPConnection, end: float) -> None:
    """Let the next read take what is left of the time, and not that of each anew."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    if connection.sock is not None:
        connection.sock.settimeout(left)
