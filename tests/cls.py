"""The log service CLS as far as our queries go: what SCF hands on of a line, what a query finds.

按腾讯云日志服务的规则读取日志行并执行查询。
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable
from typing import Any

_TERM = re.compile(r'(\w+):(?:"([^"]*)"|(>=|>|<|<=)(\d+))')


def delivered(line: str) -> dict[str, Any]:
    """What CLS gets of one line: the numbers and texts of a JSON object's first level (document
    583/18032), else the line as it is."""
    try:
        said = json.loads(line, parse_constant=_refuse)
    except ValueError:
        return {"SCF_Message": line}
    if not isinstance(said, dict):
        return {"SCF_Message": line}
    return {name: value for name, value in said.items() if type(value) in (int, float, str)}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def condition_of(query: str) -> str:
    return query.partition(" | ")[0]


def searched(query: str) -> dict[str, set[str]]:
    """The fields that a query's condition asks for, and the texts it asks for in each."""
    found: dict[str, set[str]] = {}
    for field, text, _, _ in _TERM.findall(condition_of(query)):
        found.setdefault(field, set()).update({text} if text else ())
    return found


def analysed(query: str) -> set[str]:
    """The fields that a query's SQL names; all of them in double quotes, as CLS wants them."""
    return set(re.findall(r'"(\w+)"', query.partition(" | ")[2]))


def run(query: str, lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that a query gives on these lines; a query without SQL gives the lines themselves.

    The condition becomes a WHERE; SQLite does the rest, with CLS's own functions beside its own.
    """
    kept = list(lines)
    names = sorted({name for line in kept for name in line} | searched(query).keys())
    names = sorted({*names, *analysed(query), "__TIMESTAMP__"})
    columns = ", ".join(f'"{name}"' for name in names)
    with sqlite3.connect(":memory:") as database:
        database.create_function("time_series", 4, lambda *_: "2026-11-28T00:00:00+08:00")
        database.create_aggregate("approx_percentile", 2, _Percentile)  # type: ignore[arg-type]
        database.execute(f"create table logs ({columns})")
        marks = ", ".join("?" for _ in names)
        for line in kept:
            database.execute(
                f"insert into logs values ({marks})", [line.get(name) for name in names]
            )
        cursor = database.execute(_sql(query))
        titles = [column[0] for column in cursor.description]
        return [dict(zip(titles, row, strict=True)) for row in cursor]


def _sql(query: str) -> str:
    condition, _, select = query.partition(" | ")

    def term(match: re.Match[str]) -> str:
        field, text, operator, number = match.groups()
        return f'"{field}" {operator} {number}' if operator else f"\"{field}\" = '{text}'"

    where = _TERM.sub(term, condition)
    head, middle, tail = (select or "select *").partition(" group by ")
    return f"{head} from logs where {where}{middle}{tail}"


class _Percentile:
    """SQLite's aggregate for `approx_percentile(x, share)`: the value that so many are below."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._share = 0.0

    def step(self, value: float, share: float) -> None:
        self._values.append(value)
        self._share = share

    def finalize(self) -> float:
        place = min(int(len(self._values) * self._share), len(self._values) - 1)
        return sorted(self._values)[place]
