"""Headers that every answer has, whoever gives it: the request's id, security, what pages may read.

每个应答都带有的响应头。
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders

from functions.api.http.cors import add_cors
from shared.clock import SystemClock, new_id
from shared.config import Settings

_ALWAYS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_UNLESS_SET: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_HSTS = "max-age=31536000; includeSubDomains"
_SANE_ID = re.compile(r"[!-~]{1,128}")


def request_id(asked: Headers) -> str:
    """The caller's name for a request, where it can stand in a header and a log; else a new one.

    请求的编号：调用方给出的，或新生成的。
    """
    given = asked.get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else new_id(SystemClock())


def add_headers(
    headers: MutableHeaders,
    asked: Headers,
    *,
    path: str,
    identifier: str,
    settings: Settings | None,
) -> None:
    """Add what every answer to a request for `path` has; without settings nothing that hangs on
    them.

    添加所有应答共有的响应头。
    """
    headers["X-Request-Id"] = identifier
    for name, value in _ALWAYS.items():
        headers[name] = value
    for name, value in _UNLESS_SET.items():
        headers.setdefault(name, value)
    if settings is None:
        return
    # A browser would keep to https on every port of `localhost`, whatever else is served there.
    if settings.stage != "local" and settings.public_url.startswith("https://"):
        headers["Strict-Transport-Security"] = _HSTS
    add_cors(headers, asked, path, settings)
