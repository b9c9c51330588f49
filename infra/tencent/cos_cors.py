"""A bucket's rules for pages of other origins, as COS keeps and applies them.

Document 436/8279 ("PUT Bucket cors") and 436/8288 ("OPTIONS Object").

存储桶的跨域规则。
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

_ORIGIN = "origin"
_METHOD = "access-control-request-method"
_HEADERS = "access-control-request-headers"
_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


@dataclass(frozen=True)
class Rule:
    """Who may ask, by what methods and with which headers, what a page may read of an answer, and
    for how many seconds a browser need not ask again.

    一条跨域规则。
    """

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    seconds: str | None


def rules_of(document: bytes) -> list[Rule]:
    """The rules in the XML of a `PUT Bucket cors`.

    解析跨域规则。
    """
    return [
        Rule(
            origins=_texts(rule, "AllowedOrigin"),
            methods=_texts(rule, "AllowedMethod"),
            headers=_texts(rule, "AllowedHeader"),
            exposed=_texts(rule, "ExposeHeader"),
            seconds=rule.findtext("MaxAgeSeconds"),
        )
        for rule in ElementTree.fromstring(document).findall("CORSRule")
    ]


def allowed(rules: Sequence[Rule], headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What a page of the origin that a request comes from is told with its answer; nothing where no
    page asks or no rule is its origin's.

    跨域响应头。
    """
    origin = headers.get(_ORIGIN)
    for rule in rules if origin is not None else ():
        if _matches(rule.origins, str(origin)):
            return _told(rule, str(origin))
    return []


def preflight(rules: Sequence[Rule], headers: Mapping[str, str]) -> list[tuple[str, str]] | None:
    """The answer to a browser that asks beforehand; None where no rule allows it.

    预检请求的响应头。
    """
    origin, method = headers.get(_ORIGIN), headers.get(_METHOD)
    wanted = headers.get(_HEADERS, "")
    names = [name.strip().lower() for name in wanted.split(",") if name.strip()]
    for rule in rules if origin is not None and method is not None else ():
        permitted = tuple(one.lower() for one in rule.headers)
        if (
            _matches(rule.origins, str(origin))
            and method in rule.methods
            and all(_matches(permitted, name) for name in names)
        ):
            return [("Access-Control-Allow-Headers", wanted)] if wanted else []
    return None


def _texts(rule: ElementTree.Element, name: str) -> tuple[str, ...]:
    return tuple((found.text or "").strip() for found in rule.findall(name))


def _told(rule: Rule, origin: str) -> list[tuple[str, str]]:
    found = [
        ("Access-Control-Allow-Origin", "*" if "*" in rule.origins else origin),
        ("Access-Control-Allow-Methods", ", ".join(rule.methods)),
        ("Access-Control-Expose-Headers", ", ".join(rule.exposed)),
        ("Vary", _VARY),
    ]
    if rule.seconds is not None:
        found.append(("Access-Control-Max-Age", rule.seconds))
    return found


def _matches(patterns: Sequence[str], value: str) -> bool:
    # Only "*" stands for anything.
    return any(fnmatchcase(value, one.replace("[", "[[]").replace("?", "[?]")) for one in patterns)
