"""Where calls go instead of to Tencent Cloud itself, if the environment says so.

接口地址的改写。
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class EndpointWrong(Exception):
    """A variable is set to what cannot be called.

    接口地址有误。
    """

    def __init__(self, variable: str) -> None:
        super().__init__(f"{variable} must be https://HOST, or http://HOST:PORT of this machine")


@dataclass(frozen=True)
class Endpoint:
    """A server: `scheme`, `place` (its host and port as a `Host` header has them), and `host`.

    一个服务器地址。
    """

    scheme: str
    place: str
    host: str

    @property
    def is_local(self) -> bool:
        """Whether it is this machine's own.

        是否为本机。
        """
        return self.host in _LOOPBACK

    @property
    def proxies(self) -> dict[str, str] | None:
        """What requests is told of proxies: a proxy that the environment names leads away from this
        machine, and so is not asked for an address of its own.

        代理设置。
        """
        return {"no_proxy": self.host} if self.is_local else None


def endpoint(variable: str) -> Endpoint | None:
    """What an environment variable says, None where it says nothing; raises `EndpointWrong`.

    Keys are never sent in the clear, but to this machine.

    读取接口地址。
    """
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise EndpointWrong(variable) from None
    allowed = ("http", "https") if host in _LOOPBACK else ("https",)
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if not host or parts.scheme not in allowed or more:
        raise EndpointWrong(variable)
    return Endpoint(parts.scheme, parts.netloc, host)
