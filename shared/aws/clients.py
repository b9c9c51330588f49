"""boto3 clients: one of each per process, made on first use, with time-outs that fit a function.

按需创建并共用的 boto3 客户端。
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

from shared import skew

CONNECTIONS = 50
"""Kept open to one service; more than the threads of any function."""

_PARTS = {"dynamodb": "store", "s3": "bucket"}
"""Services whose clock is compared with ours, by the part they are here."""

_clients: dict[tuple[str, float, int], Any] = {}
_lock = threading.Lock()

# A forked child must not talk over its parent's connections. It keeps those clients unused, so
# that nothing closes them, and makes its own.
_inherited: list[Any] = []


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _inherited.extend(_clients.values())
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def client(service: str, *, seconds: float = 5.0, tries: int = 3) -> Any:
    """The process's client of a service ("dynamodb", say).

    Region, credentials and endpoint come from the environment, as every AWS SDK reads them
    (`AWS_REGION`, `AWS_ENDPOINT_URL`, …). `seconds` is how long an answer may keep silent, `tries`
    how often a call is sent in all. Making one costs a third of a second, the next much less.

    获取某个服务的客户端。
    """
    import boto3
    from botocore.config import Config

    # boto3's session may not make two clients at once (boto3's guide, "Multithreading").
    with _lock:
        made = _clients.get((service, seconds, tries))
        if made is None:
            config = Config(
                connect_timeout=2,
                read_timeout=seconds,
                retries={"mode": "standard", "total_max_attempts": tries},
                max_pool_connections=CONNECTIONS,
                signature_version="s3v4" if service == "s3" else None,
                # Else links are signed for s3.amazonaws.com, which leads a young bucket of another
                # region elsewhere, where the signature is wrong.
                s3={"addressing_style": "virtual"},
            )
            made = boto3.client(service, config=config)
            if service in _PARTS:
                made.meta.events.register("after-call", partial(_note_date, _PARTS[service]))
            _clients[service, seconds, tries] = made
        return made


def _note_date(part: str, parsed: Mapping[str, Any], **_: Any) -> None:
    skew.saw_date(part, parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}))


def forget() -> None:
    """Close every client; the next call of `client` makes new ones, from the environment then.

    关闭全部客户端。
    """
    with _lock:
        for made in _clients.values():
            made.close()
        _clients.clear()
