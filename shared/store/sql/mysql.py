"""What MySQL's protocol needs besides: time-outs, TLS, a password in any script.

MySQL 与 TDSQL 的连接设置。
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

SECONDS: Mapping[str, float] = {"connect_timeout": 3, "read_timeout": 3.5, "write_timeout": 3.5}
"""PyMySQL's own time-outs; by themselves all but the first are endless. A lock is waited for less
long than an answer, and an answer less long than half of what a caller waits for his: a connection
that was silent is tried anew once."""

_SESSION = "SET SESSION innodb_lock_wait_timeout = 2, lock_wait_timeout = 2"


def driver_url(url: sa.URL) -> sa.URL:
    """The URL without what `arguments` has read of it, for SQLAlchemy.

    去掉查询参数后的地址。
    """
    return url.set(drivername="mysql+pymysql", query={})


def arguments(url: sa.URL) -> dict[str, Any]:
    """What PyMySQL's `connect` is given besides host, port, user and database.

    Raises `FileNotFoundError` or `ssl.SSLError` for an `ssl_ca` that cannot be read.

    驱动的连接参数。
    """
    given: dict[str, Any] = {**SECONDS, "charset": "utf8mb4", "init_command": _SESSION}
    if url.password:
        given["password"] = url.password.encode()  # the driver's own choice is Latin-1
    context = tls(url.query)
    return given | ({"ssl_disabled": True} if context is None else {"ssl": context})


def tls(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    """How a connection is encrypted by `ssl_mode` and `ssl_ca`, which mean what they do to MySQL's
    own client: REQUIRED asks nothing of the server's certificate, VERIFY_CA who signed it,
    VERIFY_IDENTITY its name as well. None without them. An `ssl_ca` alone means VERIFY_CA.

    根据地址参数得到加密设置。
    """
    authority = options.get("ssl_ca")
    mode = options.get("ssl_mode", "VERIFY_CA" if authority else None)
    if mode is None:
        return None
    context = ssl.create_default_context(cafile=authority)
    # Certificates that MySQL makes for itself lack what the strict reading of Python 3.13 asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = mode == "VERIFY_IDENTITY"
    if mode == "REQUIRED":
        context.verify_mode = ssl.CERT_NONE
    return context
