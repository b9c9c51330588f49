"""The whole bundle on this machine: stand-in, tables, parts and functions, put together.

把替身、数据表、各部件和函数在本机组装起来。
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from infra.local import template
from infra.local.cloud import Cloud
from infra.local.home import ROOT, STANDIN_KEY, Home
from infra.local.standin import Standin, StandinError
from infra.local.stop import Stop
from infra.local.template import TemplateError
from shared import wiring
from shared.buckets.base import BucketUnavailable
from shared.config import Settings, SettingsError
from shared.store.base import StoreUnavailable

SNAPPY = {"MAQUETTE_POLL_FIRST_SECONDS": "0.5", "MAQUETTE_POLL_FACTOR": "1.1"}
"""How the stand-in is looked at, where the operator did not say: it is quick, so looks are too."""


def made_for(standin: Standin | None) -> dict[str, str]:
    """What the settings are given so that the bundle talks to the stand-in; nothing without one.

    替身所需的设置。
    """
    if standin is None:
        return {}
    return {**SNAPPY, "TRIPO_API_KEY": STANDIN_KEY, "TRIPO_BASE_URL": standin.url()}


@dataclass
class Machine:
    """A local cloud; leaving the `with` stops it: nothing new begins, what runs comes to its end.

    `left` says afterwards how many invocations still run, by function.

    运行中的本机环境。
    """

    settings: Settings
    stop: Stop
    cloud: Cloud
    bundle: wiring.Bundle
    left: Mapping[str, int] = field(default_factory=dict)

    def __enter__(self) -> Machine:
        wiring.install(self.bundle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.left = self.cloud.close()
        if not self.left:
            self.bundle.close()

    def warm_up(self) -> None:
        """Import, in the background, what only `postprocess` needs; it takes half a second.

        在后台预先加载较慢的模块。
        """
        threading.Thread(target=_import_slow_parts, name="warm-up", daemon=True).start()


def assemble(settings: Settings, stop: Stop, *, http_threads: int = 32) -> Machine:
    """Read the template, bring the tables up to date, wire the bundle.

    Raises `SettingsError`, `TemplateError`, `BucketUnavailable` or `StoreUnavailable`.

    组装本机环境。
    """
    from infra.migrations.migrate import upgrade

    functions = template.read(ROOT / "template.yaml")
    upgrade(settings.store_url)
    cloud = Cloud(functions, stop, http_threads=http_threads)
    outside = wiring.Outside(wake=cloud.wake, on_created=cloud.created)
    return Machine(settings, stop, cloud, wiring.build(settings, outside))


def preload() -> None:
    """Import what answers HTTP, the slowest part of a start, while the stand-in starts beside it.

    预先加载 HTTP 函数。
    """
    for function in template.read(ROOT / "template.yaml").values():
        if function.http:
            importlib.import_module(function.handler.rpartition(".")[0])


def standin_for(home: Home) -> Standin | None:
    """The stand-in, starting, where there is no key for the real Tripo.

    没有密钥时启动替身。
    """
    if not home.needs_standin:
        return None
    standin = Standin(home.folder)
    standin.start()
    return standin


def check_settings(home: Home, made: Mapping[str, str]) -> None:
    """Raise `SettingsError` before anything is started; the stand-in's address is not needed yet.

    启动前检查设置。
    """
    placeholder = {"TRIPO_API_KEY": STANDIN_KEY} if home.needs_standin else {}
    home.settings({**placeholder, **made})


def reporting(work: Callable[[], int]) -> int:
    """Run a command; what keeps it from starting is told in words, not as a traceback.

    Returns its exit status, or 2 for wrong settings, 1 for anything else.

    运行命令并把启动错误说清楚。
    """
    try:
        return work()
    except SettingsError as error:
        print(error.report(), file=sys.stderr)
        return 2
    except (TemplateError, StandinError, StoreUnavailable, BucketUnavailable, OSError) as error:
        print(f"Maquette cannot start: {error}", file=sys.stderr)
        return 1


def leave(status: int, left: Mapping[str, int], standin: Standin | None) -> int:
    """The exit status; where something still runs, the process ends here and now.

    Nothing is lost by that: a job in a dead worker's hands becomes due again.

    结束进程。
    """
    if standin is not None:
        standin.close()
    if left:
        names = ", ".join(left)
        print(f"Not waiting any longer for {names}; it is taken up again.", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _import_slow_parts() -> None:
    import shared.artifacts.mesh
    import shared.artifacts.preview
    import shared.jobs.process  # noqa: F401
