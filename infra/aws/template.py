"""template.yaml as the local cloud reads it: which functions there are, and what wakes each.

读取 template.yaml：有哪些函数，各由什么触发。
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_FUNCTION = "AWS::Serverless::Function"
_RATE = re.compile(r"rate\(\s*([1-9]\d*)\s+(minute|hour|day)s?\s*\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_TIMEOUT, _MEMORY = 3, 128
"""What AWS SAM takes where nothing is said: seconds, megabytes."""


class TemplateError(Exception):
    """The template says something that the local cloud cannot do; the message says where.

    模板中有本机环境不支持的内容。
    """


@dataclass(frozen=True)
class Schedule:
    """A timer: its name, and the seconds between two of its events.

    定时触发器。
    """

    name: str
    seconds: int


@dataclass(frozen=True)
class ObjectCreated:
    """A bucket's notification: S3's event patterns, and what a key must start and end with.

    存储事件触发器。
    """

    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""

    def matches(self, event: str, key: str) -> bool:
        """Whether this event ("s3:ObjectCreated:Put", say) on this key is asked for.

        判断某个存储事件是否匹配。
        """
        wanted = any(_covers(pattern, event) for pattern in self.events)
        return wanted and key.startswith(self.prefix) and key.endswith(self.suffix)


@dataclass(frozen=True)
class Function:
    """One function: its folder's name, its handler (dotted), time-out in seconds, memory in MB.

    一个函数及其触发方式。
    """

    name: str
    handler: str
    timeout: int = _TIMEOUT
    memory: int = _MEMORY
    http: bool = False
    schedules: tuple[Schedule, ...] = ()
    objects: tuple[ObjectCreated, ...] = ()


def read(path: Path) -> dict[str, Function]:
    """The functions of a template file by name; raises `TemplateError`.

    读取模板文件。
    """
    try:
        return functions(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise TemplateError(f"{path} cannot be read: {error}") from None


def parse(text: str) -> Any:
    """A template's document, with `!Ref X` as `{"Ref": "X"}`, `!Sub X` as `{"Sub": "X"}` and so on.

    解析模板文本，保留 CloudFormation 的标签。
    """
    return yaml.load(text, _Loader)  # a SafeLoader that keeps CloudFormation's tags


def functions(text: str) -> dict[str, Function]:
    """The functions of a template by name; raises `TemplateError`.

    解析模板内容。
    """
    document = parse(text)
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError("the template has no Resources")
    shared = document.get("Globals", {}).get("Function", {})
    plain = _Parameters(document.get("Parameters", {}))
    found: dict[str, Function] = {}
    behind_http = _behind_http(document["Resources"])
    for label, resource in document["Resources"].items():
        if resource.get("Type") == _FUNCTION:
            properties = {**shared, **resource.get("Properties", {})}
            function = _function(label, properties, plain, http=label in behind_http)
            if function.name in found:
                raise TemplateError(f"{label}: there is another function in {function.handler}")
            found[function.name] = function
    if not found:
        raise TemplateError(f"the template has no {_FUNCTION}")
    return found


def rate(expression: str) -> int:
    """The seconds of a `rate(…)` expression; raises `TemplateError` for anything else.

    把 rate 表达式换算成秒。
    """
    match = _RATE.fullmatch(expression.strip())
    if match is None:
        raise TemplateError(f"schedule {expression!r} is not of the form rate(5 minutes)")
    return int(match[1]) * _SECONDS[match[2]]


class _Loader(yaml.SafeLoader):
    """Keeps `!Ref X` as `{"Ref": "X"}`, `!Sub X` as `{"Sub": "X"}` and so on."""


def _tagged(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {tag: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {tag: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {tag: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tagged)


class _Parameters:
    """The template's parameters, of which the local cloud takes the defaults."""

    def __init__(self, declared: Mapping[str, Any]) -> None:
        self._declared = declared

    def of(self, value: Any, where: str) -> Any:
        """A value as it is, or the default of the parameter it refers to."""
        if not isinstance(value, dict):
            return value
        declared = self._declared.get(str(value.get("Ref")), {})
        if "Default" not in declared:
            raise TemplateError(f"{where}: {value} cannot be worked out on this machine")
        return declared["Default"]


def _behind_http(resources: Mapping[str, Any]) -> set[str]:
    """Labels of the functions that an HTTP API leads to, by a route and its integration.

    找出 HTTP 接口背后的函数。
    """
    found: set[str] = set()
    for label, route in resources.items():
        if route.get("Type") != "AWS::ApiGatewayV2::Route":
            continue
        given = route["Properties"]
        if given.get("RouteKey") != "$default":
            raise TemplateError(
                f"{label}: the local cloud knows only routes that take every request"
            )
        integration = _label(f"{label}.Target", given.get("Target"), "integrations/")
        given = resources.get(integration, {}).get("Properties", {})
        found.add(_label(f"{integration}.IntegrationUri", given.get("IntegrationUri")))
    return found


