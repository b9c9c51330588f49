"""Credentials that must rest, because their provider said so: one record tells every poll.

While a credential rests nothing is claimed for it. When the rest is over it begins anew with one
request; each success doubles how many may be in the air, each "busy" brings it back to one. So
thousands of waiting jobs cost a provider that is busy one request a rest, and the store next to
nothing.

需要休息的凭证：记录在任务表中，恢复后逐步放开。
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from shared.clock import Clock
from shared.store.base import Conflict, Record, Store, StoreUnavailable
from shared.store.tables import RUNNERS

log = logging.getLogger("maquette.jobs")

Purpose = Literal["create", "read"]
Reason = Literal["busy", "unauthorized", "out_of_credit"]

_KEY = "rests"
_REFRESH = 5_000
"""Milliseconds between two looks at what other polls have learned."""
_KEPT = 24 * 3_600_000
"""Milliseconds that an ended rest stays on record: so long its queue is still looked at."""
_LATELY = 60_000
_TRIES = 3
_STUMBLES = 5
"""Requests in a row without an answer, after which a credential rests."""


@dataclass(frozen=True)
class Rest:
    """Until when (ms) a credential rests, why, and since when it has not been accepted.

    凭证的休息状态。
    """

    until: int
    since: int
    reason: Reason = "busy"

    @property
    def of_account(self) -> bool:
        """Whether somebody has to see to the account.

        是否为账户问题。
        """
        return self.reason != "busy"


_Name = tuple[str, str, Purpose]


class Rests:
    """What is known of resting credentials; one for all threads of a process. `most` requests of
    a credential may be in the air at once for each purpose.

    凭证的休息与放行。
    """

    def __init__(self, store: Store | None, clock: Clock, *, most: int = 16) -> None:
        self._store = store
        self._clock = clock
        self._most = most
        self._lock = threading.RLock()
        self._known: dict[_Name, Rest] = {}
        self._window: dict[_Name, int] = {}
        self._air: Counter[_Name] = Counter()
        self._stumbles: Counter[_Name] = Counter()
        self._read_at = -_REFRESH

    def refresh(self) -> None:
        """Learn what other polls have found out, every few seconds; one read.

        读取其他进程得知的休息状态。
        """
        now = self._clock.now()
        with self._lock:
            if self._store is None or now - self._read_at < _REFRESH:
                return
            self._read_at = now
        try:
            record = self._store.get(RUNNERS, _KEY)
        except StoreUnavailable:
            return
        for name, rest in _entries(record):
            self._learn(name, rest)

    def until(self, provider: str, credential: str, purpose: Purpose) -> int:
        """When (ms) a rest is over; 0 where there is none.

        休息结束的时间。
        """
        with self._lock:
            rest = self._known.get((provider, credential, purpose))
            return 0 if rest is None or rest.until <= self._clock.now() else rest.until

    def room(self, provider: str, names: Sequence[str], purpose: Purpose = "create") -> int:
        """How many more requests may begin with any of these credentials.

        还能发起的请求数。
        """
        return sum(self._room((provider, name, purpose)) for name in names)

    def refused_since(self, provider: str, names: Sequence[str]) -> int | None:
        """Since when (ms) none of these accounts has been usable; None if one may be, or is only
        busy.

        全部账户不可用的起始时间。
        """
        with self._lock:
            rests = [self._known.get((provider, name, "create")) for name in names]
        since = [rest.since for rest in rests if rest is not None and rest.of_account]
        return max(since) if names and len(since) == len(names) else None

    def ended(self, provider: str, purpose: Purpose) -> list[str]:
        """Credentials of a provider whose rest is over, and not for long: their own queues may
        hold jobs.

        已结束休息的凭证。
        """
        now = self._clock.now()
        with self._lock:
            return [
                name
                for (whose, name, what), rest in self._known.items()
                if whose == provider and what == purpose and rest.until <= now
            ]

    def refused_lately(self, provider: str) -> bool:
        """Whether a credential of this provider rests, or did so within the last minute.

        该服务的凭证最近是否休息过。
        """
        since = self._clock.now() - _LATELY
        with self._lock:
            return any(
                whose == provider and rest.until > since
                for (whose, _, _), rest in self._known.items()
            )

    def begin(
        self, provider: str, names: Sequence[str], job_id: str, purpose: Purpose = "create"
    ) -> str | None:
        """The credential for one request, which counts as in the air until `end`; None if all
        rest or are fully used. Jobs are spread over the free ones by their ids.

        为一次请求选择凭证。
        """
        with self._lock:
            free = [name for name in names if self._room((provider, name, purpose)) > 0]
            if not free:
                return None
            name = free[int(hashlib.sha256(job_id.encode()).hexdigest(), 16) % len(free)]
            self._air[provider, name, purpose] += 1
            return name

    def end(self, provider: str, credential: str, purpose: Purpose = "create") -> None:
        """A request that was begun has been answered, or given up.

        一次请求结束。
        """
        with self._lock:
            self._air[provider, credential, purpose] -= 1

    def accepted(self, provider: str, credential: str, purpose: Purpose = "create") -> bool:
        """The provider took a request: it may be sent twice as many. Returns whether the account
        had not been usable before.

        请求被接受，逐步放开。
        """
        name = (provider, credential, purpose)
        with self._lock:
            self._stumbles.pop(name, None)
            window = self._window.get(name)
            if window is not None:
                self._window[name] = 2 * window
                if self._window[name] >= self._most:
                    del self._window[name]
            rest = self._known.get(name)
            healed = rest is not None and rest.of_account
            if rest is not None and healed:
                self._known[name] = replace(rest, reason="busy", until=0)
        if healed:
            self._save(name)
        return healed

    def rest(
        self,
        provider: str,
        credential: str,
        until: int,
        reason: Reason = "busy",
        purpose: Purpose = "create",
    ) -> None:
        """A credential rests until `until` (ms), or longer if it does so already.

        让凭证休息。
        """
        name, now = (provider, credential, purpose), self._clock.now()
        with self._lock:
            before = self._known.get(name)
            since = now
            if before is not None:
                since = before.since if before.reason == reason != "busy" else now
                if before.reason == reason:
                    until = max(until, before.until)
            self._known[name] = Rest(until, since, reason)
            self._window[name] = 1
        if before is None or until > before.until or before.reason != reason:
            self._save(name)

    def stumbled(self, provider: str, credential: str, purpose: Purpose = "create") -> bool:
        """Note a request that brought no answer; whether that happened several times in a row.

        记录一次无应答；连续多次则应休息。
        """
        name = (provider, credential, purpose)
        with self._lock:
            self._stumbles[name] += 1
            return self._stumbles[name] >= _STUMBLES

    def _room(self, name: _Name) -> int:
        with self._lock:
            rest = self._known.get(name)
            if rest is not None and rest.until > self._clock.now():
                return 0
            return max(0, self._window.get(name, self._most) - self._air[name])

    def _learn(self, name: _Name, rest: Rest) -> None:
        with self._lock:
            before = self._known.get(name)
            if before is None or rest.until > before.until:
                self._known[name] = rest
                if rest.until > self._clock.now():
                    self._window[name] = 1

    def _save(self, name: _Name) -> None:
        """Tell other polls; what cannot be told they find out by themselves.

        把休息状态告诉其他轮询。
        """
        if self._store is None:
            return
        try:
            for _ in range(_TRIES):
                record = self._store.get(RUNNERS, _KEY)
                kept = dict(_entries(record))
                for other, rest in kept.items():
                    if other != name:
                        self._learn(other, rest)
                with self._lock:
                    kept[name] = self._known[name]
                now = self._clock.now()
                document = {
                    "rests": [
                        {"provider": n[0], "credential": n[1], "purpose": n[2], **asdict(rest)}
                        for n, rest in kept.items()
                        if now - rest.until < _KEPT
                    ]
                }
                version = record.version if record is not None else 0
                try:
                    self._store.put(RUNNERS, Record(_KEY, document, version=version))
                    return
                except Conflict:
                    continue
        except StoreUnavailable as error:
            log.info("a rest could not be told to others: %s", error)


def _entries(record: Record | None) -> Iterator[tuple[_Name, Rest]]:
    for item in record.document.get("rests", ()) if record is not None else ():
        entry = _entry(item)
        if entry is not None:
            yield entry


def _entry(item: Any) -> tuple[_Name, Rest] | None:
    """One rest on record; None for what newer code may have written there.

    读取一条休息记录。
    """
    if not isinstance(item, Mapping) or item.get("reason") not in (
        "busy",
        "unauthorized",
        "out_of_credit",
    ):
        return None
    try:
        name = (str(item["provider"]), str(item["credential"]), item["purpose"])
        return name, Rest(int(item["until"]), int(item["since"]), item["reason"])
    except (KeyError, TypeError, ValueError):
        return None
