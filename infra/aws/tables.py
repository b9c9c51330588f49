"""The table of template.yaml, made directly: for tests and proofs on an emulated AWS.

按 template.yaml 中的定义直接建表。
"""

from __future__ import annotations

import functools
from typing import Any

from infra.aws import template
from infra.paths import ROOT
from shared.aws.clients import client

_SHAPE = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
"""What makes it the table it is; the rest keeps it safe on AWS: backups, keys, protection."""


def create(name: str) -> str:
    """Make an empty table of that name as the template describes it, and return its store URL.

    Uses the AWS that the process's environment names.

    新建一张空表。
    """
    properties = _properties()
    dynamodb = client("dynamodb")
    dynamodb.create_table(**{part: properties[part] for part in _SHAPE}, TableName=name)
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    ttl = properties["TimeToLiveSpecification"]
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
    return f"dynamodb://{name}"


def drop(name: str) -> None:
    """Remove a table and all that is in it.

    删除一张表。
    """
    client("dynamodb").delete_table(TableName=name)


@functools.lru_cache(maxsize=1)
def _properties() -> dict[str, Any]:
    document = template.parse((ROOT / "template.yaml").read_text("utf-8"))
    properties: dict[str, Any] = document["Resources"]["Table"]["Properties"]
    return properties
