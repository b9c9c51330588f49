"""What has to be done so that the account holds what serverless.yml says, in the order in which it
may be interrupted: pure, from what stands there to a list of steps.

由现状推出要执行的步骤。
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from infra.tencent.deploy.packages import Packages
from infra.tencent.deploy.secrets import Secret
from infra.tencent.deploy.settings import PUBLIC_URL, SeenTrigger, differences, plain, wanted
from infra.tencent.deploy.state import Seen, State, layer_versions
from infra.tencent.service import MIGRATE, Function, Service, Trigger

Verb = Literal[
    "secret",
    "layer",
    "discard",
    "drop",
    "create",
    "code",
    "configure",
    "address",
    "retries",
    "migrate",
    "untrigger",
    "retrigger",
    "trigger",
    "prune",
]

LATER = "https://the-function-url"
"""Stands for the API's URL in a plan that is made before there is one."""
_LATER_VERSION = 0
_KEPT_VERSIONS = 1


@dataclass(frozen=True)
class Step:
    """One thing to do, and how it is told to people.

    一个步骤。
    """

    verb: Verb
    words: str
    function: Function | None = None
    trigger: Trigger | None = None
    before: SeenTrigger | None = None
    secret: Secret | None = None
    layer: str = ""
    version: int = 0
    stray: str = ""


def plan(service: Service, packages: Packages, state: State) -> list[Step]:
    """All steps, in order. `migrate` is first among the functions and is called before any other is
    touched; a function is complete before anything leads to it.

    生成全部步骤。
    """
    return list(_Planner(service, packages, state).steps())


def deployable(service: Service) -> list[Function]:
    """The functions that are deployed: `migrate` first, then the API, which knows the address of
    all, then the others. One that is an image is left out where no image is named.

    需要部署的函数，按顺序排列。
    """

    def order(function: Function) -> int:
        return 0 if function.key == MIGRATE else 1 if function.serves else 2

    there = [one for one in service.functions.values() if one.image is None or _uri(one)]
    return sorted(there, key=order)


def own_url(service: Service) -> str:
    """The API's URL where serverless.yml names one itself, a domain of one's own say.

    配置中指定的公开地址。
    """
    named = {one.environment.get(PUBLIC_URL, "") for one in deployable(service) if one.serves}
    return next(iter(named - {""}), "")


