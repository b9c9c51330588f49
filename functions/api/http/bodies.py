"""Request bodies: their size and type, strict JSON, strict multipart; all in memory.

读取请求正文：限制大小，严格解析 JSON 和表单。
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NoReturn

from fastapi import Depends, Request

from functions.api.http.multipart import Part, parse
from shared import wiring
from shared.errors import InvalidInput, TooLarge, UnsupportedFormat

JSON_BYTES = 2**20
"""JSON unpacks to many times its size in memory; a prompt and metadata need far less than this."""

DEEPEST = 8
"""How many objects and lists may lie in one another inside one field."""

_LARGEST = 2**63


@dataclass(frozen=True)
class Form:
    """What a body says: fields by name (JSON values, or texts of a form) and files by name.

    请求正文中的字段与文件。
    """

    fields: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    is_multipart: bool = False


async def read(request: Request) -> bytes:
    """The whole body; `TooLarge` as soon as more is announced or comes than the settings allow.

    读取正文，超过上限立即拒绝。
    """
    limit = wiring.current().settings.body_bytes
    message = f"The body is larger than {limit} bytes."
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > limit):
        raise TooLarge(message, param="body")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge(message, param="body")
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


Body = Annotated[bytes, Depends(read)]
"""The request's body, as an endpoint's parameter."""


def form(request: Request, body: bytes) -> Form:
    """The fields and files of a JSON or multipart body; `UnsupportedFormat` for other types.

    解析 JSON 或表单正文。
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedFormat("Send the body uncompressed.", param="Content-Encoding")
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json":
        return Form(json_object(body))
    if media_type == "multipart/form-data":
        return _from_parts(parse(body, content_type))
    raise UnsupportedFormat(
        "Send application/json or multipart/form-data.",
        code="content_type_unsupported",
        param="Content-Type",
    )


def json_object(body: bytes, param: str = "body") -> dict[str, Any]:
    """The JSON object that `body` is; raises `InvalidInput` naming the field at fault.

    解析一个 JSON 对象。
    """
    if len(body) > JSON_BYTES:
        raise TooLarge(f"{param} is larger than {JSON_BYTES} bytes of JSON.", param=param)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{param} is not UTF-8.", code="invalid_json", param=param) from None
    value = _Reader(param).read(text)
    if not isinstance(value, dict):
        raise InvalidInput(f"{param} must be a JSON object.", param=param)
    for name, item in value.items():
        _check_value(name, param, 0)
        _check_value(item, name if param == "body" else param, 0)
    return value


def text_of(data: bytes, param: str) -> str:
    """The text of a form field, checked like one in JSON.

    解码表单中的文本字段。
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{param} is not UTF-8.", param=param) from None
    _check_value(text, param, 0)
    return text


class _Reader:
    """JSON as the standard has it: no NaN, no endless numbers, no name twice."""

    def __init__(self, param: str) -> None:
        self._param = param

    def read(self, text: str) -> Any:
        """The value of a JSON text; raises InvalidInput, with the place, for what cannot be kept.

        读取 JSON。
        """
        try:
            return json.loads(
                text,
                parse_constant=self._no_number,
                parse_float=self._float,
                parse_int=self._int,
                object_pairs_hook=self._object,
            )
        except json.JSONDecodeError as error:
            self._refuse(f"not valid JSON: {error.msg} (line {error.lineno}, {error.colno})")
        except RecursionError:
            self._refuse("nested too deeply")

    def _refuse(self, what: str) -> NoReturn:
        raise InvalidInput(f"{self._param} is {what}.", code="invalid_json", param=self._param)

    def _no_number(self, text: str) -> NoReturn:
        self._refuse(f"not valid JSON: {text} is no number")

    def _float(self, text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            self._refuse("not usable: a number in it is too large")
        return number

    def _int(self, text: str) -> int:
        # The length first: making a number of a million digits takes very long.
        if len(text) > 20 or abs(int(text)) > _LARGEST:
            self._refuse("not usable: a number in it is too large")
        return int(text)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            for name, _ in pairs:
                if name not in found:
                    raise InvalidInput(
                        f"{name} is there twice.", code="duplicate_field", param=name or self._param
                    )
                del found[name]
        return found


def _check_value(value: Any, param: str, depth: int) -> None:
    """Refuse what cannot be kept everywhere: NUL, half characters, nesting without end.

    检查值能否保存。
    """
    if depth > DEEPEST:
        raise InvalidInput(f"{param} is nested more than {DEEPEST} deep.", param=param)
    if isinstance(value, str):
        _check_text(value, param)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, param)
            _check_value(item, param, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_value(item, param, depth + 1)


def _check_text(text: str, param: str) -> None:
    if "\0" in text:
        raise InvalidInput(f"{param} holds a NUL character.", param=param)
    if not text.isascii() and any("\ud800" <= one <= "\udfff" for one in text):
        raise InvalidInput(f"{param} holds half of a surrogate pair.", param=param)


def _from_parts(parts: list[Part]) -> Form:
    """The fields and the files of a multipart body; raises InvalidInput for a name that repeats.

    由各部分组成表单。
    """
    fields: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for part in parts:
        if part.name in fields or part.name in files:
            raise InvalidInput(
                f"{part.name} is there more than once.", code="duplicate_field", param=part.name
            )
        if part.is_file:
            files[part.name] = part.data
        else:
            fields[part.name] = text_of(part.data, part.name)
    return Form(fields, files, is_multipart=True)
