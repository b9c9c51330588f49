"""/openapi.json and /docs: what the API offers, for programs and for people.

The page is made here, from the document alone: it needs no script and no network.

接口文档。
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Response

from functions.api.responses import answer
from shared import wiring
from shared.wiring import Bundle

router = APIRouter()

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.55 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem 1.25rem 4rem}
h1{font-size:1.8rem}h2{margin-top:2.5rem;border-bottom:1px solid #8886;padding-bottom:.3rem}
details{border:1px solid #8885;border-radius:.5rem;margin:.6rem 0;padding:.5rem .9rem}
summary{cursor:pointer;overflow-wrap:anywhere}
summary b{display:inline-block;min-width:4.2rem;font-family:ui-monospace,monospace}
code,pre{font-family:ui-monospace,monospace;font-size:.87em}
pre{background:#8881;border-radius:.4rem;padding:.7rem;overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td{vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #8883}
td:first-child{white-space:nowrap}h4{margin:1rem 0 .2rem}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CSP = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_made: tuple[Bundle, dict[str, Any]] | None = None


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
    return Response(
        page(_document()), media_type="text/html", headers={"Content-Security-Policy": CSP}
    )


def page(document: dict[str, Any]) -> str:
    """An OpenAPI document as one HTML page.

    把接口文档写成网页。
    """
    info, parts = document["info"], document["components"]["schemas"]
    server = document["servers"][0]["url"]
    tags = "".join(_tag(document, tag, server) for tag in document["tags"])
    shapes = "".join(_schema(name, parts[name]) for name in sorted(parts))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])}</h1>{_prose(info['description'])}"
        f'<p><a href="openapi.json">openapi.json</a> · <code>{escape(server)}</code></p>'
        f"{tags}<h2>Shapes 数据结构</h2>{shapes}</body></html>"
    )


def _document() -> dict[str, Any]:
    """This process's document, made once; what it takes is imported when first asked for."""
    from functions.api.docs import openapi

    global _made
    bundle = wiring.current()
    if _made is None or _made[0] is not bundle:
        _made = (bundle, openapi.document(bundle))
    return _made[1]


def _tag(document: dict[str, Any], tag: dict[str, str], server: str) -> str:
    shown = [
        _operation(method, path, operation, server)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if tag["name"] in operation["tags"]
    ]
    heading = f"<h2>{escape(tag['name'])}</h2>{_prose(tag['description'])}"
    return heading + "".join(shown)


def _operation(method: str, path: str, operation: dict[str, Any], server: str) -> str:
    """One operation as HTML: its parameters, bodies, answers, and lines to try it with.

    一个接口的说明。
    """
    parameters = [
        (item["name"], item["in"], item.get("description", ""))
        for item in operation.get("parameters", [])
    ]
    answers = [
        (status, ", ".join(_shapes(response)) or "–", response["description"])
        for status, response in operation["responses"].items()
    ]
    bodies = [
        (media, _link(content["schema"]), "")
        for media, content in operation.get("requestBody", {}).get("content", {}).items()
    ]
    tries = "\n\n".join(_curls(method, path, operation, server))
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><b>{method.upper()}</b> '
        f"<code>{escape(path)}</code> {escape(operation['summary'])}</summary>"
        f"{_prose(operation['description'])}"
        f"{_table('Parameters 参数', parameters)}{_table('Body 正文', bodies)}"
        f"{_table('Answers 应答', answers)}"
        f"<h4>Try it 试一试</h4><pre>{escape(tries)}</pre></details>"
    )


def _curls(method: str, path: str, operation: dict[str, Any], server: str) -> Iterator[str]:
    """Lines to paste into a shell, one for each type of body.

    命令行示例。
    """
    start = f'curl "{server}{path}"' + ("" if method == "get" else f" -X {method.upper()}")
    if operation.get("security"):
        start += ' \\\n  -H "Authorization: Bearer $API_KEY"'
    contents = operation.get("requestBody", {}).get("content", {})
    for media, content in contents.items():
        if media == "application/json":
            text = json.dumps(content["example"], ensure_ascii=False)
            yield f"{start} \\\n  -H 'Content-Type: application/json' \\\n  -d '{text}'"
        else:
            fields = (_field(name, text) for name, text in content["example"].items())
            yield f"{start} \\\n  {' '.join(fields)}"
    if not contents:
        yield start


def _field(name: str, text: str) -> str:
    return "-F " + shlex.quote(f"{name}={'@photo.jpg' if text == '(the file)' else text}")


def _schema(name: str, schema: dict[str, Any]) -> str:
    """One shape as HTML: a row for each of its fields.

    一个结构的说明。
    """
    required = schema.get("required", [])
    rows = [
        (
            field + (" *" if field in required else ""),
            _type(item),
            item.get("description", ""),
        )
        for field, item in schema.get("properties", {}).items()
    ]
    values = schema.get("enum")
    listed = f"<p>{escape(', '.join(map(str, values)))}</p>" if values else ""
    return (
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"{_prose(schema.get('description', ''))}{listed}{_table('Fields 字段', rows)}</details>"
    )


def _type(item: dict[str, Any]) -> str:
    """A field's type in words, with links to the shapes.

    字段类型的说明。
    """
    if "$ref" in item:
        return _link(item)
    several = item.get("anyOf")
    if several:
        return " or ".join(dict.fromkeys(_type(one) for one in several))
    if item.get("type") == "array":
        return f"list of {_type(item.get('items', {}))}"
    if "enum" in item:
        return escape(", ".join(str(one) for one in item["enum"]))
    return escape(str(item.get("type", "anything")))


def _link(schema: dict[str, Any]) -> str:
    name = escape(schema["$ref"].rpartition("/")[2])
    return f'<a href="#{name}">{name}</a>'


def _shapes(response: dict[str, Any]) -> Iterator[str]:
    for content in response.get("content", {}).values():
        yield _link(content["schema"])


def _table(title: str, rows: list[tuple[str, str, str]]) -> str:
    """Rows of a name (text), a type (HTML) and a note (text)."""
    if not rows:
        return ""
    shown = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{kind}</td><td>{_inline(note)}</td></tr>"
        for name, kind, note in rows
    )
    return f"<h4>{title}</h4><table>{shown}</table>"


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(block)}</p>" for block in text.split("\n\n") if block.strip())


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
