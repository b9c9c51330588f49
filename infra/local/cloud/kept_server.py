"""What can be kept running beside the bundle: how a server is started, and asked whether it works.

可在本机常驻的服务的描述。
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_READY_SECONDS = 30.0


@dataclass(frozen=True)
class Server:
    """A server that can be kept: its name in the state folder, what people call it, how it is run.

    `command` is given the state folder and a port. The server prints "listening on URL" once it
    can be used, ends with its standard input, and answers at `probe`. What it says on stderr goes
    into the file `log` in the state folder, where one is named. `lacks` says what is missing for it
    to be started at all, if anything is; `remedy` what to do about one that does not start, by
    what kept it from it.

    一种可在本机运行的服务。
    """

    name: str
    label: str
    command: Callable[[Path, int], Sequence[str]]
    probe: str = "/_health"
    ready_seconds: float = _READY_SECONDS
    log: str | None = None
    lacks: Callable[[], str | None] = lambda: None
    remedy: Callable[[str], str] = lambda why: ""
