"""The proof's store and bucket on MariaDB and an emulated COS: every statement, commit and request
to the bucket counts.

在 MariaDB 与模拟的 COS 上验证：逐条 SQL、逐次提交、逐个请求计数和中断。
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from infra.local.prove.crash import Plan
from infra.local.prove.place import Addresses, Left, Row, Telling, Wrap
from infra.migrations.migrate import upgrade
from infra.tencent.cos_emulator import APPID, CosEmulator
from infra.tencent.cos_requests import taken
from infra.tencent.mariadb import Mariadb
from shared.buckets import cos as cos_bucket
from shared.buckets.base import ObjectInfo
from shared.jobs.family import all_keys
from shared.store.tables import TABLES
from shared.tencent import cos

PART = 256 << 10
"""Bytes of a part here, so that a model of 700 KB is sent in three. (COS itself wants 1 MiB.)"""
_OURS = ("TENCENTCLOUD_", "COS_")
_TEMPLATE = "prove"
_PATIENCE = 10.0


class TencentPlace:
    """A MariaDB database and a COS bucket per case, on servers of its own.

    While it is entered, this process's environment names the emulated COS.

    MariaDB 与模拟的 COS：每个案例各有一个数据库和一个存储桶。
    """

    def __init__(self) -> None:
        self._server = Mariadb()
        self._cos = CosEmulator(smallest_part=PART)
        self._open = ExitStack()

    def __enter__(self) -> TencentPlace:
        with ExitStack() as opened:
            opened.enter_context(self._server)
            opened.enter_context(self._cos)
            opened.callback(_set_environ, _environ())
            _set_environ(self._cos.environ)
            opened.callback(setattr, cos_bucket, "PART", cos_bucket.PART)
            cos_bucket.PART = PART
            opened.callback(cos.forget)
            # Migrated once: a case's tables are made like these.
            self._server.create(_TEMPLATE)
            upgrade(self._server.url(_TEMPLATE))
            self._open = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def make(self, case: str) -> Addresses:
        """A database with empty tables, and an empty bucket.

        新建空数据库和空存储桶。
        """
        self._server.create(case)
        found = self._server.run(f"SHOW TABLES FROM `{_TEMPLATE}`")
        for (table,) in found:
            self._server.run(f"CREATE TABLE `{case}`.`{table}` LIKE `{_TEMPLATE}`.`{table}`")
        version = "alembic_version"
        self._server.run(f"INSERT INTO `{case}`.{version} SELECT * FROM `{_TEMPLATE}`.{version}")
        _ask(case, "create_bucket")
        return Addresses(self._server.url(case), f"cos://{_bucket(case)}")

    def wrap(self, plan: Plan, created: Callable[[ObjectInfo], None]) -> Wrap:
        """Every statement and commit, every request to COS and every call into a provider;
        notifications as COS sends them.

        按语句、提交和请求计数，并模拟 COS 的事件通知。
        """
        _watch_statements(plan)
        _watch_requests(plan)

        def wrap(name: str, part: Any) -> Any:
            if name == "bucket":
                return Telling(part, created)
            return part if name == "store" else plan.wrap(name, part)

        return wrap

    def rows(self, case: str) -> list[Row]:
        """All that lies in the case's store.

        任务表中的全部记录。
        """
        return [
            Row(table.name, *row)
            for table in TABLES
            for row in self._server.run(
                f"SELECT id, document, version FROM `{case}`.`{table.name}`"
            )
        ]

    def left(self, case: str) -> Left:
        """What is there besides the results.

        查看遗留内容。
        """
        bucket = cos_bucket.CosBucket(_bucket(case))
        incoming, inputs = (tuple(all_keys(bucket, f"{area}/")) for area in ("incoming", "inputs"))
        return Left(len(_uploads(case)), incoming, inputs)

    def remove(self, case: str) -> None:
        """Remove the case's database and bucket.

        删除案例的数据库和存储桶。
        """
        self._server.drop(case)
        for upload in _uploads(case):
            _ask(case, "abort_multipart_upload", Key=upload["Key"], UploadId=upload["UploadId"])
        bucket = cos_bucket.CosBucket(_bucket(case))
        for key in all_keys(bucket, ""):
            bucket.delete(key)
        _ask(case, "delete_bucket")


def _watch_statements(plan: Plan) -> None:
    """Put each statement, commit and rollback of this process under the plan: all that the driver
    sends goes by these.

    把每条 SQL 语句与提交纳入计划。
    """
    from pymysql.connections import Connection

    query, commit, rollback = Connection.query, Connection.commit, Connection.rollback

    def counted(self: Any, sql: str | bytes, *more: Any, **named: Any) -> Any:
        text = sql.decode("utf-8", "replace") if isinstance(sql, bytes) else sql
        verb = text.split(None, 1)[0].upper()
        return plan.around(f"sql.{verb}", lambda: query(self, sql, *more, **named))

    Connection.query = counted
    Connection.commit = lambda self: plan.around("sql.COMMIT", lambda: commit(self))
    Connection.rollback = lambda self: plan.around("sql.ROLLBACK", lambda: rollback(self))


def _watch_requests(plan: Plan) -> None:
    """Put each request of the COS SDK under the plan, named as COS's policies name it.

    把对 COS 的每个请求纳入计划。
    """
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def counted(self: Any, request: Any, *more: Any, **named: Any) -> Any:
        asked = taken({"REQUEST_URI": request.url, "REQUEST_METHOD": request.method}, b"")
        return plan.around(f"cos.{asked.action}", lambda: send(self, request, *more, **named))

    HTTPAdapter.send = counted  # type: ignore[method-assign]


def _bucket(case: str) -> str:
    return f"{case}-{APPID}"


def _ask(case: str, operation: str, **parameters: Any) -> Any:
    client = cos.client(_bucket(case), seconds=_PATIENCE)
    return getattr(client, operation)(Bucket=_bucket(case), **parameters)


def _uploads(case: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = _ask(case, "list_multipart_uploads").get("Upload", [])
    return found


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_OURS)}


def _set_environ(wanted: Mapping[str, str]) -> None:
    for name in _environ():
        del os.environ[name]
    os.environ.update(wanted)
