"""From the provider's links to published files.

从下载到发布成果。
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.jobs.lifecycle.transitions import Moment, enter, fail, moved, ms
from shared.jobs.model import Artifact, Job, JobError, ResultFile, Status
from shared.jobs.policy import Policy
from shared.providers.base import (
    RemoteFile,
    TaskState,
)
from shared.values import replace

S = Status
_BROKEN_TRIES = 5


def refreshed(job: Job, state: TaskState, at: Moment) -> Job:
    """Fresh links for the files that are not stored yet, matched by role and by order within it.

    更新结果文件的下载链接。
    """
    if job.status is not S.STORING or state.status != "succeeded":
        return job
    links: dict[str, list[str]] = {}
    for fresh in reversed(state.files):
        links.setdefault(fresh.role, []).append(fresh.url)
    files = []
    for file in job.files:
        url = links[file.role].pop() if links.get(file.role) else file.url
        files.append(file if file.stored else replace(file, url=url))
    return replace(job, files=tuple(files))


def stored(job: Job, index: int, key: str, size: int, sha256: str, at: Moment) -> Job:
    """File number `index` is in the bucket: `size` bytes, its hash; the last one ends storing.

    一个结果文件已保存。
    """
    if job.status is not S.STORING or job.files[index].stored:
        return job
    kept = replace(job.files[index], key=key, bytes=size, sha256=sha256)
    files = (*job.files[:index], kept, *job.files[index + 1 :])
    if all(file.stored for file in files):
        return enter(job, S.PROCESSING, at, files=files, failures=0)
    return moved(job, at, files=files, failures=0, due_at=job.due_at)


def not_stored(job: Job, reason: str, at: Moment, policy: Policy, *, broken: bool = False) -> Job:
    """A file could not be fetched or kept; tried again until the storing deadline.

    `broken`: something else came in its place, which is tried again for a minute or so.

    结果文件保存失败。
    """
    if job.status is not S.STORING:
        return job
    if at.now >= job.entered_at + ms(policy.store):
        message = f"The result could not be stored in time: {reason}"
        error = JobError("store_expired", message, retryable=True)
        return enter(job, S.EXPIRED, at, error=error)
    failures = job.failures + 1
    if broken and failures > _BROKEN_TRIES:
        error = JobError("artifact_invalid", f"The provider's file is broken: {reason}", True)
        return fail(job, error, at)
    return moved(job, at, failures=failures, due_at=at.now + policy.pause(failures, at.chance))


def published(job: Job, artifacts: Sequence[Artifact], warnings: Sequence[str], at: Moment) -> Job:
    """The files are verified and published: the job has succeeded.

    成果已校验并发布，任务成功。
    """
    if job.status is not S.PROCESSING:
        return job
    kept = tuple(dict.fromkeys((*job.warnings, *warnings)))
    return enter(job, S.SUCCEEDED, at, artifacts=tuple(artifacts), warnings=kept, progress=100)


def invalid(
    job: Job, files: Sequence[ResultFile], reason: str, at: Moment, *, again: bool = False
) -> Job:
    """One of these stored files is broken: fetched afresh once, then the job fails.

    `again`: it is the very file that was refused before, which no retry would change. A verdict on
    files that have been fetched afresh since changes nothing.

    结果文件损坏：重新下载一次，仍坏则失败。
    """
    if job.status is not S.PROCESSING or job.files != tuple(files):
        return job
    if job.fetches == 0 and job.task_id is not None:
        files = tuple(
            replace(file, key=None, bytes=None, sha256=None, refused=file.sha256)
            for file in job.files
        )
        # A failure on record makes the next step take fresh links first.
        return enter(
            job, S.STORING, at, note=f"fetched afresh: {reason}", files=files, fetches=1, failures=1
        )
    message = f"The provider's file is broken: {reason}"
    if again:
        message = f"The provider sent the same broken file twice: {reason}"
    return fail(job, JobError("artifact_invalid", message, retryable=not again), at)


def not_processed(job: Job, reason: str, at: Moment, policy: Policy) -> Job:
    """Verifying failed for a reason outside the file (the bucket, say); tried again for a while.

    校验因外部原因失败。
    """
    if job.status is not S.PROCESSING:
        return job
    if at.now >= job.entered_at + ms(policy.store):
        message = f"The result could not be verified in time: {reason}"
        error = JobError("process_failed", message, retryable=True)
        return fail(job, error, at)
    failures = job.failures + 1
    return moved(job, at, failures=failures, due_at=at.now + policy.pause(failures, at.chance))


def remote(file: ResultFile) -> RemoteFile:
    """A result file as its provider's adapter knows it.

    把结果文件转成生成服务的说法。
    """
    return RemoteFile(file.role, file.url, file.media_type)
