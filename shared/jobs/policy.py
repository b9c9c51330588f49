"""The numbers a job's life is governed by; all in seconds.

任务流转所依据的各项时间参数（秒）。
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.jobs.estimate import Points, wait

_AIM = 0.2
"""What a look is worth, as a share of the first pause: it saves so much of waiting."""
_FINE = 0.003
"""A share of the time that a task has run: no look is about less than that."""
_SPREAD = 0.03
"""The same as a share of what is not known of the task's end: the less is known, the more rarely
one looks."""
_LEAST = 0.25
"""The shortest pause, as a share of the first: where the end is known to be near."""
_LONGEST = 4 / 3
"""The longest pause, as a share of the ceiling: where the end is known to be far."""
_LOOKS = 10
"""Looks after which the shortest pause grows: whatever a provider says, it is asked ever less."""
_GROWTH = 1.15


@dataclass(frozen=True)
class Policy:
    """How long, how often, how many times.

    `poll_*`: the first look, how the pause grows, its ceiling, of a task of which nothing is known.
    `retry_*`: the same for a step that failed. `jitter`: the share by which a pause is lengthened
    or shortened at random.
    `queue`, `run`, `store`, `cancel`: how long a job may wait, be made, be stored or verified,
    and be watched after it was canceled. `find`: how long an unanswered create is looked for.
    `account`: how long a job waits while the provider's account cannot be used, `account_pause`
    how long until it is tried again.
    `lease_margin`: what a lease lasts beyond its invocation, twice the clocks' greatest error.

    时间参数。
    """

    poll_first: float = 2.0
    poll_factor: float = 1.3
    poll_ceiling: float = 30.0
    retry_first: float = 2.0
    retry_factor: float = 2.0
    retry_ceiling: float = 120.0
    jitter: float = 0.1
    queue: float = 24 * 3600.0
    run: float = 2 * 3600.0
    store: float = 6 * 3600.0
    cancel: float = 3600.0
    find: float = 900.0
    account: float = 900.0
    account_pause: float = 60.0
    lease_margin: float = 60.0

    max_claims: int = 5
    max_misses: int = 3
    max_fetches: int = 7

    @property
    def poll_least(self) -> float:
        """The shortest pause between two looks.

        两次查询的最短间隔。
        """
        return self.poll_first * _LEAST

    @property
    def poll_longest(self) -> float:
        """The longest pause between two looks.

        两次查询的最长间隔。
        """
        return self.poll_ceiling * _LONGEST

    def pause(self, failures: int, chance: float, hint: float | None = None) -> int:
        """Milliseconds to wait after this many failures in a row, not less than `hint` seconds.

        计算失败后的等待时间。
        """
        grown = self.retry_first * self.retry_factor ** min(max(0, failures - 1), 30)
        # A provider's own word is a lower bound: chance only lengthens it.
        asked = round((hint or 0.0) * 1000 * (1.0 + self.jitter * chance))
        return max(self._spread(min(grown, self.retry_ceiling), chance), asked)

    def look(
        self, elapsed: float, chance: float, left: Points | None = None, looks: int = 0
    ) -> int:
        """Milliseconds until the next look at a task that has run for `elapsed` seconds and was
        looked at `looks` times; `left` are the seconds that it may still take, if that is known.

        Where nothing is known the pause grows with the time: the sum of a geometric series is
        linear in its last member, so the pause that exponential growth has reached follows from
        the elapsed time, and no counter needs to be written.

        计算下一次查询前的等待时间。
        """
        if left is None:
            grown = self.poll_first + max(0.0, elapsed) * (self.poll_factor - 1.0)
            return self._spread(min(grown, self.poll_ceiling), chance)
        # What a look is worth varies, lest all tasks of one instant be looked at in one.
        varied = 1.0 + self.jitter * (2.0 * chance - 1.0)
        fine = max(0.0, elapsed) * _FINE
        wanted = wait(left, max(self.poll_first * _AIM, fine) * varied, _SPREAD * varied)
        least = max(self.poll_least, fine) * _GROWTH ** min(max(0, looks - _LOOKS), 100)
        pause = min(max(wanted, least), self.poll_longest * (1.0 - self.jitter * chance))
        return max(1, round(pause * 1000))

    def _spread(self, seconds: float, chance: float) -> int:
        return max(1, round(seconds * 1000 * (1.0 + self.jitter * (2.0 * chance - 1.0))))
