"""Pages of other origins at the bucket: the rule of template.yaml, applied as S3 applies it.

本机存储的跨域规则，与 S3 一致。
"""

from __future__ import annotations

from collections.abc import Mapping

METHODS = ("GET", "HEAD", "PUT")
EXPOSED = ("Accept-Ranges", "Content-Disposition", "Content-Length", "Content-Range", "ETag")
SECONDS = 3600
_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def cors_headers(method: str, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What a request of this method is answered with besides: any page may read the answer, for
    links are signed and no cookies are used. Nothing where no page asks.

    跨域响应头。
    """
    if "origin" not in headers or method not in METHODS:
        return []
    return [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", ", ".join(METHODS)),
        ("access-control-expose-headers", ", ".join(EXPOSED)),
        ("access-control-max-age", str(SECONDS)),
        ("vary", _VARY),
    ]


def preflight_headers(headers: Mapping[str, str]) -> list[tuple[str, str]] | None:
    """The answer to a browser that asks beforehand, or None where the rule forbids the method.

    预检请求的响应头。
    """
    allowed = cors_headers(headers.get("access-control-request-method", ""), headers)
    wanted = headers.get("access-control-request-headers")
    if allowed and wanted is not None:
        allowed.append(("access-control-allow-headers", wanted))
    return allowed or None
