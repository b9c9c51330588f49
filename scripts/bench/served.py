"""`serve` in a process that tells its figures: `python -m scripts.bench.served --port 8000`.

The real `serve`, as it is; beside it each thread's processor time is noted by the function that it
works for. A question, a line on standard input, is answered by a line of JSON on standard output.
When standard input ends, the server stops.

可报告自身开销的服务进程。
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.sampling import Sampler

if TYPE_CHECKING:  # the peer, which asks here for its memory, has no packages of ours
    from infra.local.cloud.cloud import Cloud, Handler

FUNCTIONS = ("api", "poll", "postprocess", "callback")
EVERY = "BENCH_LOOK_EVERY"
"""The variable that fixes the interval of looks, in seconds."""


@dataclass
class _Account:
    """Whose work a thread does, and what of its processor time is put down by now (seconds)."""

    owner: str
    settled: float = 0.0


_accounts: dict[int, _Account] = {}
_settled: dict[str, float] = dict.fromkeys(FUNCTIONS, 0.0)
_lock = threading.RLock()
"""Held while a thread ends, and while the clocks of those that live are read: reading the clock of
one that is gone is a fault."""


def watch_threads() -> None:
    """From now on note each thread's processor time by the function that it works for.

    A thread that runs a function's handler works for that one, and so does every thread that is
    started there; all others are the api's, whose server they are.

    按函数记录各线程的处理器时间。
    """
    from infra.local.cloud.cloud import Cloud

    start, handler = threading.Thread.start, Cloud.handler

    def noted(thread: threading.Thread) -> None:
        owner, run = _account().owner, thread.run
        thread.run = lambda: _run(owner, run)  # type: ignore[method-assign]
        start(thread)

    def of(cloud: Cloud, name: str) -> Handler:
        known = handler(cloud, name)

        def handle(event: dict[str, Any], context: Any) -> Any:
            with _working_for(name):
                return known(event, context)

        return handle

    threading.Thread.start = noted  # type: ignore[method-assign, assignment]
    Cloud.handler = of  # type: ignore[method-assign, assignment]


def _account() -> _Account:
    return _accounts.get(threading.get_ident()) or _Account("api")


def _run(owner: str, run: Callable[[], None]) -> None:
    me = threading.get_ident()
    with _lock:
        _accounts[me] = _Account(owner)
    try:
        run()
    finally:
        with _lock:
            _settle(_accounts.pop(me))


@contextmanager
def _working_for(owner: str) -> Iterator[None]:
    """What this thread spends inside is of `owner`.

    把本线程的开销记在某个函数名下。
    """
    account = _account()
    before = account.owner
    with _lock:
        _settle(account)
        account.owner = owner
    try:
        yield
    finally:
        with _lock:
            _settle(account)
            account.owner = before


def _settle(account: _Account) -> None:
    now = time.thread_time()
    _settled[account.owner] += now - account.settled
    account.settled = now


def figures() -> dict[str, float]:
    """Processor seconds so far, in all and by function, and the highest memory in bytes.

    到目前为止的开销。
    """
    with _lock:
        spent = dict(_settled)
        for ident, seconds in clocks().items():
            account = _accounts.get(ident, _Account("api"))
            spent[account.owner] += seconds - account.settled
    return {"all": time.process_time(), **spent, "memory": memory(), "peak": memory("VmHWM")}


def clocks() -> dict[int, float]:
    """The processor seconds of each thread that lives, and of the one that takes connections.

    各线程的处理器时间。
    """
    main = threading.main_thread().ident
    assert main is not None
    with _lock:
        idents = (main, *_accounts)
        return {one: time.clock_gettime(time.pthread_getcpuclockid(one)) for one in idents}


def memory(which: str = "VmRSS") -> int:
    """This process's resident memory in bytes, or its highest.

    进程占用的内存。
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1]) * 1024
    return 0


def answer_questions(answers: Mapping[str, Callable[[], object]]) -> None:
    """Answer each question, a line on standard input, by JSON; end this process after the last.

    逐行应答询问，输入结束则停止进程。
    """
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()]()), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)


def look_every(seconds: float) -> None:
    """From now on every running task is looked at at this interval, whatever else is known.

    改为固定间隔查询。
    """
    from shared.jobs.policy import Policy

    Policy.look = lambda *_, **__: round(seconds * 1000)  # type: ignore[method-assign]


def main() -> int:
    """Serve; the arguments are those of `serve`. `EVERY` in the environment fixes the looks.

    启动服务。
    """
    watch_threads()
    if os.environ.get(EVERY):
        look_every(float(os.environ[EVERY]))
    from infra.local.cli import serve

    sampler = Sampler(clocks)
    answers = {"figures": figures, "sample": sampler.start, "samples": sampler.stop}
    threading.Thread(target=answer_questions, args=(answers,), daemon=True).start()
    return serve.main()


if __name__ == "__main__":
    sys.exit(main())
