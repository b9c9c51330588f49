"""The whole bundle on this machine: stand-in, tables, parts and functions, put together.

把替身、数据表、各部件和函数在本机组装起来。
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from infra.aws import template
from infra.aws.template import TemplateError
from infra.local.cloud.cloud import Cloud
from infra.local.cloud.home import STANDIN_KEY, Home, open_home
from infra.local.cloud.payloads import Gateway
from infra.local.cloud.standin import QWEN_PYTHON, Standin, StandinError, qwen_image
from infra.local.cloud.stop import Stop
from infra.paths import ROOT
from shared import wiring
from shared.buckets.base import BucketUnavailable
from shared.config import Settings, SettingsError
from shared.store.base import StoreUnavailable
from shared.waiting import Waiters

if TYPE_CHECKING:
    from infra.local.cloud.files import BucketFiles

log = logging.getLogger("maquette.local")

SNAPPY = {"MAQUETTE_POLL_FIRST_SECONDS": "0.5", "MAQUETTE_POLL_FACTOR": "1.1"}
"""How the stand-in is looked at, where the operator did not say: it is quick, so looks are too."""


@dataclass(frozen=True)
class Beside:
    """The generators that run beside the bundle on this machine, where no others are set.

    与本机服务一同运行的生成服务。
    """

    tripo: Standin | None = None
    qwen_image: Standin | None = None

    def start(self) -> None:
        """Begin to start them; returns at once.

        开始启动。
        """
        for one in (self.tripo, self.qwen_image):
            if one is not None:
                one.start()

    def made(self) -> dict[str, str]:
        """What the settings are given so that the bundle talks to them; waits until they answer.

        所需的设置。
        """
        made: dict[str, str] = {}
        if self.tripo is not None:
            made = {**SNAPPY, "TRIPO_API_KEY": STANDIN_KEY, "TRIPO_BASE_URL": self.tripo.url()}
        if self.qwen_image is not None:
            made |= {**SNAPPY, "QWEN_IMAGE_BASE_URL": self.qwen_image.url()}
        return made

    def close(self) -> None:
        """End them, as the last thing.

        全部停止。
        """
        for one in (self.tripo, self.qwen_image):
            if one is not None:
                one.close()


class Machine(Protocol):
    """The whole bundle, running; leaving the `with` stops it.

    Either in this process (`LocalMachine`) or as functions of an emulated AWS.

    运行中的整套服务。
    """

    settings: Settings
    stop: Stop
    lasting: bool
    """Whether the next machine on this state folder finds the jobs again."""
    left: Mapping[str, int]
    """How many invocations still run after the end, by function."""

    @property
    def gateway(self) -> Gateway:
        """What takes the requests.

        接收请求的网关。
        """

    def __enter__(self) -> object:
        """Make it ready to take requests.

        准备就绪。
        """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop: nothing new begins.

        停止。
        """

    def begin(self) -> None:
        """Have the timers fire.

        启动定时器。
        """

    def warm_up(self) -> None:
        """Get ready, in the background, what will be needed later.

        在后台预热。
        """

    def look_round(self) -> None:
        """Ask every part once, in the background: the log says which is silent, whose clock is off.

        在后台检查各部件与时钟。
        """

    def files(self) -> BucketFiles | None:
        """What serves the bucket's objects, where this process has to.

        由本进程提供的存储文件服务。
        """

    def place(self, job: dict[str, Any]) -> None:
        """Write into each artifact of a finished job the `path` of its file on this disk, or None.

        给出每个成果文件的本机路径。
        """


