"""The machine of `--cloud tencent`: the functions as functions of an emulated Tencent Cloud.

SCF, COS and the Secrets Manager are emulated; the database is a MariaDB server of this machine's.

在模拟的腾讯云上运行整套服务。
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from infra.local.cloud import emulated, payloads, results
from infra.local.cloud.emulated import parted
from infra.local.cloud.home import VARIABLE, Home
from infra.local.cloud.payloads import AnswerTooLarge, EventTooLarge, HttpAnswer, HttpRequest
from infra.local.cloud.stop import Stop
from infra.tencent import stack
from infra.tencent.cos_emulator import BUCKET, CosEmulator
from infra.tencent.cos_gate import Created as CosCreated
from infra.tencent.cos_signature import Secret
from infra.tencent.emulator import web
from infra.tencent.emulator.deployed import Deployed
from infra.tencent.emulator.events import Created
from infra.tencent.emulator.fleet import Platform
from infra.tencent.emulator.roles import Roles
from infra.tencent.emulator.running import Running
from infra.tencent.emulator.scf import Scf
from infra.tencent.emulator.server import SECRET_ID, SECRET_KEY, CloudApi
from infra.tencent.emulator.ssm import Ssm
from infra.tencent.emulator.tc3 import Key
from infra.tencent.mariadb import Mariadb
from shared.clock import SystemClock
from shared.limits import SCF, SCF_BODY_BYTES
from shared.notices import Notices
from shared.store.sql.store import SqlStore
from shared.tencent import clients

_LOG = "tencent.log"
_DATABASE = "maquette"
_THE_CLOUDS = frozenset(
    f"MAQUETTE_{name}"
    for name in (
        "BUCKET_URL",
        "LOG_FORMAT",
        "METRICS",
        "SECRETS_URL",
        "STAGE",
        "STORE_URL",
        "WAKE_URL",
    )
)
"""Settings that say where on the cloud things are: the state folder does not know."""
_WARM = ("api", "poll", "postprocess", "callback")


class TencentMachine:
    """An emulated Tencent Cloud with the bundle deployed to it, for as long as the `with` lasts.

    The finished artifacts are fetched before it ends; all else ends with it.

    模拟腾讯云上的整套服务。
    """

    lasting = False
    platform = SCF

    def __init__(
        self, home: Home, made: Mapping[str, str], stop: Stop, *, http_threads: int = 32
    ) -> None:
        self.settings = home.settings(made)
        self.stop = stop
        self.left: Mapping[str, int] = {}
        self._home = home
        self._environ = home.complete(made)
        self._log = home.folder / _LOG
        self._open = ExitStack()
        self._store_url = ""
        self.gateway = WebFunction(http_threads)
        self._roles = Roles(f"{stack.NAME}-{name}" for name in ("migrate", *_WARM))
        self.scf = Scf()
        self.running: Running | None = None

    def __enter__(self) -> TencentMachine:
        log_file = results.shown(str(self._log))
        print(
            f"Starting an emulated Tencent Cloud; its log is {log_file} …",
            file=sys.stderr,
            flush=True,
        )
        with ExitStack() as opened:
            self._start(opened)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def begin(self) -> None:
        """Have the timers fire.

        启动定时器。
        """
        assert self.running is not None
        self.running.start_timers()

    def warm_up(self) -> None:
        """Start, in the background, what will be needed later.

        在后台预热。
        """
        assert self.running is not None
        for name in _WARM:
            threading.Thread(
                target=self.running.warm, args=(self._function(name),), name="warm-up", daemon=True
            ).start()

    def look_round(self) -> None:
        """The functions hear of other clocks by every answer that they get.

        由各函数自行发现。
        """

    def notices(self) -> Notices:
        """Those in the database.

        数据库中的提示。
        """
        return Notices(SqlStore(self._store_url), SystemClock())

    def files(self) -> None:
        """The emulated COS serves its objects itself.

        文件由模拟的 COS 提供。
        """

    def place(self, job: dict[str, Any], folder: Path) -> None:
        """Fetch each artifact by its permanent link, as a caller would, and say where it lies.

        下载成果文件并给出路径。
        """
        emulated.place(job, folder, self.gateway, self.settings.public_url)

    def _start(self, opened: ExitStack) -> None:
        """Start every part, and deploy the functions to them.

        启动各部件并部署函数。
        """
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.unlink(missing_ok=True)
        log = opened.enter_context(self._log.open("a", encoding="utf-8", buffering=1))
        opened.callback(self.gateway.close)
        keys = self._roles.keys | {SECRET_ID: Secret(SECRET_KEY)}
        bucket, database = CosEmulator(self._created, keys=keys, log=self._log), Mariadb()
        opened.callback(bucket.close)
        opened.callback(database.close)
        with ThreadPoolExecutor(2, "start") as starting:
            for started in [starting.submit(part.start) for part in (bucket, database)]:
                started.result()
        api = opened.enter_context(CloudApi({"scf": self.scf, "ssm": Ssm()}))
        for name, secret in self._roles.keys.items():
            api.keys[name] = Key(secret.key, secret.token)
        environ = {VARIABLE: str(self._home.folder), "COS_ENDPOINT": bucket.url}
        environ["TENCENT_ENDPOINT"] = api.url
        platform = Platform(environ=environ, keys=self._roles.of)
        running = Running(platform, lambda line: log.write(line + "\n"), ended=self.scf.ended)
        self.running = self.scf.runner = opened.enter_context(running)
        _talk_to({**api.environ, **bucket.environ})
        database.create(_DATABASE)
        self._store_url = _user(database, "maquette", "SELECT, INSERT, UPDATE, DELETE")
        around = stack.Around(BUCKET, self._store_url, _user(database, "migrate", "ALL"))
        stack.deploy(around, *parted(self.settings, self._environ, _THE_CLOUDS))
        self.gateway.open(running, self._function("api"))

    def _function(self, name: str) -> Deployed:
        return self.scf.functions["default", f"{stack.NAME}-{name}"]

    def _created(self, one: CosCreated) -> None:
        if self.running is not None:
            self.running.created(Created(one.bucket, one.key, one.bytes, event=one.event))


class WebFunction:
    """A `Gateway`: hands each request to the web function, as its URL does.

    把请求交给 Web 函数。
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "http")
        self._health = ThreadPoolExecutor(1, "http-health")
        self._running: Running | None = None
        self._function = Deployed("")

    def open(self, running: Running, function: Deployed) -> None:
        """Say which function it is; no request comes before that.

        设定函数。
        """
        self._running, self._function = running, function

    def request(self, request: HttpRequest) -> Future[HttpAnswer]:
        """Answer a request; see `Gateway`.

        处理一个 HTTP 请求。
        """
        threads = self._health if payloads.is_probe(request) else self._threads
        return threads.submit(self._answer, request)

    def close(self) -> None:
        """Wait for nobody: what is being answered has no one left to ask for it.

        关闭。
        """
        for threads in (self._health, self._threads):
            threads.shutdown(wait=False, cancel_futures=True)

    def _answer(self, request: HttpRequest) -> HttpAnswer:
        """Have the function answer; raises what SCF's own limits raise.

        由函数作答。
        """
        if len(request.body) > SCF_BODY_BYTES:
            raise EventTooLarge
        assert self._running is not None
        asked = web.Request(
            request.method,
            request.path,
            request.query,
            request.headers,
            request.body,
            request.address,
        )
        answer = self._running.request(self._function, asked)
        if len(answer.body) > SCF_BODY_BYTES:
            raise AnswerTooLarge(f"{self._function.name} answered more than SCF's 6 MB")
        return HttpAnswer(answer.status, answer.headers, answer.body)


def _user(database: Mariadb, name: str, rights: str) -> str:
    """Make a user of the database with these rights on it; the database's URL as that user's.

    新建数据库用户并返回地址。
    """
    password = secrets.token_urlsafe()
    database.run(
        f"CREATE USER {name}@'%' IDENTIFIED BY '{password}'",
        f"GRANT {rights} ON {_DATABASE}.* TO {name}@'%'",
    )
    parts = urlsplit(database.url(_DATABASE))
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"))


def _talk_to(environ: Mapping[str, str]) -> None:
    """Point this process to the emulator, whatever account was set up before."""
    for name in [name for name in os.environ if name.startswith(("TENCENT", "COS_"))]:
        del os.environ[name]
    os.environ.update(environ)
    clients.forget()
