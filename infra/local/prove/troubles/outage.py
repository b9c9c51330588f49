"""Sixteen minutes in which something does not answer at all, just when an answer was lost.

创建请求的应答刚丢失，某个部件就停摆十六分钟。
"""

from __future__ import annotations

from multiprocessing import Value
from typing import Any

from infra.local.prove.clock import ask
from infra.local.prove.trouble import Around, Scene, Trouble
from shared.buckets.base import BucketUnavailable
from shared.store.base import StoreUnavailable

SECONDS = 16 * 60
_HARMLESS = frozenset({"close", "check"})


class Outage(Trouble):
    """Store or bucket goes down as a call has just been made, and comes back after 16 minutes:
    nothing is lost, none is paid for twice, and it is nobody's death.

    `part` is what goes down, `since` the call it goes down after ("provider.submit", say).

    任务表或对象存储停摆十六分钟：不丢任务、不重复付费、不归咎于任何任务。
    """

    def __init__(self, scene: Scene, part: str, since: str) -> None:
        super().__init__(scene)
        self._part, self._since = part, since
        self._until = Value("q", 0)

    @property
    def down(self) -> bool:
        """Whether it lasts.

        是否仍在停摆。
        """
        return self.scene.clock.now() < int(self._until.value)

    def begin(self) -> None:
        """From now on nothing answers; only the first call counts.

        停摆开始。
        """
        with self._until.get_lock():
            if not self._until.value:
                self._until.value = self.scene.clock.now() + SECONDS * 1000

    def wrap(self, name: str, part: Any) -> Any:
        """The call that begins it, and the part that raises.

        触发停摆的调用，以及停摆的部件。
        """
        kind, _, method = self._since.partition(".")
        if name.startswith(kind):
            part = Around(part, method.__eq__, after=self.begin)
        if name == self._part:
            part = Around(part, lambda called: called not in _HARMLESS, before=self._refuse)
        return part

    def _refuse(self) -> None:
        if self.down:
            raise (StoreUnavailable if self._part == "store" else BucketUnavailable)("it is down")


class ProviderOutage(Outage):
    """The provider drops every connection for 16 minutes after the create's answer was lost: its
    task is found afterwards, however long that took.

    生成服务停摆十六分钟：之后仍能找回任务。
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene, "provider", "provider.submit")

    def round(self) -> None:
        """The generator's own faults are what makes it silent.

        用故障注入让生成服务停摆。
        """
        if self._until.value:
            faults = {"drop_before": {"rate": 1, "scope": "any"}} if self.down else {}
            ask(f"{self.scene.standin}/_faults", faults)
