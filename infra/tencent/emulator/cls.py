"""The log service's indexes on loopback: what a topic is searched by, kept while it runs.

After version 2020-10-16 of the API ("CreateIndex", 614/56445; "ModifyIndex", 614/56442; and
"DescribeIndex"). There are no logs in it.

模拟日志服务的索引接口。
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from infra.tencent.emulator.errors import ApiError

MOST_KEYS = 100
_TYPES = ("long", "text", "double")
_MEMBERS = frozenset({"TopicId", "Status", "Rule", "IncludeInternalFields", "MetadataFlag"})
_ONE_INDEX = "a topic has one index"

Answer = dict[str, Any]


class Cls:
    """The topics of one region, each with its index, None where it has none.

    一个地域的日志主题及其索引。
    """

    def __init__(self, *topics: str) -> None:
        self.indexes: dict[str, Answer | None] = dict.fromkeys(topics)
        self._lock = threading.Lock()
        self._actions: dict[str, Callable[[str, Mapping[str, Any]], Answer]] = {
            "CreateIndex": self._create,
            "DescribeIndex": self._describe,
            "ModifyIndex": self._modify,
        }

    def answer(self, action: str, parameters: Mapping[str, Any]) -> Answer:
        """Do an action; raises `ApiError` with the API's code.

        执行一个操作。
        """
        if action not in self._actions:
            raise ApiError("InvalidAction", f"{action} is not known here")
        if unknown := sorted(set(parameters) - _MEMBERS):
            raise ApiError("UnknownParameter", f"The parameter `{unknown[0]}` is not recognized.")
        topic = parameters.get("TopicId")
        if not topic:
            raise ApiError("MissingParameter", "The request is missing the parameter `TopicId`.")
        with self._lock:
            if topic not in self.indexes:
                raise ApiError("ResourceNotFound.TopicNotExist", "there is no such topic")
            return self._actions[action](topic, parameters)

    def _create(self, topic: str, parameters: Mapping[str, Any]) -> Answer:
        if self.indexes[topic] is not None:
            raise ApiError("FailedOperation.IndexExist", _ONE_INDEX)
        if "Rule" not in parameters:
            raise ApiError("MissingParameter", "The request is missing the parameter `Rule`.")
        self.indexes[topic] = {"Status": True, **_checked(parameters)}
        return {}

    def _describe(self, topic: str, parameters: Mapping[str, Any]) -> Answer:
        index = self.indexes[topic]
        if index is None:
            raise ApiError("ResourceNotFound.IndexNotExist", "the topic has no index")
        return {"TopicId": topic, **index, "ModifyTime": "2026-11-28 00:00:00"}

    def _modify(self, topic: str, parameters: Mapping[str, Any]) -> Answer:
        index = self.indexes[topic]
        if index is None:
            raise ApiError("ResourceNotFound.IndexNotExist", "the topic has no index")
        self.indexes[topic] = {**index, **_checked(parameters)}
        return {}


def _checked(parameters: Mapping[str, Any]) -> Answer:
    """What is kept of an index; raises `ApiError` for a rule that is none.

    检查索引规则。
    """
    keys = list(parameters.get("Rule", {}).get("KeyValue", {}).get("KeyValues", []))
    if len(keys) > MOST_KEYS:
        raise ApiError("LimitExceeded", f"an index has at most {MOST_KEYS} keys")
    if len({one["Key"] for one in keys}) < len(keys):
        raise ApiError("InvalidParameter", "a key is there twice")
    for one in keys:
        value = one["Value"]
        if value.get("Type") not in _TYPES:
            raise ApiError("InvalidParameter", f"{one['Key']} has no type that is known")
        if value["Type"] != "text" and (value.get("Tokenizer") or value.get("ContainZH")):
            raise ApiError("InvalidParameter", f"{one['Key']} is no text to be split")
    return {name: value for name, value in parameters.items() if name != "TopicId"}
