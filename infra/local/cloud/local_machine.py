"""The whole bundle in this process: tables, parts and functions, put together.

把数据表、各部件和函数在本进程内组装起来。
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from infra.aws import template
from infra.local.cloud import results
from infra.local.cloud.cloud import Cloud
from infra.local.cloud.stop import Stop
from infra.paths import ROOT
from shared import wiring
from shared.buckets.base import BucketUnavailable, ObjectMissing
from shared.buckets.folder import FolderBucket
from shared.config import Settings
from shared.limits import LAMBDA, Platform
from shared.notices import Notices, about
from shared.waiting import Waiters
from shared.work.courtesy import Courtesy

if TYPE_CHECKING:
    from infra.local.cloud.files import BucketFiles

log = logging.getLogger("maquette.local")

_PIECE = 1 << 20


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


def _import_slow_parts(drawing: bool) -> None:
    import shared.artifacts.gltf.mesh
    import shared.jobs.steps.process

    if drawing:
        import shared.artifacts.render.preview  # noqa: F401
