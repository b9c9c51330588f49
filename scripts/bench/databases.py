"""Databases for the time of a measurement: a SQLite file, and a MariaDB server of its own.

测量用的临时数据库。
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.tencent.mariadb import Mariadb


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    """The URL of a SQLite database that is not there yet.

    SQLite 数据库的地址。
    """
    yield f"sqlite:///{folder / 'bench.db'}"


@contextmanager
def mariadb(folder: Path) -> Iterator[str]:
    """The URL of an empty database on a server of its own, whose commits are on the disk that
    `folder` is on.

    启动一个临时的 MariaDB。
    """
    with Mariadb(folder=folder, durable=True) as server:
        server.create("bench")
        yield server.url("bench")
