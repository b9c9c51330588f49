"""The MySQL database that all tests share: made once, emptied for each.

全部测试共用的 MySQL 数据库。
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from infra.migrations.migrate import upgrade
from infra.tencent.mariadb import MysqlServer
from shared.store.sql.engine import METADATA, connect

_SHARED: list[tuple[str, sa.Engine]] = []


@contextmanager
def shared(server: MysqlServer) -> Iterator[None]:
    """This process's own database on a server, for all of its tests.

    在服务器上建立共用的数据库。
    """
    name = f"maquette_test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    server.create(name)
    url = server.url(name)
    upgrade(url)
    engine = connect(url)
    _SHARED.append((url, engine))
    yield
    _SHARED.clear()
    engine.dispose()
    server.drop(name)


def emptied() -> str:
    """The URL of the shared database, which holds no record; its tables stay.

    清空共用的数据库并返回其地址。
    """
    ((url, engine),) = _SHARED
    with engine.connect() as connection:
        for table in METADATA.sorted_tables:
            connection.execute(table.delete())
    return url
