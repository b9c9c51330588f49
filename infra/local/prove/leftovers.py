"""What a run has left behind in its bucket: objects that no job needs.

运行结束后存储中遗留的、不再被需要的对象。
"""

from __future__ import annotations

from shared.buckets.base import Bucket
from shared.jobs.family import AREAS, all_keys, family_of, left_over, owner_of
from shared.jobs.repository import JobRepository


def left_behind(bucket: Bucket, jobs: JobRepository) -> list[str]:
    """The keys of all objects that no job needs, whatever their age; to be empty after `sweep`.

    Copies under `incoming/` that only a retry of an unsuccessful job would work on are needed.
    What is no key of a job's is left behind as well: nothing but jobs writes there.

    不再被任何任务需要的对象的键。
    """
    left = []
    for area in AREAS:
        for key in all_keys(bucket, f"{area}/"):
            job = jobs.get(owner_of(key) or "")
            if job is None or left_over(key, family_of(job, jobs.get)):
                left.append(key)
    return left
