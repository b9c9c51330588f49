"""CloudWatch's Embedded Metric Format, read as strictly as its specification says.

严格按规范读取 EMF 文本。
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

UNITS = {unit.value for unit in MetricUnit}


@dataclass(frozen=True)
class Point:
    """The values of one metric under one set of dimensions."""

    name: str
    unit: str
    dimensions: tuple[tuple[str, str], ...]
    values: tuple[float, ...]

    def __getitem__(self, dimension: str) -> str | None:
        return dict(self.dimensions).get(dimension)


def points(line: str) -> list[Point]:
    """What CloudWatch makes of one line; `AssertionError` where it would drop it.

    The limits are those of "Specification: Embedded metric format" and "PutMetricData".

    解析并检查一行 EMF。
    """
    assert len(line.encode()) <= 2**20
    root = json.loads(line, parse_constant=_refuse)
    assert isinstance(root, dict)
    about = root["_aws"]
    assert set(about) == {"Timestamp", "CloudWatchMetrics"}
    assert type(about["Timestamp"]) is int
    assert about["Timestamp"] > 1_600_000_000_000
    assert about["CloudWatchMetrics"]
    return [
        point for directive in about["CloudWatchMetrics"] for point in _directed(root, directive)
    ]


def _directed(root: dict[str, Any], directive: dict[str, Any]) -> list[Point]:
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert directive["Namespace"] == "Maquette"
    assert directive["Dimensions"]
    assert 1 <= len(directive["Metrics"]) <= 100
    names = [metric["Name"] for metric in directive["Metrics"]]
    assert len(set(names)) == len(names)
    found = []
    for wanted in directive["Dimensions"]:
        assert len(wanted) <= 29
        assert len(set(wanted)) == len(wanted)
        dimensions = tuple((name, _dimension(root, name)) for name in wanted)
        for metric in directive["Metrics"]:
            assert metric["Unit"] in UNITS
            found.append(Point(metric["Name"], metric["Unit"], dimensions, _values(root, metric)))
    return found


def _dimension(root: dict[str, Any], name: str) -> str:
    value = root[name]
    assert isinstance(value, str)
    assert value.strip()
    assert value.isascii()
    assert len(value) <= 1024
    assert 1 <= len(name) <= 250
    assert not name.startswith(":")
    return value


def _values(root: dict[str, Any], metric: dict[str, Any]) -> tuple[float, ...]:
    kept = root[metric["Name"]]
    values = kept if isinstance(kept, list) else [kept]
    assert 1 <= len(values) <= 100
    assert all(type(value) in (int, float) and math.isfinite(value) for value in values)
    return tuple(float(value) for value in values)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def read(text: str) -> list[Point]:
    """All points of an output that is nothing but EMF lines.

    读取全部 EMF 行。
    """
    return [point for line in text.splitlines() for point in points(line)]


def totals(found: list[Point], name: str, *by: str) -> dict[Any, float]:
    """The sums of a metric by some dimensions, from the points with all of its dimensions only.

    按维度求和。
    """
    named = [point for point in found if point.name == name]
    most = max((len(point.dimensions) for point in named), default=0)
    sums: Counter[Any] = Counter()
    for point in named:
        if len(point.dimensions) == most:
            key = tuple(point[dimension] for dimension in by)
            sums[key[0] if len(key) == 1 else key] += sum(point.values)  # type: ignore[assignment]
    return dict(sums)