def _label(where: str, value: Any, before: str = "") -> str:
    """The label in `!Sub before${Label}` or `!GetAtt Label.Arn`."""
    text = str(next(iter(value.values()))) if isinstance(value, dict) else ""
    match = re.fullmatch(re.escape(before) + r"\$\{(\w+)\}|(\w+)\.Arn", text)
    if match is None:
        raise TemplateError(f"{where}: {value} names no resource that is known here")
    return str(match[1] or match[2])


def _function(
    label: str, properties: Mapping[str, Any], plain: _Parameters, *, http: bool
) -> Function:
    """Read a function and what wakes it; raises TemplateError for what cannot be run here.

    读取一个函数的定义。
    """
    handler = str(plain.of(properties.get("Handler", ""), f"{label}.Handler"))
    parts = handler.split(".")
    if len(parts) < 3:
        raise TemplateError(f"{label}.Handler: {handler!r} is not package.folder.module.function")
    http = http or "FunctionUrlConfig" in properties
    schedules: list[Schedule] = []
    objects: list[ObjectCreated] = []
    for name, event in (properties.get("Events") or {}).items():
        where, kind = f"{label}.Events.{name}", event.get("Type")
        given = event.get("Properties") or {}
        if kind == "HttpApi":
            _check_everything(where, given)
            http = True
        elif kind in ("ScheduleV2", "Schedule"):
            schedules += _schedule(where, name, given, plain)
        elif kind == "S3":
            objects.append(_notification(where, given, plain))
        elif kind == "EventBridgeRule":
            objects += _created(where, given.get("Pattern", {}))
        else:
            raise TemplateError(f"{where}: the local cloud knows no events of type {kind!r}")
    return Function(
        name=parts[-3],
        handler=handler,
        timeout=_number(properties, "Timeout", _TIMEOUT, label, plain),
        memory=_number(properties, "MemorySize", _MEMORY, label, plain),
        http=http,
        schedules=tuple(schedules),
        objects=tuple(objects),
    )


def _number(
    properties: Mapping[str, Any], name: str, default: int, label: str, plain: _Parameters
) -> int:
    value = plain.of(properties.get(name, default), f"{label}.{name}")
    try:
        return int(value)
    except (TypeError, ValueError):
        raise TemplateError(f"{label}.{name}: {value!r} is not a whole number") from None


def _check_everything(where: str, given: Mapping[str, Any]) -> None:
    method, path = str(given.get("Method", "ANY")).upper(), given.get("Path", "$default")
    if method not in ("ANY", "*", "X-AMAZON-APIGATEWAY-ANY-METHOD") or path not in (
        "$default",
        "/{proxy+}",
    ):
        raise TemplateError(f"{where}: the local cloud knows only routes that take every request")


def _schedule(
    where: str, name: str, given: Mapping[str, Any], plain: _Parameters
) -> list[Schedule]:
    if given.get("State") == "DISABLED" or given.get("Enabled") is False:
        return []
    expression = given.get("ScheduleExpression", given.get("Schedule", ""))
    try:
        return [Schedule(name, rate(str(plain.of(expression, where))))]
    except TemplateError as error:
        raise TemplateError(f"{where}: {error}") from None


def _notification(where: str, given: Mapping[str, Any], plain: _Parameters) -> ObjectCreated:
    """Read the event of a bucket's notification: its kinds and the rules on the key.

    读取存储桶通知的规则。
    """
    events = given.get("Events", [])
    patterns = tuple([events] if isinstance(events, str) else events)
    if not patterns:
        raise TemplateError(f"{where}: Events is missing")
    rules: dict[str, str] = {}
    for rule in given.get("Filter", {}).get("S3Key", {}).get("Rules", []):
        name = str(rule.get("Name", "")).lower()
        if name not in ("prefix", "suffix"):
            raise TemplateError(f"{where}: a rule is named {name!r}, not prefix or suffix")
        rules[name] = str(plain.of(rule.get("Value", ""), where))
    return ObjectCreated(patterns, **rules)


def _created(where: str, pattern: Mapping[str, Any]) -> list[ObjectCreated]:
    """A rule for the bucket's new objects, one entry for each condition on the key.

    读取新对象事件的规则。
    """
    detail = pattern.get("detail", {})
    plain = {**pattern, "detail": set(detail) - {"bucket"}}
    if plain != {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"object"}}:
        raise TemplateError(
            f"{where}: the local cloud knows only rules for the bucket's new objects"
        )
    made: list[ObjectCreated] = []
    for condition in detail["object"].get("key", []):
        if not isinstance(condition, dict) or not set(condition) <= {"prefix", "suffix"}:
            raise TemplateError(f"{where}: {condition!r} is neither a prefix nor a suffix of a key")
        made.append(ObjectCreated(("s3:ObjectCreated:*",), **condition))
    return made


def _covers(pattern: str, event: str) -> bool:
    if pattern.endswith("*"):
        return event.startswith(pattern[:-1])
    return event == pattern
