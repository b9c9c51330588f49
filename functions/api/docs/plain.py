"""Pydantic's schemas as client generators want them: nothing nullable that may be left out, no
defaults, no titles.

整理 pydantic 生成的结构，便于生成客户端。
"""

from __future__ import annotations

from typing import Any

_NULL = {"type": "null"}


def plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A request's schema: what may be null may be left out as well, and only that is told.

    Defaults become words of the description: generators take a field with one for a field that is
    always there, and then demand it or send it. Titles only repeat the names.

    请求结构：可为空的字段只写成可省略，默认值写进说明。
    """
    made = _flat({name: _inside(value) for name, value in schema.items() if name != "title"})
    if "default" in made:
        default = made.pop("default")
        if default is not None:
            said = f"Left out: {_told(default)}."
            made["description"] = f"{made.get('description', '')} {said}".strip()
    return made


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    """The properties of an object's schema, each made plain.

    对象的各字段。
    """
    return {name: plain(one) for name, one in schema.get("properties", {}).items()}


def _inside(value: Any) -> Any:
    """What lies below a keyword: schemas by their names, a list of schemas, or one schema."""
    if isinstance(value, dict):
        if "type" in value or "anyOf" in value or "$ref" in value:
            return plain(value)
        return {name: _inside(one) for name, one in value.items()}
    return [_inside(one) for one in value] if isinstance(value, list) else value


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """A choice between null and one thing is that thing."""
    choices = [one for one in schema.get("anyOf", ()) if one != _NULL]
    if not choices:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**choices[0], **rest} if len(choices) == 1 else {"anyOf": choices, **rest}


def _told(default: Any) -> str:
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
