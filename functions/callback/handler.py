"""Timer or wake-up: send the deliveries that are due.

定时或被唤醒：发送到期的通知。
"""

from __future__ import annotations

from typing import Any

from shared import events, wiring

AGAIN_SECONDS = 1.0


def handler(event: dict[str, Any], context: Any) -> None:
    """Send what is due, signed; a message that fails is due again later.

    发送到期的通知。
    """
    with wiring.invocation(context) as deadline:
        bundle = wiring.current()
        sent = bundle.deliveries.run(deadline)
        if not sent and isinstance(events.parse(event), events.Wake):
            # What it was woken for may not be in the index yet.
            bundle.clock.sleep(AGAIN_SECONDS)
            bundle.deliveries.run(deadline)
