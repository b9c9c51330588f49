"""A step that raised: one failed try, whatever it raised, and the job goes on.

步骤出错：算一次失败的尝试，任务继续。
"""

from __future__ import annotations

from shared.jobs.lifecycle.running import unseen
from shared.jobs.lifecycle.storing import not_processed, not_stored
from shared.jobs.lifecycle.submitting import not_found, not_submitted
from shared.jobs.lifecycle.transitions import Moment
from shared.jobs.model import Job, Status
from shared.jobs.policy import Policy
from shared.providers.base import ProviderUnavailable

S = Status


def failed_try(job: Job, reason: str, at: Moment, policy: Policy) -> Job:
    """The job after a step that failed for `reason`: tried again later, until its deadlines.

    记录一次失败的尝试。
    """
    if job.status is S.QUEUED:
        return not_submitted(job, None, ProviderUnavailable(reason), at, policy)
    if job.status is S.STORING:
        return not_stored(job, reason, at, policy)
    if job.status is S.PROCESSING:
        return not_processed(job, reason, at, policy)
    if job.task_id is None:
        return not_found(job, at, policy, read=False)
    return unseen(job, at, policy)
