"""Whether the parts answer: all are asked at once, and who is silent for too long does not.

检查各部件是否应答。
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextvars import copy_context
from queue import Empty, SimpleQueue

SECONDS = 10.0
"""How long a part may take to say that it is well."""


def faults(checks: Mapping[str, Callable[[], None]], seconds: float = SECONDS) -> dict[str, str]:
    """What each part that is not well says of it, in the order of `checks`; empty when all are.

    A check that does not end in time is left to end by itself.

    同时检查全部部件，返回有问题的部件。
    """
    said: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def ask(name: str, check: Callable[[], None]) -> None:
        try:
            check()
        except Exception as error:  # whatever it is, the part is not ready
            said.put((name, f"{type(error).__name__}: {error}"))
        else:
            said.put((name, ""))

    for name, check in checks.items():
        work = (ask, name, check)
        # Not a pool: at its end a process must not wait for a part that is silent.
        threading.Thread(target=copy_context().run, args=work, name="ready", daemon=True).start()
    found = dict.fromkeys(checks, f"no answer in {seconds:g} s")
    end = time.monotonic() + seconds
    for _ in checks:
        try:
            name, words = said.get(timeout=max(0.0, end - time.monotonic()))
        except Empty:
            break
        found[name] = words
    return {name: words for name, words in found.items() if words}
