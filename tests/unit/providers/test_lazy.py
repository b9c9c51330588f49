"""A provider that is made at its first use: once, by whomever, and not just to be closed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from shared.providers.base import Provider
from shared.providers.lazy import on_first_use
from tests.fakes import FakeClock
from tests.providers import ThrowawayProvider


class Made:
    """Makes a provider, and counts."""

    def __init__(self) -> None:
        self.times = 0
        self.closed = 0

    def __call__(self) -> Provider:
        self.times += 1
        provider = ThrowawayProvider(FakeClock())
        provider.close = self.close  # type: ignore[method-assign]
        return provider

    def close(self) -> None:
        self.closed += 1


def test_nothing_is_made_before_something_is_asked_or_in_order_to_be_closed() -> None:
    made = Made()
    provider = on_first_use(made)
    provider.close()
    assert (made.times, made.closed) == (0, 0)
    assert provider.name == "throwaway"
    provider.close()
    assert (made.times, made.closed) == (1, 1)


def test_many_threads_at_once_get_the_same_one() -> None:
    made, threads = Made(), 16
    provider = on_first_use(made)
    together = threading.Barrier(threads)

    def use(_: int) -> object:
        together.wait()
        return provider.options

    with ThreadPoolExecutor(threads) as pool:
        options = list(pool.map(use, range(threads)))
    assert made.times == 1
    assert all(found is options[0] for found in options)
