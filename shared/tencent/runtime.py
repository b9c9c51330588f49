"""SCF's way of calling a function, turned into the one that the handlers know.

The platform calls `main_handler(event, context)` of the file in the root of a function's zip with
two dicts (583/9210); Lambda's context is an object that also tells the time left. The role's keys
may be new in every context: they go into the environment, where whoever signs a call looks.

把 SCF 的调用方式转换为各函数已知的形式。
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from shared.tencent import credentials

Handler = Callable[[Any, Any], Any]

_SHORTEST_MS = 3000
"""The platform's own time limit of a function that has set none."""


@dataclass(frozen=True)
class Context:
    """One invocation as the handlers know it from Lambda: `ends` is on the monotonic clock.

    一次函数调用的上下文。
    """

    aws_request_id: str
    function_name: str
    ends: float
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = ""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the platform's time limit, never below 0.

        剩余的毫秒数。
        """
        return max(0, round((self.ends - time.monotonic()) * 1000))


def context_of(told: Any) -> Context:
    """What SCF's context says, from the moment of this call on: it names the limit, not the end.

    What is missing or makes no sense gets a value that is safe: a limit, SCF's shortest default.

    解析 SCF 的上下文。
    """
    begun = time.monotonic()
    known: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    return Context(
        aws_request_id=_text(known, "request_id") or str(uuid4()),
        function_name=_text(known, "function_name"),
        ends=begun + limit_ms(known.get("time_limit_in_ms")) / 1000,
        function_version=_text(known, "function_version") or "$LATEST",
        memory_limit_in_mb=_text(known, "memory_limit_in_mb"),
    )


def limit_ms(told: Any) -> int:
    """A time limit in milliseconds, as a number or digits; SCF's default for anything else.

    解析时间上限（毫秒）。
    """
    if isinstance(told, float) and told.is_integer():
        told = int(told)
    text = str(told) if isinstance(told, (int, str)) else ""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        return _SHORTEST_MS
    return int(text)


def take_keys(told: Any) -> None:
    """Put the role's keys into the environment if this invocation's context brings all of them.

    A context without keys changes nothing: then the platform keeps the environment up to date, or
    there is no role. The context comes from the platform alone; no request reaches it.

    采用本次调用带来的临时密钥。
    """
    environment = told.get("environment") if isinstance(told, Mapping) else None
    try:
        given = json.loads(environment) if isinstance(environment, str) else environment
    except ValueError:
        return
    if not isinstance(given, Mapping):
        return
    keys = {name: given.get(name) for name in credentials.ROLE}
    if all(isinstance(value, str) and value and "\0" not in value for value in keys.values()):
        credentials.replace({name: str(value) for name, value in keys.items()})


def entry(handler: Handler) -> Handler:
    """The `main_handler` of a function: `handler`, called as it is on AWS; a context that already
    is one the handlers know is left as it is.

    生成 SCF 的入口函数。
    """

    def main_handler(event: Any, context: Any) -> Any:
        if hasattr(context, "get_remaining_time_in_millis"):
            return handler(event, context)
        made = context_of(context)
        take_keys(context)
        return handler(event, made)

    return main_handler


def _text(known: Mapping[str, Any], name: str) -> str:
    value = known.get(name)
    return str(value) if isinstance(value, (str, int)) else ""
