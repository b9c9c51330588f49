"""Asking the parts: all at once, each for a bounded time.

测试各部件的就绪检查。
"""

from __future__ import annotations

import threading

from shared import context
from shared.readiness import faults


def broken() -> None:
    raise OSError("gone")


def test_who_is_well_is_not_named_and_who_is_not_is_quoted() -> None:
    assert faults({"one": lambda: None, "two": broken}) == {"two": "OSError: gone"}
    assert faults({}) == {}


def test_who_is_silent_is_named_and_keeps_nobody_waiting() -> None:
    for_ever = threading.Event()
    silent = {f"silent {number}": lambda: bool(for_ever.wait(30)) and None for number in range(3)}
    found = faults({"one": broken, **silent, "well": lambda: None}, seconds=0.05)
    for_ever.set()
    assert found == {"one": "OSError: gone", **dict.fromkeys(silent, "no answer in 0.05 s")}


def test_all_are_asked_side_by_side_and_in_the_name_of_the_request() -> None:
    together, seen = threading.Barrier(3, timeout=30), []

    def meet() -> None:
        together.wait()
        seen.append(context.request_id.get())

    with context.request("req-1"):
        assert faults({"one": meet, "two": meet, "three": meet}) == {}
    assert seen == ["req-1"] * 3
