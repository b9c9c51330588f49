"""Where the proof keeps its store and bucket: on this machine's disk, or on AWS (`place_aws`).

验证所用的任务表和对象存储放在哪里。
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from infra.local.prove.crash import Plan
from infra.migrations.migrate import upgrade
from shared.buckets.base import ObjectInfo
from shared.store.tables import TABLES

Wrap = Callable[[str, Any], Any]
"""What `wiring.build(wrap=...)` puts around store, bucket and providers."""


@dataclass(frozen=True)
class Addresses:
    """A store and a bucket, as settings name them.

    任务表和对象存储的地址。
    """

    store_url: str
    bucket_url: str


@dataclass(frozen=True)
class Left:
    """What a case left in its bucket beside its results: how many uploads were begun and neither
    ended nor given up, and the keys of the objects under `incoming/` and `inputs/`.

    案例结束后遗留的内容。
    """

    uploads: int = 0
    incoming: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One record as it lies in the store: its document is the very text that is kept there.

    `version` counts its writes.

    任务表中的一条记录，文档为原文。
    """

    table: str
    key: str
    document: str
    version: int


class Place(Protocol):
    """Makes an empty store and bucket for every case. Use it as a context manager.

    存放任务表和对象存储的地方。
    """

    def __enter__(self) -> Place:
        """Start what the place needs.

        启动。
        """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, and forget all cases.

        停止。
        """

    def make(self, case: str) -> Addresses:
        """An empty store and an empty bucket. Afterwards it is safe to fork.

        为案例准备空的存储。
        """

    def wrap(self, plan: Plan, created: Callable[[ObjectInfo], None]) -> Wrap:
        """In a life: puts each outside call under the plan; `created` hears of new objects.

        把外部调用纳入崩溃计划。
        """

    def rows(self, case: str) -> list[Row]:
        """All that lies in the case's store.

        任务表中的全部记录。
        """

    def left(self, case: str) -> Left:
        """What is there besides the results.

        查看遗留内容。
        """

    def remove(self, case: str) -> None:
        """Remove the case's store and bucket.

        删除案例的存储。
        """


class LocalPlace:
    """A SQLite file and a folder per case.

    本机：SQLite 文件和文件夹。
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="maquette-prove-")
        self._home = Path(self._folder.name)

    def __enter__(self) -> LocalPlace:
        upgrade(f"sqlite:///{self._home / 'template.db'}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def make(self, case: str) -> Addresses:
        """A copy of an empty database, and a folder.

        复制空数据库并新建文件夹。
        """
        home = self._home / case
        home.mkdir()
        shutil.copyfile(self._home / "template.db", home / "maquette.db")
        return Addresses(f"sqlite:///{home / 'maquette.db'}", f"file://{home / 'bucket'}")

    def wrap(self, plan: Plan, created: Callable[[ObjectInfo], None]) -> Wrap:
        """Every call into store, bucket and provider; the folder itself tells of its objects.

        按部件的调用计数。
        """
        return plan.wrap

    def rows(self, case: str) -> list[Row]:
        """All that lies in the case's store.

        任务表中的全部记录。
        """
        with closing(sqlite3.connect(self._home / case / "maquette.db")) as database:
            return [
                Row(table.name, *row)
                for table in TABLES
                for row in database.execute(f"SELECT id, document, version FROM {table.name}")
            ]

    def left(self, case: str) -> Left:
        """What is there besides the results.

        查看遗留内容。
        """
        bucket = self._home / case / "bucket"
        aside = _keys(bucket, ".~aside")
        return Left(len(aside), _keys(bucket, "incoming"), _keys(bucket, "inputs"))

    def remove(self, case: str) -> None:
        """Remove the case's files.

        删除案例的文件。
        """
        shutil.rmtree(self._home / case, ignore_errors=True)


class Telling:
    """A bucket that tells of each object once it is stored, as S3's notifications do.

    有新对象时发出通知的存储桶。
    """

    def __init__(self, bucket: Any, created: Callable[[ObjectInfo], None]) -> None:
        self._bucket, self._created = bucket, created

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._bucket, attribute)

    def put_stream(self, key: str, chunks: Iterable[bytes], *, media_type: str) -> ObjectInfo:
        """Store an object, then tell of it.

        写入对象并通知。
        """
        info: ObjectInfo = self._bucket.put_stream(key, chunks, media_type=media_type)
        self._created(info)
        return info

    def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy an object, then tell of the copy.

        复制对象并通知。
        """
        info: ObjectInfo = self._bucket.copy(source, target)
        self._created(info)
        return info


def _keys(bucket: Path, folder: str) -> tuple[str, ...]:
    found = (path for path in (bucket / folder).rglob("*") if path.is_file())
    return tuple(sorted(path.relative_to(bucket).as_posix() for path in found))
