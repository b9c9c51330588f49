"""`./scripts/manage logs TOPIC`: gives a log topic the index that our lines are searched by.

给日志主题设置索引；运维人员自己的字段保持不变。
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.tencent.clients import TencentError, call

INDEX = Path(__file__).with_name("index.json")
MOST_KEYS = 100
"""Keys of one index (614/56445)."""

_SECONDS = 20.0
_TRIES = 3


class TooManyKeys(Exception):
    """The topic has keys of its own, so many that ours do not fit in.

    索引字段数超过上限。
    """


@dataclass(frozen=True)
class Change:
    """What a topic's index has to become: the action that makes it so, its parameters, and a line
    for each thing that changes.

    索引的变更。
    """

    action: str
    parameters: Mapping[str, Any]
    lines: tuple[str, ...]


def set_up(topic: str, *, plan: bool, say: Callable[[str], object] = print) -> int:
    """Make a topic's index what our queries need, or only say what would change; how many changes.

    Raises `TencentError` and `TooManyKeys`.

    设置索引，或只列出变更。
    """
    change = change_of(topic, told(topic))
    if change is None:
        return 0
    for line in change.lines:
        say(f"  {line}")
    if not plan:
        call("cls", change.action, change.parameters, seconds=_SECONDS)
    return len(change.lines)


def told(topic: str) -> dict[str, Any] | None:
    """A topic's index as CLS has it, None where it has none.

    读取现有索引。
    """
    try:
        return call("cls", "DescribeIndex", {"TopicId": topic}, seconds=_SECONDS, tries=_TRIES)
    except TencentError as error:
        if error.is_a("ResourceNotFound.IndexNotExist"):
            return None
        raise


def change_of(topic: str, found: Mapping[str, Any] | None) -> Change | None:
    """What has to change, None if nothing. Whatever else the operator searches by stays as it is.

    计算需要的变更。
    """
    ours = json.loads(INDEX.read_text("utf-8"))
    rule = (found or {}).get("Rule") or {}
    if not rule:
        action = "CreateIndex" if found is None else "ModifyIndex"
        count = len(ours["Rule"]["KeyValue"]["KeyValues"])
        return Change(action, {"TopicId": topic, **ours}, (f"+ the index, {count} fields",))
    keys = rule.get("KeyValue") or {}
    known = {one["Key"]: one for one in keys.get("KeyValues") or []}
    lines = [] if found and found.get("Status") else ["~ the index is switched on"]
    for one in ours["Rule"]["KeyValue"]["KeyValues"]:
        name, before = one["Key"], known.get(one["Key"])
        if before is None or not _covers(before["Value"], one["Value"]):
            lines.append(f"{'+' if before is None else '~'} {name}: {one['Value']['Type']}")
            known[name] = one
    if not lines:
        return None
    if len(known) > MOST_KEYS:
        raise TooManyKeys(
            f"the topic's index would have {len(known)} fields, {MOST_KEYS} is the most; "
            "have the functions' logs delivered to a topic of their own"
        )
    wanted = {
        **ours["Rule"],
        **rule,
        "KeyValue": {**ours["Rule"]["KeyValue"], **keys, "KeyValues": list(known.values())},
    }
    return Change("ModifyIndex", {"TopicId": topic, "Status": True, "Rule": wanted}, tuple(lines))


def _covers(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a field is indexed as our queries need it; CLS may leave out what is empty."""
    return all((value.get(name) or "") == (one or "") for name, one in wanted.items())
