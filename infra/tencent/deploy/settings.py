"""A function's settings, as they are to be and as they stand: one form for both, to be compared.

函数配置的统一形式。
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from infra.tencent.service import MIGRATE, QUALIFIER, Function, Trigger

PUBLIC_URL = "MAQUETTE_PUBLIC_URL"

_CODE = re.compile(r"\bCode ([0-9a-f]{64})\b")
_NO_VARIABLES = [{"Key": "", "Value": ""}]
_NO_LAYERS = [{"LayerName": "", "LayerVersion": 0}]
_NO_VPC = {"VpcId": "", "SubnetId": ""}
_ONE_AT_ONCE = {"DynamicEnabled": ""}
_EMPTY = (_NO_LAYERS, _NO_VPC, _ONE_AT_ONCE, {"Variables": _NO_VARIABLES})
# What stays as it is found where serverless.yml says nothing: SCF makes a log topic of its own.
_OPTIONAL = ("role", "logs")


@dataclass(frozen=True)
class Settings:
    """All of a function that UpdateFunctionConfiguration sets. `code` is the SHA-256 of the code
    that it belongs to: kept in the description, for the API tells none.

    函数的全部配置。
    """

    code: str
    timeout: int
    memory: int
    init_timeout: int
    environment: Mapping[str, str] = field(default_factory=dict)
    role: str = ""
    vpc: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[tuple[str, int], ...] = ()
    logs: Mapping[str, str] = field(default_factory=dict)
    concurrency: int = 1
    public: bool = True


@dataclass(frozen=True)
class SeenTrigger:
    """A trigger as it stands; `qualifier` is needed to take it away, `url` a function URL's.

    现有的触发器。
    """

    trigger: Trigger
    qualifier: str
    url: str = ""


def wanted(
    function: Function, code: str, layers: Mapping[str, int], names: Mapping[str, str], url: str
) -> Settings:
    """What a function is to be. `layers` are versions by the layer's key, `names` the layers'
    names; `url` is the API's, where the function's own environment names none.

    期望的配置。
    """
    environment = dict(function.environment)
    if url and function.image is None and function.key != MIGRATE:
        environment.setdefault(PUBLIC_URL, url)
    return Settings(
        code=code,
        timeout=function.timeout,
        memory=function.memory,
        init_timeout=function.init_timeout,
        environment=environment,
        role=function.role,
        vpc=dict(function.vpc),
        layers=tuple((names[key], layers[key]) for key in function.layers),
        logs=dict(function.logs),
        concurrency=function.concurrency,
    )


def seen(shown: Mapping[str, Any]) -> Settings:
    """What a function is, out of GetFunction's answer.

    现有的配置。
    """
    code = _CODE.search(str(shown.get("Description") or ""))
    variables = (shown.get("Environment") or {}).get("Variables") or []
    vpc = shown.get("VpcConfig") or {}
    logs = {"logsetId": shown.get("ClsLogsetId"), "topicId": shown.get("ClsTopicId")}
    multi = shown.get("InstanceConcurrencyConfig") or {}
    public = (shown.get("PublicNetConfig") or {}).get("PublicNetStatus", "ENABLE")
    pairs = {"vpcId": vpc.get("VpcId"), "subnetId": vpc.get("SubnetId")}
    return Settings(
        code=code[1] if code else "",
        timeout=int(shown.get("Timeout") or 0),
        memory=int(shown.get("MemorySize") or 0),
        init_timeout=int(shown.get("InitTimeout") or 0),
        environment={str(one["Key"]): str(one["Value"]) for one in variables},
        role=str(shown.get("Role") or ""),
        vpc={name: str(value) for name, value in pairs.items() if value},
        layers=tuple(
            (str(one["LayerName"]), int(one["LayerVersion"])) for one in shown.get("Layers") or []
        ),
        logs={name: str(value) for name, value in logs.items() if value},
        concurrency=int(multi.get("MaxConcurrency") or 1),
        public=public == "ENABLE",
    )


def differences(now: Settings, then: Settings) -> list[str]:
    """What differs, in words: the settings by name, and the environment's variables by theirs.

    Never a variable's value: what is not secret today may be tomorrow.

    列出差异。
    """
    found = []
    for one in fields(Settings):
        before, after = getattr(now, one.name), getattr(then, one.name)
        untold = one.name == "init_timeout" and not before
        if before == after or untold or (one.name in _OPTIONAL and not after):
            continue
        if one.name == "environment":
            names = sorted(
                name for name in {*before, *after} if before.get(name) != after.get(name)
            )
            found.append(f"environment ({', '.join(names)})")
        elif one.name != "code":
            found.append(f"{one.name} {_told(before)} to {_told(after)}")
        else:
            found.append("code")
    return found


def belongs(description: str, prefix: str) -> bool:
    """Whether a function with this description was made by a deployment of this name.

    判断函数是否属于本部署。
    """
    return description.startswith(f"{_owner(prefix)}.")


def _owner(prefix: str) -> str:
    # A description may have no dashes; a name has no spaces.
    return prefix.replace("-", " ")


def parameters(settings: Settings, kind: str, prefix: str) -> dict[str, Any]:
    """The settings as CreateFunction and UpdateFunctionConfiguration take them; `prefix` is the
    deployment's name, by which it knows its functions again.

    转换为接口参数。
    """
    variables = [{"Key": key, "Value": text} for key, text in sorted(settings.environment.items())]
    layers = [{"LayerName": name, "LayerVersion": number} for name, number in settings.layers]
    made: dict[str, Any] = {
        "Description": f"{_owner(prefix)}. Code {settings.code}.",
        "Timeout": settings.timeout,
        "MemorySize": settings.memory,
        "InitTimeout": settings.init_timeout,
        # To take the last one away, one must be sent that is empty (as the component toolkit does).
        "Environment": {"Variables": variables or _NO_VARIABLES},
        "Layers": layers or _NO_LAYERS,
        "VpcConfig": {"VpcId": settings.vpc["vpcId"], "SubnetId": settings.vpc["subnetId"]}
        if settings.vpc
        else _NO_VPC,
        # In a VPC as well: the generators are on the internet.
        "PublicNetConfig": {
            "PublicNetStatus": "ENABLE" if settings.public else "DISABLE",
            "EipConfig": {"EipStatus": "DISABLE"},
        },
    }
    if settings.role:
        made["Role"] = settings.role
    for name, key in (("ClsLogsetId", "logsetId"), ("ClsTopicId", "topicId")):
        if key in settings.logs:
            made[name] = settings.logs[key]
    if kind == "HTTP":
        many = {"DynamicEnabled": "FALSE", "MaxConcurrency": settings.concurrency}
        made["InstanceConcurrencyConfig"] = many if settings.concurrency > 1 else _ONE_AT_ONCE
    return made


def first(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters for a function that is made, which has nothing yet to be taken away.

    去掉只用于清除的参数。
    """
    return {name: value for name, value in given.items() if value not in _EMPTY}


