"""Object created under incoming/, or wake-up: verify, describe and publish what is due.

新文件到达或被唤醒：校验、描述并发布。
"""

from __future__ import annotations

from typing import Any

from shared import wiring
from shared.jobs.polling import drain

AT_ONCE = 2
"""Models in memory at once; the work is the processor's."""


def handler(event: dict[str, Any], context: Any) -> None:
    """Process what is due. An object's event is only a hint: the queue says what is to be done.

    处理到期的任务；对象事件只是提示。
    """
    with wiring.invocation(context) as deadline:
        drain(wiring.current().ports, deadline, at_once=AT_ONCE)
