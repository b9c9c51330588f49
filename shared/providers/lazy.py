"""A provider that is made when something is first asked of it.

An adapter brings an HTTP library along, which takes longer to import than all of ours; half of the
functions never speak to a provider, and the others not on every start.

首次使用时才创建的生成服务。
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

from shared.providers.base import Provider


def on_first_use(make: Callable[[], Provider]) -> Provider:
    """What `make` gives, made at the first use of any of its attributes, once.

    延迟创建一个生成服务。
    """
    return cast(Provider, _Lazy(make))


class _Lazy:
    def __init__(self, make: Callable[[], Provider]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Provider | None = None

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
