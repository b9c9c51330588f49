"""/health and /ready: is the process there, do its parts answer.

存活与就绪检查。
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response

from functions.api import operations
from functions.api.http import problems
from functions.api.http.problems import Problem
from functions.api.http.threads import Route
from functions.api.responses import answer
from shared import notices, observability, readiness, skew, wiring
from shared.store.base import StoreUnavailable
from shared.waiting import held
from shared.wiring import Bundle

FRESH_MS = 3000
"""How long a check of the parts holds: asking often must not become many calls to a provider."""

router = APIRouter(route_class=Route, generate_unique_id_function=operations.operation_id)
_logger = logging.getLogger("maquette.api")


@dataclass
class _Checked:
    """What the last check found, of which bundle, when (ms)."""

    bundle: Bundle | None = None
    at: int = 0
    parts: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


_last = _Checked()
_lock = threading.Lock()
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"]+")


@router.get(
    "/health",
    tags=["operation"],
    summary="Is the process there?",
    description="Answers without touching anything; no API key is needed.",
    responses=operations.answers("Health"),
)
async def health() -> Response:
    """Say that the process is alive; on the server's own thread, for all others may be taken.

    存活检查。
    """
    return answer({"status": "ok"})


@router.get(
    "/ready",
    tags=["operation"],
    summary="Do all parts answer?",
    description="Asks the store, the bucket and every provider; 503 names those that do not "
    "answer, but for providers that are set to be optional. `warnings` are for the operator and "
    "make nothing unready: a clock that is more than 30 seconds off, a credential that rests or "
    "is refused, why an optional provider is missing. The answer holds for three seconds; no API "
    "key is needed.",
    responses=operations.answers("Readiness"),
)
def ready(request: Request) -> Response:
    """Say whether every part answers, and what the operator should know.

    就绪检查。
    """
    bundle = wiring.current()
    found = _check(bundle)
    told = {"parts": found.parts, "warnings": found.warnings}
    optional = {notices.about(name) for name in bundle.settings.optional_providers}
    faulty = [name for name, state in found.parts.items() if state != "ok" and name not in optional]
    if not faulty:
        return answer({"status": "ready", **told})
    message = f"Not ready: {', '.join(faulty)}."
    return problems.write(request, Problem(503, "not_ready", message, retryable=True, more=told))


def _check(bundle: Bundle) -> _Checked:
    """Each part's state. One check at a time: who comes meanwhile gets the same answer.

    检查各部分的状态。
    """
    global _last
    with held(_lock, readiness.SECONDS + 1):
        now = bundle.clock.now()
        if _last.bundle is not bundle or not 0 <= now - _last.at < FRESH_MS:
            faults = bundle.faults()
            names = ["store", "bucket", *map(notices.about, bundle.providers)]
            # What a part says may hold addresses and account names: for the log only.
            for name, reason in faults.items():
                _logger.warning("not ready: %s: %s", name, reason)
            parts = dict.fromkeys(names, "ok") | dict.fromkeys(faults, "unavailable")
            notes = _warnings(bundle, parts)
            _last = _Checked(bundle, bundle.clock.now(), parts, notes)
        return _last


def _warnings(bundle: Bundle, parts: Mapping[str, str]) -> dict[str, str]:
    """What operators should know; anybody may read it, so without addresses and secrets."""
    found = skew.warnings(bundle.clock)
    if parts["store"] == "ok":
        with suppress(StoreUnavailable):
            found |= notices.read(bundle.store, bundle.clock.now())
    return {name: observability.masked(_ADDRESS.sub("…", text)) for name, text in found.items()}
