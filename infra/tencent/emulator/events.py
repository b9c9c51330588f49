"""What SCF calls a function with: the events of its triggers, and the context beside them.

SCF 触发函数时给出的事件与上下文。
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from infra.tencent.emulator.deployed import Deployed, Trigger

CREATED = "cos:ObjectCreated:Put"


@dataclass(frozen=True)
class Region:
    """Where, and whose, the emulated functions are.

    所在地域与账号。
    """

    name: str = "ap-guangzhou"
    short: str = "gz"
    appid: str = "1250000000"
    uin: str = "100000000001"


@dataclass(frozen=True)
class Created:
    """An object as its bucket tells of it: the bucket's whole name, the key as it is, its bytes.

    新对象。
    """

    bucket: str
    key: str
    size: int
    media_type: str = "application/octet-stream"
    event: str = CREATED


def timer(trigger: Trigger, moment: datetime) -> dict[str, Any]:
    """A timer's event (document 583/9708); `moment` is in UTC.

    定时事件。
    """
    return {
        "Type": "Timer",
        "TriggerName": trigger.name,
        "Time": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "Message": trigger.argument,
    }


def created(one: Created, region: Region, moment: datetime, request_id: str) -> dict[str, Any]:
    """An object's event (document 583/9707): the key follows `/<appid>/<bucket without it>/`.

    新对象事件。
    """
    name = one.bucket.removesuffix(f"-{region.appid}")
    host = f"{one.bucket}.cos.{region.name}.myqcloud.com"
    record = {
        "cos": {
            "cosSchemaVersion": "1.0",
            "cosObject": {
                "url": f"http://{host}/{quote(one.key)}",
                "meta": {"x-cos-request-id": request_id, "Content-Type": one.media_type},
                "vid": "",
                "key": f"/{region.appid}/{name}/{one.key}",
                "size": one.size,
            },
            "cosBucket": {
                "region": region.short,
                "name": name,
                "appid": region.appid,
                "cosRegion": region.name,
            },
            "cosNotificationId": "unkown",
        },
        "event": {
            "eventName": one.event,
            "eventVersion": "1.0",
            "eventTime": round(moment.timestamp()),
            "eventSource": "qcs::cos",
            "requestParameters": {
                "requestSourceIP": "127.0.0.1",
                "requestHeaders": {"Authorization": ""},
            },
            "eventQueue": f"qcs:0:scf:{region.name}:appid/{region.appid}:default.function.$LATEST",
            "reservedInfo": "",
            "reqid": 1,
        },
    }
    return {"Records": [record]}


def wanted(trigger: Trigger, one: Created, region: Region) -> bool:
    """Whether a trigger asks for the event of this object.

    触发器是否匹配该对象。
    """
    if trigger.name != f"{one.bucket}.cos.{region.name}.myqcloud.com":
        return False
    asked = json.loads(trigger.description)
    event, limits = asked.get("event", ""), asked.get("filter") or {}
    covers = event == one.event or (
        event.endswith("*") and one.event.startswith(event.removesuffix("*"))
    )
    starts, ends = limits.get("Prefix") or "", limits.get("Suffix") or ""
    return covers and one.key.startswith(starts) and one.key.endswith(ends)


def context(
    function: Deployed, region: Region, request_id: str, keys: Mapping[str, str]
) -> dict[str, Any]:
    """The context of an event function, a dict with the role's keys of now (document 583/9210).

    调用上下文。
    """
    environ = {**function.environment, **environment(function, region), **keys}
    return {
        "memory_limit_in_mb": function.memory,
        "time_limit_in_ms": function.timeout * 1000,
        "request_id": request_id,
        "environment": json.dumps(environ),
        "environ": ";".join(f"{name}={value}" for name, value in environ.items()),
        "function_version": "$LATEST",
        "function_name": function.name,
        "namespace": function.namespace,
        "tencentcloud_region": region.name,
        "tencentcloud_appid": region.appid,
        "tencentcloud_uin": region.uin,
    }


def headers(function: Deployed, region: Region, request_id: str) -> dict[str, str]:
    """What the platform adds to a web function's request (document 583/56051), but for the role's
    keys.

    平台附加的请求头。
    """
    return {
        "x-scf-request-id": request_id,
        "x-scf-memory": str(function.memory),
        "x-scf-timeout": str(function.timeout * 1000),
        "x-scf-version": "$LATEST",
        "x-scf-name": function.name,
        "x-scf-namespace": function.namespace,
        "x-scf-region": region.name,
        "x-scf-appid": region.appid,
        "x-scf-uin": region.uin,
    }


def environment(function: Deployed, region: Region) -> dict[str, str]:
    """What the platform sets in a function's environment (document 583/30228), but for the role's
    keys.

    平台设置的环境变量。
    """
    return {
        "TENCENTCLOUD_RUNENV": "SCF",
        "TENCENTCLOUD_REGION": region.name,
        "TENCENTCLOUD_APPID": region.appid,
        "TENCENTCLOUD_UIN": region.uin,
        "SCF_FUNCTIONNAME": function.name,
        "SCF_FUNCTIONVERSION": "$LATEST",
        "SCF_NAMESPACE": function.namespace,
    }
