"""OpenAPI 3.1: the routes' own part, and what is known only once providers are wired.

生成接口文档。
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from functions.api import operations, requests
from functions.api.docs import bodies, schemas, webhooks
from functions.api.docs.examples import EXAMPLE_ID, problem_of
from functions.api.docs.plain import plain, properties
from functions.api.routes import ROUTERS
from shared.config import Settings
from shared.inputs.media import MEDIA_TYPES, Media
from shared.providers.registry import PROVIDERS
from shared.wiring import Bundle

_ABOUT = """One HTTP API in front of generators of 3D models and pictures.

A create answers `202` with a job; read it until it has ended, or give a `callback_url` and be told
by a signed webhook (Standard Webhooks 1.0.0). Links to files stay good for years.

Errors are `application/problem+json`. Every answer carries `X-Request-Id`. A field that is `null`
is one that was left out.

面向三维与图片生成服务的统一接口：提交任务，查询进度，领取结果。"""
_TAGS = [
    {"name": "models", "description": "The short way: create, watch, fetch. 创建、查看、领取。"},
    {"name": "pictures", "description": "Words, or a picture, to pictures. 生成图片。"},
    {"name": "uploads", "description": "Files past the API, for jobs to use. 上传较大的文件。"},
    {"name": "jobs", "description": "Everything that can be done with jobs. 任务的全部操作。"},
    {
        "name": "webhooks",
        "description": "What was sent, and how it is sent again. 回调通知。",
    },
    {"name": "operation", "description": "For load balancers and monitors. 运行检查。"},
]
_SCHEME = "ApiKey"
_PATHS = {
    "job_id": "The job's id.",
    "upload_id": "The upload's id.",
    "delivery_id": "The delivery's id, as the list of the job's webhooks has it.",
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
    components = made["components"]
    components["headers"] = operations.HEADERS
    components["schemas"] = parts = _schemas()
    bodies.add(bundle, parts)
    _bound_uploads(parts["CreateUpload"], bundle.settings)
    made["webhooks"] = webhooks.events()
    notes = {route.name: _chinese(route) for route in routes if isinstance(route, APIRoute)}
    for operation in _operations(made):
        operation["description"] += f"\n\n{notes[operation['operationId']]}"
        _secure(operation, bundle)
        _describe_parameters(operation)
        _describe_answers(operation)
        _add_examples(operation, parts)
    return made


def _operations(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations_of_path in made["paths"].values():
        yield from operations_of_path.values()


def _chinese(route: APIRoute) -> str:
    """The last line of the endpoint's docstring: what it is for, in Chinese."""
    return (inspect.getdoc(route.endpoint) or "").rpartition("\n")[2]


def _schemas() -> dict[str, Any]:
    """Every answer, and every body but those that make a job.

    FastAPI's own would be used, but it drops the nulls of examples.

    全部请求与响应的结构。
    """
    _, made = models_json_schema(
        [
            *((one, "validation") for one in requests.DOCUMENTED),
            *((one, "serialization") for one in schemas.DOCUMENTED),
        ],
        ref_template=bodies.REF + "{model}",
    )
    found: dict[str, Any] = made["$defs"]
    for model in requests.DOCUMENTED:
        found[model.__name__]["properties"] = properties(found[model.__name__])
    for schema in found.values():
        for one in schema.get("properties", {}).values():
            one.pop("title", None)
    found["Job"]["properties"]["provider"]["enum"] = [*PROVIDERS]
    return found


def _bound_uploads(schema: dict[str, Any], settings: Settings) -> None:
    """Say which files this deployment takes, and how large each may be."""
    models = MEDIA_TYPES[Media.MODEL]
    fields = schema["properties"]
    fields["media_type"]["enum"] = [*settings.image_formats, *models]
    fields["bytes"]["maximum"] = max(settings.model_bytes, settings.image_bytes)
    schema["if"] = {"properties": {"media_type": {"enum": [*models]}}}
    schema["then"] = {"properties": {"bytes": {"maximum": settings.model_bytes}}}
    schema["else"] = {"properties": {"bytes": {"maximum": settings.image_bytes}}}


def _secure(operation: dict[str, Any], bundle: Bundle) -> None:
    """Say whether a key is needed: on one machine without any, it may be left out."""
    if "security" not in operation:
        operation["security"] = []
        return
    settings = bundle.settings
    open_to_all = settings.is_local and not settings.api_keys
    operation["security"] = [{_SCHEME: []}, *([{}] if open_to_all else [])]
    if settings.origin_secret is not None:
        operation["responses"]["403"] = operations.problem(403)


def _describe_parameters(operation: dict[str, Any]) -> None:
    """Tell the ids' form, and of what may be left out only that.

    说明参数。
    """
    for parameter in operation.get("parameters", []):
        name, schema = parameter["name"], parameter["schema"]
        default = schema.get("default")
        parameter["schema"] = plain({**schema, "default": None})
        if default is not None:
            parameter["schema"]["default"] = default
        parameter["schema"].pop("description", None)
        if parameter["in"] == "path" and name in _PATHS:
            parameter["description"] = _PATHS[name]
            parameter["schema"] |= {"pattern": operations.ID, "examples": [EXAMPLE_ID]}


def _describe_answers(operation: dict[str, Any]) -> None:
    """Drop FastAPI's own 422 (faults are answered with 400 and a Problem); name common headers."""
    told = operation["responses"].get("422", {})
    if "application/json" in told.get("content", {}):
        del operation["responses"]["422"]
    for answer in operation["responses"].values():
        named = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
        answer["headers"] = {**answer.get("headers", {}), **named}


def _add_examples(operation: dict[str, Any], parts: dict[str, Any]) -> None:
    """Give every body and every answer an example.

    补上示例。
    """
    told = [operation.get("requestBody", {})]
    for status, response in operation["responses"].items():
        if "application/problem+json" in response.get("content", {}):
            response["content"]["application/problem+json"]["example"] = problem_of(status)
        else:
            told.append(response)
    for body in told:
        for content in body.get("content", {}).values():
            schema = parts[content["schema"]["$ref"].removeprefix(bodies.REF)]
            content["example"] = schema["examples"][0]
