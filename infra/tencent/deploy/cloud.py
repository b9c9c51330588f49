"""The Cloud API as the deployer calls it: reads that are repeated, writes that are not, and waiting
until a function is at rest.

部署程序对云 API 的调用。
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from infra.tencent.deploy.errors import DeployError
from shared.tencent.clients import TencentError, call

UNDER_WAY = frozenset({"Creating", "Updating", "Publishing", "Deleting"})
"""States that end by themselves (583/115197)."""
GONE = "ResourceNotFound"
"""What GetFunction says of a function, or of a namespace, that is not there."""

_READ_SECONDS = 15.0
_WRITE_SECONDS = 120.0
"""Ten megabytes of code go up in it."""
_READ_TRIES = 3
_PAUSE = 0.5
_LOOKS = 600
"""How often a function is looked at before it is given up: five minutes."""
_TOO_MANY = "RequestLimitExceeded"
_LIMITED_TRIES = 5
_PAGE = 100


@dataclass(frozen=True)
class Invoked:
    """How a call of a function ended: its answer as JSON text, or what it failed with.

    调用结果。
    """

    request_id: str
    answer: str
    error: str
    log: str


class Cloud:
    """The account, in one region and one namespace of functions. `pause` waits some seconds.

    一个账号的云资源。
    """

    def __init__(
        self, namespace: str = "default", *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.namespace = namespace
        self._pause = pause

    def read(self, action: str, service: str = "scf", /, **given: Any) -> dict[str, Any]:
        """Ask something that changes nothing; raises `TencentError`.

        只读调用。
        """
        return call(service, action, given, seconds=_READ_SECONDS, tries=_READ_TRIES)

    def write(self, action: str, service: str = "scf", /, **given: Any) -> dict[str, Any]:
        """Change something, once: sent again only where it was refused for coming too soon after
        others; raises `TencentError`.

        写调用，不重复发送。
        """
        for _ in range(_LIMITED_TRIES):
            try:
                return call(service, action, given, seconds=_WRITE_SECONDS)
            except TencentError as error:
                if not error.is_a(_TOO_MANY):
                    raise
                self._pause(1.0)
        return call(service, action, given, seconds=_WRITE_SECONDS)

    def function(self, name: str) -> dict[str, Any] | None:
        """What GetFunction says of a function; None if it is not there.

        查看函数。
        """
        try:
            return self.read("GetFunction", FunctionName=name, Namespace=self.namespace)
        except TencentError as error:
            if error.is_a(GONE):
                return None
            raise

    def at_rest(self, name: str) -> dict[str, Any] | None:
        """A function once nothing is under way any more; None if it is not there. Raises
        `DeployError` where that takes too long.

        等待函数状态稳定。
        """
        for _ in range(_LOOKS):
            shown = self.function(name)
            if shown is None or shown["Status"] not in UNDER_WAY:
                return shown
            self._pause(_PAUSE)
        raise DeployError(f"{name} is still {shown['Status'] if shown else ''} after five minutes")

    def active(self, name: str) -> dict[str, Any]:
        """A function that has become active; raises `DeployError` with the reason where it failed.

        等待函数可用。
        """
        shown = self.at_rest(name)
        if shown is None:
            raise DeployError(f"{name} is gone; did somebody remove it meanwhile?")
        if shown["Status"] != "Active":
            raise DeployError(f"{name} is {shown['Status']}: {reason(shown)}")
        return shown

    def delete(self, name: str) -> None:
        """Remove a function, and wait until it is gone; raises `DeployError`, `TencentError`.

        删除函数并等待。
        """
        self.write("DeleteFunction", FunctionName=name, Namespace=self.namespace)
        if (left := self.at_rest(name)) is not None:
            raise DeployError(f"{name} could not be removed: {reason(left)}")

    def functions(self, begin: str) -> Iterator[dict[str, Any]]:
        """All functions whose names begin so, as they are listed.

        按名称前缀列出函数。
        """
        offset = 0
        while True:
            page = self.read(
                "ListFunctions",
                Namespace=self.namespace,
                SearchKey=begin,
                Offset=offset,
                Limit=_PAGE,
            )
            found = page.get("Functions") or []
            yield from (one for one in found if str(one["FunctionName"]).startswith(begin))
            offset += len(found)
            if not found or offset >= int(page.get("TotalCount") or 0):
                return

    def layer_versions(self, name: str) -> list[dict[str, Any]]:
        """The versions of a layer as they are listed; none where there is no such layer.

        列出层版本。
        """
        try:
            listed = self.read("ListLayerVersions", LayerName=name).get("LayerVersions")
        except TencentError as error:
            if error.is_a(GONE):
                return []
            raise
        return list(listed or [])

    def layer_status(self, name: str, number: int) -> str:
        """The state of a layer's version once it is published or has failed to be.

        等待层发布完成。
        """
        for _ in range(_LOOKS):
            shown = self.read("GetLayerVersion", LayerName=name, LayerVersion=number)
            if shown["Status"] != "Publishing":
                return str(shown["Status"])
            self._pause(_PAUSE)
        raise DeployError(f"version {number} of the layer {name} is still being published")

    def triggers(self, name: str) -> Iterator[dict[str, Any]]:
        """A function's triggers, all pages of them.

        列出触发器。
        """
        offset = 0
        while True:
            page = self.read(
                "ListTriggers",
                FunctionName=name,
                Namespace=self.namespace,
                Offset=offset,
                Limit=_PAGE,
            )
            found = page.get("Triggers") or []
            yield from found
            offset += len(found)
            if not found or offset >= int(page.get("TotalCount") or 0):
                return

    def invoke(self, name: str, event: Any, *, seconds: float) -> Invoked:
        """Call an event function and wait for its answer; raises `TencentError`.

        同步调用函数。
        """
        given = {"FunctionName": name, "Namespace": self.namespace, "Event": json.dumps(event)}
        answer = call("scf", "InvokeFunction", {**given, "LogType": "Tail"}, seconds=seconds)
        result = answer.get("Result") or {}
        return Invoked(
            str(result.get("FunctionRequestId") or ""),
            str(result.get("RetMsg") or ""),
            str(result.get("ErrMsg") or ""),
            str(result.get("Log") or ""),
        )

    def send(self, name: str, event: Any) -> str:
        """Have a function called without waiting for its answer; the invocation's id. Raises
        `TencentError`.

        异步调用函数。
        """
        answer = self.write(
            "Invoke",
            FunctionName=name,
            Namespace=self.namespace,
            InvocationType="Event",
            ClientContext=json.dumps(event),
        )
        return str((answer.get("Result") or {}).get("FunctionRequestId") or "")

    def pause(self) -> None:
        """Wait a moment before looking again.

        稍等。
        """
        self._pause(_PAUSE)


def reason(shown: dict[str, Any]) -> str:
    """Why a function is in a failed state, as far as it is told.

    失败原因。
    """
    reasons = shown.get("StatusReasons") or []
    said = "; ".join(str(one.get("ErrorMessage", "")) for one in reasons)
    return said or str(shown.get("StatusDesc") or "no reason is told")
