"""A MariaDB server on this machine, standing in for TDSQL: private, on a free port, ended with us.

在本机启动和停止一个私有的 MariaDB，代替 TDSQL。
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

_LOOPBACK = "127.0.0.1"
_SERVERS = ("mariadbd", "mysqld")
_PLACES = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin")
_READY_SECONDS = 90.0
_STOP_SECONDS = 10.0
_TRIES = 3

_SMALL = ("--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M")
_FORGETFUL = ("--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync")
"""What is committed survives the death of whoever committed it, as always, but not the server's."""

# The server ends when our end of its standard input is closed, by whatever ended us: the shell
# leaves a watcher of it and becomes the server, so that the process that we know is the server.
_KEEPER = 'exec 3<&0; { cat >/dev/null; kill -TERM $$; } <&3 & exec 3<&- "$@" </dev/null'


class MariadbError(OSError):
    """No MariaDB can be had here; the message says what to do.

    无法启动 MariaDB。
    """


class MysqlServer:
    """A server that speaks MySQL's protocol, by a URL of it: `mysql://user:password@host:port`.

    一个使用 MySQL 协议的数据库服务器。
    """

    def __init__(self, base: str) -> None:
        self._base = base

    def url(self, name: str) -> str:
        """The URL of one of its databases, as `MAQUETTE_STORE_URL` takes it.

        某个数据库的地址。
        """
        parts = urlsplit(self._base)
        return urlunsplit(parts._replace(path="/" + quote(name)))

    def create(self, name: str) -> None:
        """Make an empty database; one of that name is dropped.

        新建一个空数据库。
        """
        self.drop(name)
        self.run(f"CREATE DATABASE {_quoted(name)} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")

    def drop(self, name: str) -> None:
        """Remove a database, if there is one of that name.

        删除数据库。
        """
        self.run(f"DROP DATABASE IF EXISTS {_quoted(name)}")

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements outside of any database, each committed at once; the last one's rows.

        执行语句，返回最后一条的结果。
        """
        rows: Sequence[tuple[Any, ...]] = ()
        with contextlib.closing(self._connection()) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
                rows = cursor.fetchall()
        return list(rows)

    def _connection(self) -> Any:
        """A connection to the server, to none of its databases.

        连接服务器。
        """
        import pymysql  # here: who runs the local platform without MySQL never needs it

        parts = urlsplit(self._base)
        return pymysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=parts.username,
            password=parts.password or "",
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=5,
        )


class Mariadb(MysqlServer):
    """A server of our own, empty at the start, gone at the end. Use it as a context manager.

    `options` are the server's own (`--max-allowed-packet=1M`); `log` is where its output goes, and
    `folder` where its files lie meanwhile. Where it is `durable` a commit is on the disk before it
    is answered; else it is as safe against every death but the server's.

    一个私有的 MariaDB 服务器。
    """

    def __init__(
        self,
        options: Sequence[str] = (),
        log: Path | None = None,
        *,
        folder: Path | None = None,
        durable: bool = False,
    ) -> None:
        super().__init__("")
        self._options = (*_SMALL, *(() if durable else _FORGETFUL), *options)
        self._log = log
        self._within = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Mariadb:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The server's process, while it runs.

        服务器的进程号。
        """
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers; raises `MariadbError`.

        启动并等待就绪。
        """
        if lacks := mariadb_lacks():
            raise MariadbError(lacks)
        self._folder = tempfile.TemporaryDirectory(
            prefix="maquette-mariadb-", dir=self._within, ignore_cleanup_errors=True
        )
        folder = Path(self._folder.name)
        log = self._log or folder / "log"
        try:
            self._install(folder / "data", log)
            for _ in range(_TRIES):
                port = _free_port()
                self._base = f"mysql://root@{_LOOPBACK}:{port}"
                self._process = self._launch(folder / "data", port, log)
                if self._answers(folder / "data"):
                    return
                self._end()
            raise MariadbError(f"MariaDB did not start: {_last_words(log)}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it and remove its files; calling it twice is harmless.

        停止服务器并删除其文件。
        """
        self._end()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()

    def _install(self, data: Path, log: Path) -> None:
        """Make the folder of a server that has only its own tables and a root without a password.

        建立数据目录。
        """
        command = [str(_program("mariadb-install-db")), *_places(data)]
        command += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        command += ["--skip-name-resolve", f"--user={getpass.getuser()}", *self._options]
        (data.parent / "tmp").mkdir()
        with log.open("ab") as said:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False
            )
        if done.returncode:
            raise MariadbError(f"MariaDB's own tables could not be made: {_last_words(log)}")

    def _launch(self, data: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
        """Start the server on a port, under a keeper that ends it when this process is gone.

        在指定端口启动服务器。
        """
        command = [str(_program(*_SERVERS)), *_places(data)]
        command += [f"--port={port}", f"--bind-address={_LOOPBACK}", "--skip-name-resolve"]
        # Within the data folder: a socket's whole path may have 107 bytes.
        command += ["--socket=socket", "--pid-file=pid", f"--user={getpass.getuser()}"]
        with log.open("ab") as said:
            return subprocess.Popen(
                ["sh", "-c", _KEEPER, "mariadb", *command, *self._options],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for us
            )

    def _answers(self, folder: Path) -> bool:
        """Wait until the server of this folder answers; whether it does.

        等待服务器就绪。
        """
        import pymysql

        assert self._process is not None
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                data = str(self.run("SELECT @@datadir")[0][0])
            except pymysql.err.OperationalError:
                time.sleep(0.05)
            else:
                # Another's server may have got the port before ours, which then ends.
                return Path(data).resolve() == folder.resolve()
        return False

    def _end(self) -> None:
        """Stop the server, gently first.

        停止服务器。
        """
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(ProcessLookupError):
            # One that a test has stopped would not hear of its end.
            os.kill(process.pid, signal.SIGCONT)
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdin.close()


def _places(data: Path) -> list[str]:
    # A server that starts deletes what looks like temporary tables left behind: in a folder that
    # others use as well it would take theirs.
    return ["--no-defaults", f"--datadir={data}", f"--tmpdir={data.parent / 'tmp'}"]


def mariadb_lacks() -> str | None:
    """What a server of our own could not be had without and is not here; None if all is.

    缺少的 MariaDB 组件。
    """
    if _program(*_SERVERS) is None or _program("mariadb-install-db") is None:
        return (
            "no MariaDB is installed; on Debian and Ubuntu: "
            "apt-get install --no-install-recommends mariadb-server-core mariadb-client-core"
        )
    return None


def _program(*names: str) -> str | None:
    places = [None, *_PLACES]
    return next((found for n in names for p in places if (found := shutil.which(n, path=p))), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _last_words(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
    told = [line for line in lines if "ERROR" in line] or lines
    return " / ".join(told[-3:]) or "it said nothing"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


if __name__ == "__main__":
    with Mariadb(log=Path("/dev/stderr")) as server:
        print(server.url(""), flush=True)
        sys.stdin.read()
