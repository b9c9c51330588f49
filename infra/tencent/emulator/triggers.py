"""Triggers of functions as CreateTrigger takes them, and as ListTriggers gives them back.

After "CreateTrigger" (583/18589), "trigger configuration" (583/39901) and "create a function URL"
(583/100227). That a timer is read back as a JSON object and `Enable` as a number is what
tencent-component-toolkit 2.27.6 reckons with, and `NetConfig.ExtranetUrl` what a client of function
URLs reads.

触发器的校验与读取。
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from infra.tencent.emulator.deployed import Deployed, Trigger
from infra.tencent.emulator.errors import ApiError

MOST_OF_A_KIND = 10
"""Triggers of one kind that a function may have (583/11637)."""
KINDS = ("timer", "cos", "http")
CHANGEABLE = ("timer", "http")
"""What UpdateTrigger takes, of the kinds here."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_CRON_FIELDS = 7
_CRON = re.compile(r"[0-9A-Za-z*/,\-?LW#]+")
_BUCKET_HOST = re.compile(r"[a-z0-9][a-z0-9-]*-[0-9]+\.cos\.[a-z0-9-]+\.myqcloud\.com")
_BUCKET_EVENT = re.compile(
    r"cos:Object(Created:(\*|Put|Post|Copy|CompleteMultipartUpload|Origin|Replication)"
    r"|Remove:(\*|Delete|DeleteMarkerCreated)|Restore:(Post|Completed))"
)
_STATES = {"OPEN": True, "CLOSE": False}


def parse(given: Mapping[str, Any], before: Trigger | None = None) -> Trigger:
    """The trigger that CreateTrigger asks for, or UpdateTrigger of one that was there; raises
    `ApiError`.

    解析触发器参数。
    """
    name, kind = str(given.get("TriggerName", "")), str(given.get("Type", ""))
    if kind not in KINDS:
        raise ApiError("InvalidParameterValue.Type", f"triggers of type {kind!r} are not known")
    enable = given.get("Enable", "OPEN" if before is None or before.enabled else "CLOSE")
    if enable not in _STATES:
        raise ApiError("InvalidParameterValue.Enable", "Enable is OPEN or CLOSE")
    description = given.get("TriggerDesc", before.description if before else "")
    argument = given.get("CustomArgument", before.argument if before else "")
    if not isinstance(description, str) or not isinstance(argument, str):
        raise ApiError("InvalidParameterValue.TriggerDesc", "TriggerDesc is a text")
    _CHECKS[kind](name, description)
    if argument and kind != "timer":
        raise ApiError("InvalidParameterValue", "CustomArgument belongs to timers")
    qualifier = str(given.get("Qualifier", "$LATEST"))
    return Trigger(name, kind, description, argument, _STATES[enable], qualifier)


def add(function: Deployed, trigger: Trigger) -> None:
    """Put a new trigger on a function; raises `ApiError` where it may not have it.

    为函数添加触发器。
    """
    key = trigger.name
    if key in function.triggers:
        # A bucket's are all named like it; that they want other objects was seen before.
        if trigger.kind != "cos":
            raise ApiError("ResourceInUse.TriggerName", f"there is a trigger {trigger.name}")
        key = f"{trigger.name} {trigger.description}"
    same = [one for one in function.triggers.values() if one.kind == trigger.kind]
    if len(same) >= MOST_OF_A_KIND:
        raise ApiError("LimitExceeded.Trigger", f"{MOST_OF_A_KIND} triggers of a type at most")
    if trigger.kind == "http" and any(one.qualifier == trigger.qualifier for one in same):
        raise ApiError("ResourceInUse.Trigger", "the qualifier has a function URL")
    if trigger.kind in ("timer", "cos") and function.kind == "HTTP":
        raise ApiError("UnsupportedOperation.Trigger", "a web function has a function URL alone")
    function.triggers[key] = trigger


def found(function: Deployed, given: Mapping[str, Any]) -> tuple[str, Trigger]:
    """The trigger that a request names, by name, type and qualifier, a bucket's by what it wants as
    well, and the key that it is kept by; raises `ApiError`.

    查找触发器。
    """
    if given.get("Type") == "cos" and "TriggerDesc" not in given:
        raise ApiError("MissingParameter", "TriggerDesc names the event of a bucket's trigger")
    wanted = (given.get("TriggerName"), given.get("Type"), given.get("Qualifier", "$LATEST"))
    for key, trigger in function.triggers.items():
        if (trigger.name, trigger.kind, trigger.qualifier) == wanted and _is_meant(trigger, given):
            return key, trigger
    raise ApiError("ResourceNotFound.Trigger", f"no trigger {given.get('TriggerName')} is here")


