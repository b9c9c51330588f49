"""What the emulated SCF's actions are asked and answer, in the API's own words.

模拟 SCF 的参数检查与返回内容。
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infra.tencent.emulator import triggers
from infra.tencent.emulator.deployed import Deployed, Outcome
from infra.tencent.emulator.errors import ApiError

SYNC_BYTES = 6 * 2**20
ASYNC_BYTES = 128 * 2**10
# Of a function that is created as an image; the SDK's models know the first alone (the component
# toolkit sends the rest).
_UNDOCUMENTED = frozenset({"DeployMode", "NodeType", "NodeSpec", "DiskSize", "L5Enable"})


def check_parameters(action: str, given: Mapping[str, Any]) -> None:
    """Whether the SDK's model of the action has every parameter that was sent; raises `ApiError`.

    检查参数名。
    """
    from tencentcloud.scf.v20180416 import models

    model = getattr(models, f"{action}Request", None)
    known = {name.lstrip("_") for name in vars(model())} if model else set()
    if unknown := sorted(set(given) - known - _UNDOCUMENTED):
        raise ApiError("UnknownParameter", f"{action} has no parameter {unknown[0]}")


def page(found: list[Any], given: Mapping[str, Any]) -> list[Any]:
    """The part of a list that Offset and Limit ask for.

    分页。
    """
    offset, limit = int(given.get("Offset", 0)), int(given.get("Limit", 20))
    return found[offset : offset + limit]


def listed(function: Deployed) -> dict[str, Any]:
    """A function as ListFunctions shows it.

    函数列表中的一项。
    """
    return {
        "FunctionName": function.name,
        "Namespace": function.namespace,
        "Type": function.kind,
        "Runtime": function.runtime,
        "Status": function.status,
        "Description": function.more.get("Description", ""),
    }


def shown(function: Deployed) -> dict[str, Any]:
    """A function as GetFunction shows it.

    函数的返回形式。
    """
    reasons = [{"ErrorCode": "FailedOperation", "ErrorMessage": function.reason}]
    variables = [{"Key": key, "Value": value} for key, value in function.environment.items()]
    layers = [{"LayerName": n, "LayerVersion": v} for n, v in function.layer_versions]
    return {
        **function.more,
        **listed(function),
        "Handler": function.handler,
        "Timeout": function.timeout,
        "InitTimeout": function.init_timeout,
        "MemorySize": function.memory,
        "Environment": {"Variables": variables},
        "VpcConfig": {"VpcId": "", "SubnetId": "", **function.vpc},
        "Role": function.role,
        "Layers": layers,
        "CodeSize": len(function.code),
        "FunctionVersion": "$LATEST",
        "StatusReasons": reasons if function.reason else [],
        "Triggers": [triggers.shown(function, one) for one in function.triggers.values()],
    }


def result(function: Deployed, outcome: Outcome, *, waited: bool) -> dict[str, Any]:
    """An invocation's `Result`; who did not wait learns its id alone.

    调用结果的返回形式。
    """
    if not waited:
        return {"FunctionRequestId": outcome.request_id}
    milliseconds = round(outcome.seconds * 1000, 3)
    return {
        "FunctionRequestId": outcome.request_id,
        "InvokeResult": 0 if outcome.error is None else 1,
        "RetMsg": outcome.result,
        "ErrMsg": outcome.error or "",
        "Log": outcome.log[-4096:],
        "Duration": milliseconds,
        "BillDuration": milliseconds,
        "MemUsage": function.memory * 2**20,
    }


def status(name: str, request_id: str, outcome: Outcome | None) -> dict[str, Any]:
    """An invocation as GetRequestStatus shows it; one without an outcome is still running.

    调用状态的返回形式。
    """
    said = outcome or Outcome(request_id)
    return {
        "FunctionName": name,
        "RequestId": request_id,
        "RetCode": 1 if outcome is None else 0 if outcome.error is None else -1,
        "RetMsg": said.error or said.result,
        "Duration": round(said.seconds * 1000, 3),
        "RetryNum": 0,
    }


def event_of(given: Mapping[str, Any], parameter: str, *, wait: bool) -> Any:
    """The event that an invocation brings; raises `ApiError` where it is none, or too large.

    读取调用事件。
    """
    text = given.get(parameter) or "{}"
    most = SYNC_BYTES if wait else ASYNC_BYTES
    if not isinstance(text, str) or len(text.encode()) > most:
        raise ApiError("InvalidParameter.RequestTooLarge", "6 MB, or 128 KB asynchronously")
    try:
        return json.loads(text)
    except ValueError:
        raise ApiError("InvalidParameter.Payload", "the event is no JSON") from None
