"""What is measured, and how measurements are gathered; where they go is an adapter's business.

度量的定义与汇总，与具体的监控服务无关。
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

log = logging.getLogger("maquette.metrics")

EVERY = 30.0
"""Seconds that a value is kept unwritten, about: so much a killed worker loses."""
MOST = 99
"""Values of one metric that are kept; EMF takes 100 an object."""


class Keep(Enum):
    """What is kept of several values between two writes: each, their sum, or the highest.

    多个数值的汇总方式。
    """

    EACH = "each"
    SUM = "sum"
    HIGHEST = "highest"


@dataclass(frozen=True)
class Metric:
    """One thing that is measured. `unit` is CloudWatch's word.

    `dimensions` have few values each: never an id, a caller or a URL. `also` names some of them
    by which the values are shown a second time, where one alarm should watch them all.

    一项度量。
    """

    name: str
    unit: str
    dimensions: tuple[str, ...] = ()
    keep: Keep = Keep.EACH
    also: tuple[str, ...] | None = None


JOBS_ENTERED = Metric("JobsEntered", "Count", ("kind", "status"), Keep.SUM, ("status",))
JOB_SECONDS = Metric("JobSeconds", "Seconds", ("kind", "status"))
CHECKS_PER_JOB = Metric("ChecksPerJob", "Count", ("kind",))
BYTES_STORED = Metric("BytesStored", "Bytes", ("kind",))
QUEUE_AGE = Metric("QueueAge", "Seconds", ("queue",), Keep.HIGHEST, ())
PROVIDER_SECONDS = Metric("ProviderSeconds", "Seconds", ("provider", "operation"))
PROVIDER_ERRORS = Metric(
    "ProviderErrors", "Count", ("provider", "operation", "error"), Keep.SUM, ("provider",)
)
DELIVERIES = Metric("Deliveries", "Count", ("result",), Keep.SUM)
CLAIMS_LOST = Metric("ClaimsLost", "Count", (), Keep.SUM)
RECORDS_SET_ASIDE = Metric("RecordsSetAside", "Count", ("reason",), Keep.SUM)

ALL = (
    JOBS_ENTERED,
    JOB_SECONDS,
    CHECKS_PER_JOB,
    BYTES_STORED,
    QUEUE_AGE,
    PROVIDER_SECONDS,
    PROVIDER_ERRORS,
    DELIVERIES,
    CLAIMS_LOST,
    RECORDS_SET_ASIDE,
)


class Metrics(Protocol):
    """Takes measurements, from any thread; neither method ever raises or waits for a network.

    接收度量数据。
    """

    def add(self, metric: Metric, value: float = 1, /, **dimensions: str) -> None:
        """Note a value, with exactly the metric's dimensions.

        记录一个数值。
        """

    def flush(self) -> None:
        """Write what was gathered since the last time.

        写出已汇总的数据。
        """


class Off:
    """Measures nothing.

    不做度量。
    """

    def add(self, metric: Metric, value: float = 1, /, **dimensions: str) -> None:
        """Pass over a value.

        忽略数值。
        """

    def flush(self) -> None:
        """Write nothing.

        什么也不写。
        """


OFF = Off()


@dataclass(frozen=True)
class Series:
    """The values of one metric with the same dimensions.

    同一维度下的一组数值。
    """

    metric: Metric
    dimensions: Mapping[str, str]
    values: list[float] = field(default_factory=list)

    def keep(self, value: float) -> None:
        """Take one more value, as the metric keeps them.

        加入一个数值。
        """
        if self.metric.keep is Keep.EACH or not self.values:
            self.values.append(value)
        elif self.metric.keep is Keep.SUM:
            self.values[0] += value
        else:
            self.values[0] = max(self.values[0], value)


class Gathered:
    """Keeps values in memory; hands them to `write` on `flush`, every `EVERY` seconds, and before
    there are too many. `now` is milliseconds. What cannot be written is lost.

    在内存中汇总，定期写出。
    """

    def __init__(self, write: Callable[[Sequence[Series]], None], now: Callable[[], int]) -> None:
        self._write = write
        self._now = now
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._series: dict[tuple[str, ...], Series] = {}
        self._since = 0

    def add(self, metric: Metric, value: float = 1, /, **dimensions: str) -> None:
        """Note a value; one that is no finite number, or has other dimensions, is passed over.

        记录一个数值。
        """
        try:
            if dimensions.keys() != set(metric.dimensions) or not math.isfinite(value):
                raise ValueError(f"{metric.name} is not measured by {value!r}, {dimensions}")
            if self._keep(metric, value, dimensions):
                self.flush()
        except Exception:
            log.warning("a measurement was lost", exc_info=True)

    def flush(self) -> None:
        """Write what was gathered since the last time.

        写出已汇总的数据。
        """
        try:
            with self._lock:
                taken, self._series = self._series, {}
            if taken:
                with self._writing:
                    self._write(list(taken.values()))
        except Exception:
            log.warning("measurements were lost", exc_info=True)

    def _keep(self, metric: Metric, value: float, dimensions: Mapping[str, str]) -> bool:
        """Keep a value; whether it is time to write.

        累积一个指标值。
        """
        named = {name: dimensions[name] for name in metric.dimensions}
        key = (metric.name, *named.values())
        with self._lock:
            if not self._series:
                self._since = self._now()
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = Series(metric, named)
            series.keep(value)
            return len(series.values) >= MOST or self._now() - self._since >= EVERY * 1000