class _Planner:
    """Makes the steps of one deployment."""

    def __init__(self, service: Service, packages: Packages, state: State) -> None:
        self._service, self._packages, self._state = service, packages, state
        self._url = own_url(service) or state.url
        there = layer_versions(state, packages)
        self._layers = {key: there.get(key, _LATER_VERSION) for key in service.layers}

    def steps(self) -> Iterator[Step]:
        """The steps in order.

        按顺序给出步骤。
        """
        for secret in self._state.secrets:
            if secret.missing:
                yield Step(
                    "secret",
                    f"secret {secret.name}: make {', '.join(secret.missing)}",
                    secret=secret,
                )
        used = {key for one in deployable(self._service) for key in one.layers}
        for key, name in self._service.layers.items():
            if self._layers[key] == _LATER_VERSION and key in used:
                yield Step("layer", f"layer {name}: publish a version", layer=key)
        functions = deployable(self._service)
        for function in functions:
            yield from self._made(function)
            if function.key == MIGRATE:
                yield Step("migrate", f"{function.name}: bring the tables up to date", function)
        for name in self._state.strays:
            yield Step("drop", f"{name}: remove it, serverless.yml has it no longer", stray=name)
        others = [one for one in functions if not one.serves]
        for function in others:  # all of them first: an object may wake one function only
            yield from self._untriggers(function)
        for function in others:
            yield from self._triggers(function)
        yield from self._pruned(used)

    def _made(self, function: Function) -> Iterator[Step]:
        """The steps that bring one function to where it is to be, but for what wakes it.

        单个函数的步骤。
        """
        code = self._packages.code(function)
        url = self._url if function.serves else self._url or LATER
        then = wanted(function, code, self._layers, self._service.layers, url)
        now = self._state.functions.get(function.key)
        if now is not None and now.failed:
            yield Step("discard", f"{function.name}: remove it, {now.failed}", function)
            now = None
        if now is None:
            yield Step("create", f"{function.name}: create it, {_size(function)}", function)
            if function.kind == "Event":
                yield Step("retries", f"{function.name}: {_tries(function)}", function)
        else:
            yield from self._changed(function, now, differences(now.settings, then))
        if function.serves:
            yield from self._untriggers(function)
            yield from self._triggers(function)
            if not self._url:
                yield Step("address", f"{function.name}: tell it its own URL", function)

    def _changed(self, function: Function, now: Seen, differ: list[str]) -> Iterator[Step]:
        """The steps for a function that is there."""
        # The code first: the settings name it, and so are what tells that it is there.
        other_handler = bool(function.handler) and now.handler != function.handler
        if "code" in differ or other_handler or now.stale:
            yield Step("code", f"{function.name}: bring new code", function)
        if differ or now.stale:
            said = ", ".join(one for one in differ if one != "code") or "name the code"
            yield Step("configure", f"{function.name}: change {said}", function)
        if now.retries is not None and now.retries != (function.retries, function.event_age):
            yield Step("retries", f"{function.name}: {_tries(function)}", function)

    def _untriggers(self, function: Function) -> Iterator[Step]:
        """The steps that take away what wakes a function and is not to."""
        then = {_place(plain(one)) for one in function.triggers}
        for place, one in self._there(function).items():
            if place not in then:
                words = f"{function.name}: take away the trigger {one.trigger.name}"
                yield Step("untrigger", words, function, before=one)

    def _triggers(self, function: Function) -> Iterator[Step]:
        """The steps that have a function woken as it is to be.

        A function URL is changed where it stands, whatever its name: a new one would be another.

        触发器的步骤。
        """
        there = self._there(function)
        for trigger in map(plain, function.triggers):
            before = there.get(_place(trigger))
            if before is None:
                words = f"{function.name}: set the trigger {_told(trigger)}"
                yield Step("trigger", words, function, trigger)
            elif _but_name(before.trigger) != _but_name(trigger):
                words = f"{function.name}: change the trigger {_told(trigger)}"
                yield Step("retrigger", words, function, trigger, before)

    def _there(self, function: Function) -> dict[tuple[str, ...], SeenTrigger]:
        now = self._state.functions.get(function.key)
        seen = () if now is None or now.failed else now.triggers
        return {_place(one.trigger): one for one in seen}

    def _pruned(self, used: set[str]) -> Iterator[Step]:
        """Old versions of layers; the last but one stays, for who goes back.

        清理旧的层版本。
        """
        for key in sorted(used):
            name, versions = self._service.layers[key], self._state.layers[key]
            current = self._layers[key]
            older = sorted((one.number for one in versions if one.number != current), reverse=True)
            for number in older[_KEPT_VERSIONS:]:
                words = f"layer {name}: remove version {number}"
                yield Step("prune", words, layer=key, version=number)


def _place(trigger: Trigger) -> tuple[str, ...]:
    """What makes a trigger the same one, changed at most: a function has one URL; a bucket's are
    all named like it, and none of them can be changed.

    触发器的标识。
    """
    if trigger.kind == "http":
        return ("http",)
    if trigger.kind == "cos":
        return ("cos", trigger.name, trigger.description, str(trigger.enabled))
    return (trigger.kind, trigger.name)


def _but_name(trigger: Trigger) -> tuple[str, str, bool]:
    return trigger.description, trigger.argument, trigger.enabled


def _told(trigger: Trigger) -> str:
    return f"{trigger.name} ({trigger.kind}{'' if trigger.enabled else ', switched off'})"


def _size(function: Function) -> str:
    return f"{function.memory} MB, {function.timeout} s"


def _tries(function: Function) -> str:
    return f"{function.retries} retries, events kept for {function.event_age} s"


def _uri(function: Function) -> str:
    return str((function.image or {}).get("imageUri") or "")
