"""What a saved change of a job says in figures: pure, from the job before and after.

由任务变化得出度量数据。
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shared.jobs.model import Job, Status
from shared.metrics import BYTES_STORED, CHECKS_PER_JOB, JOB_SECONDS, JOBS_ENTERED, Metric

Figure = tuple[Metric, float, Mapping[str, str]]
"""A metric, its value and its dimensions."""


def of_change(old: Job | None, new: Job) -> Iterator[Figure]:
    """The figures of a save; `old` is None for a new job. A save within one status has none.

    一次保存对应的度量。
    """
    if old is not None and old.status is new.status:
        return
    kind = {"kind": new.kind}
    entered = {"kind": new.kind, "status": new.status.value}
    yield JOBS_ENTERED, 1, entered
    if not new.status.terminal:
        return
    ended = new.finished_at if new.finished_at is not None else new.updated_at
    yield JOB_SECONDS, max(0, ended - new.created_at) / 1000, entered
    yield CHECKS_PER_JOB, new.receipt.checks, kind
    if new.status is Status.SUCCEEDED:
        yield BYTES_STORED, sum(artifact.bytes for artifact in new.artifacts), kind
