"""The whole bundle on this machine: stand-in, tables, parts and functions, put together.

把替身、数据表、各部件和函数在本机组装起来。
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from infra.aws import template
from infra.aws.template import TemplateError
from infra.local.cloud import results
from infra.local.cloud.beside import Beside
from infra.local.cloud.cloud import Cloud
from infra.local.cloud.home import STANDIN_KEY, Home, UsageError, open_home
from infra.local.cloud.payloads import Gateway
from infra.local.cloud.standin import StandinError
from infra.local.cloud.stop import Stop
from infra.paths import ROOT
from shared import wiring
from shared.buckets.base import BucketUnavailable, ObjectMissing
from shared.buckets.folder import FolderBucket
from shared.clock import SystemClock
from shared.config import Settings, SettingsError
from shared.limits import LAMBDA, Platform
from shared.notices import Notices, about
from shared.store.base import StoreUnavailable
from shared.waiting import Waiters
from shared.work.courtesy import Courtesy

if TYPE_CHECKING:
    from infra.local.cloud.files import BucketFiles

log = logging.getLogger("maquette.local")

_PIECE = 1 << 20


class Machine(Protocol):
    """The whole bundle, running; leaving the `with` stops it.

    Either in this process (`LocalMachine`) or as functions of an emulated cloud.

    运行中的整套服务。
    """

    settings: Settings
    stop: Stop
    lasting: bool
    """Whether the next machine on this state folder finds the jobs again."""
    platform: Platform
    """Whose limits requests have."""
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

    def notices(self) -> Notices:
        """What the operator should know, where `/ready` reads it.

        给运维人员的提示。
        """

    def files(self) -> BucketFiles | None:
        """What serves the bucket's objects, where this process has to.

        由本进程提供的存储文件服务。
        """

    def place(self, job: dict[str, Any], folder: Path) -> None:
        """Put each artifact of a finished job into a folder by its name, and write into it the
        `path` of that file, or None.

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
    platform: Platform = LAMBDA
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
            optional = set(map(about, self.settings.optional_providers))
            for name, reason in self.bundle.faults().items():
                if name not in optional:
                    log.warning("%s is not ready: %s", name, reason)

        threading.Thread(target=ask, name="look-round", daemon=True).start()

    def notices(self) -> Notices:
        """Those of the bundle.

        本进程的提示。
        """
        return self.bundle.ports.notices

    def files(self) -> BucketFiles | None:
        """The folder's objects over HTTP; None where the bucket serves them itself.

        通过 HTTP 提供存储中的文件。
        """
        from infra.local.cloud.files import BucketFiles

        bucket = self.bundle.bucket
        if not isinstance(bucket, FolderBucket):
            return None
        return BucketFiles(bucket)

    def place(self, job: dict[str, Any], folder: Path) -> None:
        """Link to the files where the bucket, a folder, has them; fetch them from any other one.

        在结果目录中放置成果文件。
        """
        kept = self.bundle.ports.jobs.get(job["id"])
        keys = {item.name: item.key for item in kept.artifacts} if kept else {}
        for artifact in job["artifacts"]:
            path = folder / Path(artifact["name"]).name
            try:
                self._put(keys[artifact["name"]], path)
            except (OSError, KeyError, BucketUnavailable, ObjectMissing) as error:
                log.warning("%s could not be put at %s: %s", artifact["name"], path, error)
                artifact["path"] = None
            else:
                artifact["path"] = str(path.absolute())

    def _put(self, key: str, path: Path) -> None:
        bucket = self.bundle.bucket
        if isinstance(bucket, FolderBucket):
            results.link(bucket.path(key), path)
            return
        with bucket.open(key) as reader:
            results.write(iter(lambda: reader.read(_PIECE), b""), path)


CLOUDS = {
    "local": "this process",
    "aws": "the emulated AWS",
    "tencent": "the emulated Tencent Cloud",
}
"""Where the functions can run, in words."""


def home_for(cloud: str) -> Home:
    """The state folder and environment for one of `CLOUDS`.

    打开数据目录。
    """
    home = open_home()
    if cloud != "local":
        # On an emulated cloud, too, this is the stage that may use plain http and loopback.
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
    if cloud == "tencent":
        from infra.local.cloud.emulated_tencent import TencentMachine

        return TencentMachine(home, made, stop, http_threads=http_threads)
    return assemble_local(home.settings(made), stop, http_threads=http_threads)


def assemble_local(settings: Settings, stop: Stop, *, http_threads: int = 32) -> LocalMachine:
    """Read the template, bring the tables up to date, wire the bundle.

    Raises `SettingsError`, `TemplateError`, `BucketUnavailable` or `StoreUnavailable`.

    组装本机环境。
    """
    from infra.migrations.migrate import upgrade

    functions = template.read(ROOT / "template.yaml")
    upgrade(settings.store_url)
    courtesy = Courtesy()
    cloud = Cloud(functions, stop, http_threads=http_threads, courtesy=courtesy)
    waiters = Waiters(http_threads // 2, lambda: stop.asked)
    outside = wiring.Outside(
        wake=cloud.wake, on_created=cloud.created, waiters=waiters, courtesy=courtesy
    )
    return LocalMachine(settings, stop, cloud, wiring.build(settings, outside))


def preload(cloud: str) -> None:
    """Import what a start needs most time for, while the stand-in starts beside it.

    预先加载启动时最慢的部分。
    """
    if cloud != "local":
        importlib.import_module(f"infra.local.cloud.emulated_{cloud}")
        return
    for function in template.read(ROOT / "template.yaml").values():
        if function.http:
            importlib.import_module(function.handler.rpartition(".")[0])


def notices_of(settings: Settings) -> Notices:
    """The notices of a bundle that is wired elsewhere, by its settings.

    按设置打开提示。
    """
    clock = SystemClock()
    return Notices(wiring.store_of(settings, clock), clock)


def check_settings(home: Home, made: Mapping[str, str]) -> None:
    """Raise `SettingsError` before anything is made; the stand-in's address is not needed yet.

    启动前检查设置。
    """
    placeholder = {"TRIPO_API_KEY": STANDIN_KEY} if home.needs_standin else {}
    home.check({**placeholder, **made})


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
    except BrokenPipeError:
        # Whoever read what was printed has left; what the interpreter flushes at its end as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
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
