"""Store: bring the result's files into the bucket.

保存：把结果文件存入存储桶。
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator

from shared.buckets.base import BucketUnavailable
from shared.buckets.names import extension
from shared.clock import Deadline
from shared.jobs import lifecycle
from shared.jobs.model import Job, Status
from shared.jobs.ports import Ports
from shared.jobs.saving import apply
from shared.providers.base import (
    DownloadFailed,
    Provider,
    ProviderError,
)

log = logging.getLogger("maquette.jobs")


def store(ports: Ports, job: Job, provider: Provider, deadline: Deadline) -> None:
    """Fetch the files of the result that are not stored yet.

    保存尚未保存的结果文件。
    """
    try:
        if job.failures or job.claims > 1:
            job = _with_fresh_links(ports, job, provider, deadline)
        for index, file in enumerate(job.files):
            if not file.stored:
                after = _store_file(ports, job, provider, index, deadline)
                if after is None or after.status is not Status.STORING:
                    break
                job = after
    except (ProviderError, BucketUnavailable) as error:
        log.warning("%s: storing failed: %s", job.id, error)
        at, reason = ports.moment(), str(error)
        broken = isinstance(error, DownloadFailed) and error.broken
        apply(
            ports,
            job,
            lambda now: lifecycle.not_stored(now, reason, at, ports.policy, broken=broken),
        )


def _with_fresh_links(ports: Ports, job: Job, provider: Provider, deadline: Deadline) -> Job:
    assert job.task_id is not None
    states = provider.check([job.task_id], _credential(ports, job, provider), deadline)
    state = states.get(job.task_id)
    if state is None or state.status != "succeeded":
        raise DownloadFailed("the provider gave no fresh link to the finished task's files")
    return lifecycle.refreshed(job, state, ports.moment())


def _store_file(
    ports: Ports, job: Job, provider: Provider, index: int, deadline: Deadline
) -> Job | None:
    """Stream one file from the provider into the bucket; the job as saved, None if it is lost.

    把一个文件存入存储桶。
    """
    file = job.files[index]
    # The version makes the key this claim's own: two workers never write the same object.
    key = f"incoming/{job.id}/{job.version}-{index}-{file.role}{extension(file.media_type)}"
    digest = hashlib.sha256()

    def hashed(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            deadline.check()
            digest.update(chunk)
            yield chunk

    remote = lifecycle.remote(file)
    with provider.download(remote, _credential(ports, job, provider), deadline) as download:
        info = ports.bucket.put_stream(key, hashed(download.chunks), media_type=file.media_type)
    at = ports.moment()
    return apply(
        ports,
        job,
        lambda now: lifecycle.stored(now, index, key, info.bytes, digest.hexdigest(), at),
    )


def _credential(ports: Ports, job: Job, provider: Provider) -> str:
    if job.attempt is not None:
        return job.attempt.credential
    return ports.credentials.names(provider.name, job.caller)[0]
