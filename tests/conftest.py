"""What all tests share: how hypothesis searches, and an empty store.

所有测试共用的设置。
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from infra.aws.emulator import Emulator
from infra.tencent.cos_emulator import CosEmulator
from infra.tencent.mariadb import Mariadb, MysqlServer, mariadb_lacks
from shared import skew
from shared.aws import clients
from shared.store.sql.store import SqlStore
from tests import shared_mysql
from tests.databases import empty_database

# On CI the same examples every time: a red build is one that can be repeated.
settings.register_profile(
    "fast",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fast")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests belong to one process: those of a file, and all that need what is built.

    指定并行时哪些测试在同一进程中运行。
    """
    for item in items:
        build = "built" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("built" if build else str(item.path)))


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The URL of an empty, migrated SQLite database of this test's own.

    一个空的测试数据库。
    """
    return empty_database(tmp_path / "maquette.db")


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    """An empty store of this test's own.

    一个空的任务表。
    """
    opened = SqlStore(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def mysql() -> Iterator[MysqlServer]:
    """A server that speaks MySQL's protocol, one for all tests: `MAQUETTE_TEST_MYSQL_URL`'s, else a
    private MariaDB. Make databases of your own name in it, or use `mysql_url`.

    全部测试共用的 MySQL 服务器。
    """
    if given := os.environ.get("MAQUETTE_TEST_MYSQL_URL"):
        yield MysqlServer(given)
    elif lacks := mariadb_lacks():
        pytest.skip(lacks)
    else:
        with Mariadb() as running:
            yield running


@pytest.fixture(scope="session")
def mysql_database(mysql: MysqlServer) -> Iterator[None]:
    """The MySQL database that all tests share is there; `mysql_url` empties it.

    准备全部测试共用的 MySQL 数据库。
    """
    with shared_mysql.shared(mysql):
        yield


@pytest.fixture
def mysql_url(mysql_database: None) -> str:
    """The URL of a migrated MySQL database that holds nothing: one for all tests, emptied before.

    一个已清空的 MySQL 测试数据库。
    """
    return shared_mysql.emptied()


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """The emulated AWS, one for all tests; make things of your own name in it.

    全部测试共用的 AWS 模拟器。
    """
    with Emulator() as running:
        yield running


@pytest.fixture
def aws(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The emulated AWS, with this process's environment and clients pointing to it.

    让本进程的 AWS 客户端连到模拟器。
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in emulator.environ.items():
        monkeypatch.setenv(name, value)
    clients.forget()
    yield emulator
    clients.forget()
    skew.forget()


@pytest.fixture(scope="session")
def cos_emulator() -> Iterator[CosEmulator]:
    """The emulated COS, one for all tests; make buckets of your own name in it.

    全部测试共用的 COS 模拟器。
    """
    with CosEmulator() as running:
        yield running


@pytest.fixture
def cos(cos_emulator: CosEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[CosEmulator]:
    """The emulated COS, with this process's environment pointing to it.

    让本进程连到 COS 模拟器。
    """
    for name in [name for name in os.environ if name.startswith(("COS_", "TENCENT"))]:
        monkeypatch.delenv(name)
    for name, value in cos_emulator.environ.items():
        monkeypatch.setenv(name, value)
    yield cos_emulator
    skew.forget()


@pytest.fixture
def log_records() -> Iterator[list[logging.LogRecord]]:
    """The records that the `maquette` loggers write during this test, each once.

    Not `caplog`: what it sees depends on whether an earlier test has set up the logs.

    本次测试中写下的日志。
    """
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("maquette")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield records
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """What a test has printed and logged goes from process to process as UTF-8: half a surrogate
    pair in it would end the whole run.

    测试输出在进程间以 UTF-8 传递，先处理无法编码的字符。
    """
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report
