"""The proof's store and bucket on an emulated AWS, where the plan counts every single request.

在模拟的 AWS 上验证：逐个请求计数和中断。
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from infra.aws import tables
from infra.aws.emulator import Emulator
from infra.local.prove.crash import Plan
from infra.local.prove.place import Addresses, Left, Row, Telling, Wrap
from shared.aws import clients
from shared.buckets import s3 as s3_bucket
from shared.buckets.base import ObjectInfo

PART = 256 << 10
"""Bytes of a part here, so that a model of 700 KB is sent in three. (S3 itself wants 5 MiB; the
emulator takes any.)"""


class AwsPlace:
    """A DynamoDB table and an S3 bucket per case, in an emulator of its own.

    While it is entered, this process's environment names the emulator.

    模拟的 AWS：每个案例各有一张表和一个存储桶。
    """

    def __init__(self) -> None:
        self._emulator = Emulator()
        self._environ: dict[str, str] = {}
        self._part = s3_bucket.PART

    def __enter__(self) -> AwsPlace:
        self._emulator.start()
        self._environ = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
        _set_environ(self._emulator.environ)
        # Made once before any fork: it loads what later ones share, 0.3 s that no life pays for.
        clients.forget()
        for service in ("dynamodb", "s3"):
            clients.client(service)
        self._part, s3_bucket.PART = s3_bucket.PART, PART
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        s3_bucket.PART = self._part
        clients.forget()
        _set_environ(self._environ)
        self._emulator.close()

    def make(self, case: str) -> Addresses:
        """An empty table as the template describes it, and an empty bucket.

        新建空表和空存储桶。
        """
        store_url = tables.create(case)
        clients.client("s3").create_bucket(Bucket=case)
        # A connection that two processes share would mix up their answers.
        clients.forget()
        return Addresses(store_url, f"s3://{case}")

    def wrap(self, plan: Plan, created: Callable[[ObjectInfo], None]) -> Wrap:
        """Every request to AWS and every call into a provider; notifications as S3 sends them.

        按请求计数，并模拟 S3 的事件通知。
        """
        _Requests(plan).watch()

        def wrap(name: str, part: Any) -> Any:
            if name == "bucket":
                return Telling(part, created)
            return part if name == "store" else plan.wrap(name, part)

        return wrap

    def rows(self, case: str) -> list[Row]:
        """All that lies in the case's store.

        任务表中的全部记录。
        """
        pages = clients.client("dynamodb").get_paginator("scan").paginate(TableName=case)
        items = [item for page in pages for item in page["Items"]]
        # "jobs#01J…"
        named = [(*item["id"]["S"].partition("#")[::2], item) for item in items]
        return [
            Row(table, key, item["document"]["S"], int(item["version"]["N"]))
            for table, key, item in named
        ]

    def left(self, case: str) -> Left:
        """What is there besides the results.

        查看遗留内容。
        """
        uploads = clients.client("s3").list_multipart_uploads(Bucket=case).get("Uploads", ())
        return Left(len(uploads), _keys(case, "incoming/"), _keys(case, "inputs/"))

    def remove(self, case: str) -> None:
        """Remove the case's table and bucket.

        删除案例的表和存储桶。
        """
        tables.drop(case)
        s3 = clients.client("s3")
        for upload in s3.list_multipart_uploads(Bucket=case).get("Uploads", ()):
            s3.abort_multipart_upload(Bucket=case, Key=upload["Key"], UploadId=upload["UploadId"])
        found = s3.list_objects_v2(Bucket=case).get("Contents", ())
        if found:
            keys = [{"Key": item["Key"]} for item in found]
            s3.delete_objects(Bucket=case, Delete={"Objects": keys})
        s3.delete_bucket(Bucket=case)


class _Requests:
    """Puts each request under the plan, as it is sent and as its answer has come.

    A call that is sent again counts again. Requests of several threads may overlap.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._mine = threading.local()

    def watch(self) -> None:
        """Begin with the clients that this process makes from now on."""
        import boto3

        # The session that `boto3.client` uses; entering the place has made it.
        events = boto3.DEFAULT_SESSION.events
        events.register("before-send", self._sent)
        events.register("response-received", self._answered)

    def _sent(self, event_name: str, **_: Any) -> None:
        # "before-send.dynamodb.UpdateItem"
        self._mine.place = self._plan.begin(event_name.partition(".")[2])

    def _answered(self, **_: Any) -> None:
        self._plan.end(self._mine.place)


def _keys(bucket: str, prefix: str) -> tuple[str, ...]:
    pages = clients.client("s3").get_paginator("list_objects_v2")
    found = pages.paginate(Bucket=bucket, Prefix=prefix)
    return tuple(item["Key"] for page in found for item in page.get("Contents", ()))


def _set_environ(wanted: dict[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(wanted)
