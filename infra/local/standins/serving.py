"""A stand-in without its protocol: faults, the request log, the clock, signed links, the command.

替身共用的服务器外壳:故障、日志、时钟、签名链接和命令行。
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import json
import math
import os
import signal
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from infra.local.standins.faults import ANY, FAULTS, Faults, parse_fault
from infra.local.standins.journal import Journal
from infra.local.standins.wire import Answer, Listener, Request, html_answer, spoil


class Server:
    """A stand-in without its protocol: subclasses give `scope`, `answer`, `fault_answer`, `take`.

    `port` 0 lets the system choose; `state` is the folder that outlives the process.
    各替身共用的服务器外壳。
    """

    def __init__(
        self,
        *,
        port: int = 0,
        faults: Mapping[str, Any] | None = None,
        seed: int = 0,
        state: str | Path | None = None,
        hang_seconds: float = 30.0,
    ) -> None:
        self._faults = Faults(faults or {}, seed)
        self.hang_seconds = hang_seconds
        self.offset = 0.0
        self.requests: list[dict[str, Any]] = []
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self.connections: set[socket.socket] = set()
        self.journal = Journal(None if state is None else Path(state))
        self._secret = ""
        for kind, value in self.journal.records():
            self.take(kind, value)
        if not self._secret:
            self.keep("secret", uuid.uuid4().hex)
        self._http = Listener(self, port)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def scope(self, request: Request) -> str:
        """Which scope of faults a request belongs to.

        判断请求属于哪一类故障范围。
        """
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        """The protocol's own answer.

        按协议给出应答。
        """
        raise NotImplementedError

    def fault_answer(self, name: str) -> Answer:
        """The protocol's way of saying rate_limit, error_500 or error_503.

        按协议表达限流和服务器错误。
        """
        raise NotImplementedError

    def common_headers(self) -> dict[str, str]:
        """Headers of every answer, the unhappy ones too.

        给出每个应答都带的头。
        """
        return {}

    def take(self, kind: str, value: Any) -> None:
        """Put one journal record back into memory at the start.

        启动时把一条记录放回内存。
        """
        if kind == "request":
            self.requests.append(value)
        elif kind == "offset":
            self.offset = value
        elif kind == "secret":
            self._secret = value

    def keep(self, kind: str, value: Any) -> None:
        """Remember a record, on disk first.

        先落盘再记入内存。
        """
        self.journal.keep(kind, value)
        self.take(kind, value)

    def link(self, path: str, seconds: float) -> str:
        """A signed link to this server, whatever Host a client sends, good for so many seconds.

        生成会过期的签名链接。
        """
        expires = math.ceil(self.now() + seconds)
        return f"{self.url}/{path}?expires={expires}&signature={self._sign(path, expires)}"

    def opens(self, request: Request) -> bool:
        """Whether a request came by a link that was signed here and has not expired.

        检查签名链接是否有效。
        """
        try:
            expires = int(request.query.get("expires", ""))
        except ValueError:
            return False
        signature = self._sign(request.path.strip("/"), expires).encode()
        given = request.query.get("signature", "").encode()
        return hmac.compare_digest(given, signature) and self.now() <= expires

    def _sign(self, path: str, expires: int) -> str:
        message = f"{path}:{expires}".encode()
        return hmac.new(self._secret.encode(), message, hashlib.sha256).hexdigest()[:40]

    def start(self) -> Server:
        """Serve in a thread of its own; returns itself.

        在后台线程里开始服务。
        """
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and close every connection; safe to call twice.

        停止服务并关闭所有连接。
        """
        self.stopping.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join(5)
        self._http.server_close()
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + 2
        while self.connections and time.monotonic() < deadline:
            time.sleep(0.005)
        self.journal.close()

    def __enter__(self) -> Any:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def faults(self) -> Faults:
        """The faults in force; assign a mapping to replace them.

        正在生效的故障设置。
        """
        return self._faults

    @faults.setter
    def faults(self, rates: Mapping[str, Any]) -> None:
        self._faults.set(rates)

    def now(self) -> float:
        """The stand-in's time in seconds since 1970.

        返回替身的当前时间。
        """
        return time.time() + self.offset

    def advance(self, seconds: float) -> float:
        """Move the clock forward (links expire, tasks finish); returns the new time.

        把时钟拨快若干秒。
        """
        if not seconds >= 0:
            raise ValueError("the clock only moves forward")
        with self.lock:
            self.keep("offset", self.offset + seconds)
        return self.now()

    def log(self) -> list[dict[str, Any]]:
        """Every request so far, oldest first.

        返回全部请求记录。
        """
        with self.lock:
            return list(self.requests)

    def control(self, request: Request) -> Answer:
        """The routes below /_: read the log, move the clock, change the faults.

        处理供测试和演示用的控制接口。
        """
        try:
            body = json.loads(request.body) if request.body else {}
            if request.path == "/_log":
                result: Any = self.log()[int(request.query.get("since", 0)) :]
            elif request.path == "/_clock":
                result = {"now": self.advance(float(body["advance"])) if body else self.now()}
            elif request.path == "/_faults" and request.method == "POST":
                self._faults.set(body)
                result = body
            elif request.path == "/_health":
                result = {"ok": True, "requests": len(self.requests), "now": self.now()}
            else:
                return Answer(404, b'{"error":"there are /_log /_clock /_faults /_health"}')
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Answer(400, json.dumps({"error": str(error)}).encode())
        return Answer(body=json.dumps(result).encode())

    def handle(self, request: Request) -> Answer:
        """The answer with its fault applied and its log entry written.

        处理一个请求:抽取故障、作答并记入日志。
        """
        if request.path.startswith("/_"):
            return self.control(request)
        request = replace(request, fault=self._faults.draw(self.scope(request)))
        if request.fault in ("hang", "drop_before"):
            answer = Answer(silent=True)
        elif request.fault in ("rate_limit", "error_500", "error_503"):
            answer = self.fault_answer(request.fault)
        elif request.fault == "error_502":
            answer = html_answer(502)
        else:
            if request.fault == "slow":
                self.stopping.wait(self._faults.random.uniform(0.2, 1.0))
            answer = spoil(self._safely(request), request.fault, self._faults.random)
        self._write_down(request, answer)
        if request.fault != "hang":
            return answer
        return replace(answer, length=-1)

    def _safely(self, request: Request) -> Answer:
        try:
            return self.answer(request)
        except Exception:
            # A fault of this program, which whoever runs it should see.
            traceback.print_exc()
            return self.fault_answer("error_500")

    def _write_down(self, request: Request, answer: Answer) -> None:
        """Add a request and its answer to the log that `/_log` shows; no keys in it.

        记录一次请求。
        """
        key = request.headers.get("Authorization") or ""
        entry = {
            "time": datetime.fromtimestamp(self.now(), timezone.utc).isoformat(),
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "status": None if answer.silent else answer.status,
            "fault": request.fault,
            "task_id": answer.task_id,
            "key": fingerprint(key.removeprefix("Bearer ")) if key else None,
            "body": request.summary(),
        }
        with self.lock:
            entry = {"index": len(self.requests), **entry}
            self.keep("request", entry)


