"""Where a process's processor time goes: its threads are looked at many times a second, and what a
thread has spent since is put down to where it stands. Waiting costs nothing and is not seen.

按处理器时间采样的剖析。
"""

from __future__ import annotations

import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from types import FrameType

from infra.paths import ROOT

EVERY = 0.001
"""Seconds between two looks."""
_SWITCH = 0.0002
_LEAST = 50e-6
"""Seconds a thread must have spent to be put down: less is the noise of waking."""


class Sampler:
    """Samples from `start` to `stop`; `clocks` tells each thread's processor seconds by its ident.

    `own` is what was spent in a file itself, `within` in a function of this repository and all
    that it called.

    采样器。
    """

    def __init__(self, clocks: Callable[[], Mapping[int, float]]) -> None:
        self.own: dict[str, float] = defaultdict(float)
        self.within: dict[str, float] = defaultdict(float)
        self._clocks = clocks
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begin.

        开始采样。
        """
        self._thread.start()

    def stop(self) -> dict[str, dict[str, float]]:
        """End; seconds by file and by function, the greatest first.

        结束采样并返回结果。
        """
        self._over.set()
        self._thread.join()
        return {"own": _ordered(self.own), "within": _ordered(self.within)}

    def _run(self) -> None:
        """Take samples until told to stop.

        持续采样。
        """
        # A thread gives way when it waits, or after this long: else all time would seem to be spent
        # where threads wait.
        sys.setswitchinterval(_SWITCH)
        before = self._clocks()
        while not self._over.wait(EVERY):
            frames, now = sys._current_frames(), self._clocks()
            for ident, seconds in now.items():
                spent = seconds - before.get(ident, 0.0)
                frame = frames.get(ident)
                if spent > _LEAST and frame is not None and ident != self._thread.ident:
                    self._note(frame, spent)
            before = now

    def _note(self, frame: FrameType, spent: float) -> None:
        """Put down what a thread spent that stands here.

        记录一次采样。
        """
        self.own[_place(frame)] += spent
        seen: set[str] = set()
        here: FrameType | None = frame
        while here is not None:
            place = _place(here)
            if not place.startswith("~"):
                seen.add(f"{place}:{here.f_code.co_name}")
            here = here.f_back
        for name in seen:
            self.within[name] += spent


def _ordered(spent: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(spent.items(), key=lambda one: -one[1]))


def _place(frame: FrameType) -> str:
    """A file within this repository by its path, any other one by `~` and its package's name."""
    path = frame.f_code.co_filename
    own = path.removeprefix(f"{ROOT}{os.sep}")
    if own != path and "site-packages" not in own:
        return own
    parts = path.split(f"site-packages{os.sep}")[-1].split(os.sep)
    return "~" + (parts[0] if "site-packages" in path else parts[-1])
