"""The certificate of `serve --tls`: what it names, when it is made anew, what is kept of it.

测试本机证书的生成与更新。
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509

from infra.local.cloud.tls import Certificate, certificate

NOW = datetime(2026, 11, 28, tzinfo=timezone.utc)
Hosts = tuple[str, ...]


def shaken_hands(made: Certificate, name: str) -> str:
    """The protocol that a client which trusts the authority and the server at `name` agree on."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.server)
    client = ssl.create_default_context(cafile=str(made.authority))
    ours, theirs = socket.socketpair()
    answering = threading.Thread(
        target=lambda: server.wrap_socket(theirs, server_side=True).close()
    )
    answering.start()
    with client.wrap_socket(ours, server_hostname=name) as line:
        spoken = line.version()
    answering.join()
    return str(spoken)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "models.test", "10.1.2.3"])
def test_it_serves_this_machine_and_the_hosts_that_callers_are_told(
    tmp_path: Path, name: str
) -> None:
    made = certificate(tmp_path, ["models.test", "10.1.2.3"], datetime.now(timezone.utc))
    assert shaken_hands(made, name).startswith("TLS")


def read(made: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(made.server.read_bytes())


def test_no_system_finds_it_good_for_too_long(tmp_path: Path) -> None:
    kept = read(certificate(tmp_path, [], NOW))
    assert kept.not_valid_after_utc - kept.not_valid_before_utc <= timedelta(days=825)
    assert kept.not_valid_before_utc < NOW


def test_the_key_is_its_owners_alone_and_the_authoritys_is_kept_nowhere(tmp_path: Path) -> None:
    made = certificate(tmp_path, [], NOW)
    assert made.server.stat().st_mode & 0o077 == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["ca.pem", "server.pem"]
    keys = b"".join(path.read_bytes() for path in files).count(b"PRIVATE KEY-----")
    assert keys == 2, "the server's own, its beginning and its end"


@pytest.mark.parametrize(
    ("hosts", "later", "same"),
    [
        ((), timedelta(days=700), True),
        (("LOCALHOST", "0:0:0:0:0:0:0:1", "[::1]"), timedelta(0), True),
        ((), timedelta(days=800), False),
        (("models.test",), timedelta(0), False),
    ],
)
def test_it_is_made_anew_only_where_it_no_longer_serves(
    tmp_path: Path, hosts: Hosts, later: timedelta, same: bool
) -> None:
    before = certificate(tmp_path, [], NOW).authority.read_bytes()
    again = certificate(tmp_path, hosts, NOW + later)
    assert (again.authority.read_bytes() == before) is same
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tls"]


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x")])
def test_one_that_cannot_be_read_is_made_anew(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(certificate(tmp_path, [], NOW).server)
    assert read(certificate(tmp_path, [], NOW)).not_valid_after_utc > NOW


def test_those_who_start_at_once_end_with_one_pair(tmp_path: Path) -> None:
    now = datetime.now(timezone.utc)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: certificate(tmp_path, [], now), range(4)))
    assert len({(one.authority, one.server) for one in made}) == 1
    assert shaken_hands(made[0], "localhost").startswith("TLS")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tls"]
