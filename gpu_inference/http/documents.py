"""The service's OpenAPI document: what each route answers, its errors, examples, who may ask.

服务的 OpenAPI 文档。
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from gpu_inference.http import shapes
from gpu_inference.http.shapes import REF
from gpu_inference.work.service import Service

_ABOUT = """Makes pictures of words, and of pictures and words.

A picture is the answer itself, or a job is accepted, looked at and fetched. Errors are
`application/problem+json`. Every answer carries `X-Request-Id`. A field that is `null` is one that
was left out.

文生图与图生图服务。"""
_ERRORS: dict[int, tuple[str, str]] = {
    400: ("invalid_input", "`prompt` is empty."),
    401: ("unauthenticated", "Nobody has this API key."),
    404: ("not_found", "There is no such job."),
    409: ("refused", "The job has ended."),
    413: ("too_large", "A request may have 33554432 bytes."),
    415: ("format_unsupported", "The body is text/plain; it must be application/json."),
    422: ("idempotency_key_reused", "This Idempotency-Key was used for another request."),
    429: ("queue_full", "64 pictures wait already."),
    500: ("internal", "Something went wrong inside; the log says what."),
    503: ("not_ready", "The model is loading."),
    504: ("deadline_exceeded", "It took longer than 900 seconds."),
}
_MAKING = (400, 401, 413, 415, 429, 503, 504)
_PNG = ("image/png", "image/webp", "image/jpeg")


@dataclass(frozen=True)
class _Told:
    """What a route answers: a shape, or bytes of some types; its errors; whether a key is needed;
    the bodies it takes, by media type.

    一个接口的应答与请求。
    """

    tag: str
    shape: str | None = None
    errors: tuple[int, ...] = ()
    status: int = 200
    types: tuple[str, ...] = ()
    is_open: bool = False
    json: str | None = None
    form: str | None = None


_ROUTES: dict[str, _Told] = {
    "health": _Told("status", "State", is_open=True),
    "ready": _Told("status", "Ready", (503,), is_open=True),
    "info": _Told("status", "Info", (401,)),
    "metrics": _Told("status", types=("text/plain; version=0.0.4; charset=utf-8",), is_open=True),
    "reload": _Told("status", "State", (401, 503), 202),
    "text_to_image": _Told("pictures", "Pictures", _MAKING, types=_PNG, json="TextToImage"),
    "image_to_image": _Told(
        *("pictures", "Pictures", _MAKING),
        types=_PNG,
        json="ImageToImage",
        form="ImageToImageForm",
    ),
    "submit": _Told("jobs", "Job", (400, 401, 413, 415, 422, 429, 503), 202, json="JobRequest"),
    "look": _Told("jobs", "JobList", (400, 401)),
    "one": _Told("jobs", "Job", (401, 404)),
    "cancel": _Told("jobs", "Job", (401, 404, 409, 503)),
    "result": _Told("jobs", errors=(401, 404), types=("image/png",)),
    "generations": _Told("openai", "OpenAIPictures", _MAKING, json="Generation"),
    "edits": _Told("openai", "OpenAIPictures", _MAKING, form="Edit"),
    "models": _Told("openai", "ModelList", (401,)),
    "model": _Told("openai", "Model", (401, 404)),
    "event_invoke": _Told("platforms", "Pictures", _MAKING, json="EventRequest"),
    "ping": _Told("platforms", errors=(503,), is_open=True),
    "invocations": _Told("platforms", "Pictures", _MAKING, types=_PNG, json="EventRequest"),
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent again with the same body, the same job is answered.",
    "schema": {"type": "string", "pattern": "^[!#-~][!-~]{0,254}$"},
}
_IDS = r"^[A-Za-z0-9]{1,40}(?:,[A-Za-z0-9]{1,40}){0,99}$"


def install(app: FastAPI, service: Service, routes: Sequence[BaseRoute]) -> None:
    """Let the application's /openapi.json be the document of these routes.

    安装接口文档。
    """
    app.openapi = lambda: document(service, routes)  # type: ignore[method-assign]


def document(service: Service, routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The whole document, with the limits of the model that is loaded.

    完整的接口文档。
    """
    made = get_openapi(
        title="Qwen-Image",
        version="1",
        openapi_version="3.1.0",
        description=_ABOUT,
        routes=routes,
    )
    limits = service.engine.info().get("limits", {})
    made["components"] = {
        "schemas": {**shapes.answers(), **shapes.bodies(service.settings, limits)},
        "securitySchemes": {
            "Bearer": {"type": "http", "scheme": "bearer"},
            "Header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        },
    }
    keys: list[dict[str, list[str]]] = [{"Bearer": []}, {"Header": []}]
    if not service.settings.api_keys:
        keys.append({})
    for route, operation in _operations(routes, made):
        told = _ROUTES[route.name]
        operation["operationId"] = route.name
        operation["tags"] = [told.tag]
        operation["security"] = [] if told.is_open else keys
        operation["responses"] = _responses(route.name, told)
        _body(operation, told, made["components"]["schemas"])
        for parameter in operation.get("parameters", []):
            parameter["schema"].pop("title", None)
            if parameter["name"] == "ids":
                parameter["schema"]["pattern"] = _IDS
        if route.name == "submit":
            operation["parameters"] = [_KEY]
    return made


def _operations(
    routes: Sequence[BaseRoute], made: dict[str, Any]
) -> Iterator[tuple[APIRoute, dict[str, Any]]]:
    for route in routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                yield route, made["paths"][route.path_format][method.lower()]


def _body(operation: dict[str, Any], told: _Told, parts: dict[str, Any]) -> None:
    """Name the bodies' schemas, each with its example.

    说明请求正文。
    """
    taken = {"application/json": told.json, "multipart/form-data": told.form}
    content = {
        media: {"schema": {"$ref": f"{REF}{name}"}, "example": parts[name]["examples"][0]}
        for media, name in taken.items()
        if name is not None
    }
    if content:
        operation["requestBody"] = {"required": True, "content": content}


def _responses(name: str, told: _Told) -> dict[str, Any]:
    """A route's own answer and its errors.

    接口的应答与错误。
    """
    content: dict[str, Any] = {}
    if told.shape is not None:
        example = shapes.answers()[told.shape]["examples"][0]
        content["application/json"] = {
            "schema": {"$ref": f"{REF}{told.shape}"},
            "example": example,
        }
    for media in told.types:
        binary = {"type": "string", "format": "binary"} if media in _PNG else {"type": "string"}
        content[media] = {"schema": binary}
    shown = {"description": f"{HTTPStatus(told.status).phrase}.", "headers": _headers(name)}
    if content:
        shown["content"] = content
    made: dict[str, Any] = {str(told.status): shown}
    if name == "submit":
        made["200"] = {**shown, "description": "OK. The job that the same key made before."}
    for status in (*told.errors, 500):
        made[str(status)] = _error(status)
    return made


def _headers(name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"X-Request-Id": {"schema": {"type": "string"}}}
    if name == "submit":
        found["Location"] = {"schema": {"type": "string"}}
    return found


def _error(status: int) -> dict[str, Any]:
    """An error's answer, with an example.

    一种错误应答。
    """
    code, message = _ERRORS[status]
    title = HTTPStatus(status).phrase
    headers = _headers("")
    if status in (429, 503):
        headers["Retry-After"] = {"schema": {"type": "integer", "minimum": 1, "maximum": 120}}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    content = {
        "schema": {"$ref": f"{REF}Problem"},
        "example": shapes.problem(status, title, code, message),
    }
    return {
        "description": f"{title}.",
        "headers": headers,
        "content": {"application/problem+json": content},
    }
