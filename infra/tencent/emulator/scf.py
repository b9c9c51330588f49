"""The emulated SCF's control plane: what functions there are, and what may be done to them when.

Like the real one it works asynchronously: a function is Creating or Updating until GetFunction has
been asked a number of times, and refuses what may not be done meanwhile. State is kept in memory.
After the API's documents (583/17235 and below) and its list of states (583/115197).

模拟 SCF 的控制面。
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from infra.tencent.emulator import answers, configuration, triggers
from infra.tencent.emulator.configuration import Objects
from infra.tencent.emulator.deployed import Deployed, Outcome, Runner, Status, Trigger
from infra.tencent.emulator.errors import ApiError
from infra.tencent.emulator.layers import Layers

VERSION = "2018-04-16"
REGION = "ap-guangzhou"

_REMEMBERED = 1000
_MOST_RETRIES = 2
_EVENT_AGE = (60, 6 * 3600)


class Scf:
    """All functions of an account in one region. Its methods may be called from several threads.

    `runner` runs them; without one an invocation is only noted. `objects` reads code out of
    buckets, `looks` is how often GetFunction shows that something is still under way. `invoked`
    holds what was last asked to run, as (function, event, waited), in this order.

    一个账号在一个地域内的全部函数。
    """

    def __init__(
        self,
        runner: Runner | None = None,
        *,
        objects: Objects | None = None,
        appid: str = "1250000000",
        looks: int = 1,
    ) -> None:
        self.runner = runner
        self.functions: dict[tuple[str, str], Deployed] = {}
        self.invoked: list[tuple[str, Any, bool]] = []
        self.layers = Layers(objects, appid, looks)
        self._objects, self._appid, self._looks = objects, appid, looks
        self._left: dict[tuple[str, str], int] = {}
        self._failures: dict[str, str] = {}
        self._outcomes: OrderedDict[str, tuple[str, Outcome | None]] = OrderedDict()
        self._lock = threading.RLock()
        self._actions: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "CreateFunction": self._create,
            "GetFunction": self._get,
            "ListFunctions": self._list,
            "UpdateFunctionCode": self._update_code,
            "UpdateFunctionConfiguration": self._update_configuration,
            "DeleteFunction": self._delete,
            "CreateTrigger": self._create_trigger,
            "UpdateTrigger": self._update_trigger,
            "DeleteTrigger": self._delete_trigger,
            "ListTriggers": self._list_triggers,
            "GetFunctionEventInvokeConfig": self._get_retries,
            "UpdateFunctionEventInvokeConfig": self._update_retries,
            "PublishLayerVersion": self.layers.publish,
            "GetLayerVersion": self.layers.get,
            "ListLayerVersions": self.layers.list_versions,
            "DeleteLayerVersion": self.layers.delete,
            "GetRequestStatus": self._request_status,
        }

    def answer(self, action: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is asked; the answer without its request id. Raises `ApiError`.

        执行一个操作。
        """
        answers.check_parameters(action, given)
        if action in ("Invoke", "InvokeFunction"):
            return self._invoke(action, given)  # outside the lock: it takes as long as it takes
        if action not in self._actions:
            raise ApiError("InvalidAction", f"{action} is not known here")
        with self._lock:
            return self._actions[action](given)

    def fail_next(self, name: str, reason: str) -> None:
        """The next creation or update of a function will not do: it ends in CreateFailed or
        UpdateFailed.

        使下一次创建或更新失败。
        """
        self._failures[name] = reason

    def ended(self, name: str, outcome: Outcome) -> None:
        """Note how an invocation ended that nobody waited for: its runner tells.

        记录异步调用的结果。
        """
        with self._lock:
            self._outcomes[outcome.request_id] = name, outcome
            while len(self._outcomes) > _REMEMBERED:
                self._outcomes.popitem(last=False)

    def _create(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """CreateFunction: check all that is said of it, then begin to make it.

        创建函数。
        """
        name = configuration.check_name(given.get("FunctionName"))
        key = str(given.get("Namespace", "default")), name
        if key[0] != "default":
            raise ApiError("ResourceNotFound.Namespace", f"there is no namespace {key[0]}")
        if key in self.functions:
            raise ApiError("ResourceInUse.FunctionName", f"there is a function {name}")
        kind = given.get("Type", "Event")
        if kind not in ("Event", "HTTP"):
            raise ApiError("InvalidParameterValue.Type", "Event or HTTP")
        function = Deployed(name, key[0], kind, runtime=str(given.get("Runtime", "Python2.7")))
        image = given.get("Code", {}).get("ImageConfig")
        if function.runtime not in configuration.RUNTIMES and image is None:
            raise ApiError("InvalidParameterValue.Runtime", f"{function.runtime} is not known")
        if kind == "Event" and image is None and "Handler" not in given:
            raise ApiError("InvalidParameterValue.Handler", "an event function has a handler")
        configuration.apply(function, given)
        if "Layers" in given:
            function.layer_versions, function.layers = self.layers.of(given["Layers"])
        if image is None:
            function.code = configuration.code_of(given, self._objects, self._appid)
        else:
            function.more["ImageConfig"] = image
        self.functions[key] = function
        self._begin(function, "Creating")
        return {}

    def _get(self, given: Mapping[str, Any]) -> dict[str, Any]:
        function = self._found(given)
        shown = answers.shown(function)
        self._step(function)
        return shown

    def _list(self, given: Mapping[str, Any]) -> dict[str, Any]:
        space = str(given.get("Namespace", "default"))
        found = sorted(one.name for one in self.functions.values() if one.namespace == space)
        found = [name for name in found if str(given.get("SearchKey", "")) in name]
        listed = [
            answers.listed(self.functions[space, name]) for name in answers.page(found, given)
        ]
        return {"Functions": listed, "TotalCount": len(found)}

    def _update_code(self, given: Mapping[str, Any]) -> dict[str, Any]:
        function = self._steady(given, "FunctionNameStatusError")
        packed = configuration.code_of(given, self._objects, self._appid)
        if function.kind == "Event" and not given.get("Handler"):
            raise ApiError("InvalidParameterValue.Handler", "the handler is told again with code")
        configuration.apply(function, {k: given[k] for k in ("Handler",) if k in given})
        function.code = packed
        self._begin(function, "Updating")
        return {}

    def _update_configuration(self, given: Mapping[str, Any]) -> dict[str, Any]:
        function = self._steady(given, "FunctionStatusError")
        if given.get("Runtime", function.runtime) != function.runtime:
            raise ApiError("InvalidParameterValue.Runtime", "a function's runtime never changes")
        layers = self.layers.of(given["Layers"]) if "Layers" in given else None
        configuration.apply(function, given)
        if layers is not None:
            function.layer_versions, function.layers = layers
        self._begin(function, "Updating")
        return {}

    def _delete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """DeleteFunction: it is gone some looks later, with its triggers.

        删除函数。
        """
        function = self._found(given)
        if function.status in ("Creating", "Updating", "Deleting"):
            raise ApiError(
                "FailedOperation.DeleteFunction", f"the function is {function.status.lower()}"
            )
        function.status = "Deleting"
        self._left[function.namespace, function.name] = self._looks
        if self.runner is not None:
            self.runner.removed(function)
        return {}

    def _create_trigger(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """CreateTrigger: no two functions may want one event of one object.

        创建触发器。
        """
        function = self._steady(given, "CreateTrigger")
        trigger = triggers.parse(given)
        for other in self.functions.values():
            if any(triggers.overlap(trigger, one) for one in other.triggers.values()):
                raise ApiError(
                    "ResourceInUse.Cos", f"{other.name} has a trigger for the same objects"
                )
        triggers.add(function, trigger)
        if trigger.kind == "http" and self.runner is None:
            function.url = f"https://{self._appid}-{len(self.functions)}.{REGION}.tencentscf.com"
        self._changed(function)
        return {"TriggerInfo": triggers.shown(function, trigger, number=False)}

    def _update_trigger(self, given: Mapping[str, Any]) -> dict[str, Any]:
        function = self._steady(given, "UpdateTrigger")
        if given.get("Type") not in triggers.CHANGEABLE:
            raise ApiError("InvalidParameterValue.Type", "such a trigger cannot be changed")
        key, before = triggers.found(function, given)
        function.triggers[key] = triggers.parse(given, before)
        self._changed(function)
        return {}

    def _delete_trigger(self, given: Mapping[str, Any]) -> dict[str, Any]:
        function = self._steady(given, "DeleteTrigger")
        del function.triggers[triggers.found(function, given)[0]]
        self._changed(function)
        return {}

    def _list_triggers(self, given: Mapping[str, Any]) -> dict[str, Any]:
        function = self._found(given)
        listed: list[Trigger] = answers.page(list(function.triggers.values()), given)
        return {
            "Triggers": [triggers.shown(function, one) for one in listed],
            "TotalCount": len(function.triggers),
        }

    def _get_retries(self, given: Mapping[str, Any]) -> dict[str, Any]:
        function = self._found(given)
        retries = [{"RetryNum": function.retries}]
        return {"AsyncTriggerConfig": {"RetryConfig": retries, "MsgTTL": function.event_age}}

    def _update_retries(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateFunctionEventInvokeConfig: how often and how long events are tried again.

        更新异步重试配置。
        """
        function = self._found(given)
        if function.kind == "HTTP":
            raise ApiError(
                "UnsupportedOperation.UpdateFunctionEventInvokeConfig", "of event functions alone"
            )
        config = given.get("AsyncTriggerConfig", {})
        try:
            retries, age = config["RetryConfig"][0]["RetryNum"], config["MsgTTL"]
        except (KeyError, IndexError, TypeError):
            raise ApiError(
                "InvalidParameterValue.AsyncTriggerConfig", "RetryConfig and MsgTTL are meant"
            ) from None
        if retries not in range(_MOST_RETRIES + 1):
            raise ApiError("LimitExceeded.RetryNum", f"0 to {_MOST_RETRIES}")
        if age not in range(_EVENT_AGE[0], _EVENT_AGE[1] + 1):
            raise ApiError("LimitExceeded.MsgTTL", "a minute to six hours")
        function.retries, function.event_age = retries, age
        self._changed(function)
        return {}

    def _invoke(self, action: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Run a function, or see to it that it is run; the answer's `Result`.

        调用函数。
        """
        wait = action == "InvokeFunction" or given.get("InvocationType", "RequestResponse") == (
            "RequestResponse"
        )
        if not wait and given.get("InvocationType") != "Event":
            raise ApiError("InvalidParameterValue", "InvocationType is RequestResponse or Event")
        parameter = "Event" if action == "InvokeFunction" else "ClientContext"
        event = answers.event_of(given, parameter, wait=wait)
        with self._lock:
            function = self._found(given)
            if function.kind == "HTTP":
                raise ApiError("UnsupportedOperation", "a web function is called by its URL")
            if function.status in ("Creating", "CreateFailed", "Deleting"):
                raise ApiError("FailedOperation.FunctionStatusError", "it is not active")
            self.invoked.append((function.name, event, wait))
            del self.invoked[:-_REMEMBERED]
        outcome = Outcome(str(uuid4()))
        if self.runner is not None:
            outcome = self.runner.invoke(function, event, wait=wait)
        with self._lock:
            if wait:
                self.ended(function.name, outcome)
            else:  # its end may have been told before its beginning
                self._outcomes.setdefault(outcome.request_id, (function.name, None))
        return {"Result": answers.result(function, outcome, waited=wait)}

    def _request_status(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """GetRequestStatus: of an invocation that is not known, nothing.

        查询调用状态。
        """
        function = self._found(given)
        request_id = str(given.get("FunctionRequestId", ""))
        name, outcome = self._outcomes.get(request_id, ("", None))
        if name != function.name:
            return {"TotalCount": 0, "Data": []}
        return {"TotalCount": 1, "Data": [answers.status(name, request_id, outcome)]}

    def _found(self, given: Mapping[str, Any]) -> Deployed:
        key = str(given.get("Namespace", "default")), str(given.get("FunctionName", ""))
        function = self.functions.get(key)
        if function is None:
            raise ApiError("ResourceNotFound.FunctionName", f"there is no function {key[1]}")
        return function

    def _steady(self, given: Mapping[str, Any], code: str) -> Deployed:
        """A function to which something may be done now."""
        function = self._found(given)
        if function.status not in ("Active", "UpdateFailed"):
            raise ApiError(
                f"FailedOperation.{code}", f"{function.name} is {function.status.lower()}"
            )
        return function

    def _begin(self, function: Deployed, status: Status) -> None:
        function.status, function.reason = status, ""
        self._left[function.namespace, function.name] = self._looks
        function.revision += 1
        self._changed(function)

    def _step(self, function: Deployed) -> None:
        """One look has been taken: what is under way has come so much further.

        推进函数状态。
        """
        key = function.namespace, function.name
        if key not in self._left:
            return
        self._left[key] -= 1
        if self._left[key] > 0:
            return
        del self._left[key]
        if function.status == "Deleting":
            del self.functions[key]
            return
        reason = self._failures.pop(function.name, "")
        failed: Status = "CreateFailed" if function.status == "Creating" else "UpdateFailed"
        function.status, function.reason = (failed if reason else "Active"), reason

    def _changed(self, function: Deployed) -> None:
        if self.runner is not None:
            self.runner.changed(function)