def _is_meant(trigger: Trigger, given: Mapping[str, Any]) -> bool:
    """Whether a bucket's trigger is of the event, and of the objects if they are told."""
    if trigger.kind != "cos":
        return True
    told, own = _object(str(given["TriggerDesc"])), json.loads(trigger.description)
    if "event" not in told:
        raise ApiError("InvalidParameterValue.TriggerDesc", "no event in it")
    same_ends = all(_filter(told, side) == _filter(own, side) for side in ("Prefix", "Suffix"))
    return bool(told["event"] == own["event"] and ("filter" not in told or same_ends))


def overlap(one: Trigger, other: Trigger) -> bool:
    """Whether two triggers want one event of one object: a bucket may have only one that does.

    两个存储桶触发器是否重叠。
    """
    if one.kind != "cos" or other.kind != "cos" or one.name != other.name:
        return False
    mine, theirs = json.loads(one.description), json.loads(other.description)
    if not _related(mine["event"], theirs["event"]):
        return False
    return all(
        _same_end(_filter(mine, side), _filter(theirs, side), side) for side in ("Prefix", "Suffix")
    )


def shown(function: Deployed, trigger: Trigger, *, number: bool = True) -> dict[str, Any]:
    """A trigger as ListTriggers, GetFunction and CreateTrigger's answer show it.

    `number` says whether Enable is 1 or 0, as the lists have it.

    触发器的返回形式。
    """
    description = trigger.description
    if trigger.kind == "timer":
        description = json.dumps({"cron": description})
    elif trigger.kind == "http":
        config = json.loads(description)
        if function.url:
            for side in ("Extranet", "Intranet"):
                if config["NetConfig"][f"Enable{side}"]:
                    config["NetConfig"][f"{side}Url"] = function.url
        description = json.dumps(config)
    enable: Any = int(trigger.enabled) if number else ("CLOSE", "OPEN")[trigger.enabled]
    return {
        "TriggerName": trigger.name,
        "Type": trigger.kind,
        "TriggerDesc": description,
        "CustomArgument": trigger.argument,
        "Enable": enable,
        "Qualifier": trigger.qualifier,
        "AvailableStatus": "Available",
        "BindStatus": "on",
    }


def _check_timer(name: str, description: str) -> None:
    if not _NAME.fullmatch(name):
        raise ApiError("InvalidParameterValue.TriggerName", "letters, digits, - and _")
    fields = description.split()
    if len(fields) != _CRON_FIELDS or not all(_CRON.fullmatch(one) for one in fields):
        raise ApiError(
            "InvalidParameterValue.TriggerDesc",
            "a timer has seven fields: second minute hour day month weekday year",
        )


def _check_cos(name: str, description: str) -> None:
    """The name is the bucket's host, and the description says which event of which keys."""
    if not _BUCKET_HOST.fullmatch(name):
        raise ApiError("InvalidParameterValue.TriggerName", "the bucket's host is meant")
    config = _object(description)
    rules = config.get("filter", {})
    if not isinstance(config.get("event"), str) or not _BUCKET_EVENT.fullmatch(config["event"]):
        raise ApiError("InvalidParameterValue.TriggerDesc", "the event is not known")
    if not isinstance(rules, dict) or not set(rules) <= {"Prefix", "Suffix"}:
        raise ApiError("InvalidParameterValue.TriggerDesc", "the filter is not understood")


def _check_http(name: str, description: str) -> None:
    """The description says who may call, and from which nets.

    校验函数 URL 配置。
    """
    if not _NAME.fullmatch(name):
        raise ApiError("InvalidParameterValue.TriggerName", "letters, digits, - and _")
    config = _object(description)
    net = config.get("NetConfig")
    if config.get("AuthType") not in ("NONE", "CAM"):
        raise ApiError("InvalidParameterValue.TriggerDesc", "AuthType is NONE or CAM")
    sides = {"EnableIntranet", "EnableExtranet"}
    if not isinstance(net, dict) or set(net) != sides:
        raise ApiError("InvalidParameterValue.TriggerDesc", "NetConfig says which nets")
    if not all(isinstance(value, bool) for value in net.values()):
        raise ApiError("InvalidParameterValue.TriggerDesc", "NetConfig's values are booleans")


_CHECKS = {"timer": _check_timer, "cos": _check_cos, "http": _check_http}


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ApiError("InvalidParameterValue.TriggerDesc", "a JSON object is meant")
    return value


def _filter(config: Mapping[str, Any], side: str) -> str:
    return str((config.get("filter") or {}).get(side, ""))


def _related(mine: str, theirs: str) -> bool:
    return mine == theirs or any(
        general.endswith("*") and special.startswith(general[:-1])
        for general, special in ((mine, theirs), (theirs, mine))
    )


def _same_end(mine: str, theirs: str, side: str) -> bool:
    if side == "Prefix":
        return mine.startswith(theirs) or theirs.startswith(mine)
    return mine.endswith(theirs) or theirs.endswith(mine)