def plain(trigger: Trigger) -> Trigger:
    """A trigger whose description is written in one way, to be compared with another.

    统一触发器描述的写法。
    """
    if trigger.kind == "timer":
        text = " ".join(trigger.description.split())
    else:
        text = json.dumps(json.loads(trigger.description), sort_keys=True)
    return Trigger(trigger.name, trigger.kind, text, trigger.argument, trigger.enabled)


def seen_trigger(shown: Mapping[str, Any]) -> SeenTrigger | None:
    """A trigger out of ListTriggers; None for kinds that serverless.yml does not know.

    A timer is read back as an object though it is sent as a bare text, and `Enable` as a number
    though it is sent as a word.

    现有的触发器。
    """
    kind, text = str(shown.get("Type")), str(shown.get("TriggerDesc") or "")
    url = ""
    if kind == "timer":
        text = str(json.loads(text)["cron"]) if text.lstrip().startswith("{") else text
    elif kind == "cos":
        config = json.loads(text)
        rules = config.get("filter") or {}
        ends = {"Prefix": rules.get("Prefix") or "", "Suffix": rules.get("Suffix") or ""}
        text = json.dumps({"event": config.get("event"), "filter": ends})
    elif kind == "http":
        config = json.loads(text)
        net = config.get("NetConfig") or {}
        url = str(net.get("ExtranetUrl") or net.get("IntranetUrl") or "")
        sides = {name: bool(net.get(name)) for name in ("EnableIntranet", "EnableExtranet")}
        text = json.dumps({"AuthType": config.get("AuthType"), "NetConfig": sides})
    else:
        return None
    trigger = Trigger(
        str(shown.get("TriggerName")),
        kind,  # type: ignore[arg-type]
        text,
        str(shown.get("CustomArgument") or ""),
        shown.get("Enable") in (1, "1", "OPEN"),
    )
    return SeenTrigger(plain(trigger), str(shown.get("Qualifier") or QUALIFIER), url)


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={text}" for name, text in sorted(value.items())) or "none"
    if isinstance(value, tuple):
        return ", ".join(f"{name} {number}" for name, number in value) or "none"
    return str(value) if value != "" else "none"
