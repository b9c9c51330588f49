"""Which pages of other origins may call the API and read what it answers.

哪些网页可以跨域调用接口。
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders

from shared.config import Settings

ALLOWED_METHODS = "GET, HEAD, POST, DELETE"
ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Prefer, Range, X-Request-Id, "
    "traceparent"
)
EXPOSED = (
    "Accept-Ranges, Content-Disposition, ETag, Idempotency-Replayed, Location, Preference-Applied, "
    "Retry-After, X-Request-Id"
)
_SECONDS = "600"
_LINK = re.compile(r"/api/v1/jobs/[^/]+/artifacts/[^/]+")
_LOOPBACK = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?")


def is_preflight(method: str, asked: Headers) -> bool:
    """Whether a browser asks if a page may send a request, and sends none itself yet.

    是否为跨域预检请求。
    """
    return method == "OPTIONS" and "origin" in asked and "access-control-request-method" in asked


def add_cors(headers: MutableHeaders, asked: Headers, path: str, settings: Settings) -> None:
    """Let pages read this answer: those of the configured origins, in stage `local` those of this
    machine, and of a permanent link anybody's: whoever holds it may fetch the file, and no cookie
    says who that is. Other pages are told nothing.

    添加跨域响应头。
    """
    anybody = "*" in settings.cors_origins or _LINK.fullmatch(path) is not None
    local = settings.stage == "local"
    if not anybody and not local and not settings.cors_origins:
        return
    if not anybody:
        headers.add_vary_header("Origin")
    origin = asked.get("origin")
    if origin is None:
        return
    if not (anybody or origin in settings.cors_origins or (local and _LOOPBACK.fullmatch(origin))):
        return
    headers["Access-Control-Allow-Origin"] = "*" if anybody else origin
    if "access-control-request-method" in asked:
        headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
        headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        headers["Access-Control-Max-Age"] = _SECONDS
    else:
        headers["Access-Control-Expose-Headers"] = EXPOSED
