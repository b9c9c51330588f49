"""The numbers a job's life is governed by; all in seconds.

任务流转所依据的各项时间参数（秒）。
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """How long, how often, how many times.

    `poll_*`: the first look, how the pause grows, its ceiling. `retry_*`: the same for a step
    that failed. `jitter`: the share by which a pause is lengthened or shortened at random.
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

    def pause(self, failures: int, chance: float, hint: float | None = None) -> int:
        """Milliseconds to wait after this many failures in a row, not less than `hint` seconds.

        计算失败后的等待时间。
        """
        grown = self.retry_first * self.retry_factor ** min(max(0, failures - 1), 30)
        # A provider's own word is a lower bound: chance only lengthens it.
        asked = round((hint or 0.0) * 1000 * (1.0 + self.jitter * chance))
        return max(self._spread(min(grown, self.retry_ceiling), chance), asked)

    def look(self, elapsed: float, chance: float, hint: float | None = None) -> int:
        """Milliseconds until the next look at a task that has run for `elapsed` seconds.

        The sum of a geometric series is linear in its last member, so the pause that exponential
        growth has reached follows from the elapsed time, and no counter needs to be written.
        `hint` is how many seconds the provider says are left.

        计算下一次查询前的等待时间。
        """
        grown = self.poll_first + max(0.0, elapsed) * (self.poll_factor - 1.0)
        wanted = grown if hint is None else max(self.poll_first, hint)
        return self._spread(min(wanted, self.poll_ceiling), chance)

    def _spread(self, seconds: float, chance: float) -> int:
        return max(1, round(seconds * 1000 * (1.0 + self.jitter * (2.0 * chance - 1.0))))
