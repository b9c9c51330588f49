"""What the measurements of whole jobs share: `serve` and the stub as processes, a receiver of
webhooks, a caller that submits, and counting commits from outside.

整套测量共用的部分：子进程、回调接收、提交与计数。
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from infra.paths import ROOT
from infra.tencent.mariadb import Mariadb, MysqlServer
from scripts.bench.raw_http import Client, answer, serving

START_SECONDS = 60.0
TRIES, AGAIN_SECONDS = 20, 1.0
"""How a submit that met a 503 is sent again."""
PEER_REQUIREMENTS = ROOT / "scripts" / "bench" / "peer" / "requirements.txt"
_OK = answer(b"{}")


class Child:
    """A process that prints "listening on URL" or answers at a port, and that ends with its input.

    `ask` is one line to it and one line of JSON back.

    一个子进程。
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], log: Path | None = None
    ) -> None:
        pipe = subprocess.PIPE
        self._log = log
        with open(log or os.devnull, "wb") as said:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=dict(environ), stdin=pipe, stdout=pipe, stderr=said
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._input, self._output = self.process.stdin, self.process.stdout

    def line(self) -> str:
        """The next line that it says; raises `RuntimeError` where it ended instead.

        读取一行输出。
        """
        said = self._output.readline().decode()
        if not said:
            raise RuntimeError(f"it ended with {self.process.wait()}: {self.said()}")
        return said.strip()

    def ask(self, question: str = "figures") -> Any:
        """What it answers to a question.

        询问子进程。
        """
        self._input.write(f"{question}\n".encode())
        self._input.flush()
        return json.loads(self.line())

    def said(self) -> str:
        """The end of what it wrote to stderr.

        标准错误的末尾。
        """
        return self._log.read_text(errors="replace")[-2000:] if self._log else ""

    def stop(self) -> None:
        """End it by ending its input, and wait.

        结束子进程。
        """
        self._input.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._output.close()


@contextmanager
def stub(*flags: str) -> Iterator[str]:
    """The address of a stub of Tripo in a process of its own.

    启动桩服务。
    """
    child = Child([sys.executable, "-m", "scripts.bench.stub", *flags], os.environ)
    try:
        yield child.line().removeprefix("listening on ")
    finally:
        child.stop()


@dataclass(frozen=True)
class Subject:
    """What is measured: where it answers, its process, how its commits are counted, and its
    provider's address.

    被测量的服务。
    """

    name: str
    url: str
    child: Child
    commits: Callable[[], int]
    provider: str


Running = tuple[str, Child, Callable[[], int]]
"""Where something answers, its process, and how its commits are counted."""


@contextmanager
def served(
    provider: str, settings: Mapping[str, str], database: str = "sqlite"
) -> Iterator[Running]:
    """`serve` on a state folder of its own, with this provider in Tripo's place, on SQLite or on a
    MariaDB of its own (`mariadb`).

    启动服务进程。
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home, port = Path(folder), free_port()
        counted, store = partial(commits, home / "maquette.db"), dict[str, str]()
        if database == "mariadb":
            server = stack.enter_context(Mariadb(folder=home, durable=True))
            server.create("bench")
            counted = partial(syncs, server)
            store = {"MAQUETTE_STORE_URL": server.url("bench")}
        environ = {
            **{name: value for name, value in os.environ.items() if "MAQUETTE" not in name},
            "MAQUETTE_HOME": folder,
            "TRIPO_API_KEY": "tsk_bench",
            "TRIPO_BASE_URL": provider,
            "QWEN_IMAGE_BASE_URL": "off",
            **store,
            **settings,
        }
        command = [sys.executable, "-m", "scripts.bench.served", "--port", str(port)]
        child = Child(command, environ, home / "log")
        try:
            wait_for(port, child)
            yield f"http://127.0.0.1:{port}", child, counted
        finally:
            child.stop()


@contextmanager
def peer(provider: str) -> Iterator[Running]:
    """The same lifecycle on DBOS, in an environment of its own: as `served`.

    启动对照服务。
    """
    python = peer_python()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [str(python), "-m", "scripts.bench.peer.app", "--port", str(port)]
        command += ["--provider", provider, "--folder", folder]
        child = Child(command, os.environ, Path(folder) / "log")
        try:
            wait_for(port, child)
            yield f"http://127.0.0.1:{port}", child, partial(commits, Path(folder) / "dbos.db")
        finally:
            child.stop()


def peer_python() -> Path:
    """The Python of the peer's environment, which is made if it is not there yet.

    对照环境的解释器，必要时创建环境。
    """
    folder, wanted = ROOT / ".venv-peer", PEER_REQUIREMENTS.read_text()
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.is_file() or ready.read_text() != wanted:
        print(f"Installing the peer into {folder.name}; this is done once …", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-q", "-r", str(PEER_REQUIREMENTS)]
        subprocess.run(install, check=True, stdout=sys.stderr)
        ready.write_text(wanted)
    return python


def free_port() -> int:
    """A port that nobody listens on just now.

    一个空闲端口。
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, child: Child) -> None:
    """Wait until requests are answered there; raises `RuntimeError` if that takes too long.

    等待服务可用。
    """
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and child.process.poll() is None:
        with suppress(OSError):
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            connection.getresponse().read()
            connection.close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers on port {port}: {child.said()}")


