"""Who may enter: the API key and the rate of a request, and the service it is for.

请求的入口检查。
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Sequence

from starlette.requests import Request

from gpu_inference.errors import RateLimited, Unauthenticated
from gpu_inference.work.service import Service

_BUCKETS = 10_000
"""Callers whose rate is remembered; beyond, the ones idle longest are forgotten."""


class Keys:
    """The API keys, compared in constant time.

    密钥检查，耗时恒定。
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def caller(self, offered: str | None, address: str) -> str:
        """Return a name for who asks: of the key, or of the address where no keys are configured.

        Raises Unauthenticated.

        返回调用方的名字。
        """
        if not self._keys:
            return address
        if not offered:
            raise Unauthenticated("An API key is needed: Authorization: Bearer <key>.")
        # Every key is compared, so that the time tells nothing.
        if not sum([hmac.compare_digest(key, offered.encode()) for key in self._keys]):
            raise Unauthenticated("Nobody has this API key.")
        return hashlib.sha256(offered.encode()).hexdigest()[:16]


class Rates:
    """A token bucket per caller: a minute's worth at once, then evenly.

    每个调用方一个令牌桶。
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> None:
        """Count one request; raises RateLimited with the seconds until the next may come.

        记一次请求，超限则拒绝。
        """
        if not self._per_minute:
            return
        now, per_second = self._clock(), self._per_minute / 60
        with self._lock:
            tokens, seen = self._buckets.pop(caller, (float(self._per_minute), now))
            tokens = min(self._per_minute, tokens + (now - seen) * per_second)
            short = tokens < 1
            # Put back at the end: the dictionary's order is that of the last use.
            self._buckets[caller] = (tokens if short else tokens - 1, now)
            if len(self._buckets) > _BUCKETS:
                del self._buckets[next(iter(self._buckets))]
        if short:
            raise RateLimited(
                f"More than {self._per_minute} requests a minute.",
                retry_after=(1 - tokens) / per_second,
            )


def service_of(request: Request) -> Service:
    """Return the service that the application was made for.

    当前应用的服务。
    """
    service: Service = request.app.state.service
    return service


def enter(request: Request, *, counted: bool = False, key: str | None = None) -> str:
    """Check the API key, and the rate of requests for pictures; returns the caller's name.

    `key` is used where the request has no Authorization header. Raises Unauthenticated,
    RateLimited.

    检查密钥与频率。
    """
    scheme, _, told = request.headers.get("authorization", "").partition(" ")
    offered = told.strip() if scheme.lower() == "bearer" else None
    address = request.client.host if request.client else "unknown"
    keys: Keys = request.app.state.keys
    caller = keys.caller(offered or request.headers.get("x-api-key") or key, address)
    if counted:
        rates: Rates = request.app.state.rates
        rates.take(caller)
    return caller
