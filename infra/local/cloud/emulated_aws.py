"""The machine of `--cloud aws`: the functions as AWS Lambda functions of an emulated AWS.

在模拟的 AWS 上运行整套服务。
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from time import time
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from infra.aws import stack
from infra.aws.emulator import Emulator
from infra.local.cloud import emulated, payloads, results
from infra.local.cloud.emulated import ANSWER_SECONDS, HOPS, parted
from infra.local.cloud.home import VARIABLE, Home
from infra.local.cloud.payloads import EventTooLarge, HttpAnswer, HttpRequest
from infra.local.cloud.stop import Stop
from shared.aws import clients
from shared.clock import SystemClock
from shared.limits import LAMBDA, LAMBDA_EVENT_BYTES
from shared.notices import Notices
from shared.store.dynamodb.store import DynamoStore

_LOG = "aws.log"
_THE_STACKS = frozenset(
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
"""Settings that say where on AWS things are: the template knows, the state folder does not."""


class EmulatedMachine:
    """An emulated AWS with the bundle deployed to it, for as long as the `with` lasts.

    `url` is where the emulator answers for its HTTP API. The finished artifacts are fetched before
    it ends; all else ends with it.

    模拟 AWS 上的整套服务。
    """

    lasting = False
    platform = LAMBDA

    def __init__(
        self, home: Home, made: Mapping[str, str], stop: Stop, *, http_threads: int = 32
    ) -> None:
        self.settings = home.settings(made)
        self.stop = stop
        self.left: Mapping[str, int] = {}
        self._environ = home.complete(made)
        self._log = home.folder / _LOG
        self._emulator = Emulator({VARIABLE: str(home.folder), "LOG_LEVEL": "INFO"}, self._log)
        self._open = ExitStack()
        self._table = ""
        self.url = ""
        self.gateway = HttpApi(http_threads)

    def __enter__(self) -> EmulatedMachine:
        log_file = results.shown(str(self._log))
        print(f"Starting an emulated AWS; its log is {log_file} …", file=sys.stderr, flush=True)
        with ExitStack() as opened:
            self._log.unlink(missing_ok=True)
            opened.enter_context(self._emulator)
            opened.callback(self.gateway.close)
            _talk_to(self._emulator)
            outputs = stack.deploy(*parted(self.settings, self._environ, _THE_STACKS))
            self._table = outputs["TableName"]
            self.url = self._emulator.url + stack.api_path(outputs)
            self.gateway.open(self.url)
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
        """The schedules are the emulator's, and run already.

        定时器已由模拟器启动。
        """

    def warm_up(self) -> None:
        """Lambda starts a function when it is needed.

        由 Lambda 按需启动。
        """

    def look_round(self) -> None:
        """The functions hear of other clocks by every answer that they get.

        由各函数自行发现。
        """

    def notices(self) -> Notices:
        """Those in the emulated table.

        模拟表中的提示。
        """
        clock = SystemClock()
        return Notices(DynamoStore(self._table, clock), clock)

    def files(self) -> None:
        """The emulated S3 serves its objects itself.

        文件由模拟的 S3 提供。
        """

    def place(self, job: dict[str, Any], folder: Path) -> None:
        """Fetch each artifact by its permanent link, as a caller would, and say where it lies.

        下载成果文件并给出路径。
        """
        emulated.place(job, folder, self.gateway, self.settings.public_url)


class HttpApi:
    """A `Gateway`: hands each request to an HTTP API of the emulated API Gateway.

    The emulator is faithful there (bytes, escapes, repeated headers) but for OPTIONS, which it
    answers itself, with 403: such a request goes straight to the function.

    把请求交给模拟的 API Gateway。
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "http")
        self._health = ThreadPoolExecutor(1, "http-health")
        self._place = ""
        self._path = ""

    def open(self, url: str) -> None:
        """Say where the API is; no request comes before that.

        设定接口地址。
        """
        parts = urlsplit(url)
        self._place, self._path = parts.netloc, parts.path

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
        """Send a request to the emulated HTTP API; raises EventTooLarge as Lambda would refuse it.

        转发一个请求。
        """
        event = payloads.http_event(request, "", round(time() * 1000))
        if payloads.size(event) > LAMBDA_EVENT_BYTES:
            raise EventTooLarge
        if request.method == "OPTIONS":
            return _invoked(event)
        connection = HTTPConnection(self._place, timeout=ANSWER_SECONDS)
        try:
            query = f"?{request.query}" if request.query else ""
            connection.putrequest(
                request.method,
                f"{self._path}{request.path}{query}",
                skip_host=True,
                skip_accept_encoding=True,
            )
            for name, value in request.headers:
                if name not in HOPS and name != "content-length":
                    connection.putheader(name, value.encode("latin-1"))
            connection.putheader("content-length", str(len(request.body)))
            connection.endheaders(request.body)
            answer = connection.getresponse()
            headers = ((name.lower(), value) for name, value in answer.getheaders())
            kept = tuple((name, value) for name, value in headers if name not in HOPS)
            return HttpAnswer(answer.status, kept, answer.read())
        finally:
            connection.close()


def _invoked(event: Mapping[str, Any]) -> HttpAnswer:
    function = clients.client("lambda", seconds=ANSWER_SECONDS, tries=1)
    answer = function.invoke(FunctionName=f"{stack.NAME}-api", Payload=json.dumps(event).encode())
    return payloads.http_answer(json.loads(answer["Payload"].read()))


def _talk_to(emulator: Emulator) -> None:
    """Point this process's AWS clients to the emulator, whatever account was set up before."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(emulator.environ)
    clients.forget()