def fingerprint(key: str) -> str:
    """Twelve hex digits that tell keys apart without giving them away.

    用指纹代替密钥本身。
    """
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:12]


def command(
    kind: Callable[..., Server], parser: argparse.ArgumentParser, argv: list[str] | None
) -> int:
    """Serve until a signal comes, or stdin ends with --watch-stdin; returns the exit status.

    `parser` holds the protocol's own options, each named as in the constructor of `kind`.
    各替身共用的命令行入口。
    """
    options = vars(_arguments(parser, argv))
    watch = options.pop("watch_stdin")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with kind(**options) as standin:
        print(f"listening on {standin.url}", flush=True)
        if watch:
            threading.Thread(target=_watch, args=(stop,), daemon=True).start()
        while not stop.wait(3600):
            pass
    return 0


def _watch(stop: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    stop.set()


def _arguments(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    """Add what every stand-in is told on its command line, and read it.

    读取通用命令行参数。
    """
    number: dict[str, Any] = {"type": float, "metavar": "N"}
    parser.add_argument("--port", type=int, default=0, help="0 (default): the system chooses")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME:RATE[:SCOPE[:TIMES]]",
        help=f"NAME: all {' '.join(FAULTS)}. SCOPE: any {' '.join(ANY)}. 'all' shares its rate "
        "equally among the faults that can befall a request.",
    )
    parser.add_argument("--state", metavar="DIR", help="remember everything here over a restart")
    parser.add_argument("--seed", type=int, default=0, help="of the dice that draw faults (0)")
    parser.add_argument("--hang-seconds", default=30, help="how long a hang lasts (30)", **number)
    parser.add_argument("--watch-stdin", action="store_true", help="exit when stdin ends")
    options = parser.parse_args(argv)
    try:
        options.faults = dict(parse_fault(text) for text in options.fault)
    except ValueError as error:
        parser.error(str(error))
    del options.fault
    return options
