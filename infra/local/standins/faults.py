"""Faults on demand: which there are, whom they befall, how often, and how one is drawn.

按需注入故障:有哪些、影响谁、多频繁、如何抽取。
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

API = ("create", "check", "list", "account", "upload")
ANY = (*API, "download")
# Each fault with the requests it befalls when no scope is named.
FAULTS: dict[str, tuple[str, ...]] = {
    "rate_limit": API,
    "error_500": API,
    "error_502": ANY,
    "error_503": ANY,
    "hang": ANY,
    "drop_before": ANY,
    "drop_after": ("create",),
    "error_502_after": ("create",),
    "truncate": ("download",),
    "short_file": ("download",),
    "wrong_length": ("download",),
    "html_file": ("download",),
    "dead_link": ("download",),
    "unknown_status": ("check", "list"),
    "bad_json": ("check", "list"),
    "slow": ANY,
    "drip": ("download",),
}
# These spoil a file or a task object, so they can befall only answers that hold one.
BOUND = (
    *("truncate", "short_file", "wrong_length", "html_file", "dead_link", "unknown_status"),
    "drip",
)


@dataclass
class Fault:
    """One fault in force: how often, where, and how many times more (None: without end).

    表示一种正在生效的故障。
    """

    name: str
    rate: float
    scopes: tuple[str, ...]
    left: int | None = None


def read_fault(name: str, value: Any) -> Fault:
    """A fault from its rate, or from {"rate", "scope", "times"}; ValueError says what is wrong.

    读取一项故障设置。
    """
    wanted = value if isinstance(value, Mapping) else {"rate": value}
    rate, scope, times = float(wanted.get("rate", 1)), wanted.get("scope"), wanted.get("times")
    if name != "all" and name not in FAULTS:
        raise ValueError(f"no fault {name!r}; there are: all {' '.join(FAULTS)}")
    if not 0 <= rate <= 1:
        raise ValueError(f"the rate of fault {name} must be from 0 to 1, not {rate:g}")
    if scope not in (None, "any", *ANY):
        raise ValueError(f"no fault scope {scope!r}; there are: any {' '.join(ANY)}")
    default = FAULTS.get(name, ANY)
    scopes = default if scope is None else ANY if scope == "any" else (scope,)
    if name in BOUND:
        scopes = tuple(each for each in scopes if each in default)
    if not scopes:
        raise ValueError(f"fault {name} can befall only: {' '.join(default)}")
    return Fault(name, rate, scopes, None if times is None else int(times))


def parse_fault(text: str) -> tuple[str, dict[str, Any]]:
    """The command line's NAME:RATE[:SCOPE[:TIMES]]; raises ValueError.

    解析命令行里的故障参数。
    """
    name, *rest = text.split(":")
    value = dict(zip(("rate", "scope", "times"), rest, strict=False))
    read_fault(name, value)
    return name, value


class Faults:
    """The faults in force; at most one is drawn for a request, by the order they were named in.

    管理并抽取要注入的故障。
    """

    def __init__(self, rates: Mapping[str, Any], seed: int) -> None:
        self.random = random.Random(seed)
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.set(rates)

    def set(self, rates: Mapping[str, Any]) -> None:
        """Replace all faults by {name: rate or {"rate", "scope", "times"}}; raises ValueError.

        替换全部故障设置。
        """
        faults = [read_fault(name, value) for name, value in rates.items()]
        with self._lock:
            self._faults = faults

    def draw(self, scope: str) -> str | None:
        """The fault for one request of this scope, or None.

        为一个请求抽取故障。
        """
        with self._lock:
            dice = self.random.random()
            for fault in self._faults:
                if scope not in fault.scopes or fault.left == 0:
                    continue
                if dice >= fault.rate:
                    dice -= fault.rate
                    continue
                fault.left = None if fault.left is None else fault.left - 1
                if fault.name != "all":
                    return fault.name
                return self.random.choice([n for n, scopes in FAULTS.items() if scope in scopes])
        return None
