"""What wakes a function besides HTTP: the few event shapes, each with a small type.

除 HTTP 以外会触发函数的事件。
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus


@dataclass(frozen=True)
class Timer:
    """A schedule fired.

    定时触发。
    """


@dataclass(frozen=True)
class Wake:
    """Another function says that work is waiting.

    被其他函数唤醒。
    """


@dataclass(frozen=True)
class Help:
    """A `poll` with a backlog asks another one to carry the jobs of these providers forward; of
    all, where none is named, as older code asked.

    请求协助处理积压的任务。
    """

    providers: tuple[str, ...] = ()


@dataclass(frozen=True)
class ObjectsCreated:
    """Objects appeared in the bucket; a hint that may come twice, late, early or never.

    存储中出现了新对象。
    """

    keys: tuple[str, ...]


Event = Timer | Wake | Help | ObjectsCreated

WAKE: Mapping[str, Any] = {"maquette": "wake"}
"""The event one function wakes another with."""


def help_event(provider: str) -> dict[str, Any]:
    """The event by which `poll` hands a provider's jobs to a further one.

    请求协助的事件。
    """
    return {"maquette": "help", "providers": [provider]}


def parse(event: Any) -> Event:
    """What happened, from the event's JSON; anything unknown counts as a wake-up.

    Shapes: EventBridge Scheduler ("detail-type": "Scheduled Event"), S3 by way of EventBridge
    ("Object Created", the key as it is), S3 notifications ("Records" with URL-encoded keys), `WAKE`
    and `help_event`. EventBridge's older rules send the same "detail-type" as its Scheduler.

    解析事件。
    """
    if not isinstance(event, Mapping):
        return Wake()
    if event.get("detail-type") == "Scheduled Event":
        return Timer()
    if event.get("detail-type") == "Object Created":
        return ObjectsCreated(_rule_keys(event))
    if event.get("maquette") == "help":
        named = event.get("providers")
        known = named if isinstance(named, list) else []
        return Help(tuple(name for name in known if isinstance(name, str)))
    records = event.get("Records")
    if isinstance(records, list):
        keys = [_s3_key(record) for record in records]
        return ObjectsCreated(tuple(key for key in keys if key))
    return Wake()


def _rule_keys(event: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        key = event["detail"]["object"]["key"]
    except (KeyError, TypeError):
        return ()
    return (key,) if isinstance(key, str) and key else ()


def _s3_key(record: Any) -> str:
    try:
        return unquote_plus(record["s3"]["object"]["key"])
    except (KeyError, TypeError, AttributeError):
        return ""
