"""Databases for the time of a measurement: a SQLite file, and a MariaDB server of its own.

测量用的临时数据库。
"""

from __future__ import annotations

import getpass
import importlib.util
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_SERVERS = ("mariadbd", "mysqld")
_PLACES = ("/usr/sbin", "/usr/libexec")
START_SECONDS = 60.0


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    """The URL of a SQLite database that is not there yet.

    SQLite 数据库的地址。
    """
    yield f"sqlite:///{folder / 'bench.db'}"


def mariadb_lacks() -> str | None:
    """What MariaDB could not be measured without and is not here; None if all is.

    缺少的 MariaDB 组件。
    """
    if _program(*_SERVERS) is None or _program("mariadb-install-db") is None:
        return "no MariaDB is installed (apt install mariadb-server)"
    if importlib.util.find_spec("pymysql") is None:
        return "PyMySQL is not installed (pip install pymysql)"
    return None


@contextmanager
def mariadb(folder: Path) -> Iterator[str]:
    """The URL of an empty database on a server of its own, on a socket in `folder`.

    启动一个临时的 MariaDB。
    """
    data, place = folder / "data", folder / "socket"
    server, install, me = _program(*_SERVERS), _program("mariadb-install-db"), getpass.getuser()
    command = [install, "--no-defaults", f"--datadir={data}", f"--user={me}", "--skip-test-db"]
    command += ["--auth-root-authentication-method=normal"]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    command = [server, "--no-defaults", f"--datadir={data}", f"--socket={place}", f"--user={me}"]
    command += ["--skip-networking", f"--pid-file={folder / 'pid'}"]
    with (folder / "log").open("wb") as said:
        process = subprocess.Popen([str(part) for part in command], stdout=said, stderr=said)
    try:
        _wait_for(place, process)
        _make_database(place)
        yield f"mysql+pymysql://root@localhost/bench?unix_socket={place}&charset=utf8mb4"
    finally:
        process.terminate()
        process.wait(60)


def _program(*names: str) -> str | None:
    places = [None, *_PLACES]
    return next((found for n in names for p in places if (found := shutil.which(n, path=p))), None)


def _wait_for(place: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with closing(socket.socket(socket.AF_UNIX)) as probe:
            if probe.connect_ex(str(place)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("MariaDB did not start")


def _make_database(place: Path) -> None:
    import pymysql  # type: ignore[import-untyped]

    with closing(pymysql.connect(unix_socket=str(place), user="root")) as connection:
        connection.cursor().execute("CREATE DATABASE bench CHARACTER SET utf8mb4")
