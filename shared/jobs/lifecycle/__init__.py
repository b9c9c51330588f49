"""How a job moves: pure functions of (job, what happened, now) to the next job.

Nothing here reads a clock, the store or the network. A fact that comes too late, for a job that
has ended or moved on, gives back the very same job.

任务流转的纯函数：输入任务、事件和时间，得到新的任务。
"""

from shared.jobs.lifecycle.ending import cancel, canceled_at_provider, lost, overdue
from shared.jobs.lifecycle.running import observed, unseen
from shared.jobs.lifecycle.scheduling import (
    Step,
    handed_back,
    held_back,
    hint_of,
    lease,
    next_look,
    step_of,
)
from shared.jobs.lifecycle.storing import (
    invalid,
    not_processed,
    not_stored,
    published,
    refreshed,
    remote,
    stored,
)
from shared.jobs.lifecycle.submitting import (
    begin_submit,
    input_missing,
    not_found,
    not_submitted,
    refused_again,
    submit_unknown,
    submitted,
)
from shared.jobs.lifecycle.transitions import NEXT, Moment, opened

__all__ = [
    "NEXT",
    "Moment",
    "Step",
    "begin_submit",
    "cancel",
    "canceled_at_provider",
    "handed_back",
    "held_back",
    "hint_of",
    "input_missing",
    "invalid",
    "lease",
    "lost",
    "next_look",
    "not_found",
    "not_processed",
    "not_stored",
    "not_submitted",
    "observed",
    "opened",
    "overdue",
    "published",
    "refreshed",
    "refused_again",
    "remote",
    "step_of",
    "stored",
    "submit_unknown",
    "submitted",
    "unseen",
]
