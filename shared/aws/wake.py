"""Waking a function on AWS: an asynchronous invocation that only saves waiting for the timer.

通过异步调用唤醒 Lambda 函数。
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from shared.aws.clients import client
from shared.events import WAKE, help_event

_SECONDS = 3.0
"""A wake-up that is not taken by then is not worth waiting for."""


class LambdaWake:
    """Wakes the functions named `<prefix>-<function>`; errors are the caller's to ignore.

    唤醒同一部署中的其他函数。
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        # AWS ends a chain of some 16 invocations that comes back to where it was ("Recursive loop
        # detection"), so a function that woke itself would one day be stopped in the middle.
        self._own = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")

    def wake(self, function: str) -> None:
        """Tell a function ("poll", say) that work waits for it; one never wakes itself.

        唤醒一个函数。
        """
        if f"{self._prefix}-{function}" != self._own:
            self._invoke(function, WAKE)

    def help(self, provider: str) -> None:
        """Have one more `poll` carry a provider's jobs forward; asked by a timer's `poll` only, so
        that helpers have no helpers.

        请另一个 poll 协助处理一条分道。
        """
        self._invoke("poll", help_event(provider))

    def _invoke(self, function: str, event: Mapping[str, Any]) -> None:
        client("lambda", seconds=_SECONDS, tries=1).invoke(
            FunctionName=f"{self._prefix}-{function}",
            InvocationType="Event",
            Payload=json.dumps(event).encode(),
        )
