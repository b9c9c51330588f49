"""serverless.yml without osls: which functions there are, and what wakes each.

The words are those of Tencent's own components (`cronExpression`, `retryNum`, `vpcConfig`;
1154/43228) inside the frame that osls gives: `provider`, `functions`, `events`. What a function
does not say, the provider says for all.

读取 serverless.yml：有哪些函数，各由什么触发。
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from infra.paths import ROOT
from infra.tencent import environment
from infra.tencent.variables import VariableError, resolved

FILE = ROOT / "serverless.yml"
QUALIFIER = "$DEFAULT"
"""What triggers lead to: the alias that stands for the newest code until told otherwise."""
MIGRATE = "migrate"
"""The function that brings the tables up to date; it alone may change them, and serves nobody."""

_COMMON = {
    "runtime",
    "memorySize",
    "timeout",
    "initTimeout",
    "environment",
    "role",
    "vpcConfig",
    "retryNum",
    "msgTTL",
    "cls",
    "namespace",
    "layers",
}
_PROVIDER = _COMMON | {"name", "stage", "region"}
_FUNCTION = _COMMON | {
    "name",
    "description",
    "handler",
    "type",
    "events",
    "image",
    "nodeType",
    "nodeSpec",
    "diskSize",
    "instanceConcurrencyConfig",
    "package",
}
_TIMER = {"name", "cronExpression", "enable", "argument"}
_COS = {"bucket", "events", "filter", "enable"}
_HTTP = {"name", "authType", "netConfig", "enable"}
_CRON_FIELDS = 7
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]*-[0-9]+")
_DEFAULTS = {"runtime": "Python3.10", "memorySize": 128, "timeout": 3, "initTimeout": 65}
_RETRIES, _EVENT_AGE = 2, 21600
"""What SCF takes where nothing is said (583/41138)."""


class ServiceError(Exception):
    """serverless.yml says something that cannot be deployed; the message says where.

    serverless.yml 中有误。
    """


@dataclass(frozen=True)
class Trigger:
    """What wakes a function, as CreateTrigger takes it: `description` is its TriggerDesc.

    触发器。
    """

    name: str
    kind: Literal["timer", "cos", "http"]
    description: str
    argument: str = ""
    enabled: bool = True


@dataclass(frozen=True)
class Function:
    """One function. `key` is its name in the file, `name` its name in the account; `timeout` and
    `event_age` are seconds, `memory` megabytes. `image` is an image's fields in place of code.

    一个函数。
    """

    key: str
    name: str
    kind: Literal["Event", "HTTP"]
    handler: str
    runtime: str
    timeout: int
    memory: int
    init_timeout: int
    namespace: str = "default"
    environment: Mapping[str, str] = field(default_factory=dict)
    role: str = ""
    vpc: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    retries: int = _RETRIES
    event_age: int = _EVENT_AGE
    logs: Mapping[str, str] = field(default_factory=dict)
    concurrency: int = 1
    image: Mapping[str, Any] | None = None
    node: Mapping[str, Any] = field(default_factory=dict)

    @property
    def serves(self) -> bool:
        """Whether callers reach the API at this function's URL.

        是否为 API 函数。
        """
        return self.image is None and any(one.kind == "http" for one in self.triggers)


@dataclass(frozen=True)
class Service:
    """All that is deployed together: its functions by key, in the order of the file, and the
    layers' names in the account by theirs. `prefix` is what all names begin with, "maquette-dev".

    一次部署的全部函数。
    """

    stage: str
    region: str
    functions: Mapping[str, Function]
    layers: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""


def read(
    stage: str,
    *,
    path: Path = FILE,
    options: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Service:
    """The service of a stage out of serverless.yml; raises `ServiceError`.

    `options` are the command line's further ones (`region`), `environ` by default this process's.

    读取某个环境的 serverless.yml。
    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ServiceError(f"{path} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise ServiceError(f"{path} is no mapping")
    source = os.environ if environ is None else environ
    try:
        plain = resolved(document, {**(options or {}), "stage": stage}, source)
    except VariableError as error:
        raise ServiceError(f"{path.name}: {error}") from None
    return parse(plain, stage)


def parse(document: Mapping[str, Any], stage: str) -> Service:
    """The service in a document whose variables are put in; raises `ServiceError`.

    解析变量已替换的文档。
    """
    provider = document.get("provider")
    functions = document.get("functions")
    if not isinstance(provider, Mapping) or not isinstance(functions, Mapping) or not functions:
        raise ServiceError("provider and functions are missing")
    if provider.get("name") != "tencent":
        raise ServiceError("provider.name is not tencent")
    _known("provider", provider, _PROVIDER)
    region = str(provider.get("region") or "")
    if not region:
        raise ServiceError("provider.region is missing")
    name = str(document.get("service", "maquette"))
    shared = {key: value for key, value in provider.items() if key in _COMMON}
    made = {
        key: _function(key, f"{name}-{stage}-{key}", shared, given or {}, region)
        for key, given in functions.items()
    }
    layers = {str(key): f"{name}-{stage}-{key}" for key in document.get("layers") or {}}
    for function in made.values():
        if missing := sorted(set(function.layers) - set(layers)):
            raise ServiceError(f"functions.{function.key}.layers: there is no layer {missing[0]}")
    return Service(stage, region, made, layers, f"{name}-{stage}")


def _function(
    key: str, name: str, shared: Mapping[str, Any], given: Mapping[str, Any], region: str
) -> Function:
    """Read one function, over what the provider says for all; raises `ServiceError`.

    读取一个函数。
    """
    where = f"functions.{key}"
    _known(where, given, _FUNCTION)
    values = {**_DEFAULTS, **shared, **given}
    kind = values.get("type", "event")
    if kind not in ("event", "web"):
        raise ServiceError(f"{where}.type: {kind!r} is neither event nor web")
    image = values.get("image")
    if kind == "event" and image is None and not values.get("handler"):
        raise ServiceError(f"{where}.handler is missing")
    concurrency = (values.get("instanceConcurrencyConfig") or {}).get("maxConcurrency", 1)
    return Function(
        key=key,
        name=str(values.get("name", name)),
        kind="HTTP" if kind == "web" else "Event",
        handler=str(values.get("handler", "")),
        runtime=str(values["runtime"]),
        timeout=_number(where, values, "timeout"),
        memory=_number(where, values, "memorySize"),
        init_timeout=_number(where, values, "initTimeout"),
        namespace=str(values.get("namespace", "default")),
        environment=_environment(where, shared.get("environment"), given.get("environment")),
        role=str(values.get("role") or ""),
        vpc=_vpc(where, values.get("vpcConfig") or {}),
        layers=tuple(str(one) for one in values.get("layers") or ()),
        triggers=tuple(_triggers(where, name, values.get("events") or [], region)),
        retries=_number(where, {"retryNum": _RETRIES, **values}, "retryNum"),
        event_age=_number(where, {"msgTTL": _EVENT_AGE, **values}, "msgTTL"),
        logs={one: str(text) for one, text in (values.get("cls") or {}).items() if text},
        concurrency=int(concurrency),
        image=image,
        node={one: values[one] for one in ("nodeType", "nodeSpec", "diskSize") if one in values},
    )


def _triggers(
    where: str, name: str, events: list[Mapping[str, Any]], region: str
) -> Iterator[Trigger]:
    """Read what wakes a function, one entry of the list each; raises `ServiceError`.

    读取触发器。
    """
    for number, event in enumerate(events):
        ((kind, given),) = event.items()
        at = f"{where}.events.{number}.{kind}"
        given = given or {}
        if kind == "timer":
            yield _timer(at, name, given)
        elif kind == "cos":
            yield _cos(at, given, region)
        elif kind == "http":
            yield _http(at, given)
        else:
            raise ServiceError(f"{at}: triggers of this kind are not known; timer, cos, http are")


def _timer(at: str, name: str, given: Mapping[str, Any]) -> Trigger:
    """A timer, whose seven fields begin with the second (583/9708).

    读取定时触发器。
    """
    _known(at, given, _TIMER)
    cron = str(given.get("cronExpression", ""))
    if len(cron.split()) != _CRON_FIELDS:
        raise ServiceError(
            f"{at}.cronExpression: {cron!r} has not the seven fields second, minute, hour, day, "
            "month, weekday, year"
        )
    return Trigger(
        str(given.get("name", f"{name}-timer")),
        "timer",
        cron,
        str(given.get("argument") or ""),
        bool(given.get("enable", True)),
    )


def _cos(at: str, given: Mapping[str, Any], region: str) -> Trigger:
    """A bucket's trigger; it is named like the bucket's host (583/39901)."""
    _known(at, given, _COS)
    bucket = str(given.get("bucket", ""))
    if not _BUCKET.fullmatch(bucket):
        raise ServiceError(f"{at}.bucket: {bucket!r} is not of the form NAME-APPID")
    rules = given.get("filter") or {}
    ends = {"Prefix": str(rules.get("prefix") or ""), "Suffix": str(rules.get("suffix") or "")}
    config = {"event": str(given.get("events", "cos:ObjectCreated:*")), "filter": ends}
    host = f"{bucket}.cos.{region}.myqcloud.com"
    return Trigger(host, "cos", json.dumps(config), enabled=bool(given.get("enable", True)))


def _http(at: str, given: Mapping[str, Any]) -> Trigger:
    """A function URL: who may call it, and from which nets (583/100227).

    读取函数 URL。
    """
    _known(at, given, _HTTP)
    net = {"enableIntranet": False, "enableExtranet": True, **(given.get("netConfig") or {})}
    config = {
        "AuthType": str(given.get("authType", "NONE")),
        "NetConfig": {
            "EnableIntranet": bool(net["enableIntranet"]),
            "EnableExtranet": bool(net["enableExtranet"]),
        },
    }
    name = str(given.get("name", "url"))
    return Trigger(name, "http", json.dumps(config), enabled=bool(given.get("enable", True)))


def _environment(where: str, *parts: Mapping[str, Any] | None) -> dict[str, str]:
    """The variables, later parts before earlier ones; one without a value is left out, for SCF
    takes no empty ones.

    合并环境变量。
    """
    made: dict[str, str] = {}
    for name, value in (pair for part in parts for pair in (part or {}).items()):
        if isinstance(value, (dict, list)):
            raise ServiceError(f"{where}.environment.{name} is no text")
        made[name] = "" if value is None else str(value)
    kept = {name: text for name, text in made.items() if text}
    if wrong := environment.fault(kept):
        raise ServiceError(f"{where}.environment: {wrong}")
    return kept


def _vpc(where: str, given: Mapping[str, Any]) -> dict[str, str]:
    found = {name: str(given[name]) for name in ("vpcId", "subnetId") if given.get(name)}
    if len(found) == 1:
        raise ServiceError(f"{where}.vpcConfig: vpcId and subnetId go together")
    return found


def _number(where: str, values: Mapping[str, Any], name: str) -> int:
    value = values[name]
    if isinstance(value, bool) or not str(value).isdecimal():
        raise ServiceError(f"{where}.{name}: {value!r} is no whole number")
    return int(value)


def _known(where: str, given: Any, known: set[str]) -> None:
    if not isinstance(given, Mapping):
        raise ServiceError(f"{where} is no mapping")
    if unknown := sorted(set(given) - known):
        raise ServiceError(f"{where}.{unknown[0]} is not known here")