def commits(database: Path) -> int:
    """How many transactions were written to an open SQLite database so far.

    In WAL mode its shared memory counts them (`iChange`, https://sqlite.org/walformat.html), else
    the file's header does (https://sqlite.org/fileformat2.html, 1.3.7).

    数据库至今的提交次数。
    """
    shared = database.with_name(database.name + "-shm")
    if shared.exists():
        return int(struct.unpack_from("=I", shared.read_bytes(), 8)[0])
    return int(struct.unpack_from(">I", database.read_bytes(), 24)[0])


def syncs(server: MysqlServer) -> int:
    """How often a MySQL server has brought what was written to its disk so far: once for a commit,
    or for several that come together.

    数据库至今写盘的次数。
    """
    ((_, counted),) = server.run("SHOW GLOBAL STATUS LIKE 'Innodb_data_fsyncs'")
    return int(counted)


class Receiver:
    """Where webhooks arrive, at `URL/hook/NAME`: when the first of each name came, and its body.

    回调接收器。
    """

    def __init__(self) -> None:
        self.url = ""
        self.arrived: dict[str, float] = {}
        self.bodies: dict[str, bytes] = {}
        self._news = asyncio.Event()

    def answer(self, method: str, path: str, body: bytes) -> bytes:
        """Take one webhook.

        接收一个回调。
        """
        name = path.removeprefix("/hook/")
        if name not in self.arrived:
            self.arrived[name] = time.time()
            self.bodies[name] = body
            self._news.set()
        return _OK

    async def until(self, names: Sequence[str], patience: float) -> None:
        """Wait until these have come; raises `RuntimeError` where none comes for `patience` s.

        等待这些回调全部到达。
        """
        missing = set(names)
        while missing := missing - self.arrived.keys():
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), patience)
            except asyncio.TimeoutError:
                words = f"{len(missing)} webhooks did not come, {min(missing)} say"
                raise RuntimeError(words) from None

    def unlike(self, names: Sequence[str]) -> list[str]:
        """Those that do not tell of a success.

        未报告成功的回调。
        """
        return [name for name in names if b'"succeeded"' not in self.bodies[name]]


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver of webhooks in this process.

    启动回调接收器。
    """
    found = Receiver()
    async with serving(found.answer) as found.url:
        yield found


def wanted(name: str, hooks: str) -> bytes:
    """The body of a create whose webhook goes to `hooks`/hook/NAME.

    创建请求的正文。
    """
    body = {"kind": "text-to-3d", "prompt": name, "callback_url": f"{hooks}/hook/{name}"}
    return json.dumps(body).encode()


async def submit(client: Client, name: str, hooks: str) -> int:
    """Submit one job, again where that is asked for (503); how often it was. Raises `RuntimeError`
    for anything else but a 202.

    提交一个任务，遇 503 重试。
    """
    for tries in range(TRIES):
        status, said = await client.ask("POST", "/api/v1/jobs", wanted(name, hooks))
        if status == 202:
            return tries
        if status != 503:
            break
        await asyncio.sleep(AGAIN_SECONDS)
    raise RuntimeError(f"{name}: {status} {said[:300].decode(errors='replace')}")


async def submit_all(url: str, names: Sequence[str], hooks: str, at_once: int) -> None:
    """Submit jobs, so many at once.

    并发提交全部任务。
    """
    client, waiting = Client(url), iter(names)

    async def one_after_the_other() -> None:
        for name in waiting:
            await submit(client, name, hooks)

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    client.close()


async def figures_of(url: str) -> dict[str, float]:
    """What a stub has counted so far.

    桩服务的计数。
    """
    client = Client(url)
    _, found = await client.ask("GET", "/_figures")
    client.close()
    counted: dict[str, float] = json.loads(found)
    return counted


class TaskSeen(NamedTuple):
    """A stub's task: when it was made (seconds since 1970), how long it takes (0: it counts looks),
    how often it was looked at, when it was first seen to be done, and when its file was fetched.

    桩服务中的一个任务。
    """

    made_at: float
    takes: float
    looks: int = 0
    seen_at: float = 0.0
    fetched_at: float = 0.0

    @property
    def done_at(self) -> float:
        """When it was done.

        任务完成的时间。
        """
        return self.made_at + self.takes


async def tasks_of(url: str) -> dict[str, TaskSeen]:
    """A stub's tasks by their prompts.

    桩服务的任务明细。
    """
    client = Client(url)
    _, found = await client.ask("GET", "/_tasks")
    client.close()
    return {prompt: TaskSeen(*task) for prompt, task in json.loads(found).items()}


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which this part of them lies.

    百分位数。
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


def load() -> str:
    """What else this machine does, in words.

    机器当前的负载。
    """
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
