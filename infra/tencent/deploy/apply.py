"""The steps, done one after the other. Each may be the last: the next run looks at what there is.

逐步执行部署。
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from infra.tencent.deploy import secrets
from infra.tencent.deploy.cloud import Cloud
from infra.tencent.deploy.errors import DeployError
from infra.tencent.deploy.packages import Packages, digest, image_of
from infra.tencent.deploy.plan import Step, own_url
from infra.tencent.deploy.settings import Settings, first, parameters, seen_trigger, wanted
from infra.tencent.deploy.state import State, layer_versions
from infra.tencent.service import QUALIFIER, Function, Service, Trigger

DIRECT_BYTES = 7_000_000
"""A larger zip goes through a bucket: a signed request has 10 MB at most (1278/46710), and base64
makes four bytes of three."""

_LOOKS_FOR_URL = 60
_MIGRATE_SECONDS = 320.0


class Shelf(Protocol):
    """Where large zips lie for SCF to fetch; `bucket` is its full name, with the APPID.

    大代码包的中转存储桶。
    """

    bucket: str

    def put(self, key: str, path: Path) -> None:
        """Lay a file there, replacing an older one.

        上传文件。
        """
        ...

    def remove(self, key: str) -> None:
        """Take it away; one that is not there is no fault.

        删除文件。
        """
        ...


class Deployment:
    """One run of the deployer over one state of the account.

    一次部署的执行。
    """

    def __init__(
        self,
        service: Service,
        packages: Packages,
        state: State,
        cloud: Cloud,
        shelf: Shelf,
    ) -> None:
        self._service, self._packages, self._cloud, self._shelf = service, packages, cloud, shelf
        self.url = own_url(service) or state.url
        self._layers = layer_versions(state, packages)
        self._laid: set[str] = set()
        self._does: dict[str, Callable[[Step], None]] = {
            "secret": self._secret,
            "layer": self._layer,
            "discard": self._discard,
            "drop": self._drop,
            "create": self._create,
            "code": self._code,
            "configure": self._configure,
            "address": self._address,
            "retries": self._retries,
            "migrate": self._migrate,
            "untrigger": self._untrigger,
            "retrigger": self._retrigger,
            "trigger": self._trigger,
            "prune": self._prune,
        }

    def do(self, step: Step) -> None:
        """Do one step; raises `DeployError` and `TencentError`.

        执行一个步骤。
        """
        self._does[step.verb](step)

    def tidy(self) -> None:
        """Take the zips away that were laid into the bucket: SCF has copied them.

        清理中转的代码包。
        """
        for key in sorted(self._laid):
            self._shelf.remove(key)
        self._laid.clear()

    def _secret(self, step: Step) -> None:
        assert step.secret is not None
        secrets.complete(step.secret, self._cloud)

    def _layer(self, step: Step) -> None:
        """Publish a version of a layer, and wait until functions may have it.

        发布层版本并等待可用。
        """
        name, path = self._service.layers[step.layer], self._packages.layers[step.layer]
        runtimes = sorted(
            {one.runtime for one in self._service.functions.values() if step.layer in one.layers}
        )
        made = self._cloud.write(
            "PublishLayerVersion",
            LayerName=name,
            CompatibleRuntimes=runtimes,
            Description=f"Maquette. Layer {digest(path)}.",
            Content=self._content(path),
        )
        number = int(made["LayerVersion"])
        if (status := self._cloud.layer_status(name, number)) != "Active":
            raise DeployError(f"version {number} of the layer {name} is {status}")
        self._layers[step.layer] = number

    def _discard(self, step: Step) -> None:
        self._cloud.delete(_of(step).name)

    def _drop(self, step: Step) -> None:
        self._cloud.delete(step.stray)

    def _create(self, step: Step) -> None:
        """Make a function that is not there, and wait for it.

        创建函数并等待。
        """
        function = _of(step)
        given: dict[str, Any] = {
            "FunctionName": function.name,
            "Namespace": self._cloud.namespace,
            "Type": function.kind,
            "Runtime": function.runtime if function.image is None else "CustomImage",
            **first(parameters(self._settings(function), function.kind, self._service.prefix)),
            **self._brought(function),
        }
        if function.handler:
            given["Handler"] = function.handler
        self._cloud.write("CreateFunction", **given)
        self._cloud.active(function.name)

    def _code(self, step: Step) -> None:
        """Bring a function new code, and wait for it.

        更新代码并等待。
        """
        function = _of(step)
        given = {"Handler": function.handler} if function.handler else {}
        self._cloud.write(
            "UpdateFunctionCode",
            FunctionName=function.name,
            Namespace=self._cloud.namespace,
            **given,
            Code=self._brought(function)["Code"],
        )
        self._cloud.active(function.name)

    def _configure(self, step: Step) -> None:
        function = _of(step)
        self._cloud.write(
            "UpdateFunctionConfiguration",
            FunctionName=function.name,
            Namespace=self._cloud.namespace,
            **parameters(self._settings(function), function.kind, self._service.prefix),
        )
        self._cloud.active(function.name)

    def _address(self, step: Step) -> None:
        """Tell the API's function where it is reached, which its trigger may tell some time later.

        把公开地址写入 API 函数。
        """
        if not self.url:
            self.url = self._function_url(_of(step))
        self._configure(step)

    def _retries(self, step: Step) -> None:
        """Say how often and for how long its failed events are tried again.

        设置异步重试。
        """
        function = _of(step)
        self._cloud.write(
            "UpdateFunctionEventInvokeConfig",
            FunctionName=function.name,
            Namespace=self._cloud.namespace,
            AsyncTriggerConfig={
                "RetryConfig": [{"RetryNum": function.retries}],
                "MsgTTL": function.event_age,
            },
        )

    def _migrate(self, step: Step) -> None:
        """Have the tables brought up to date; no other function changes before that.

        升级表结构。
        """
        name = _of(step).name
        invoked = self._cloud.invoke(name, {}, seconds=_MIGRATE_SECONDS)
        if fault := invoked.error or _failure(invoked.answer):
            raise DeployError(f"{name} failed, and no other function was touched: {fault}")

    def _untrigger(self, step: Step) -> None:
        """Take a trigger away; a bucket's is found by its description as well.

        删除触发器。
        """
        assert step.before is not None
        trigger = step.before.trigger
        told = {"TriggerDesc": trigger.description} if trigger.kind == "cos" else {}
        self._cloud.write(
            "DeleteTrigger",
            FunctionName=_of(step).name,
            Namespace=self._cloud.namespace,
            TriggerName=trigger.name,
            Type=trigger.kind,
            Qualifier=step.before.qualifier,
            **told,
        )

    def _retrigger(self, step: Step) -> None:
        assert step.before is not None
        assert step.trigger is not None
        self._cloud.write(
            "UpdateTrigger",
            **self._told(step, step.trigger),
            TriggerName=step.before.trigger.name,
            Qualifier=step.before.qualifier,
        )

    def _trigger(self, step: Step) -> None:
        assert step.trigger is not None
        self._cloud.write(
            "CreateTrigger",
            **self._told(step, step.trigger),
            TriggerName=step.trigger.name,
            Qualifier=QUALIFIER,
        )

    def _prune(self, step: Step) -> None:
        self._cloud.write(
            "DeleteLayerVersion",
            LayerName=self._service.layers[step.layer],
            LayerVersion=step.version,
        )

    def _told(self, step: Step, trigger: Trigger) -> dict[str, Any]:
        """What CreateTrigger and UpdateTrigger are told alike.

        触发器的公共参数。
        """
        given = {
            "FunctionName": _of(step).name,
            "Namespace": self._cloud.namespace,
            "Type": trigger.kind,
            "TriggerDesc": trigger.description,
            "Enable": "OPEN" if trigger.enabled else "CLOSE",
        }
        if trigger.argument:
            given["CustomArgument"] = trigger.argument
        return given

    def _function_url(self, function: Function) -> str:
        """The URL that a function URL was given; it may take a moment to be told.

        读取函数 URL。
        """
        for _ in range(_LOOKS_FOR_URL):
            for one in self._cloud.triggers(function.name):
                found = seen_trigger(one)
                if found is not None and found.url:
                    return found.url
            self._cloud.pause()
        raise DeployError(f"the function URL of {function.name} is not told; is it in the console?")

    def _settings(self, function: Function) -> Settings:
        code = self._packages.code(function)
        return wanted(function, code, self._layers, self._service.layers, self.url)

    def _brought(self, function: Function) -> dict[str, Any]:
        if function.image is not None:
            return image_of(function)
        return {"Code": self._content(self._packages.functions[function.key])}

    def _content(self, path: Path) -> dict[str, Any]:
        """A zip as the API takes it: in the request, or in a bucket if it is too large.

        代码包的传递方式。
        """
        if path.stat().st_size <= DIRECT_BYTES:
            return {"ZipFile": base64.b64encode(path.read_bytes()).decode()}
        # By its contents: two that deploy at once do not take each other's away.
        key = f"code/{digest(path)}.zip"
        self._shelf.put(key, path)
        self._laid.add(key)
        name = self._shelf.bucket.rpartition("-")[0]
        content = {"CosBucketName": name, "CosObjectName": f"/{key}"}
        # Told of Beijing alone, which has two (CreateFunction, `Code`).
        if self._service.region.startswith("ap-beijing"):
            content["CosBucketRegion"] = self._service.region
        return content


def _of(step: Step) -> Function:
    assert step.function is not None
    return step.function


def _failure(text: str) -> str:
    """What `migrate` says that it failed with; nothing where it says that it did not.

    读取迁移函数报告的错误。
    """
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict) or "status" not in told:
        return f"it answered {text[:200] or 'nothing'}"
    return str(told.get("message") or "no reason") if told["status"] == "failed" else ""
