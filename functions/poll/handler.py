"""Timer or wake-up: submit, check and store whatever is due.

定时或被唤醒：提交、查询并保存到期的任务。
"""

from __future__ import annotations

from typing import Any

from shared import events, wiring
from shared.jobs.polling import poll
from shared.jobs.watch import Watch
from shared.observability import request


def handler(event: dict[str, Any], context: Any) -> None:
    """Carry jobs forward; on a timer (or when nobody else does) stay while any is unfinished.

    推进任务。
    """
    bundle = wiring.current()
    deadline = wiring.deadline_of(context)
    name = context.aws_request_id
    on_timer = isinstance(events.parse(event), events.Timer)
    watch = Watch(
        bundle.store, bundle.clock, name, seconds=deadline.remaining(), take_over=on_timer
    )
    with request(name):
        try:
            poll(bundle.ports, deadline, watch.stays)
        finally:
            watch.leave()
