"""OpenAPI 3.1: the routes' own part, and what is known only once providers are wired.

生成接口文档。
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from functions.api import requests
from functions.api.docs import schemas
from functions.api.docs.examples import EXAMPLE_ID
from functions.api.http import problems
from functions.api.http.problems import Problem
from functions.api.routes import ROUTERS
from shared.jobs.kinds import role_names
from shared.wiring import Bundle

_SCHEMAS = "#/components/schemas/"
_ABOUT = """One HTTP API in front of generators of 3D models and pictures.

A create answers `202` with a job; read it until it has ended, or give a `callback_url` and be told
by a signed webhook (Standard Webhooks 1.0.0). Links to files stay good for years.

Errors are `application/problem+json`. Every answer carries `X-Request-Id`.

面向三维与图片生成服务的统一接口：提交任务，查询进度，领取结果。"""
_TAGS = [
    {"name": "models", "description": "The short way: create, watch, fetch. 创建、查看、领取。"},
    {"name": "pictures", "description": "Words, or a picture, to pictures. 生成图片。"},
    {"name": "jobs", "description": "Everything that can be done with jobs. 任务的全部操作。"},
    {
        "name": "webhooks",
        "description": "What was sent, and how it is sent again. 回调通知。",
    },
    {"name": "operation", "description": "For load balancers and monitors. 运行检查。"},
]
_ANY_FORM = (
    None,
    role_names(),
    {"kind": "image-to-3d", "image": "(the file)", "metadata": '{"order":7}'},
)
_FORMS: dict[str, tuple[str | None, tuple[str, ...], dict[str, str]]] = {
    "CreateModel": _ANY_FORM,
    "CreateJob": _ANY_FORM,
    "TextToImage": (
        "text-to-image",
        (),
        {"prompt": "a teapot shaped like a house", "width": "1024"},
    ),
    "ImageToImage": (
        "image-to-image",
        ("image", "mask"),
        {"prompt": "the same in blue", "image": "(the file)"},
    ),
}
"""The bodies that can be sent as a form: their one kind, the pictures they take, an example."""

_FAULTS: dict[str, tuple[str, str, str | None]] = {
    "400": ("prompt_empty", "prompt must not be empty.", "prompt"),
    "401": ("unauthenticated", "This API key is not known.", None),
    "404": ("job_not_found", f"There is no job '{EXAMPLE_ID}'.", None),
    "409": ("not_finished", "The job is running; there is no result yet.", None),
    "410": ("artifact_deleted", "The files of this job were deleted.", None),
    "413": ("too_large", "The body is larger than 25165824 bytes.", "body"),
    "415": ("image_format_unsupported", "image: this is an SVG; send JPEG, PNG or WebP.", "image"),
    "422": (
        "idempotency_key_reused",
        "This Idempotency-Key was used for another request.",
        None,
    ),
    "500": ("internal", "Something went wrong here; the log knows the request's id.", None),
    "503": ("store_unavailable", "The store does not answer just now; ask again.", None),
}


def document(bundle: Bundle) -> dict[str, Any]:
    """The whole document, with the options of the providers that are wired.

    完整的接口文档。
    """
    routes = [route for router in ROUTERS for route in router.routes]
    made = get_openapi(
        title="Maquette",
        version="1",
        openapi_version="3.1.0",
        description=_ABOUT,
        routes=routes,
        tags=_TAGS,
        servers=[{"url": bundle.settings.public_url}],
    )
    parts = made["components"]["schemas"]
    parts.update(_shapes())
    options = _options(bundle, parts)
    for name, (kind, roles, example) in _FORMS.items():
        fields = parts[name]["properties"]
        fields["prompt"]["maxLength"] = bundle.settings.prompt_characters
        fitting = [one for one in options if kind is None or one["$ref"].endswith(f".{kind}")]
        if fitting:
            fields["options"]["anyOf"] = fitting
        parts[f"{name}Form"] = _form(parts[name], roles, example)
    notes = {route.name: _chinese(route) for route in routes if isinstance(route, APIRoute)}
    for operation in _operations(made):
        operation["description"] += f"\n\n{notes[operation['operationId']]}"
        _drop_validation(operation)
        _add_examples(operation, parts)
    for name in ("HTTPValidationError", "ValidationError"):
        parts.pop(name, None)
    return made


def _operations(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in made["paths"].values():
        yield from operations.values()


def _chinese(route: APIRoute) -> str:
    """The last line of the endpoint's docstring: what it is for, in Chinese."""
    return (inspect.getdoc(route.endpoint) or "").rpartition("\n")[2]


