"""A provider whose calls are timed and whose errors are counted, whichever adapter it is.

统计生成服务的耗时与错误。
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, cast

from shared.clock import Clock
from shared.metrics import PROVIDER_ERRORS, PROVIDER_SECONDS, Metrics
from shared.providers.base import Download, Provider, ProviderError

T = TypeVar("T")

_CALLS = frozenset({"prepare", "submit", "check", "cancel", "find", "ready"})


def measured(provider: Provider, name: str, metrics: Metrics, clock: Clock) -> Provider:
    """`provider` with its calls measured; of itself this asks nothing of it (it may be lazy).

    A download lasts until its file is in the bucket: it is read no faster than it is written.

    为生成服务加上度量。
    """
    return cast(Provider, _Measured(provider, name, metrics, clock))


class _Measured:
    def __init__(self, provider: Provider, name: str, metrics: Metrics, clock: Clock) -> None:
        self._provider = provider
        self._name = name
        self._metrics = metrics
        self._clock = clock

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._provider, attribute)
        return self._timed(attribute, found) if attribute in _CALLS else found

    @contextmanager
    def download(self, *args: Any, **kwargs: Any) -> Iterator[Download]:
        fetch: Callable[..., AbstractContextManager[Download]] = self._provider.download
        with self._measure("download"), fetch(*args, **kwargs) as download:
            yield download

    def _timed(self, operation: str, call: Callable[..., T]) -> Callable[..., T]:
        def timed(*args: Any, **kwargs: Any) -> T:
            with self._measure(operation):
                return call(*args, **kwargs)

        return timed

    @contextmanager
    def _measure(self, operation: str) -> Iterator[None]:
        """Only the provider's own errors count: not ours, and not that our time is up."""
        begun = self._clock.now()
        about = {"provider": self._name, "operation": operation}
        try:
            yield
        except ProviderError as error:
            self._metrics.add(PROVIDER_ERRORS, error=type(error).__name__, **about)
            raise
        finally:
            took = max(0, self._clock.now() - begun) / 1000
            self._metrics.add(PROVIDER_SECONDS, took, **about)
