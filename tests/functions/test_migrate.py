"""The function that migrates the database, invoked as a deployment does.

数据库升级函数的测试。
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import sqlalchemy as sa

from functions.migrate import handler as function
from infra.paths import ROOT
from infra.tencent.build.entries import ALSO, ENTRY, entry
from infra.tencent.mariadb import MysqlServer
from shared import observability, wiring
from shared.store.base import Lease, Record, StoreUnavailable
from shared.store.sql.engine import SCHEMA_VERSION, connect, schema_version
from shared.store.sql.store import SqlStore
from shared.store.tables import JOBS
from shared.tencent.runtime import context_of

PASSWORD = "a-p%40ssword-nobody-may-read"


@pytest.fixture(autouse=True)
def forget_the_secrets() -> Iterator[None]:
    yield
    observability.hide([])


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a database that has no tables yet."""
    url = f"sqlite:///{tmp_path}/maquette.db"
    monkeypatch.setenv("MAQUETTE_STORE_URL", url)
    return url


def invoke() -> dict[str, Any]:
    told = {"request_id": "f03dc946", "function_name": "maquette-dev-migrate"}
    answer = function.handler({}, context_of({**told, "time_limit_in_ms": 300_000}))
    assert json.loads(json.dumps(answer)) == answer
    return answer


def stands_at(url: str) -> str | None:
    engine = connect(url)
    with engine.connect() as connection:
        found = schema_version(connection)
    engine.dispose()
    return found


def test_the_tables_are_made_once(database: str) -> None:
    assert invoke() == {"status": "migrated", "schema": SCHEMA_VERSION}
    assert stands_at(database) == SCHEMA_VERSION
    assert invoke() == {"status": "unchanged", "schema": SCHEMA_VERSION}


def test_the_url_may_be_among_the_functions_own_secrets(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAQUETTE_STORE_URL")
    monkeypatch.setenv("MAQUETTE_SECRETS_URL", "tencent-ssm:///maquette-dev-migrate")
    asked: list[str] = []

    def read(url: str) -> dict[str, str]:
        asked.append(url)
        return {"MAQUETTE_STORE_URL": database}

    monkeypatch.setitem(wiring.SECRETS, "tencent-ssm", read)
    assert invoke()["status"] == "migrated"
    assert asked == ["tencent-ssm:///maquette-dev-migrate"]


def test_a_database_that_is_newer_than_the_code_is_left_as_it_is(database: str) -> None:
    invoke()
    engine = connect(database)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    answer = invoke()
    assert answer["status"] == "failed"
    assert "newer than this code" in answer["message"]
    assert stands_at(database) == "9999"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "is not known"),
        (f"dynamodb://user:{PASSWORD}@table", "has no tables"),
        (f"mysql:/user:{PASSWORD}@h:x", "mysql://USER:PASSWORD@HOST"),
        (f"mysql://user:{PASSWORD}@/maquette", "mysql://USER:PASSWORD@HOST"),
        (f"postgresql://user:{PASSWORD}@h/maquette", "is not known"),
        (f"mysql://[user:{PASSWORD}@h/maquette", "is no URL"),
    ],
)
def test_a_url_that_names_no_database_is_told_without_its_password(
    url: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAQUETTE_STORE_URL", url)
    answer = invoke()
    assert answer["status"] == "failed"
    assert answer["message"].startswith("MAQUETTE_STORE_URL: ")
    assert says in answer["message"]
    assert PASSWORD not in json.dumps(answer)


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable(f"no answer, {PASSWORD}"),
        sa.exc.ProgrammingError(
            f"CREATE TABLE {PASSWORD}", {}, Exception(f"command denied, {PASSWORD}")
        ),
        sa.exc.NoSuchModuleError(f"no driver, {PASSWORD}"),
        FileNotFoundError(f"no certificate, {PASSWORD}"),
    ],
)
def test_a_failure_is_told_in_words_and_without_the_password(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAQUETTE_STORE_URL", f"mysql://user:{PASSWORD}@db.internal:3306/maquette")

    def fail(url: str) -> bool:
        raise error

    monkeypatch.setattr(function, "upgrade", fail)
    answer = invoke()
    assert answer["status"] == "failed"
    assert answer["message"].endswith(", ***")
    assert PASSWORD not in json.dumps(answer)


def test_its_zip_holds_all_that_it_needs(tmp_path: Path) -> None:
    for part in ("functions/__init__.py", "functions/migrate", "shared", *ALSO["migrate"]):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / part).symlink_to(ROOT / part)
    (tmp_path / ENTRY).write_text(entry("migrate"), "utf-8")
    call = "import json, scf_entry; print(json.dumps(scf_entry.main_handler({}, {})))"
    done = subprocess.run(
        [sys.executable, "-c", call],
        cwd=tmp_path,
        env={"MAQUETTE_STORE_URL": f"sqlite:///{tmp_path}/maquette.db"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == {"status": "migrated", "schema": SCHEMA_VERSION}


@pytest.fixture
def users(mysql: MysqlServer) -> Iterator[Callable[[str], str]]:
    """By a user's name the URL of a MySQL database without tables: `owner` may do everything there,
    `worker` what the functions may."""
    name = f"maquette_migrate_{os.getpid()}"
    parts = urlsplit(mysql.url(name))
    mysql.create(name)
    for user, rights in (("owner", "ALL"), ("worker", "SELECT, INSERT, UPDATE, DELETE")):
        mysql.run(
            f"CREATE USER {user}_{name}@'%' IDENTIFIED BY '{unquote(PASSWORD)}'",
            f"GRANT {rights} ON {name}.* TO {user}_{name}@'%'",
        )
    yield lambda user: parts._replace(
        netloc=f"{user}_{name}:{PASSWORD}@{parts.hostname}:{parts.port}"
    ).geturl()
    mysql.run(f"DROP USER owner_{name}@'%', worker_{name}@'%'")
    mysql.drop(name)


def test_on_mysql_the_others_need_no_right_to_change_tables(
    users: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = []
    for user in ("worker", "owner", "owner", "worker"):
        monkeypatch.setenv("MAQUETTE_STORE_URL", users(user))
        statuses.append(invoke())
    refused, *rest = statuses
    assert refused["status"] == "failed"
    assert "denied" in refused["message"]
    assert PASSWORD not in json.dumps(refused)
    assert [one["status"] for one in rest] == ["migrated", "unchanged", "unchanged"]
    store = SqlStore(users("worker"))
    try:
        store.check()
        record = Record("A", {"id": "A"}, {"queue": "poll", "lane": 1}, due_at=1)
        store.put(JOBS, record)
        taken = store.claim(
            *(JOBS, "due", {"queue": "poll", "lane": 1}),
            now=2,
            lease=lambda _: Lease(9, counted=True),
            limit=1,
        )
        assert [one.due_at for one in taken] == [9]
    finally:
        store.close()
