"""The shapes of answers and of requests as the document tells them, each with an example.

接口文档中的请求与应答结构。
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel

from gpu_inference.http.openai import Generation
from gpu_inference.http.requests import AskEvent
from gpu_inference.settings import Settings
from gpu_inference.work.worker import State

REF = "#/components/schemas/"

_TEXT: dict[str, Any] = {"type": "string"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_SHA256: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_STATES: tuple[str, ...] = get_args(State)
_CONTROL = r"\u0000-\u0008\u000b-\u001f\u007f-\u009f"
_UNSEEN = (
    r"\s\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680"
    r"\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff"
    # As they are: beyond \uffff the escapes of different languages differ.
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
"""Characters that show nothing; `prompt_text` has the rule itself."""
_NO_CONTROLS = rf"^[^{_CONTROL}]*$"
_SHOWN = rf"^[^{_CONTROL}]*[^{_CONTROL}{_UNSEEN}][^{_CONTROL}]*$"
_PADDED = r"(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_BASE64 = rf"^(?:data:[A-Za-z0-9.+/-]*;base64,)?{_PADDED}$"

_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAT0lEQVR42u3PQQ0AMAgEsGP+baATHOxP"
    "0jpoTee0lwgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI/C1sTAIk"
    "UnbhlgAAAABJRU5ErkJggg=="
)
"""Sixty-four pixels each way, all orange: an example that can be sent."""
_PICTURE = {
    "b64_json": _PNG,
    "media_type": "image/png",
    "width": 64,
    "height": 64,
    "seed": 7,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
_JOB = {
    "id": "5f1c2a9e7b6d4c3f8a10",
    "kind": "text-to-image",
    "status": "queued",
    "progress": 0,
    "created_at": "2026-11-21T21:00:00.000Z",
    "queue_position": 2,
    "results": [],
}
_MODEL = {"id": "Qwen/Qwen-Image", "object": "model", "created": 0, "owned_by": "qwen-image"}


def problem(status: int, title: str, code: str, message: str) -> dict[str, Any]:
    """An error as it is answered.

    错误示例。
    """
    return {
        "type": f"urn:qwen-image:problem:{code}",
        "title": title,
        "status": status,
        "detail": message,
        "instance": "/text-to-image",
        "error": {
            "message": message,
            "type": "server_error" if status >= 500 else "invalid_request_error",
            "code": code,
            "param": "prompt" if status == 400 else None,
        },
        "request_id": "6f0a4c1be2d35798a1b2c3d4",
        "retryable": status in (429, 503, 504),
    }


def answers() -> dict[str, Any]:
    """The schemas of all answers, by name.

    全部应答的结构。
    """
    picture = _object(
        {
            "b64_json": {**_TEXT, "contentEncoding": "base64"},
            "media_type": {"enum": ["image/png", "image/webp", "image/jpeg"]},
            "width": _COUNT,
            "height": _COUNT,
            "seed": _COUNT,
            "sha256": _SHA256,
        },
        _PICTURE,
    )
    job = {
        "id": _TEXT,
        "kind": {"enum": ["text-to-image", "image-to-image"]},
        "status": {"enum": ["queued", "running", "succeeded", "failed", "canceled"]},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "created_at": _TIME,
        "queue_position": _COUNT,
        "finished_at": _TIME,
        "error": {"type": "object"},
        "results": {"type": "array", "items": {"type": "object"}},
    }
    may_lack = ("queue_position", "finished_at", "error")
    pictures = {"created": _COUNT, "seed": _COUNT, "data": _list("Picture")}
    more = {"output_format": {"enum": ["png", "webp", "jpeg"]}, "size": _TEXT}
    told = {"created": 1795294800, "seed": 7, "data": [_PICTURE]}
    model = _object({name: {} for name in _MODEL}, _MODEL)
    model["properties"] = {"id": _TEXT, "object": {"const": "model"}, "created": _COUNT} | {
        "owned_by": _TEXT
    }
    state = {"enum": [*_STATES]}
    return {
        "Picture": picture,
        "Pictures": _object(pictures, told),
        "OpenAIPictures": _object(
            pictures | more, {**told, "output_format": "png", "size": "64x64"}
        ),
        "Job": _object(job, _JOB, may_lack),
        "JobList": _object({"data": _list("Job")}, {"data": [_JOB]}),
        "State": _object({"status": state}, {"status": "ready"}),
        "Ready": _object({"status": {"const": "ready"}}, {"status": "ready"}),
        "Info": _object(
            {"service": {"const": "qwen-image"}, "state": state},
            {"service": "qwen-image", "state": "ready"},
        ),
        "Model": model,
        "ModelList": _object(
            {"object": {"const": "list"}, "data": _list("Model")},
            {"object": "list", "data": [_MODEL]},
        ),
        "Problem": _problem(),
    }


def _problem() -> dict[str, Any]:
    """The shape of every error.

    错误的结构。
    """
    example = problem(400, "Bad Request", "invalid_input", "`prompt` is empty.")
    error = {
        "message": _TEXT,
        "type": _TEXT,
        "code": _TEXT,
        "param": {"type": ["string", "null"]},
    }
    return _object(
        {
            "type": {**_TEXT, "pattern": "^urn:qwen-image:problem:"},
            "title": _TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": _TEXT,
            "instance": _TEXT,
            "error": _object(error, example["error"]),
            "request_id": _TEXT,
            "retryable": {"type": "boolean"},
        },
        example,
    )


def bodies(settings: Settings, limits: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas of all bodies, with the bounds that hold here.

    全部请求的结构，含当前的限制。
    """
    fields = _fields(AskEvent, settings, limits)
    fields["image"]["pattern"] = fields["mask"]["pattern"] = _BASE64
    now = {name: one for name, one in fields.items() if name != "api_key"}
    queued = {name: one for name, one in now.items() if name != "response_format"}
    files = {"image": _file("The source picture."), "mask": _file("Of its size; white is new.")}
    words, source = {"prompt": "a teapot shaped like a house"}, {"image": _PICTURE["b64_json"]}
    made = {
        "TextToImage": _ask(_of_text(now), ["prompt"], {**words, "steps": settings.steps}),
        "ImageToImage": _ask(_of_picture(now), ["prompt", "image"], {**words, **source}),
        "ImageToImageForm": _ask(
            _of_picture(now) | files, ["prompt", "image"], {**words, "image": "(the file)"}
        ),
    }
    for name, taken in (("Job", queued), ("Event", fields)):
        made[f"{name}OfText"] = _ask(_of_text(taken), ["prompt"], words)
        made[f"{name}OfPicture"] = _ask(_of_picture(taken), ["prompt", "image"], words | source)
        refs = [{"$ref": f"{REF}{name}OfText"}, {"$ref": f"{REF}{name}OfPicture"}]
        made[f"{name}Request"] = {"oneOf": refs, "examples": [words]}
    openai = _fields(Generation, settings, limits)
    openai["size"]["pattern"] = r"^(?:auto|[1-9][0-9]{1,3}x[1-9][0-9]{1,3})$"
    openai["stream"] = {"type": "boolean", "const": False}
    of_text = {name: one for name, one in openai.items() if name != "strength"}
    made["Generation"] = _ask(of_text, ["prompt"], {**words, "size": "auto"}, closed=False)
    made["Edit"] = _ask(
        openai | {"image": _file("The source picture."), "mask": _file("Clear where it is new.")},
        ["prompt", "image"],
        {**words, "image": "(the file)"},
        closed=False,
    )
    return made


