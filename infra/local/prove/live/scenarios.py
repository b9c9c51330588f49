"""The proofs that take real time, by the names that `--scenario` knows them by.

需要实时运行的验证场景。
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from infra.local.prove.live.neighbours import PLIGHTS, measure
from infra.local.prove.live.stopped import stopped_while_waited_for
from infra.local.prove.place import Place

PATIENCE = 300.0
"""Seconds in which all jobs of a run must have ended."""
_JOBS = 200
"""So many wait at most for the one in a plight: each of them has to be carried to its end."""

Verdict = dict[str, Any]
Live = Callable[[Place, str], Verdict]
"""Run a proof over an empty store and bucket of that name; its verdict."""


def _neighbour(name: str, place: Place, case: str) -> Verdict:
    """A provider hangs, drips or refuses: the other's jobs do not wait for it, none is lost."""
    plight = PLIGHTS[name]
    found = measure(place, case, replace(plight, jobs=min(plight.jobs, _JOBS)), patience=PATIENCE)
    ends = [end for end, number in found.ends.items() for _ in range(number)]
    told = f"a provider {name}, the other's jobs: {found.told()}"
    return {"faults": [*found.faults, *found.too_much()], "ends": ends, "told": told}


def _stopped(place: Place, case: str) -> Verdict:
    return {"faults": stopped_while_waited_for(place, case), "ends": ["succeeded"]}


LIVE: Mapping[str, Live] = {
    **{f"neighbour-{name}": partial(_neighbour, name) for name in PLIGHTS},
    "stopped-while-waited-for": _stopped,
}
