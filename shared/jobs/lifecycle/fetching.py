"""Inputs that lie on the web: fetched, looked at, kept; before anything is sent to a provider.

网络输入：提交之前的下载与检查。
"""

from __future__ import annotations

from shared.inputs.files import InputFile
from shared.inputs.remote import FetchFailed
from shared.jobs.lifecycle.transitions import Moment, fail, moved, ms
from shared.jobs.model import Job, JobError, JobInput, Status
from shared.jobs.policy import Policy
from shared.values import replace

S = Status


def fetched(job: Job, role: str, key: str, size: int, sha256: str, at: Moment) -> Job:
    """The file of a role is in the bucket as it came: `size` bytes, its hash.

    一个网络输入已下载。
    """
    if not _waits_for(job, role):
        return job
    remote = replace(job.input.urls[role], key=key, bytes=size, sha256=sha256)
    urls = {**job.input.urls, role: remote}
    return moved(job, at, input=replace(job.input, urls=urls), due_at=at.now, failures=0)


def not_fetched(
    job: Job, role: str, error: FetchFailed, at: Moment, policy: Policy, code: str | None = None
) -> Job:
    """The file of a role could not be fetched: tried again a few times where that may help, else
    the job ends with this `code`.

    一个网络输入下载失败。
    """
    if not _waits_for(job, role):
        return job
    remote = job.input.urls[role]
    tries = remote.tries + 1
    if not error.passing or tries >= policy.max_fetches:
        how = "" if tries == 1 else f" ({tries} tries)"
        message = f"{role} could not be fetched: {error.reason}{how}."
        return fail(job, JobError(code or "input_unavailable", message, error.passing), at)
    urls = {**job.input.urls, role: replace(remote, tries=tries)}
    hint = None if error.retry_after is None else min(error.retry_after, policy.retry_ceiling)
    due = at.now + policy.pause(tries, at.chance, hint)
    due = min(due, max(at.now + 1, job.created_at + ms(policy.queue)))
    return moved(job, at, input=replace(job.input, urls=urls), due_at=due)


def inspected(job: Job, role: str, file: InputFile, at: Moment) -> Job:
    """What was fetched for a role is what the role takes, and is kept as an input.

    下载的文件已通过检查并保存。
    """
    if job.status is not S.QUEUED or role not in job.input.urls:
        return job
    urls = {name: remote for name, remote in job.input.urls.items() if name != role}
    kept = replace(job.input, images={**job.input.images, role: file}, urls=urls)
    return moved(job, at, input=kept, due_at=at.now, failures=0)


def input_refused(job: Job, code: str, message: str, at: Moment) -> Job:
    """What was fetched is nothing that the job can be made of; nothing was sent.

    下载的文件不能使用，任务失败。
    """
    return fail(job, JobError(code, message, False), at) if job.status is S.QUEUED else job


def afresh(asked: JobInput) -> JobInput:
    """The same input for a retry: what is kept is kept, what was not is fetched from the start.

    重试时的输入：未完成的网络输入从头下载。
    """
    urls = {
        role: replace(remote, tries=0, key=None, bytes=None, sha256=None)
        for role, remote in asked.urls.items()
    }
    return replace(asked, urls=urls)


def _waits_for(job: Job, role: str) -> bool:
    remote = job.input.urls.get(role)
    return job.status is S.QUEUED and remote is not None and not remote.fetched
