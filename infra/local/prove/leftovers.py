"""What a run leaves behind in its bucket, and that the sweep takes all of it away.

运行结束后的遗留物，以及清扫是否将其全部清除。
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.buckets.base import Bucket
from shared.clock import Clock, Deadline
from shared.errors import Unavailable
from shared.inputs import uploads
from shared.jobs.family import AREAS, all_keys, family_of, left_over, owner_of
from shared.jobs.repository import JobRepository
from shared.jobs.sweep import sweep
from shared.store.base import Store

_LATER = 48 * 3600 * 1000
"""Milliseconds after a run at which all that it left is old enough to be swept."""


@dataclass(frozen=True)
class _Later:
    """A clock two days ahead of another one."""

    clock: Clock

    def now(self) -> int:
        return self.clock.now() + _LATER

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def chance(self) -> float:
        return self.clock.chance()

    def token(self, bits: int) -> int:
        return self.clock.token(bits)


def left_behind(bucket: Bucket, jobs: JobRepository) -> list[str]:
    """The keys of all objects that no job needs, whatever their age, callers' uploads among them;
    to be empty after `sweep`.

    Copies under `incoming/` that only a retry of an unsuccessful job would work on are needed, and
    what belongs to a job that cannot be read. What is no key of a job's is left behind as well:
    nothing but jobs writes there.

    不再被任何任务需要的对象的键。
    """
    areas = (*AREAS, uploads.AREA)
    return [key for area in areas for key in all_keys(bucket, f"{area}/") if not _needed(key, jobs)]


def sweep_up(store: Store, jobs: JobRepository, bucket: Bucket, clock: Clock) -> list[str]:
    """What is wrong after a sweep two days later: objects that nobody needs, open uploads.

    两天后清扫一次，返回仍有问题的地方。
    """
    later = _Later(clock)
    if sweep(store, jobs, bucket, later, Deadline(lambda: 60.0)) is None:
        return ["the sweep did not come to its end"]
    faults = [f"{key} was left behind" for key in left_behind(bucket, jobs)]
    uploads = bucket.clear_uploads(later.now())
    return [*faults, f"{uploads} uploads were left open"] if uploads else faults


def _needed(key: str, jobs: JobRepository) -> bool:
    try:
        job = jobs.get(owner_of(key) or "")
        return job is not None and not left_over(key, family_of(job, jobs.get))
    except Unavailable:
        return True
