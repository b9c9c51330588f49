"""Fetch: bring an input from the web into the bucket, as it comes; nothing looks at it here.

下载：把网络输入原样存入存储桶。
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import suppress

from shared.buckets.base import BucketUnavailable
from shared.clock import Deadline
from shared.inputs.media import Media
from shared.inputs.remote import FETCH_SECONDS, FetchFailed, FileTooLarge
from shared.jobs import lifecycle
from shared.jobs.kinds import KINDS
from shared.jobs.model import Job
from shared.jobs.ports import Ports
from shared.jobs.saving import apply

log = logging.getLogger("maquette.jobs")

_TOO_LARGE = {Media.PICTURE: "image_too_many_bytes", Media.MODEL: "model_too_many_bytes"}


def fetch(ports: Ports, job: Job, deadline: Deadline) -> None:
    """Fetch the first input that is not there yet; one a claim, each has the whole time.

    下载一个尚缺的网络输入。
    """
    role = job.input.unfetched
    assert role is not None
    deadline.check(FETCH_SECONDS)
    media = KINDS[job.kind].roles[role]
    most = ports.keeper().rules.most_bytes(media)
    # The version makes the key this claim's own: two workers never write the same object.
    key = f"incoming/{job.id}/{job.version}-{role}.bin"
    digest = hashlib.sha256()

    def hashed(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            deadline.check()
            digest.update(chunk)
            yield chunk

    url = job.input.urls[role].url
    try:
        with ports.fetcher().fetch(job.caller, url, most, deadline) as chunks:
            media_type = "application/octet-stream"
            info = ports.bucket.put_stream(key, hashed(chunks), media_type=media_type)
    except FetchFailed as error:
        # Where this worker's time is over the failure is its own: no try of the caller's.
        deadline.check()
        log.warning("%s: %s was not fetched: %s", job.id, role, error.reason)
        failed, at = error, ports.moment()
        code = _TOO_LARGE[media] if isinstance(error, FileTooLarge) else None
        apply(
            ports,
            job,
            lambda now: lifecycle.not_fetched(now, role, failed, at, ports.policy, code),
            insist=False,
        )
        return
    at = ports.moment()
    after = apply(
        ports,
        job,
        lambda now: lifecycle.fetched(now, role, key, info.bytes, digest.hexdigest(), at),
        insist=False,
    )
    if after is None:
        # Somebody else's by now, or canceled; what is left behind the sweep finds.
        with suppress(BucketUnavailable):
            ports.bucket.delete(key)
