"""A MySQL server that is set up in its own way: encrypted connections, small packets, refusals."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from infra.migrations.migrate import upgrade
from infra.tencent.mariadb import Mariadb, MysqlServer, mariadb_lacks
from shared.store.base import Record, StoreUnavailable
from shared.store.sql import mysql as settings
from shared.store.sql.session import lent
from shared.store.sql.store import SqlStore
from shared.store.tables import JOBS

PACKET = 2**18


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `ca.pem`, which has signed the server's certificate, and `other.pem`, which has not."""
    made = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    own = authority.issue_cert("db.internal")
    authority.cert_pem.write_to_path(made / "ca.pem")
    trustme.CA().cert_pem.write_to_path(made / "other.pem")
    own.private_key_pem.write_to_path(made / "key.pem")
    for pem in own.cert_chain_pems:
        pem.write_to_path(made / "cert.pem", append=True)
    return made


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A database on a server that has a certificate, and takes little at once."""
    if lacks := mariadb_lacks():
        pytest.skip(lacks)
    options = [
        f"--max-allowed-packet={PACKET}",
        f"--ssl-cert={folder / 'cert.pem'}",
        f"--ssl-key={folder / 'key.pem'}",
    ]
    with Mariadb(options) as server:
        server.create("encrypted")
        upgrade(server.url("encrypted"))
        yield server.url("encrypted")


def cipher_of(url: str) -> str:
    """By what a store's connection is encrypted; empty if by nothing."""
    store = SqlStore(url)
    try:
        store.get(JOBS, "k")
        with lent(store._engine) as session:
            return str(session.found("SHOW STATUS LIKE 'Ssl_cipher'", ())[0][1])
    finally:
        store.close()


def test_without_being_asked_nothing_is_encrypted(url: str) -> None:
    assert cipher_of(url) == ""


@pytest.mark.parametrize(
    "asked",
    ["ssl_mode=REQUIRED", "ssl_mode=VERIFY_CA&ssl_ca={}/ca.pem", "ssl_ca={}/ca.pem"],
)
def test_what_is_asked_for_is_encrypted(url: str, folder: Path, asked: str) -> None:
    assert cipher_of(f"{url}?{asked.format(quote(str(folder)))}").startswith("TLS_")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("ssl_mode=VERIFY_CA&ssl_ca={}/other.pem", "certificate verify failed"),
        ("ssl_mode=VERIFY_CA", "certificate verify failed"),
        ("ssl_mode=VERIFY_IDENTITY&ssl_ca={}/ca.pem", "IP address mismatch"),
    ],
)
def test_a_server_that_is_another_than_asked_for_is_an_unavailable_store(
    url: str, folder: Path, asked: str, why: str
) -> None:
    with pytest.raises(StoreUnavailable, match=why):
        cipher_of(f"{url}?{asked.format(quote(str(folder)))}")


def test_a_server_without_tls_is_an_unavailable_store_where_it_is_required(mysql_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="SSL is required"):
        cipher_of(f"{mysql_url}?ssl_mode=REQUIRED")


def test_a_write_larger_than_the_server_takes_is_a_definite_error(url: str) -> None:
    store = SqlStore(url)
    kept = store.put(JOBS, Record("large", {"small": 1}))
    large = replace(kept, document={"large": "型" * 60_000})
    for write in (
        lambda: store.put(JOBS, large),
        lambda: store.transact([(JOBS, large), (JOBS, Record("beside", {}))]),
        lambda: store.put_each([(JOBS, Record("beside", {})), (JOBS, large)]),
    ):
        with pytest.raises(ValueError, match=r"262144 bytes at once.*max_allowed_packet"):
            write()
    assert store.get(JOBS, "large").version == 1
    assert store.get(JOBS, "beside") is None
    assert store.put(JOBS, kept).version == 2
    store.close()


def test_a_server_that_takes_less_than_a_record_may_need_is_not_ready(url: str) -> None:
    store = SqlStore(url)
    with pytest.raises(StoreUnavailable, match="max_allowed_packet is 262144"):
        store.check()
    store.close()


def test_a_server_that_refuses_a_setting_is_worked_with_all_the_same(
    mysql: MysqlServer,
    mysql_url: str,
    monkeypatch: pytest.MonkeyPatch,
    log_records: list[logging.LogRecord],
) -> None:
    strange = ("SET SESSION no_such_variable = 1", *settings.SETTINGS)
    monkeypatch.setattr(settings, "SETTINGS", strange)
    store = SqlStore(mysql_url)
    assert store.put(JOBS, Record("k", {})).version == 1
    store.close()
    (told,) = (one.getMessage() for one in log_records if one.name == "maquette.store")
    assert "no_such_variable" in told
