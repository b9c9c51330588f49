"""What the functions sign their calls with: temporary keys, as a role gives them.

函数角色的临时密钥。
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator

from infra.tencent.cos_signature import Secret
from infra.tencent.emulator.deployed import Deployed


class Roles:
    """The temporary keys of each function's role: which one an invocation gets changes, as nobody
    may rely on it.

    各函数角色的临时密钥。
    """

    def __init__(self, functions: Iterable[str]) -> None:
        self._names = {name: [f"{name}-1", f"{name}-2"] for name in functions}
        self.keys = {
            name: Secret(f"key-of-{name}", f"token-of-{name}")
            for both in self._names.values()
            for name in both
        }
        self._turns: dict[str, Iterator[str]] = {
            function: itertools.cycle(both) for function, both in self._names.items()
        }
        self._lock = threading.Lock()

    def of(self, function: Deployed) -> dict[str, str]:
        """The keys that a function is given now.

        函数当前的密钥。
        """
        with self._lock:
            name = next(self._turns[function.name])
        secret = self.keys[name]
        return {
            "TENCENTCLOUD_SECRETID": name,
            "TENCENTCLOUD_SECRETKEY": secret.key,
            "TENCENTCLOUD_SESSIONTOKEN": secret.token or "",
        }
