"""Prometheus metrics of the service: the queue, the batches, the steps, the memory, the answers.

服务的 Prometheus 指标。
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

_WAITS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_STEPS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
_BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 32)
_STATES = ("loading", "warming", "ready", "failed", "draining")


class Metrics:
    """All metrics, in a registry of their own: two services in one process do not mix.

    全部指标。
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._wait = self._histogram("wait_seconds", "Seconds from acceptance to start.", _WAITS)
        self._step = self._histogram("step_seconds", "Seconds per denoising step.", _STEPS)
        self._batch = self._histogram("batch_size", "Pictures per call of the model.", _BATCHES)
        self._memory_out = Counter(
            "qwen_image_out_of_memory", "Batches that did not fit.", registry=self.registry
        )
        self._tasks = Counter(
            "qwen_image_requests_ended",
            "Requests for pictures, by how they ended.",
            ["outcome"],
            registry=self.registry,
        )
        self._pictures = Counter(
            "qwen_image_pictures", "Pictures made and delivered.", registry=self.registry
        )
        self._answers = Counter(
            "qwen_image_http_requests",
            "HTTP requests, by route and status.",
            ["route", "status"],
            registry=self.registry,
        )

    def watch(
        self,
        depth: Callable[[], int],
        state: Callable[[], str],
        memory: Callable[[], dict[str, int]],
    ) -> None:
        """Ask for the queue's depth, the model's state and the memory whenever metrics are read.

        读取指标时再取队列深度、状态与内存。
        """
        Gauge("qwen_image_queue_depth", "Pictures that wait.", registry=self.registry).set_function(
            depth
        )
        self.registry.register(_Now(state, memory))

    def waited(self, seconds: float) -> None:
        """Count a request's wait.

        记录等待时间。
        """
        self._wait.observe(seconds)

    def step(self, seconds: float) -> None:
        """Count a denoising step.

        记录一步的时间。
        """
        self._step.observe(seconds)

    def batch(self, size: int) -> None:
        """Count a call of the model.

        记录一批的大小。
        """
        self._batch.observe(size)

    def out_of_memory(self) -> None:
        """Count a batch that did not fit.

        记录一次显存不足。
        """
        self._memory_out.inc()

    def ended(self, outcome: str, pictures: int = 0) -> None:
        """Count a request's end: `succeeded` or an error's code.

        记录一个请求的结局。
        """
        self._tasks.labels(outcome).inc()
        self._pictures.inc(pictures)

    def answered(self, route: str, status: int) -> None:
        """Count an HTTP answer.

        记录一个应答。
        """
        self._answers.labels(route, str(status)).inc()

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format.

        输出文本格式。
        """
        written: bytes = generate_latest(self.registry)
        return written

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"qwen_image_{name}", what, buckets=buckets, registry=self.registry)


class _Now:
    """What is true at the moment of reading."""

    def __init__(self, state: Callable[[], str], memory: Callable[[], dict[str, int]]) -> None:
        self._state = state
        self._memory = memory

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield the worker's state and the engine's memory, as they are when asked.

        采集状态与显存。
        """
        now = self._state()
        state = GaugeMetricFamily(
            "qwen_image_state", "1 for the state that the model is in.", labels=["state"]
        )
        for one in _STATES:
            state.add_metric([one], float(one == now))
        yield state
        memory = GaugeMetricFamily(
            "qwen_image_memory_bytes", "The engine's memory, by what it counts.", labels=["kind"]
        )
        for kind, count in self._memory().items():
            memory.add_metric([kind], float(count))
        yield memory
