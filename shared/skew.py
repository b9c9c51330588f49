"""How far other machines' clocks are from this one's, as their answers tell it.

Whoever reads an answer that says the time hands it in; the last one of each part counts.

记录其他机器的时钟与本机相差多少。
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime

from shared.clock import Clock, SystemClock

TOLERATED_MS = 30_000
"""Half of a lease's margin: up to this, nothing depends on whose clock is right."""

log = logging.getLogger("maquette.clock")

_off: dict[str, int] = {}
"""Each part's clock minus this machine's, in milliseconds."""


def saw(part: str, theirs: int) -> None:
    """A part ("store", say) has just told its time (ms since 1970); said in the log once it is off.

    某个部件报告了它的时间。
    """
    off = theirs - SystemClock().now()
    known = _off.get(part, 0)
    _off[part] = off
    if abs(off) > TOLERATED_MS >= abs(known):
        log.warning("clock: %s", _told(part, off))


def saw_date(part: str, headers: Mapping[str, str]) -> None:
    """An HTTP answer of a part; its `Date` (RFC 9110, 6.6.1), if it has one, is its time.

    从应答的 Date 头得知对方的时间。
    """
    if headers.get("Age") or headers.get("age"):
        return  # a cache's answer: the date is that of another day
    try:
        moment = parsedate_to_datetime(headers.get("Date") or headers.get("date") or "")
        at = moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return
    saw(part, round(at * 1000))


def warnings(clock: Clock) -> dict[str, str]:
    """What is to be said of the parts whose clock is off from `clock`, by a name for each.

    时钟相差过大的部件及说明。
    """
    shift = SystemClock().now() - clock.now()
    found = {part: off + shift for part, off in list(_off.items())}
    return {
        f"clock of {part}": _told(part, off)
        for part, off in sorted(found.items())
        if abs(off) > TOLERATED_MS
    }


def forget() -> None:
    """Know of no other clock any more.

    清空记录。
    """
    _off.clear()


def _told(part: str, off: int) -> str:
    way = "behind" if off > 0 else "ahead of"
    return f"this machine's clock is {round(abs(off) / 1000)} s {way} that of the {part}"
