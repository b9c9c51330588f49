"""What wakes a function besides HTTP: the few event shapes, each with a small type.

除 HTTP 以外会触发函数的事件。
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus


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
    ("Object Created", the key as it is), S3 notifications ("Records" with URL-encoded keys), SCF's
    timer ("Type": "Timer") and COS's notifications ("Records", see `_cos_key`), `WAKE` and
    `help_event`. EventBridge's older rules send the same "detail-type" as its Scheduler.

    解析事件。
    """
    if not isinstance(event, Mapping):
        return Wake()
    if event.get("detail-type") == "Scheduled Event" or event.get("Type") == "Timer":
        return Timer()
    if event.get("detail-type") == "Object Created":
        return ObjectsCreated(_rule_keys(event))
    if event.get("maquette") == "help":
        named = event.get("providers")
        known = named if isinstance(named, list) else []
        return Help(tuple(name for name in known if isinstance(name, str)))
    records = event.get("Records")
    if isinstance(records, list):
        keys = [_record_key(record) for record in records]
        return ObjectsCreated(tuple(key for key in keys if key))
    return Wake()


def _rule_keys(event: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        key = event["detail"]["object"]["key"]
    except (KeyError, TypeError):
        return ()
    return (key,) if isinstance(key, str) and key else ()


def _record_key(record: Any) -> str:
    """The key of one record of a bucket; "" if it tells of no new object."""
    if not isinstance(record, Mapping):
        return ""
    told = record.get("cos")
    if isinstance(told, Mapping):
        return _cos_key(told) if _is_new(record.get("event")) else ""
    try:
        return unquote_plus(record["s3"]["object"]["key"]) if _is_new(record) else ""
    except (KeyError, TypeError, AttributeError):
        return ""


def _is_new(told: Any) -> bool:
    """Whether it is an object's creation; buckets tell of removals and restores as well."""
    name = told.get("eventName") if isinstance(told, Mapping) else None
    return not isinstance(name, str) or "ObjectCreated" in name


_QUOTED = re.compile(r'(?:[!"$&->@-~]|%[0-9A-Fa-f]{2})+')
"""A path that may be percent-encoded; others have spaces, or a lone percent sign."""


def _cos_key(told: Mapping[str, Any]) -> str:
    """The key in a record of COS; "" without one.

    It stands there as `/<appid>/<bucket>/<key>`, after a slash alone in older events, and again as
    the path of the object's URL. No page says whether either is percent-encoded (in events that
    people have shown the URL is, strictly, and the key is not): what both can be read as is the
    key, the URL being taken for encoded where it may be.

    读取 COS 事件中的对象键。
    """
    named, bucket = told.get("cosObject"), told.get("cosBucket")
    if not isinstance(named, Mapping) or not isinstance(named.get("key"), str):
        return ""
    written = named["key"]
    readings = [_without_bucket(one, bucket) for one in (written, *_decoded(written, "replace"))]
    paths = _paths(named.get("url"))
    if not written:
        return paths[0] if paths else ""
    return next((path for path in paths if path in readings), readings[0])


def _paths(url: Any) -> tuple[str, ...]:
    """What the path of a URL can be read as, the likeliest first; none of what is no URL.

    URL 路径的各种读法。
    """
    if not isinstance(url, str):
        return ()
    path = url.partition("://")[2].partition("/")[2]
    if _QUOTED.fullmatch(path):
        try:
            decoded, as_form = _decoded(path, "strict")
            return (decoded, path, as_form)
        except UnicodeDecodeError:
            pass
    return (path,) if path else ()


def _decoded(text: str, errors: str) -> tuple[str, str]:
    return unquote(text, errors=errors), unquote_plus(text, errors=errors)


def _without_bucket(key: str, bucket: Any) -> str:
    """A key without the account and bucket, or the slash, that COS writes before it: once."""
    if isinstance(bucket, Mapping):
        account, name = str(bucket.get("appid")), str(bucket.get("name"))
        for called in (name, name.removesuffix(f"-{account}")):
            place = f"/{account}/{called}/"
            if key.startswith(place):
                return key[len(place) :]
    return key.removeprefix("/")
