"""Request bodies: their size and type, strict JSON, strict multipart; all in memory.

读取请求正文：限制大小，严格解析 JSON 和表单。
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NoReturn

from fastapi import Depends, Request

from functions.api.http.multipart import Part, parse
from shared import limits, wiring
from shared.errors import InvalidInput, TooLarge, UnsupportedFormat
from shared.limits import WAY_ROUND, Door, Platform

JSON_BYTES = 2**20
"""JSON without its pictures; a prompt and metadata need far less than this."""

JSON_VALUES = 200_000
"""JSON unpacks to many times its size in memory, by the number of its values."""

TEXT_BYTES = 2**20
"""All text fields of a form together, without pictures."""

DEEPEST = 8
"""How many objects and lists may lie in one another inside one field."""

_LARGEST = 2**63

_CHARSET = "_charset_"
"""The field in which browsers name the charset of a form's texts (RFC 7578 4.6)."""

_CHARSETS = frozenset(
    (
        *("utf-8", "utf8", "us-ascii", "iso-8859-1", "windows-1252"),
        *("gbk", "gb2312", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr"),
    )
)
"""Those that clients still send; not all of Python's, some of which take very long."""


@dataclass(frozen=True)
class Form:
    """What a body says: fields by name (JSON values, or texts of a form) and files by name.

    请求正文中的字段与文件。
    """

    fields: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    is_multipart: bool = False


async def read(request: Request) -> bytes:
    """The whole body; `TooLarge` as soon as more is announced or comes than gets through here.

    读取正文，超过上限立即拒绝。
    """
    limit = wiring.current().settings.body_bytes
    if not _is_event(request):  # what an event brings has come through
        limit = most(request, _door_of(request))
    message = f"The body is larger than {limit} bytes, the most that is taken here. {WAY_ROUND}"
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


def platform_of(request: Request) -> Platform:
    """Where this request came to.

    请求所在的平台。
    """
    return limits.platform_of(by_event=_is_event(request), environ=os.environ)


def _is_event(request: Request) -> bool:
    return "aws.event" in request.scope


def most(request: Request, door: Door) -> int:
    """How many bytes a body may have where this request came to.

    此处正文的字节上限。
    """
    return platform_of(request).most(door, wiring.current().settings.body_bytes)


def _door_of(request: Request) -> Door:
    return Door.JSON if _media_type(request) == "application/json" else Door.FORM


def _media_type(request: Request) -> str:
    named: str = request.headers.get("content-type", "")
    return named.partition(";")[0].strip().lower()


Body = Annotated[bytes, Depends(read)]
"""The request's body, as an endpoint's parameter."""


def form(request: Request, body: bytes, roles: Collection[str] = ()) -> Form:
    """The fields and files of a JSON or multipart body; `UnsupportedFormat` for other types.

    Fields in `roles` hold a file or, in JSON and in forms alike, a text that stands for one, which
    may be as long as the body.

    解析 JSON 或表单正文。
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedFormat("Send the body uncompressed.", param="Content-Encoding")
    media_type = _media_type(request)
    if media_type == "application/json":
        fields = json_object(body, roles=roles)
        # Null means left out.
        return Form(
            {name: one for name, one in fields.items() if one is not None or name not in roles}
        )
    if media_type == "multipart/form-data":
        return _from_parts(parse(body, request.headers["content-type"]), roles)
    raise UnsupportedFormat(
        "Send application/json or multipart/form-data.",
        code="content_type_unsupported",
        param="Content-Type",
    )


def json_object(body: bytes, param: str = "body", roles: Collection[str] = ()) -> dict[str, Any]:
    """The JSON object that `body` is; raises `InvalidInput` naming the field at fault. Texts of
    the fields in `roles` may be as long as the body.

    解析一个 JSON 对象。
    """
    large = len(body) > JSON_BYTES
    if large and (not roles or sum(map(body.count, (b",", b"[", b"{"))) > JSON_VALUES):
        raise _too_much_json(param)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{param} is not UTF-8.", code="invalid_json", param=param) from None
    value = _Reader(param).read(text)
    if not isinstance(value, dict):
        raise InvalidInput(f"{param} must be a JSON object.", param=param)
    texts = [value[role] for role in roles if isinstance(value.get(role), str)] if large else []
    if large and len(body) - sum(map(len, texts)) > JSON_BYTES:
        raise _too_much_json(param)
    for name, item in value.items():
        _check_value(name, param, 0)
        _check_value(item, name if param == "body" else param, 0)
    return value


def _too_much_json(param: str) -> TooLarge:
    message = f"{param} is larger than {JSON_BYTES} bytes of JSON, without the files in it."
    return TooLarge(message, param=param)


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


def _from_parts(parts: list[Part], roles: Collection[str]) -> Form:
    """The fields and the files of a multipart body; raises InvalidInput for a name that repeats.

    由各部分组成表单。
    """
    fields: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    usual = next((_text(part, "us-ascii") for part in parts if part.name == _CHARSET), None)
    usual = (usual or "utf-8").lower()
    left = TEXT_BYTES
    for part in parts:
        if part.name == _CHARSET:
            continue
        if part.name in fields or part.name in files:
            raise InvalidInput(
                f"{part.name} is there more than once.", code="duplicate_field", param=part.name
            )
        text = None if part.is_named else _text(part, usual)
        if text is None:
            files[part.name] = part.data
            continue
        _check_value(text, part.name, 0)
        fields[part.name] = text
        left -= 0 if part.name in roles else len(part.data)
        if left < 0:
            message = f"The form's text fields hold more than {TEXT_BYTES} bytes."
            raise TooLarge(message, param=part.name)
    return Form(fields, files, is_multipart=True)


def _text(part: Part, usual: str) -> str | None:
    """A part as a text, in the charset that it names or the `usual` one; None where it is none:
    some clients send a file's bytes and say nothing of them.

    文本字段的内容。
    """
    charset = part.charset or usual
    if b"\0" in part.data or charset not in _CHARSETS:
        return None
    try:
        return part.data.decode(charset)
    except UnicodeDecodeError:
        return None
