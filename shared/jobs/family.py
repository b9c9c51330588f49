"""A job's family, the chain of its retries, and which objects of the bucket its members need.

A retry reads the inputs of the job before it, and may work on its stored files: so an object goes
when no member needs it, whichever member's folder it lies in.

任务的家族（重试链），以及存储中哪些对象仍被需要。
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from shared.buckets.base import Bucket
from shared.errors import Unavailable
from shared.jobs.model import FORMAT, Job
from shared.jobs.retrying import takes_over_files

AREAS = ("incoming", "inputs", "artifacts")
"""Where the objects of jobs lie, each as `<area>/<job>/…`."""

Family = Sequence[Job]
"""All jobs of a chain of retries, the first one first."""


def family_of(job: Job, get: Callable[[str], Job | None]) -> Family:
    """The job with those it is a retry of and those it was retried as, read anew by `get`.

    What `get` raises for a member that cannot be read goes on, and one that newer code has written
    is `Unavailable` too: who does not know all of a family does not know what it needs.

    读取任务所在的重试链。
    """
    members = [job]
    while (before := members[0].retry_of) is not None and (found := get(before)) is not None:
        members.insert(0, found)
    while (after := members[-1].retried_as) is not None and (found := get(after)) is not None:
        members.append(found)
    if any(member.format > FORMAT for member in members):
        message = "A newer version of Maquette keeps this job; ask again once all is updated."
        raise Unavailable(message, code="record_newer")
    return members


def needed(family: Family) -> frozenset[str]:
    """The keys of all objects that a member still needs.

    Nothing is deleted by default: until a job is deleted it keeps its inputs and artifacts. Copies
    under `incoming/` have served once they are published, or are another member's to work on.

    仍被需要的对象的键。
    """
    return frozenset(key for job in family if job.deleted_at is None for key in _named(job))


def left_over(key: str, family: Family) -> bool:
    """Whether an object in the folder of a family's member is needed by none. While that member is
    unfinished, all that lies in its folders is its own: it may just be being written.

    对象是否已无人需要。
    """
    owner = owner_of(key)
    unfinished = any(job.id == owner and not job.status.terminal for job in family)
    return not unfinished and key not in needed(family)


def owner_of(key: str) -> str | None:
    """The id in the place of a job's in a key, None for a key that is no job's.

    键所属的任务编号。
    """
    area, _, rest = key.partition("/")
    owner, slash, _ = rest.partition("/")
    return owner if slash and area in AREAS else None


def clear(bucket: Bucket, family: Family) -> int:
    """Delete every object in the family's folders that no member needs; how many.

    Safe to repeat: who was killed halfway asks again.

    删除家族中无人需要的对象。
    """
    keep = needed(family)
    gone = 0
    for job in family:
        if not job.status.terminal:
            continue
        for area in AREAS:
            for key in all_keys(bucket, f"{area}/{job.id}/"):
                if key not in keep:
                    bucket.delete(key)
                    gone += 1
    return gone


def all_keys(bucket: Bucket, prefix: str) -> Iterator[str]:
    """Every key that begins with `prefix`, page by page.

    某前缀下的全部键。
    """
    after = None
    while page := bucket.keys(prefix, after=after):
        yield from page
        after = page[-1]


def _named(job: Job) -> Iterator[str]:
    yield from (image.key for image in job.input.images.values())
    yield from (artifact.key for artifact in job.artifacts)
    if not job.status.terminal:
        yield from (remote.key for remote in job.input.urls.values() if remote.key is not None)
    for_a_retry = job.retried_as is None and takes_over_files(job)
    if for_a_retry or not job.status.terminal:
        yield from (file.key for file in job.files if file.key is not None)
