"""What stands in the account of what is to be deployed.

账号中的现状。
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.tencent.deploy import secrets
from infra.tencent.deploy.cloud import Cloud, reason
from infra.tencent.deploy.errors import DeployError
from infra.tencent.deploy.packages import Packages, digest
from infra.tencent.deploy.secrets import Secret
from infra.tencent.deploy.settings import SeenTrigger, Settings, belongs, seen, seen_trigger
from infra.tencent.service import Function, Service

_LAYER = re.compile(r"\bLayer ([0-9a-f]{64})\b")


@dataclass(frozen=True)
class Seen:
    """A function as it stands, at rest. `failed` is why it could not be made, nothing if it could.

    现有的函数。
    """

    kind: str
    runtime: str
    handler: str
    settings: Settings
    triggers: tuple[SeenTrigger, ...] = ()
    retries: tuple[int, int] | None = None
    failed: str = ""
    stale: bool = False


@dataclass(frozen=True)
class Version:
    """A version of a layer: its number, and the SHA-256 of its zip, as the description tells.

    层的一个版本。
    """

    number: int
    digest: str


@dataclass(frozen=True)
class State:
    """Functions and layers by their keys in serverless.yml; those that are not there are left out.
    `url` is the API's function URL, empty until there is one. `strays` are functions that this
    deployment made and serverless.yml no longer names.

    现状。
    """

    functions: Mapping[str, Seen]
    layers: Mapping[str, tuple[Version, ...]]
    secrets: list[Secret] = field(default_factory=list)
    url: str = ""
    strays: tuple[str, ...] = ()


def look(service: Service, cloud: Cloud, *, renew: bool = False) -> State:
    """See what there is, once nothing is under way any more; raises `TencentError`, `DeployError`.
    `renew` is as `secrets.look` has it.

    查看现状。
    """
    functions = {}
    for key, function in service.functions.items():
        shown = cloud.at_rest(function.name)
        if shown is not None:
            functions[key] = _function(function, shown, cloud)
    layers = {key: _versions(name, cloud) for key, name in service.layers.items()}
    urls = [
        one.url
        for key, found in functions.items()
        for one in found.triggers
        if one.url and service.functions[key].serves
    ]
    held = secrets.look(service, cloud, renew=renew)
    return State(functions, layers, held, urls[0] if urls else "", strays(service, cloud))


def strays(service: Service, cloud: Cloud) -> tuple[str, ...]:
    """Functions of this deployment that serverless.yml no longer names, known by what their
    descriptions say: another stage's names may begin in the same way.

    不再使用的函数。
    """
    known = {one.name for one in service.functions.values()}
    return tuple(
        str(one["FunctionName"])
        for one in cloud.functions(f"{service.prefix}-")
        if one["FunctionName"] not in known
        and belongs(str(one.get("Description") or ""), service.prefix)
    )


def version_of(versions: tuple[Version, ...], zipped: str) -> int | None:
    """The number of the layer's newest version with this SHA-256, if there is one.

    查找相同内容的层版本。
    """
    return max((one.number for one in versions if one.digest == zipped), default=None)


def layer_versions(state: State, packages: Packages) -> dict[str, int]:
    """Which version of each layer is the one that is to be used, of those that are there.

    可直接使用的层版本。
    """
    found = {
        key: version_of(state.layers[key], digest(path)) for key, path in packages.layers.items()
    }
    return {key: number for key, number in found.items() if number is not None}


def _function(function: Function, shown: dict[str, Any], cloud: Cloud) -> Seen:
    """A function that is there, with its triggers and retries; raises `DeployError` where it is
    something else than it must be and can never become.

    读取现有函数。
    """
    kind, runtime = str(shown.get("Type") or "Event"), str(shown.get("Runtime") or "")
    failed = shown["Status"] not in ("Active", "UpdateFailed")
    if shown["Status"] not in ("Active", "UpdateFailed", "CreateFailed"):
        raise DeployError(f"{function.name} is {shown['Status']}: {reason(shown)}")
    if (
        not failed
        and function.image is None
        and (kind, runtime) != (function.kind, function.runtime)
    ):
        raise DeployError(
            f"{function.name} is a function of type {kind} on {runtime}, and can never become one "
            f"of type {function.kind} on {function.runtime}: remove it first "
            "(./scripts/deploy tencent --remove), and mind that its function URL goes with it"
        )
    found = [] if failed else [seen_trigger(one) for one in cloud.triggers(function.name)]
    return Seen(
        kind,
        runtime,
        str(shown.get("Handler") or ""),
        seen(shown),
        tuple(one for one in found if one is not None),
        None if failed or function.kind == "HTTP" else _retries(function, cloud),
        reason(shown) if failed else "",
        shown["Status"] == "UpdateFailed",
    )


def _retries(function: Function, cloud: Cloud) -> tuple[int, int]:
    answer = cloud.read(
        "GetFunctionEventInvokeConfig", FunctionName=function.name, Namespace=cloud.namespace
    )
    config = answer.get("AsyncTriggerConfig") or {}
    numbers = [int(one["RetryNum"]) for one in config.get("RetryConfig") or []]
    return (numbers[0] if numbers else -1, int(config.get("MsgTTL") or -1))


def _versions(name: str, cloud: Cloud) -> tuple[Version, ...]:
    """The versions of a layer that can be used, once none is being published any more.

    可用的层版本。
    """
    found = []
    for one in cloud.layer_versions(name):
        told = _LAYER.search(str(one.get("Description") or ""))
        number, status = int(one["LayerVersion"]), one.get("Status")
        if status == "Publishing":
            status = cloud.layer_status(name, number)
        if status == "Active":
            found.append(Version(number, told[1] if told else ""))
    return tuple(found)
