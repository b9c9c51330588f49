"""The variables of serverless.yml, `${opt:stage, 'dev'}` and the like, put in.

A small part of what osls knows (its guide, "Variables"): `sls:stage`, `opt:`, `env:`, `self:` and
`param:`-less literals, one inside the other, each with alternatives after commas. What else stands
there is an error, never a text that goes out as it is.

解析 serverless.yml 中的变量。
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_INNERMOST = re.compile(r"\$\{([^${}]*)\}")
_PARTS = re.compile(r"\s*('[^']*'|\"[^\"]*\"|[^,]+)\s*(?:,|$)")
_NUMBER = re.compile(r"-?\d+")
_WORDS = {"true": True, "false": False, "null": None}
_DEEPEST = 50


class VariableError(Exception):
    """A variable that cannot be put in; the message says which and why.

    无法解析的变量。
    """


def resolved(
    document: Mapping[str, Any], options: Mapping[str, str], environ: Mapping[str, str]
) -> dict[str, Any]:
    """A document without variables; raises `VariableError`.

    `options` are those of the command line (`stage`, `region`), `environ` the environment.

    解析整个文档。
    """
    found = _Sources(document, options, environ).walk(document, 0)
    assert isinstance(found, dict)
    return found


class _Sources:
    """Where variables come from: the document, the command line, the environment."""

    def __init__(
        self, document: Mapping[str, Any], options: Mapping[str, str], environ: Mapping[str, str]
    ) -> None:
        self._document, self._options, self._environ = document, options, environ

    def walk(self, value: Any, depth: int) -> Any:
        """The value with its variables put in, at every depth.

        逐层替换。
        """
        if depth > _DEEPEST:
            raise VariableError(f"{value!r} leads back to itself")
        if isinstance(value, Mapping):
            return {key: self.walk(item, depth) for key, item in value.items()}
        if isinstance(value, list):
            return [self.walk(item, depth) for item in value]
        if not isinstance(value, str):
            return value
        match = _INNERMOST.search(value)
        if match is None:
            return value
        put = self.walk(self._first(match[1], depth), depth + 1)
        if match.span() == (0, len(value)):
            return put
        if isinstance(put, (dict, list)):
            raise VariableError(f"${{{match[1]}}} is no text, and stands within one")
        text = "" if put is None else str(put)
        return self.walk(value[: match.start()] + text + value[match.end() :], depth + 1)

    def _first(self, inside: str, depth: int) -> Any:
        """The first of the alternatives that there is."""
        for one in _PARTS.finditer(inside):
            found, value = self._one(one[1].strip(), depth)
            if found:
                return value
        raise VariableError(f"${{{inside}}} is not set, and nothing stands in its place")

    def _one(self, text: str, depth: int) -> tuple[bool, Any]:
        """Whether one alternative has a value, and the value.

        求一个候选值。
        """
        if text[:1] in "'\"":
            return True, text[1:-1]
        if _NUMBER.fullmatch(text):
            return True, int(text)
        if text in _WORDS:
            return True, _WORDS[text]
        kind, _, name = text.partition(":")
        if kind == "opt":
            return name in self._options, self._options.get(name)
        if kind == "env":
            return name in self._environ, self._environ.get(name)
        if text == "sls:stage":
            return True, self._options.get("stage") or self._stage(depth)
        if kind == "self":
            return self._in_document(name)
        raise VariableError(f"${{{text}}}: variables of this kind are not known here")

    def _stage(self, depth: int) -> Any:
        return self.walk(self._document.get("provider", {}).get("stage", "dev"), depth + 1)

    def _in_document(self, path: str) -> tuple[bool, Any]:
        value: Any = self._document
        for name in path.split("."):
            if not isinstance(value, Mapping) or name not in value:
                return False, None
            value = value[name]
        return value is not None, value
