"""How a job moves: pure functions of (job, what happened, now) to the next job.

Nothing here reads a clock, the store or the network. A fact that comes too late, for a job that
has ended or moved on, gives back the very same job.

任务流转的纯函数：输入任务、事件和时间，得到新的任务。
"""

from shared.jobs.lifecycle.ending import cancel, canceled_at_provider, lost, overdue
from shared.jobs.lifecycle.fetching import fetched, input_refused, inspected, not_fetched
from shared.jobs.lifecycle.running import observed, unseen
from shared.jobs.lifecycle.scheduling import (
    Step,
    handed_back,
    hint_of,
    lease,
    next_look,
    runs_alone,
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
    account_refused,
    begin_submit,
    input_missing,
    may_ask_again,
    not_found,
    not_submitted,
    refused_again,
    submit_unknown,
    submitted,
)
from shared.jobs.lifecycle.transitions import NEXT, Moment, opened
from shared.jobs.lifecycle.trying import failed_try

__all__ = [
    "NEXT",
    "Moment",
    "Step",
    "account_refused",
    "begin_submit",
    "cancel",
    "canceled_at_provider",
    "failed_try",
    "fetched",
    "handed_back",
    "hint_of",
    "input_missing",
    "input_refused",
    "inspected",
    "invalid",
    "lease",
    "lost",
    "may_ask_again",
    "next_look",
    "not_fetched",
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
    "runs_alone",
    "step_of",
    "stored",
    "submit_unknown",
    "submitted",
    "unseen",
]
