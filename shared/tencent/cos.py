"""COS's own client, made for one call: with the keys of now, one session for all, and no retries.

The SDK (cos-python-sdk-v5) sends no token for a `CredentialInstance`, though it asks that one has
it: so it is given as well. Its own retries sleep whole seconds and know no deadline; they are off.

按次创建的 COS 客户端：使用当前密钥，共用连接，不重试。
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from shared import skew
from shared.tencent.clients import region
from shared.tencent.credentials import Credentials, credentials
from shared.tencent.endpoints import endpoint

CONNECTIONS = 50
"""Kept open; more than the threads of any function."""

_CONNECT_SECONDS = 5.0
"""To connect, and for each piece of a body to be taken."""
_TOLD_BY_THE_ERROR = ("complete_multipart_upload", "copy_object", "send_request")
"""Where the SDK logs what it then raises, an ordinary 404 as an ERROR, and what answers quote."""

_session: Any = None
_lock = threading.Lock()

# A forked child must not talk over its parent's connections. It keeps that session unused, so that
# nothing closes it, and makes its own.
_inherited: list[Any] = []


def _after_fork_in_child() -> None:
    global _lock, _session
    _lock = threading.Lock()
    _inherited.append(_session)
    _session = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class LedElsewhere(Exception):
    """COS answers with a redirect. The SDK makes another error of it, of which it is the context.

    COS 要求转到别处。
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"it answers {status}: is the bucket in another region?")


def client(bucket: str, *, seconds: float, keys: Credentials | None = None) -> Any:
    """A client for calls about one bucket (`<name>-<appid>`). `seconds` is how long an answer may
    keep silent.

    Region and keys come from the environment as it is now; COS_ENDPOINT, where it is set, says the
    host in place of the region's, or an emulator on this machine, whose paths begin with the
    bucket. Raises `CredentialsMissing`, `RegionMissing` and `EndpointWrong`.

    创建一个 COS 客户端。
    """
    keys = keys or credentials()
    where = _where(bucket)

    from qcloud_cos import CosConfig, CosS3Client

    timeout = (min(_CONNECT_SECONDS, seconds), seconds)
    config = CosConfig(CredentialInstance=keys, Token=keys.token, Timeout=timeout, **where)
    return CosS3Client(config, retry=0, session=_shared_session())


def source(bucket: str, key: str) -> dict[str, str]:
    """An object as the source of a copy, by the SDK's names; raises as `client` does.

    复制来源。
    """
    where = _where(bucket)
    host: dict[str, str] = {name: where[name] for name in ("Endpoint", "Region") if name in where}
    return {"Bucket": bucket, "Key": key, **(host or {"Endpoint": "localhost"})}


def forget() -> None:
    """Close every connection; the next call opens new ones.

    关闭全部连接。
    """
    global _session
    with _lock:
        if _session is not None:
            _session.close()
        _session = None


def _where(bucket: str) -> dict[str, Any]:
    """The SDK's words for where a bucket is.

    存储桶的访问地址。
    """
    at = endpoint("COS_ENDPOINT")
    if at is None:
        return {"Region": region(), "Scheme": "https"}
    if at.scheme == "https":
        return {"Endpoint": at.place, "Scheme": "https"}
    # Plain http is an emulator on this machine.
    return {"Domain": f"{at.place}/{bucket}", "Scheme": "http", "Proxies": at.proxies}


def _shared_session() -> Any:
    """The process's connections to COS, made at their first use.

    本进程共用的连接。
    """
    global _session
    with _lock:
        if _session is None:
            import requests

            logger = logging.getLogger("qcloud_cos")
            logger.setLevel(logging.WARNING)  # below, it writes headers and keys
            told = logging.getLogger("qcloud_cos.cos_client")
            told.filters.clear()
            told.addFilter(lambda record: record.funcName not in _TOLD_BY_THE_ERROR)
            made = requests.Session()
            pool = requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS)
            made.mount("https://", pool)
            made.mount("http://", pool)
            made.headers["Accept-Encoding"] = "identity"  # a size must be the object's
            made.hooks["response"].append(_seen)
            _session = made
        return _session


def _seen(answer: Any, **_: Any) -> None:
    """Each answer: its clock is compared with ours, and one that leads elsewhere is refused, for
    the SDK takes it for a success."""
    skew.saw_date("bucket", answer.headers)
    if 300 <= answer.status_code < 400 and answer.status_code != 304:
        raise LedElsewhere(answer.status_code)
