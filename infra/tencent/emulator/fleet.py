"""The instances of all functions: each function's code unpacked, and a pool of processes over it.

各函数的实例池。
"""

from __future__ import annotations

import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.tencent.emulator import events
from infra.tencent.emulator.deployed import Deployed
from infra.tencent.emulator.events import Region
from infra.tencent.emulator.installing import Installed, Shelf
from infra.tencent.emulator.instances import EventInstance, WebInstance
from infra.tencent.emulator.pools import NoInstance, Pool

EVENTS_AT_ONCE = 3
REQUESTS_AT_ONCE = 8
"""Instances of an event function, and of a web function; an account has hundreds, a machine two
processors."""

Name = tuple[str, str]
"""A function's namespace and name."""


@dataclass(frozen=True)
class Platform:
    """What every function finds around it: the region, the role's keys and, here alone, where the
    emulated services are. The keys are asked for at each invocation, as they change.

    函数所处的平台。
    """

    region: Region = field(default_factory=Region)
    environ: Mapping[str, str] = field(default_factory=dict)
    keys: Callable[[Deployed], Mapping[str, str]] = lambda function: {}
    packages: str = sysconfig.get_paths()["purelib"]
    """A folder of packages behind the function's own and its layers'; none, if empty."""


class Fleet:
    """Pools of instances by function; `note` is given every line that an instance writes.

    全部函数的实例。
    """

    def __init__(
        self,
        platform: Platform,
        note: Callable[[Deployed, str], None],
        *,
        events_at_once: int,
        requests_at_once: int,
    ) -> None:
        self._platform = platform
        self._note = note
        self._at_once = {"Event": events_at_once, "HTTP": requests_at_once}
        self._folder = tempfile.TemporaryDirectory(prefix="maquette-scf-")
        self._shelf = Shelf(Path(self._folder.name))
        self._temporary = Path(self._folder.name, "tmp")
        self._temporary.mkdir()
        self._pools: dict[Name, tuple[int, Pool[Any]]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def pool(self, function: Deployed) -> Pool[Any]:
        """The pool of a function as it is now; raises `NoInstance` and `BadCode`.

        函数当前版本的实例池。
        """
        self.retire(function, but=function.revision)
        with self._lock:
            if self._closed:
                raise NoInstance("the platform is stopping")
            name = name_of(function)
            if name not in self._pools:
                self._pools[name] = function.revision, self._new_pool(function)
            return self._pools[name][1]

    def retire(self, function: Deployed, *, but: int | None = None) -> None:
        """End the instances of a function, unless they are of this revision: at once those that do
        nothing, the others when they have answered.

        停用旧版本的实例。
        """
        with self._lock:
            revision, pool = self._pools.get(name_of(function), (but, None))
            if pool is None or revision == but:
                return
            del self._pools[name_of(function)]
        pool.retire()

    def pids(self) -> dict[str, set[int]]:
        """The processes of every function's instances, by the function's name.

        各函数的进程。
        """
        with self._lock:
            pools = {name: pool for (_, name), (_, pool) in self._pools.items()}
        return {name: {one.pid for one in pool.instances()} for name, pool in pools.items()}

    def close(self) -> None:
        """End every instance at once; twice is harmless.

        立即结束全部实例。
        """
        with self._lock:
            self._closed = True
            pools = [pool for _, pool in self._pools.values()]
        for pool in pools:
            pool.close()
        self._folder.cleanup()

    def _new_pool(self, function: Deployed) -> Pool[Any]:
        """A pool that starts instances of a function's code as it is now; raises `BadCode`.

        新建实例池。
        """
        installed = self._installed(function)
        web = function.kind == "HTTP"

        def start() -> EventInstance | WebInstance:
            """Start an instance, and wait until it can be used.

            启动一个实例。
            """
            kind = WebInstance if web else EventInstance
            begun = time.monotonic()
            made = kind(installed, lambda line: self._note(function, line))
            try:
                made.wait_until_ready(function.init_timeout)
            except BaseException:
                made.end()
                raise
            milliseconds = round((time.monotonic() - begun) * 1000)
            self._note(function, f"Init Report Coldstart: {milliseconds}ms")
            return made

        slots = function.concurrency if web else 1
        return Pool(start, at_once=self._at_once[function.kind], slots=slots)

    def _installed(self, function: Deployed) -> Installed:
        """The function's code, layers and environment, as its instances find them.

        准备函数的代码与环境。
        """
        platform = self._platform
        paths = (function.environment.get("PYTHONPATH", ""), platform.packages)
        environ = {
            **function.environment,
            **events.environment(function, platform.region),
            **platform.environ,
            **platform.keys(function),
            "PYTHONPATH": ":".join(filter(None, paths)),
            "TMPDIR": str(self._temporary),
        }
        code, layers = self._shelf.place((function.code,)), self._shelf.place(function.layers)
        return Installed(function.name, function.handler, code, layers, environ)


def name_of(function: Deployed) -> Name:
    """What tells a function from all others.

    函数的唯一名称。
    """
    return function.namespace, function.name
