"""How much longer a task takes: what is known of past tasks of its kind, and its own word for it.

Everything here is pure. What is known is told in points of equal weight: each is as likely as any
other, so that a wait, a median or a spread can be read off them.

估计任务的剩余时间：依据同类任务的历史与任务自身的进度。
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

POINTS = 16
"""How many points a distribution is told in."""
_LATE = 14
"""Of a task that has taken longer than this many of the points nothing more is known."""
_SHORTEST = 3.0
"""Seconds over which the end of a task is spread that has just become late."""
_GUESSED = 0.25
"""How far the progress of an unknown kind is trusted: this share of what is left, up or down."""
_STALLED = 3.0
"""Times that a point of progress may take what it took so far; after that it tells nothing."""
_PROVEN = 8
"""Ends of tasks from which on it is known how far their own word is to be trusted."""
_TRUSTED = 0.5
"""The logarithm of the error that a task's own word may have."""
_MOSTLY = 0.7
"""Share of the words that may not have a larger error, if they are to be trusted."""

Points = tuple[float, ...]
"""Seconds, ascending, each as likely as any other."""


class Past(NamedTuple):
    """What past tasks of one kind and model have shown: how many `seconds` they took; by which
    `factors` the time that was left differed from what they told of it, ascending; and whether what
    they tell is worth something, as far as that is known.

    同类任务的历史：耗时，自报剩余时间的偏差，及其是否可信。
    """

    seconds: Points = ()
    factors: Points = ()
    trusted: bool = True

    def late_from(self) -> float:
        """Seconds from which on a task is late: hardly any has taken longer.

        超过多少秒算迟。
        """
        return self.seconds[_LATE * len(self.seconds) // POINTS]


def past_of(seconds: Points, errors: Sequence[float]) -> Past:
    """What these points of durations show, and these errors of what tasks told of their own end,
    each the logarithm of the time that was left by the time that was told.

    由耗时与误差得出历史。
    """
    if len(errors) < _PROVEN:
        return Past(seconds)
    ordered, number = sorted(errors), min(len(errors), POINTS)
    kept = [ordered[(2 * at + 1) * len(ordered) // (2 * number)] for at in range(number)]
    good = sum(abs(error) <= _TRUSTED for error in ordered)
    return Past(seconds, tuple(map(math.exp, kept)), good >= _MOSTLY * len(ordered))


NOTHING = Past()
"""What is known of a kind of which no task has ended."""


class Word(NamedTuple):
    """What a task said of itself: `left` seconds, give or take `grain` by how finely it counts.

    任务自报的剩余时间。
    """

    left: float
    grain: float = 0.0


def word(
    first: tuple[float, int], last: tuple[float, int], elapsed: float, floor: float
) -> Word | None:
    """What two reports of progress say at `elapsed` seconds, each a time (s) and per cent, whole
    ones, rounded down; None if they say nothing: it has not moved, or has stood still since.

    `floor` is the shortest pause between two looks (s): within it nothing needs to move.

    由两次进度推算剩余时间。
    """
    (begun, low), (seen, high) = first, last
    if high <= low or seen <= begun:
        return None
    each = (seen - begun) / (high - low if low else high + 0.5)
    since = elapsed - seen
    if since > max(floor, _STALLED * each):
        return None
    ahead = max(0.5, 99.5 - high)
    return Word(each * ahead - since, each * (0.5 + 0.5 * ahead / (high - low)))


def left(elapsed: float, past: Past, word: Word | None) -> Points | None:
    """The seconds that are left of a task that has run for `elapsed`; None if nothing is known.

    Of what past tasks say and what it says itself, the narrower counts; where they contradict each
    other, or the task is late already, its own word. One that is late and says nothing may end any
    time, the later the longer.

    剩余秒数的分布。
    """
    own = _own(past, word) if word is not None and past.trusted else None
    if not past.seconds:
        return own
    late = elapsed - past.late_from()
    if late >= 0:
        return own or tuple((_SHORTEST + 2 * late) * (i + 0.5) / POINTS for i in range(POINTS))
    ahead = tuple(second - elapsed for second in past.seconds if second > elapsed)
    if own is None or (own[0] <= ahead[-1] and ahead[0] <= own[-1] and _narrower(ahead, own)):
        return ahead
    return own


def _narrower(one: Points, other: Points) -> bool:
    return _spread(one) <= _spread(other)


def median(points: Points) -> float:
    """The middle of some points.

    中位数。
    """
    return points[len(points) // 2]


def wait(points: Points, worth: float, share: float) -> float:
    """In how many seconds to look, where a look is worth `worth` seconds of waiting, or that share
    of the spread: when what has ended will have waited as long as that, on the average.

    Where the chance of an end is the same all the time this is the interval of least cost, the
    square root of twice a look's worth by that chance (J. B. Keller, Optimum Checking Schedules for
    Systems Subject to Random Failure, 1974).

    何时查询：已结束者的平均等待达到一次查询的价值时。
    """
    price = len(points) * max(worth, share * _spread(points))
    past = 0.0
    for count, point in enumerate(points):
        # `count` of them have ended before this one, and wait since.
        if count and price + past <= count * point:
            return (price + past) / count
        past += point
    return (price + past) / len(points)


def quantiles(values: Sequence[float], weights: Sequence[float]) -> Points:
    """Points of the distribution that these values, weighted so, were drawn from; of a few values
    only they are further apart than these.

    加权分位点。
    """
    ordered = sorted(zip(values, weights, strict=True))
    total = sum(weights)
    mids, passed = [], 0.0
    for _, weight in ordered:
        mids.append((passed + weight / 2) / total)
        passed += weight
    found, at = [], 0
    for number in range(POINTS):
        share = (number + 0.5) / POINTS
        while at < len(mids) and mids[at] < share:
            at += 1
        low, high = ordered[max(0, at - 1)][0], ordered[min(at, len(mids) - 1)][0]
        if 0 < at < len(mids):
            low += (high - low) * (share - mids[at - 1]) / (mids[at] - mids[at - 1])
        else:
            low = high if at == 0 else low
        found.append(low * math.exp((4 * share - 2) * _GUESSED / len(values)))
    return tuple(found)


def _own(past: Past, word: Word) -> Points:
    told, grain = word
    factors = past.factors or _GUESSES
    each = 2 * grain / (len(factors) - 1)
    return tuple(
        max(0.0, told * factor - grain + each * number) for number, factor in enumerate(factors)
    )


def _spread(points: Points) -> float:
    return points[3 * len(points) // 4] - points[len(points) // 4]


_GUESSES = tuple(math.exp(_GUESSED * (2 * (at + 0.5) / POINTS - 1)) for at in range(POINTS))
