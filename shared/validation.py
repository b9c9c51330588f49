"""What pydantic found wrong with a value, as one sentence that a caller can act on.

把校验错误写成调用方看得懂的一句话。
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

LONGEST_SHOWN = 40
"""Characters of a text that was given; more of it would hide the rest of the sentence."""

_TYPES: Mapping[str, str] = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "a text",
    "dict": "an object",
    "mapping": "an object",
    "model": "an object",
    "list": "a list",
    "tuple": "a list",
    "datetime": "a time such as 2026-11-21T21:00:00Z",
}
"""What is wanted, by how the names of pydantic's errors about types begin."""

_SIZES: Mapping[str, str] = {
    "string_too_long": "may have {max_length} {what} at most",
    "string_too_short": "must have {min_length} {what} at least",
    "too_long": "may have {max_length} {what} at most",
    "too_short": "must have {min_length} {what} at least",
}

_LOW: Mapping[str, str] = {"ge": "at least", "gt": "above"}
_HIGH: Mapping[str, str] = {"le": "at most", "lt": "below"}


def sentence(fault: Mapping[str, Any], name: str, model: type[BaseModel] | None = None) -> str:
    """One of `ValidationError.errors()` as a sentence: the field's name, what it must be, and what
    was given; of a number in a `model`, both its bounds.

    一条校验错误的说明。
    """
    kind, context = str(fault["type"]), fault.get("ctx") or {}
    if kind == "missing":
        return f"{name} is needed."
    if kind == "value_error":
        return f"{name}: {str(fault['msg']).removeprefix('Value error, ')}."
    given = fault.get("input")
    if kind in _SIZES:
        what = "characters" if isinstance(given, str) else "entries"
        return f"{name} {_SIZES[kind].format(what=what, **context)}; it has {_size(given)}."
    wanted = _wanted(kind, context, _field(fault, model))
    if wanted is None:
        return f"{name}: {fault['msg']}."
    return f"{name} must be {wanted}; {shown(given)} was given."


def shown(value: Any) -> str:
    """A value that was given, short enough for a sentence.

    给出的值的简短写法。
    """
    if isinstance(value, str):
        cut = value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + "…"
        return json.dumps(cut, ensure_ascii=False)
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    return "an object" if isinstance(value, Mapping) else "a list"


def _wanted(kind: str, context: Mapping[str, Any], field: FieldInfo | None) -> str | None:
    """What the value must be; None for an error that there is no better word for than pydantic's.

    应有的值。
    """
    if kind in ("literal_error", "enum"):
        return str(context["expected"])
    if kind == "multiple_of":
        return f"a multiple of {context['multiple_of']}"
    bounds = {sign: context[sign] for sign in (*_LOW, *_HIGH) if sign in context}
    if bounds:
        return _range({**_bounds(field), **bounds})
    return next((text for start, text in _TYPES.items() if kind.startswith(f"{start}_")), None)


def _range(bounds: Mapping[str, Any]) -> str:
    told = {sign: _plain(bound) for sign, bound in bounds.items()}
    if "ge" in told and "le" in told:
        return f"from {told['ge']} to {told['le']}"
    words = {**_LOW, **_HIGH}
    return " and ".join(f"{words[sign]} {told[sign]}" for sign in words if sign in told)


def _plain(bound: Any) -> str:
    whole = isinstance(bound, float) and bound.is_integer()
    return str(int(bound) if whole else bound)


def _field(fault: Mapping[str, Any], model: type[BaseModel] | None) -> FieldInfo | None:
    place = fault["loc"]
    return model.model_fields.get(str(place[0])) if model is not None and len(place) == 1 else None


def _bounds(field: FieldInfo | None) -> dict[str, Any]:
    """The bounds that a field declares."""
    found: dict[str, Any] = {}
    for limit in field.metadata if field is not None else ():
        for sign in (*_LOW, *_HIGH):
            bound = getattr(limit, sign, None)
            if bound is not None:
                found[sign] = bound
    return found


def _size(value: Any) -> str:
    return str(len(value)) if hasattr(value, "__len__") else "another number"
