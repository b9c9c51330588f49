"""Hands requests on to another server: what every server in between is made of.

把请求转交给另一个服务器。
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection

HOP_BY_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
"""Headers that speak of one connection only."""
_SECONDS = 60


@dataclass(frozen=True)
class Relayed:
    """What the server behind said.

    后面服务器的应答。
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def hand_on(
    netloc: str, method: str, target: str, headers: Mapping[str, str], body: bytes
) -> Relayed:
    """Send a request on, its headers as they came; raises `OSError` or `HTTPException`.

    转交一个请求。
    """
    connection = HTTPConnection(netloc, timeout=_SECONDS)
    try:
        connection.putrequest(method, target, True, True)
        for name, value in headers.items():
            if name.lower() != "expect":
                connection.putheader(name, value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return Relayed(answer.status, answer.getheaders(), answer.read())
    finally:
        connection.close()
