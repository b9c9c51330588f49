"""Measurements as lines of CloudWatch's Embedded Metric Format on stdout.

Powertools checks and shapes each object. Its usual way, one collector with the dimensions of the
moment and a decorator that writes at the end, fits neither several sets of dimensions nor threads:
so there is one short-lived collector for each set, and the finished line is written here, by a
single write (its own `print` makes two, between which another thread's line may come).

把度量数据以 CloudWatch EMF 格式写到标准输出。
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence

from shared.metrics import Series

NAMESPACE = "Maquette"


class Emf:
    """Writes measurements of one stage; every object has the dimension `stage`.

    写出某个环境的度量数据。
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def __call__(self, gathered: Sequence[Series]) -> None:
        """Write one line for each set of dimensions.

        每组维度写一行。
        """
        for line in lines(self._stage, gathered):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()


def lines(stage: str, gathered: Sequence[Series]) -> Iterator[str]:
    """The EMF objects, each on one line; metrics with the same dimensions share one.

    生成 EMF 文本。
    """
    groups: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    for series in gathered:
        also = series.metric.also
        groups[tuple(sorted(series.dimensions.items())), also].append(series)
    for group in groups.values():
        yield _line(stage, group)


def _line(stage: str, group: Sequence[Series]) -> str:
    """One line of CloudWatch's embedded metric format for series of the same dimensions.

    一行 EMF 指标。
    """
    from aws_lambda_powertools.metrics import EphemeralMetrics

    # No service, else a variable of Powertools' could add a dimension.
    collector = EphemeralMetrics(namespace=NAMESPACE, service="")
    dimensions, also = group[0].dimensions, group[0].metric.also
    for name, value in {"stage": stage, **dimensions}.items():
        collector.add_dimension(name, value)
    if also is not None:
        collector.add_dimensions(stage=stage, **{name: dimensions[name] for name in also})
    for series in group:
        for number in series.values:
            collector.add_metric(series.metric.name, series.metric.unit, number)
    return json.dumps(collector.serialize_metric_set(), separators=(",", ":"), allow_nan=False)
