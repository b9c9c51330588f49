"""The private MariaDB: a server of one's own, that goes with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.tencent import mariadb
from infra.tencent.mariadb import Mariadb, MariadbError, MysqlServer, mariadb_lacks

STARTS_ONE = """
import sys
from infra.tencent.mariadb import Mariadb

with Mariadb(["--max-allowed-packet=2M"]) as server:
    print(server.pid, server.run("SELECT @@max_allowed_packet")[0][0], flush=True)
    sys.stdin.read()
"""


def test_a_database_is_made_empty_and_dropped(mysql: MysqlServer) -> None:
    name = f"a `strange name` {os.getpid()}"
    mysql.create(name)
    quoted = "`" + name.replace("`", "``") + "`"
    mysql.run(f"CREATE TABLE {quoted}.t (id INT)")
    mysql.create(name)
    assert mysql.run(f"SHOW TABLES IN {quoted}") == []
    assert mysql.url(name).endswith(f"/a%20%60strange%20name%60%20{os.getpid()}")
    mysql.drop(name)
    mysql.drop(name)
    assert (name,) not in mysql.run("SHOW DATABASES")


@pytest.mark.skipif(mariadb_lacks() is not None, reason=str(mariadb_lacks()))
def test_a_server_has_the_options_it_is_given_and_ends_with_whoever_started_it() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    pid, packet = (int(word) for word in child.stdout.readline().split())
    assert packet == 2 * 2**20
    os.kill(pid, 0)
    child.kill()
    child.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while is_running(pid):
        assert time.monotonic() < deadline, "the server outlives its starter"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        # What nobody has waited for yet is still listed, as a zombie.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MariadbError, match="unknown"):
        Mariadb(["--no-such-option"], folder=tmp_path).start()
    assert list(tmp_path.iterdir()) == []


def test_where_no_server_is_installed_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mariadb, "_program", lambda *_: None)
    with pytest.raises(MariadbError, match=r"apt-get install .*mariadb-server-core"):
        Mariadb().start()


def test_a_stopped_server_can_be_ended(tmp_path: Path) -> None:
    server = Mariadb(folder=tmp_path)
    server.start()
    os.kill(server.pid, signal.SIGSTOP)
    server.close()
    server.close()
    assert list(tmp_path.iterdir()) == []
