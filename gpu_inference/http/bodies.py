"""Request bodies: JSON, or a form with the source picture as a file, read within bounds.

请求体：JSON 或带文件的表单。
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import Request

from gpu_inference.errors import InvalidInput, TooLarge, UnsupportedFormat
from gpu_inference.http.problems import invalid

_FIELDS = 50
_FILES = 8

Body = TypeVar("Body", bound=BaseModel)


async def read_json(request: Request, model: type[Body]) -> Body:
    """Read a JSON body; raises InvalidInput naming every fault.

    读取 JSON 请求体。
    """
    kind = _media_type(request)
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedFormat(f"The body is {kind}; it must be application/json.")
    try:
        told = json.loads(await request.body())
    except ValueError as error:
        raise InvalidInput("The body is no JSON.", code="invalid_json") from error
    return validated(model, told)


async def read_form(
    request: Request, model: type[Body], limit: int, files: tuple[str, ...] = ("image", "mask")
) -> tuple[Body, dict[str, list[bytes]]]:
    """Read a multipart form: its fields, and the contents of the named file fields by name.

    What nobody filled, or chose a file for, is left out.

    读取带文件的表单。
    """
    found: dict[str, list[bytes]] = {}
    fields: dict[str, Any] = {}
    async with request.form(max_files=_FILES, max_fields=_FIELDS, max_part_size=limit) as form:
        for name, value in form.multi_items():
            if not isinstance(value, UploadFile):
                data = _unnamed(value) if name in files else None
                if data is not None:
                    found.setdefault(name, []).append(data)
                elif value:
                    fields[name] = value
            elif not value.size and not value.filename:
                continue
            elif name not in files:
                raise InvalidInput(f"No file is expected in `{name}`.", param=name)
            elif (value.size or 0) > limit:
                raise TooLarge(f"A picture may have {limit} bytes.", param=name)
            else:
                found.setdefault(name, []).append(await value.read())
    return validated(model, fields), found


def _unnamed(text: str) -> bytes | None:
    """Return the file that was sent without a name, which Starlette takes for a text; its bytes
    are no UTF-8, and read as Latin-1 then.

    未命名的文件内容。
    """
    try:
        return None if text.isascii() else text.encode("latin-1")
    except UnicodeEncodeError:
        return None


def documented(model: type[BaseModel], *media_types: str) -> dict[str, Any]:
    """Return what OpenAPI says of a body that a route reads by itself; JSON unless told.

    路由请求体的 OpenAPI 说明。
    """
    schema = model.model_json_schema()
    content = {kind: {"schema": schema} for kind in media_types or ("application/json",)}
    return {"requestBody": {"required": True, "content": content}}


def is_form(request: Request) -> bool:
    """Say whether the body is a multipart form.

    是否为 multipart 表单。
    """
    return _media_type(request) == "multipart/form-data"


def validated(model: type[Body], told: Any) -> Body:
    """Return the body as the model; raises InvalidInput naming every fault.

    按模型校验。
    """
    try:
        return model.model_validate(told)
    except ValidationError as error:
        raise invalid(error, list(error.errors())) from error  # type: ignore[arg-type]


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
