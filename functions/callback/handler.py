"""Timer or wake-up: send the deliveries that are due.

定时或被唤醒：发送到期的通知。
"""

from __future__ import annotations

from typing import Any

from shared import wiring
from shared.observability import request


def handler(event: dict[str, Any], context: Any) -> None:
    """Send what is due, signed; a message that fails is due again later.

    发送到期的通知。
    """
    bundle = wiring.current()
    with request(context.aws_request_id):
        bundle.deliveries.run(wiring.deadline_of(context))
