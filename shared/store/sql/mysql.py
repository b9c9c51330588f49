"""What MySQL's protocol needs besides: time-outs, TLS, a password in any script.

MySQL 与 TDSQL 的连接设置。
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry

log = logging.getLogger("maquette.store")

SECONDS: Mapping[str, float] = {"connect_timeout": 3, "read_timeout": 3.5, "write_timeout": 3.5}
"""PyMySQL's own time-outs; by themselves all but the first are endless. A lock is waited for less
long than an answer, and an answer less long than half of what a caller waits for his: a connection
that was silent is tried anew once."""

_FRESH_SECONDS = 1.0  # so long after its last use a connection is not asked whether it is there
_PATIENCE = 900.0  # the longest that a function may run
IDLE_SECONDS = 60
"""What the server gives a connection that says nothing: whoever vanishes within a transaction, its
machine's network gone, holds the rows that it has locked for no longer."""

LEAST_PACKET = 2 * 2**20
"""Bytes: the largest record's document has, all of it escaped, three and a half times its size."""

SETTINGS = (
    # A claim must see what others committed meanwhile, and no statement locks a gap between rows.
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 2, lock_wait_timeout = 2, "
    f"wait_timeout = {IDLE_SECONDS}",
)

# Numbers of the server's errors.
_DEADLOCK = 1213
_CANNOT_SIGN_IN = 2061  # a client's own: CR_AUTH_PLUGIN_ERR
_OUT_OF_RANGE = 1690
_LOCK_WAIT_TIMEOUT = 1205
_NOT_UNDERSTOOD = (1064, 1149, 1235)
_OF_THE_DRIVER = range(2000, 3000)
_PROXY = 1000  # below it are the errors that a proxy has of its own


def driver_url(url: sa.URL) -> sa.URL:
    """The URL without what `arguments` has read of it, for SQLAlchemy.

    去掉查询参数后的地址。
    """
    return url.set(drivername="mysql+pymysql", query={})


def arguments(url: sa.URL, *, patient: bool = False) -> dict[str, Any]:
    """What PyMySQL's `connect` is given besides host, port, user and database. Who is `patient`
    waits for an answer as long as an index of a large table takes to be made.

    Raises `ValueError` for an `ssl_ca` that cannot be read.

    驱动的连接参数。
    """
    # Each statement is a transaction by itself, but between BEGIN and COMMIT.
    given: dict[str, Any] = {**SECONDS, "charset": "utf8mb4", "autocommit": True}
    if patient:
        given |= {"read_timeout": _PATIENCE, "write_timeout": _PATIENCE}
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
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise ValueError(f"ssl_ca={authority} cannot be read: {error.strerror or error}") from None
    # Certificates that MySQL makes for itself lack what the strict reading of Python 3.13 asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = mode == "VERIFY_IDENTITY"
    if mode == "REQUIRED":
        context.verify_mode = ssl.CERT_NONE
    return context


def sign_in(dialect: Any, _entry: Any, places: Sequence[Any], names: Mapping[str, Any]) -> Any:
    """Connect; where the server asks for a password in a form that the driver cannot make, the
    error says what to do. MySQL 8 asks its users so (`caching_sha2_password`): over TLS the driver
    sends it as it is, else it needs the package cryptography, which functions lack.

    建立连接，并说明无法登录的原因。
    """
    try:
        return dialect.connect(*places, **names)
    except RuntimeError as error:
        advice = (
            "the server wants the password encrypted: put ?ssl_mode=REQUIRED behind the database's "
            "URL, or let the user sign in by mysql_native_password"
        )
        raise dialect.loaded_dbapi.OperationalError(_CANNOT_SIGN_IN, advice) from error


def listen(engine: sa.Engine) -> None:
    """Set up the engine's connections, and try those that were idle before they are used again.

    设置连接，并在使用前检查空闲过的连接。
    """
    sa.event.listen(engine, "do_connect", sign_in)
    sa.event.listen(engine, "connect", _set_up)
    sa.event.listen(engine, "checkin", _note_use)
    sa.event.listen(engine, "checkout", _try_if_idle)


def _note_use(_connection: Any, entry: ConnectionPoolEntry) -> None:
    entry.info["used"] = time.monotonic()


def _try_if_idle(connection: Any, entry: ConnectionPoolEntry, _lent: Any) -> None:
    """Raise `InvalidatePoolError`, on which a new one is made, for a connection that is gone.

    SQLAlchemy's own way asks each time: another round trip for all that is said.

    检查空闲过的连接。
    """
    if time.monotonic() - entry.info.get("used", 0.0) < _FRESH_SECONDS:
        return
    try:
        connection.ping(reconnect=False)
    except connection.Error as error:
        raise sa.exc.InvalidatePoolError from error


def _set_up(connection: Any, entry: ConnectionPoolEntry) -> None:
    """Make a new connection ours; what the server takes at once is kept with it.

    设置新建的连接。
    """
    entry.info["used"] = time.monotonic()
    with connection.cursor() as cursor:
        for setting in SETTINGS:
            try:
                cursor.execute(setting)
            except connection.Error as error:
                if _number(error) in _OF_THE_DRIVER:  # the connection is gone
                    raise
                # Slower to tell what is stuck, and yet right: versions decide, whatever is set.
                log.warning("the database refuses %r: %s", setting, error)
        cursor.execute("SELECT @@max_allowed_packet")
        connection.max_allowed_packet = int(cursor.fetchone()[0])


def packet_fault(connection: sa.Connection) -> str | None:
    """What is wrong with a server that does not take the largest record at once; None if nothing.

    服务器的语句上限过小时的说明。
    """
    most = connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar()
    assert isinstance(most, int)
    if most >= LEAST_PACKET:
        return None
    return f"the database's max_allowed_packet is {most}, records need {LEAST_PACKET} at least"


def is_deadlock(error: BaseException) -> bool:
    """Whether the server undid the transaction to break a deadlock: it may be tried again.

    是否为死锁。
    """
    return _number(error) == _DEADLOCK


def is_out_of_range(error: BaseException) -> bool:
    """Whether a number was too large for its type.

    是否为数值越界。
    """
    return _number(error) == _OUT_OF_RANGE


def is_lock_wait(error: BaseException) -> bool:
    """Whether another's lock was waited for in vain.

    是否因等待锁而超时。
    """
    return _number(error) == _LOCK_WAIT_TIMEOUT


def cannot_skip(error: BaseException | None) -> bool:
    """Whether a read with SKIP LOCKED failed since the server, or a proxy before it, does not know
    or does not do it: what skips locks waits for none.

    服务器是否不支持跳过锁定的行。
    """
    number = _number(error)
    return number in (*_NOT_UNDERSTOOD, _LOCK_WAIT_TIMEOUT) or 0 < number < _PROXY


def _number(error: BaseException | None) -> int:
    found = error.args[0] if error is not None and error.args else None
    return found if isinstance(found, int) else 0
