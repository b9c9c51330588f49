"""Waking a function on SCF: an asynchronous invocation that only saves waiting for the timer.

通过异步调用唤醒云函数。
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shared.events import WAKE, help_event
from shared.tencent.clients import call

NAMESPACE = "default"

_SECONDS = 3.0
"""A wake-up that is not taken by then is not worth waiting for."""


class ScfWake:
    """Wakes the functions named `<prefix>-<function>` of one namespace; errors are the caller's to
    ignore.

    唤醒同一部署中的其他函数。
    """

    def __init__(self, prefix: str, namespace: str = NAMESPACE) -> None:
        self._prefix = prefix
        self._namespace = namespace

    @classmethod
    def at(cls, url: str) -> ScfWake:
        """What `scf://PREFIX` or `scf://PREFIX?namespace=NAME` stands for.

        按地址创建。
        """
        parts = urlsplit(url)
        return cls(parts.netloc, parse_qs(parts.query).get("namespace", [NAMESPACE])[0])

    def wake(self, function: str) -> None:
        """Tell a function ("poll", say) that work waits for it; one never wakes itself, for that
        would be a loop that costs money for ever.

        唤醒一个函数。
        """
        if f"{self._prefix}-{function}" != os.environ.get("SCF_FUNCTIONNAME"):
            self._invoke(function, WAKE)

    def help(self, provider: str) -> None:
        """Have one more `poll` carry a provider's jobs forward; asked by a timer's `poll` only, so
        that helpers have no helpers.

        请另一个 poll 协助处理一条分道。
        """
        self._invoke("poll", help_event(provider))

    def _invoke(self, function: str, event: Mapping[str, Any]) -> None:
        """Send an event to a function without waiting for what becomes of it.

        异步调用一个函数。
        """
        call(
            "scf",
            "Invoke",
            {
                "FunctionName": f"{self._prefix}-{function}",
                "Namespace": self._namespace,
                "InvocationType": "Event",
                "ClientContext": json.dumps(event),
            },
            seconds=_SECONDS,
        )
