"""Timer or wake-up: submit, check and store whatever is due.

定时或被唤醒：提交、查询并保存到期的任务。
"""

from __future__ import annotations

from typing import Any

from shared import events, wiring
from shared.clock import Deadline
from shared.context import Pool
from shared.jobs.polling import ask_for_help, poll, run_errands
from shared.jobs.sweep import sweep
from shared.wiring import Bundle
from shared.work.leader import Leader

LIMITS_SECONDS = 5.0
"""For a provider to tell its limits."""


def handler(event: dict[str, Any], context: Any) -> None:
    """Carry jobs forward; on a timer (or when nobody else does) stay while any is unfinished.

    A timer's also sweeps away what no job needs, when it is time to. Asked for help, it carries the
    jobs of those providers forward and leaves.

    推进任务。
    """
    with wiring.invocation(context) as deadline:
        bundle = wiring.current()
        what = events.parse(event)
        if isinstance(what, events.Help):
            known = [name for name in what.providers if name in bundle.providers]
            poll(bundle.ports, deadline, lambda: False, providers=known)
            return
        on_timer = isinstance(what, events.Timer)
        if on_timer:
            ask_for_help(bundle.ports, bundle.settings.poll_helpers)
            run_errands(bundle.ports)
        name, seconds = context.aws_request_id, deadline.remaining()
        leader = Leader(bundle.store, bundle.clock, name, seconds=seconds, take_over=on_timer)
        # Beside the poll, which it must not hold up.
        with Pool(1, "sweep") as beside:
            try:
                if on_timer:
                    parts = (bundle.store, bundle.ports.jobs, bundle.bucket, bundle.clock)
                    beside.submit(_learn_limits, bundle)
                    beside.submit(sweep, *parts, deadline)
                poll(bundle.ports, deadline, leader.stays, woken=isinstance(what, events.Wake))
            finally:
                leader.leave()


def _learn_limits(bundle: Bundle) -> None:
    for provider in bundle.providers.values():
        bundle.limits.refresh(provider, Deadline.after(LIMITS_SECONDS))