def _fields(
    model: type[BaseModel], settings: Settings, limits: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """A model's fields without nulls and defaults, within the bounds that hold here.

    字段结构。
    """
    found = {}
    for name, schema in model.model_json_schema()["properties"].items():
        choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
        told = {**(choices[0] if len(choices) == 1 else {}), **schema}
        dropped = ("anyOf", "title", "default") if choices else ("title", "default")
        found[name] = {word: one for word, one in told.items() if word not in dropped}
    side = {
        "minimum": settings.min_side,
        "maximum": settings.max_side,
        "multipleOf": limits.get("side_step", 16),
    }
    steps = {"minimum": 2, "maximum": settings.max_steps}
    guidance = {"minimum": 1, "maximum": settings.max_guidance}
    bounds: dict[str, dict[str, Any]] = {
        "width": side,
        "height": side,
        "steps": steps,
        "num_inference_steps": steps,
        "guidance": guidance,
        "true_cfg_scale": guidance,
        "n": {"maximum": settings.max_images},
        "strength": {"exclusiveMinimum": 0, "maximum": 1},
        "prompt": {"pattern": _SHOWN},
        "negative_prompt": {"pattern": _NO_CONTROLS},
    }
    for name, bound in bounds.items():
        if name in found:
            found[name] |= bound
    return found


def _of_text(fields: Mapping[str, Any]) -> dict[str, Any]:
    without = ("image", "mask", "strength")
    kept = {name: one for name, one in fields.items() if name not in without}
    return kept | {"kind": {"type": "string", "enum": ["text-to-image"]}}


def _of_picture(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {**fields, "kind": {"type": "string", "enum": ["image-to-image"]}}


def _ask(
    fields: Mapping[str, Any], needed: list[str], example: Mapping[str, Any], *, closed: bool = True
) -> dict[str, Any]:
    """A request's schema; one that is not `closed` may hold more, which changes nothing.

    请求结构。
    """
    made = {
        "type": "object",
        "properties": dict(fields),
        "required": needed,
        "additionalProperties": not closed,
        "examples": [dict(example)],
    }
    if "response_format" in fields and closed:
        # One picture only is a PNG.
        several = {"properties": {"response_format": {"const": "b64_json"}}}
        alone = {"properties": {"n": {"maximum": 1}}}
        made["dependentSchemas"] = {"response_format": {"anyOf": [several, alone]}}
    return made


def _file(about: str) -> dict[str, Any]:
    return {"type": "string", "format": "binary", "description": about}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"{REF}{name}"}}


def _object(
    fields: Mapping[str, Any], example: Mapping[str, Any], may_lack: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(fields),
        "required": [name for name in fields if name not in may_lack],
        "examples": [dict(example)],
    }