def _shapes() -> dict[str, Any]:
    """Every body and answer. FastAPI's own would be used, but it drops the nulls of examples.

    全部请求与响应的结构。
    """
    bodies: list[type[BaseModel]] = [
        requests.CreateModel,
        requests.CreateJob,
        requests.TextToImage,
        requests.ImageToImage,
        requests.Retry,
        requests.ReplayDeliveries,
    ]
    answers: list[type[BaseModel]] = [
        schemas.Job,
        schemas.JobList,
        schemas.ModelStatus,
        schemas.ModelResult,
        schemas.DeliveryList,
        schemas.Delivery,
        schemas.Replay,
        schemas.Info,
        schemas.Health,
        schemas.Readiness,
        schemas.Problem,
    ]
    _, made = models_json_schema(
        [
            *((one, "validation") for one in bodies),
            *((one, "serialization") for one in answers),
        ],
        ref_template=_SCHEMAS + "{model}",
    )
    found: dict[str, Any] = made["$defs"]
    return found


def _options(bundle: Bundle, parts: dict[str, Any]) -> list[dict[str, str]]:
    """Add every provider's options of every kind to `parts`; references to them.

    各生成服务的选项。
    """
    found = []
    for provider in bundle.providers.values():
        for kind, model in provider.options.items():
            name = f"Options.{provider.name}.{kind}"
            schema = model.model_json_schema(ref_template=f"{_SCHEMAS}{name}.{{model}}")
            for inner, definition in schema.pop("$defs", {}).items():
                parts[f"{name}.{inner}"] = definition
            schema["title"] = f"Options of {kind} by {provider.name}"
            parts[name] = schema
            found.append({"$ref": f"{_SCHEMAS}{name}"})
    return found


def _form(
    schema: dict[str, Any], roles: tuple[str, ...], example: dict[str, str]
) -> dict[str, Any]:
    """The same fields as a form: objects as JSON text, and the pictures.

    表单形式的请求。
    """
    form = copy.deepcopy(schema)
    form["title"] += "Form"
    for name in ("options", "metadata"):
        form["properties"][name] = {
            "type": "string",
            "contentMediaType": "application/json",
            "description": form["properties"][name]["description"],
        }
    for role in roles:
        form["properties"][role] = {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "A JPEG, PNG or WebP.",
        }
    # Options may be sent as fields of their own.
    form["additionalProperties"] = {"type": "string"}
    form["examples"] = [example]
    return form


def _drop_validation(operation: dict[str, Any]) -> None:
    """Remove FastAPI's own 422: faults are answered with 400 and a Problem."""
    told = operation["responses"].get("422", {})
    if "application/json" in told.get("content", {}):
        del operation["responses"]["422"]


def _add_examples(operation: dict[str, Any], parts: dict[str, Any]) -> None:
    """Give every body and every answer an example.

    补上示例。
    """
    bodies = [operation.get("requestBody", {})]
    for status, response in operation["responses"].items():
        if response["description"] == "Successful Response":
            response["description"] = f"{HTTPStatus(int(status)).phrase}."
        if status in _FAULTS:
            response["content"]["application/problem+json"]["example"] = _fault(status)
        else:
            bodies.append(response)
    for body in bodies:
        for content in body.get("content", {}).values():
            schema = parts[content["schema"]["$ref"].removeprefix(_SCHEMAS)]
            content["example"] = schema["examples"][0]


def _fault(status: str) -> dict[str, Any]:
    code, message, param = _FAULTS[status]
    shown = problems.document(
        Problem(int(status), code, message, param, retryable=status in ("409", "503")),
        instance=f"/api/v1/jobs/{EXAMPLE_ID}",
        request_id="01JD8Q5S3V7X2Z4B6D8F0H2K4N",
    )
    return shown
