"""/openapi.json and /docs: what the API offers, for programs and for people.

The page is Swagger UI, vendored: it loads nothing from elsewhere and runs under a policy without
inline scripts and styles. Its files are read when they are asked for.

接口文档：机器可读的文档与 Swagger UI 页面。
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from functions.api.http.threads import Route
from functions.api.responses import answer
from shared import wiring
from shared.errors import NotFound
from shared.wiring import Bundle

router = APIRouter(route_class=Route)

FOLDER = Path(__file__).parent
_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-bundle.js.LICENSE.txt": "text/plain",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
    "page.js": "text/javascript",
    "page.css": "text/css",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Maquette API</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/page.css">
</head>
<body>
<div id="page"><noscript><p>This page needs JavaScript; programs read
<a href="openapi.json">openapi.json</a>. 本页需要 JavaScript。</p></noscript></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/page.js"></script>
</body>
</html>
"""
_CACHED = "public, max-age=3600"

_made: tuple[Bundle, dict[str, Any]] | None = None


@router.get("/", include_in_schema=False)
def root() -> Response:
    """Who comes to the address alone is led to the page.

    根路径转到文档页面。
    """
    # Relative: a gateway may have put a stage's name before the path.
    return Response(status_code=307, headers={"Location": "docs"})


@router.get("/openapi.json", include_in_schema=False)
def openapi_json() -> Response:
    """The OpenAPI document.

    机器可读的接口文档。
    """
    return answer(_document())


@router.get("/docs", include_in_schema=False)
def docs() -> Response:
    """The same as a page.

    供人阅读的接口文档。
    """
    policy = _policy(wiring.current().settings.public_url)
    headers = {"Content-Security-Policy": policy}
    return Response(_PAGE, media_type="text/html", headers=headers)


@router.get("/docs/{name}", include_in_schema=False)
def asset(name: str, request: Request) -> Response:
    """One of the page's files; packed where the browser can unpack it.

    文档页面的资源文件。
    """
    if name not in _ASSETS:
        raise NotFound("There is no such file.", code="route_not_found")
    content, tag = _read(name)
    headers = {"Cache-Control": _CACHED, "ETag": tag, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", "") and not name.endswith(".png"):
        content, headers["Content-Encoding"] = _packed(name), "gzip"
    return Response(content, media_type=_ASSETS[name], headers=headers)


def _policy(public_url: str) -> str:
    """What the page may load: its own files, and answers of the API."""
    parts = urlsplit(public_url)
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' {parts.scheme}://{parts.netloc}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@functools.cache
def _read(name: str) -> tuple[bytes, str]:
    folder = FOLDER if name.startswith("page.") else FOLDER / "swagger_ui"
    content = (folder / name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


@functools.cache
def _packed(name: str) -> bytes:
    return gzip.compress(_read(name)[0], mtime=0)


def _document() -> dict[str, Any]:
    """This process's document, made once; what it takes is imported when first asked for."""
    from functions.api.docs import openapi

    global _made
    bundle = wiring.current()
    if _made is None or _made[0] is not bundle:
        _made = (bundle, openapi.document(bundle))
    return _made[1]
