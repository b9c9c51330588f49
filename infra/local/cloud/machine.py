"""The whole bundle on this machine, wherever its functions run: what can be done with it, and how
it is put together.

本机运行的整套服务：接口与组装。
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from infra.aws import template
from infra.local.cloud.home import Home, open_home
from infra.local.cloud.local_machine import assemble_local
from infra.local.cloud.payloads import Gateway
from infra.local.cloud.stop import Stop
from infra.paths import ROOT
from shared import wiring
from shared.clock import SystemClock
from shared.config import Settings
from shared.limits import Platform
from shared.notices import Notices

if TYPE_CHECKING:
    from infra.local.cloud.files import BucketFiles


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
