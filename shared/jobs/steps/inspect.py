"""Inspect: look at an input that was fetched, and keep it as those that came with the request.

The work of `postprocess`, not of `poll`: whatever a hostile picture costs, it costs no other job's
create, look or download; and `poll` neither carries nor loads what reads pictures.

检查：查看下载的输入并保存。
"""

from __future__ import annotations

import logging
from contextlib import suppress

from shared.buckets.base import BucketUnavailable, ObjectMissing
from shared.clock import Deadline, OutOfTime
from shared.errors import InvalidInput
from shared.inputs.files import InputFile
from shared.inputs.keeping import Source
from shared.inputs.remote import RemoteInput, shown_url
from shared.jobs import lifecycle
from shared.jobs.kinds import KINDS
from shared.jobs.model import Job
from shared.jobs.ports import Ports
from shared.jobs.saving import apply
from shared.store.base import StoreUnavailable

log = logging.getLogger("maquette.postprocess")

_OUTSIDE = (BucketUnavailable, StoreUnavailable, OSError, OutOfTime, MemoryError)
"""What says nothing of the file: it is looked at again."""


def inspect(ports: Ports, job: Job, deadline: Deadline) -> None:
    """Look at the first of a job's fetched inputs, one a claim.

    检查一个已下载的输入。
    """
    deadline.check()
    role, remote = next(iter(job.input.urls.items()))
    try:
        file = _kept(ports, job, role, remote)
    except ObjectMissing:
        gone = ports.moment()
        apply(ports, job, lambda now: lifecycle.input_missing(now, gone), insist=False)
        return
    except InvalidInput as error:
        saved = _refuse(ports, job, error.code, error.message)
    except _OUTSIDE:
        raise
    except Exception:
        log.exception("%s: %s could not be looked at", job.id, role)
        saved = _refuse(ports, job, "input_unreadable", f"{role}: the file cannot be read.")
    else:
        at = ports.moment()
        saved = apply(
            ports, job, lambda now: lifecycle.inspected(now, role, file, at), insist=False
        )
    if saved is None:
        return  # another worker's by now, who may still be reading it
    assert remote.key is not None
    with suppress(BucketUnavailable):
        ports.bucket.delete(remote.key)


def _kept(ports: Ports, job: Job, role: str, remote: RemoteInput) -> InputFile:
    """The input as it is kept; raises `InvalidInput` for what the job cannot be made of.

    保存后的输入。
    """
    assert remote.key is not None
    shown = {"url": shown_url(remote.url)}
    source = Source(remote.key, shown, remote.sha256, verified=True)
    file = ports.keeper().keep_source(job.id, role, KINDS[job.kind].roles[role], source)
    # One that does not go with the others stays where it is, until the sweep finds it.
    ports.keeper().check_together({**job.input.images, role: file})
    return file


def _refuse(ports: Ports, job: Job, code: str, message: str) -> Job | None:
    log.warning("%s: an input is of no use: %s", job.id, message)
    at = ports.moment()
    return apply(
        ports, job, lambda now: lifecycle.input_refused(now, code, message, at), insist=False
    )
