"""Measurements as lines of JSON on stdout, which SCF delivers to the log service CLS.

Of a line that is JSON, SCF hands on the members of the first level whose values are numbers or
texts, and drops the rest (document 583/18032): so a line is one value of one metric, flat, which
the queries in `infra/tencent/cls` add up.

把度量数据以 JSON 行写到标准输出，由云函数投递到日志服务。
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence

from shared.metrics import Series


class Cls:
    """Writes measurements of one stage.

    写出某个环境的度量数据。
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def __call__(self, gathered: Sequence[Series]) -> None:
        """Write one line for each value; each by a single write, so that no other comes between.

        每个数值写一行。
        """
        for line in lines(self._stage, gathered):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()


def lines(stage: str, gathered: Sequence[Series]) -> Iterator[str]:
    """The lines: `metric`, `unit`, `value`, `stage`, and the metric's dimensions by their names.

    What a queue's highest age or a sum was is one value already; others are written each, for a
    percentile cannot be made of percentiles.

    生成 JSON 行。
    """
    for series in gathered:
        said = {
            "metric": series.metric.name,
            "unit": series.metric.unit,
            "stage": stage,
            **series.dimensions,
        }
        for number in series.values:
            yield json.dumps({**said, "value": number}, separators=(",", ":"), allow_nan=False)
