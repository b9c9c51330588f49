"""What the operator should know, from whichever function finds out, for `/ready` to show.

One record holds all notices. A notice ends by itself; whoever finds its cause again renews it.

给运维人员的提示，由各函数写入，由 /ready 展示。
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from shared.clock import Clock
from shared.store.base import Conflict, Record, Store, StoreUnavailable
from shared.store.tables import RUNNERS

log = logging.getLogger("maquette.notices")

_KEY = "notices"
_TRIES = 3
_LONGEST = 300
SECONDS = 900.0
"""How long a notice stands that nobody renews."""


def about(provider: str) -> str:
    """The name of the notice that says why a provider makes nothing.

    某个生成服务的提示名。
    """
    return f"provider {provider}"


class Notices:
    """Posts notices, and takes back those this process has posted; neither ever fails.

    发布与撤回提示。
    """

    def __init__(self, store: Store | None, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._posted: dict[str, tuple[str, int]] = {}

    def post(self, name: str, text: str, seconds: float = SECONDS) -> None:
        """Let `/ready` say `text` under `name` for that long; written again only when half of the
        time is over or the text is another.

        发布一条提示。
        """
        now = self._clock.now()
        until = now + round(seconds * 1000)
        with self._lock:
            known = self._posted.get(name)
            if known is not None and known[0] == text and known[1] - now > seconds * 500:
                return
            self._posted[name] = (text, until)
        log.warning("%s: %s", name, text)
        self._change(name, {"text": text[:_LONGEST], "at": now, "until": until})

    def clear(self, name: str) -> None:
        """Take back a notice, if it stands.

        撤回一条提示。
        """
        with self._lock:
            self._posted.pop(name, None)
        self._change(name, None)

    def _change(self, name: str, entry: dict[str, Any] | None) -> None:
        """Add, renew or remove one notice on record; what cannot be written now waits for the next.

        修改一条告示。
        """
        if self._store is None:
            return
        try:
            for _ in range(_TRIES):
                record = self._store.get(RUNNERS, _KEY)
                entries = _standing(record, self._clock.now())
                if entry is None and name not in entries:
                    return
                entries.pop(name, None)
                if entry is not None:
                    entries[name] = entry
                version = record.version if record is not None else 0
                try:
                    self._store.put(RUNNERS, Record(_KEY, {"notices": entries}, version=version))
                    return
                except Conflict:
                    continue
        except StoreUnavailable as error:
            log.info("the notice %s could not be kept: %s", name, error)


def read(store: Store, now: int) -> dict[str, str]:
    """The notices that stand at `now` (ms), by name. Raises `StoreUnavailable`.

    读取当前有效的提示。
    """
    found = _standing(store.get(RUNNERS, _KEY), now)
    return {name: str(entry.get("text", "")) for name, entry in found.items()}


def _standing(record: Record | None, now: int) -> dict[str, dict[str, Any]]:
    kept = record.document.get("notices") if record is not None else None
    if not isinstance(kept, dict):
        return {}
    return {
        name: entry
        for name, entry in kept.items()
        if isinstance(entry, dict) and isinstance(entry.get("until"), int) and entry["until"] > now
    }
