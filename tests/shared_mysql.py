"""The MySQL database that all tests share: made once, emptied for each.

全部测试共用的 MySQL 数据库。
"""

from __future__ import annotations

import os

from infra.migrations.migrate import upgrade
from infra.tencent.mariadb import MysqlServer
from shared.store.sql.engine import METADATA, connect

_SHARED: list[str] = []


def share(server: MysqlServer) -> str:
    """Make this process's own database on a server, for all of its tests; its URL.

    在服务器上建立共用的数据库。
    """
    name = f"maquette_test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    server.create(name)
    upgrade(server.url(name))
    _SHARED[:] = [server.url(name)]
    return name


def emptied() -> str:
    """The URL of the shared database, which holds no record; its tables stay.

    清空共用的数据库并返回其地址。
    """
    (url,) = _SHARED
    engine = connect(url)
    try:
        with engine.begin() as connection:
            for table in METADATA.sorted_tables:
                connection.execute(table.delete())
    finally:
        engine.dispose()
    return url