@dataclass
class LocalMachine:
    """A local cloud: functions in this process, jobs in SQLite, a folder for a bucket.

    What runs comes to its end within the grace when this is left.

    在本进程内运行的整套服务。
    """

    settings: Settings
    stop: Stop
    gateway: Cloud
    bundle: wiring.Bundle
    lasting: bool = True
    left: Mapping[str, int] = field(default_factory=dict)

    def __enter__(self) -> LocalMachine:
        wiring.install(self.bundle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.left = self.gateway.close()
        if not self.left:
            self.bundle.close()

    def begin(self) -> None:
        """Import every handler, and have the timers fire.

        启动定时器。
        """
        self.gateway.import_handlers()
        self.gateway.start_timers()

    def warm_up(self) -> None:
        """Import, in the background, what only `postprocess` needs; it takes half a second.

        在后台预先加载较慢的模块。
        """
        drawing = self.settings.preview == "on"
        threading.Thread(
            target=_import_slow_parts, args=(drawing,), name="warm-up", daemon=True
        ).start()

    def look_round(self) -> None:
        """Ask every part once, in the background: the log says which is silent, whose clock is off.

        在后台检查各部件与时钟。
        """

        def ask() -> None:
            for name, reason in self.bundle.faults().items():
                log.warning("%s is not ready: %s", name, reason)

        threading.Thread(target=ask, name="look-round", daemon=True).start()

    def files(self) -> BucketFiles | None:
        """The folder's objects over HTTP; None where the bucket serves them itself.

        通过 HTTP 提供存储中的文件。
        """
        from infra.local.cloud.files import BucketFiles
        from shared.buckets.folder import FolderBucket

        bucket = self.bundle.bucket
        if not isinstance(bucket, FolderBucket):
            return None
        return BucketFiles(bucket)

    def place(self, job: dict[str, Any]) -> None:
        """The files are where the bucket, a folder, has them.

        给出成果文件在存储目录中的路径。
        """
        kept = self.bundle.ports.jobs.get(job["id"])
        keys = {item.name: item.key for item in kept.artifacts} if kept else {}
        path_of = getattr(self.bundle.bucket, "path", None)
        for artifact in job["artifacts"]:
            key = keys.get(artifact["name"])
            artifact["path"] = str(Path(path_of(key)).absolute()) if path_of and key else None


CLOUDS = ("local", "aws")
"""Where the functions can run: in this process, or on an emulated AWS."""


def home_for(cloud: str) -> Home:
    """The state folder and environment for one of `CLOUDS`.

    打开数据目录。
    """
    home = open_home()
    if cloud == "aws":
        # On an emulated AWS, too, this is the stage that may use plain http and loopback.
        return replace(home, environ={**home.environ, "MAQUETTE_STAGE": "local"})
    return home


def assemble(
    cloud: str, home: Home, made: Mapping[str, str], stop: Stop, *, http_threads: int = 32
) -> Machine:
    """The machine of one of `CLOUDS`; `made` are settings that the home leaves open.

    Raises what `assemble_local` raises.

    组装运行环境。
    """
    if cloud == "aws":
        from infra.local.cloud.emulated_aws import EmulatedMachine

        return EmulatedMachine(home, made, stop, http_threads=http_threads)
    return assemble_local(home.settings(made), stop, http_threads=http_threads)


def assemble_local(settings: Settings, stop: Stop, *, http_threads: int = 32) -> LocalMachine:
    """Read the template, bring the tables up to date, wire the bundle.

    Raises `SettingsError`, `TemplateError`, `BucketUnavailable` or `StoreUnavailable`.

    组装本机环境。
    """
    from infra.migrations.migrate import upgrade

    functions = template.read(ROOT / "template.yaml")
    upgrade(settings.store_url)
    cloud = Cloud(functions, stop, http_threads=http_threads)
    waiters = Waiters(http_threads // 2, lambda: stop.asked)
    outside = wiring.Outside(wake=cloud.wake, on_created=cloud.created, waiters=waiters)
    return LocalMachine(settings, stop, cloud, wiring.build(settings, outside))


def preload(cloud: str) -> None:
    """Import what a start needs most time for, while the stand-in starts beside it.

    预先加载启动时最慢的部分。
    """
    if cloud == "aws":
        importlib.import_module("infra.local.cloud.emulated_aws")
        return
    for function in template.read(ROOT / "template.yaml").values():
        if function.http:
            importlib.import_module(function.handler.rpartition(".")[0])


def beside(home: Home, *, pictures: bool) -> Beside:
    """The generators to be run here, starting: Tripo's stand-in where there is no key for the real
    one, and for `pictures` the Qwen-Image service where none is set.

    启动本机的生成服务。
    """
    if pictures and not home.has_qwen_image and not QWEN_PYTHON.exists():
        raise StandinError("the Qwen-Image service is not installed; ./scripts/run installs it")
    home.folder.mkdir(parents=True, exist_ok=True)
    found = Beside(
        Standin(home.folder) if home.needs_standin else None,
        Standin(home.folder, qwen_image()) if pictures and not home.has_qwen_image else None,
    )
    found.start()
    return found


def check_settings(home: Home, made: Mapping[str, str]) -> None:
    """Raise `SettingsError` before anything is made; the stand-in's address is not needed yet.

    启动前检查设置。
    """
    placeholder = {"TRIPO_API_KEY": STANDIN_KEY} if home.needs_standin else {}
    home.check({**placeholder, **made})


class UsageError(Exception):
    """A flag asks for what cannot be; the message names it.

    命令行参数有误。
    """


def reporting(work: Callable[[], int]) -> int:
    """Run a command; what keeps it from starting is told in words, not as a traceback.

    Returns its exit status, or 2 for wrong settings and flags, 1 for anything else.

    运行命令并把启动错误说清楚。
    """
    try:
        return work()
    except SettingsError as error:
        print(error.report(), file=sys.stderr)
        return 2
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    except (TemplateError, StandinError, StoreUnavailable, BucketUnavailable, OSError) as error:
        print(f"Maquette cannot start: {error}", file=sys.stderr)
        return 1


def leave(status: int, left: Mapping[str, int], servers: Beside) -> int:
    """The exit status; where something still runs, the process ends here and now.

    Nothing is lost by that: a job in a dead worker's hands becomes due again.

    结束进程。
    """
    servers.close()
    if left:
        names = ", ".join(left)
        print(f"Not waiting any longer for {names}; it is taken up again.", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _import_slow_parts(drawing: bool) -> None:
    import shared.artifacts.gltf.mesh
    import shared.jobs.steps.process

    if drawing:
        import shared.artifacts.render.preview  # noqa: F401
