"""A server that asks for the password as MySQL 8 does, and a driver that cannot encrypt it.

MySQL 8 的密码验证方式。
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pymysql._auth
import pytest

from shared.store.base import StoreUnavailable
from shared.store.sql.store import SqlStore

PLUGIN = b"caching_sha2_password"
GREETING = (
    b"\x0a8.0.30\0"  # protocol 10, the version
    + b"\x01\0\0\0"  # the connection's number
    + b"12345678\0"  # the first eight bytes of the challenge
    + b"\xff\xf7\x2d\x02\0\x0f\x80\x15"  # capabilities, without TLS; utf8mb4; status; capabilities
    + bytes(10)
    + b"123456789012\0"
    + PLUGIN
    + b"\0"
)
WHOLE_PASSWORD = b"\x01\x04"
"""The server knows the user not yet, and wants more than a digest of the password."""
KEY = b"\x01-----BEGIN PUBLIC KEY-----"


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server that speaks the first words of MySQL 8, to one connection after the
    other."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the test is over
                return
            with connection:
                for number, said in enumerate((GREETING, WHOLE_PASSWORD, KEY)):
                    packet = len(said).to_bytes(3, "little") + bytes([2 * number]) + said
                    connection.sendall(packet)
                    if not connection.recv(4096):
                        break

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_who_cannot_sign_in_for_want_of_encryption_is_told_what_to_do(
    server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pymysql._auth, "_have_cryptography", False)
    store = SqlStore(f"mysql://user:secret-password@127.0.0.1:{server}/maquette")
    try:
        with pytest.raises(StoreUnavailable, match="ssl_mode=REQUIRED") as refused:
            store.check()
    finally:
        store.close()
    assert "secret-password" not in str(refused.value)
