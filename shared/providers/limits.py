"""What providers tell of their own limits: asked by whoever speaks to them anyway, kept in the
store, and read there when a job is made, which never waits for a provider.

生成服务自述的限制：由 poll 与 /ready 询问并保存，创建任务时只读取。
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from shared.clock import Clock, Deadline, OutOfTime
from shared.providers.base import Provider, ProviderError
from shared.store.base import Conflict, Record, Store, StoreUnavailable
from shared.store.tables import RUNNERS

log = logging.getLogger("maquette.providers")

FRESH_SECONDS = 50.0
"""A provider is not asked again before: less than the timer's minute."""
GOOD_SECONDS = 900.0
"""How long counts what was told last: longer than a service takes to start anew."""
READ_SECONDS = 5.0
"""How long a process goes on with what it read from the store."""


class ToldLimits:
    """The limits that providers told, by the provider's name; any thread may ask.

    各生成服务自述的限制。
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._read: dict[str, tuple[int, Mapping[str, Any] | None]] = {}

    def refresh(self, provider: Provider, deadline: Deadline) -> None:
        """Ask a provider that tells its limits, unless somebody did lately, and keep what it says;
        never fails.

        询问并保存限制。
        """
        if provider.judge is None:
            return
        now = self._clock.now()
        try:
            record = self._store.get(RUNNERS, _key(provider.name))
            if record is not None and now - _at(record) < FRESH_SECONDS * 1000:
                return
            told = provider.limits(deadline)
            if told is not None:
                version = record.version if record is not None else 0
                document = {"told": dict(told), "at": now}
                self._store.put(RUNNERS, Record(_key(provider.name), document, version=version))
        except Conflict:
            pass  # somebody else has just asked
        except (ProviderError, StoreUnavailable, OutOfTime) as error:
            log.info("%s did not tell its limits: %s", provider.name, error)

    def of(self, name: str) -> Mapping[str, Any] | None:
        """What a provider told last; None where it told nothing for a while. Never fails.

        读取已保存的限制。
        """
        now = self._clock.now()
        with self._lock:
            at, told = self._read.get(name, (None, None))
        if at is not None and 0 <= now - at < READ_SECONDS * 1000:
            return told
        try:
            record = self._store.get(RUNNERS, _key(name))
        except StoreUnavailable:
            return told
        told = None
        if record is not None and now - _at(record) < GOOD_SECONDS * 1000:
            kept = record.document.get("told")
            told = kept if isinstance(kept, dict) else None
        with self._lock:
            self._read[name] = (now, told)
        return told


def _key(name: str) -> str:
    return f"limits {name}"


def _at(record: Record) -> int:
    at = record.document.get("at")
    return at if isinstance(at, int) else 0
