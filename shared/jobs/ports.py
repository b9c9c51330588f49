"""What jobs need of the world outside, in one place.

任务流转所需的外部接口。
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.buckets.base import Bucket
from shared.clock import Clock
from shared.jobs.lifecycle import Moment
from shared.jobs.policy import Policy
from shared.jobs.repository import JobRepository
from shared.metrics import OFF, Metrics
from shared.providers.base import Provider
from shared.providers.credentials import Credentials


class Pauses:
    """Credentials that must rest until a time (ms), as their provider asked; for this process.

    被限流的凭证及其恢复时间。
    """

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def rest(self, provider: str, credential: str, until: int) -> None:
        """Pause a credential until `until`, or longer if it rests longer already.

        暂停使用某个凭证。
        """
        with self._lock:
            known = self._until.get((provider, credential), 0)
            self._until[provider, credential] = max(known, until)

    def choose(self, provider: str, names: Sequence[str], job_id: str, now: int) -> tuple[str, int]:
        """Which of these credentials a job gets, and until when (ms) it rests; one that rests only
        where all do, then the one that rests shortest.

        为任务选择凭证。
        """
        with self._lock:
            resting = {name: max(now, self._until.get((provider, name), 0)) for name in names}
        free = [name for name, until in resting.items() if until <= now]
        if free:
            return free[int(hashlib.sha256(job_id.encode()).hexdigest(), 16) % len(free)], now
        name = min(resting, key=lambda item: resting[item])
        return name, resting[name]


@dataclass(frozen=True)
class Ports:
    """All that jobs need of the world outside.

    `wake` tells a function that work waits, `help` asks for one more `poll` on a lane; neither may
    fail. Files of up to `measure_below` bytes are verified from a local copy, larger ones by
    ranges.

    任务流转所需的外部接口。
    """

    jobs: JobRepository
    bucket: Bucket
    providers: Mapping[str, Provider]
    credentials: Credentials
    clock: Clock
    policy: Policy
    wake: Callable[[str], None]
    help: Callable[[int], None] = lambda lane: None
    measure_below: int = 64 * 2**20
    pauses: Pauses = field(default_factory=Pauses)
    metrics: Metrics = OFF

    def moment(self) -> Moment:
        """Now, with a chance drawn for it.

        当前时刻。
        """
        return Moment(self.clock.now(), self.clock.chance())
