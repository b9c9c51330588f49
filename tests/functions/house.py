"""A whole house for the HTTP function: a real store and bucket, a clock and provider of the test's.

为接口测试搭好的完整环境。
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.clock import Deadline
from shared.deliveries import repository
from shared.deliveries.model import Delivery
from shared.jobs.model import Job
from shared.jobs.polling import drain, poll
from shared.wiring import Bundle
from tests.fakes import FakeClock
from tests.functions.gateway import get, post_json
from tests.providers import ThrowawayProvider

LINK_SECRET = "link-secret-of-thirty-two-characters"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"webhook-secret-of-32-characters!").decode()


@dataclass
class House:
    """A wired bundle and what lies behind it.

    测试用的整套部件。
    """

    folder: Path
    clock: FakeClock
    provider: ThrowawayProvider
    bundle: Bundle
    woken: list[str] = field(default_factory=list)

    def rows(self, table: str = "jobs") -> int:
        with sqlite3.connect(self.folder / "maquette.db") as database:
            return int(database.execute(f"select count(*) from {table}").fetchone()[0])

    def objects(self) -> list[str]:
        kept = self.folder / "bucket" / "inputs"
        return [path.name for path in kept.rglob("*") if path.is_file()]

    def job(self, job_id: str) -> Job:
        found = self.bundle.ports.jobs.get(job_id)
        assert found is not None
        return found

    def deliveries(self, job_id: str) -> Sequence[Delivery]:
        return repository.for_job(self.bundle.store, job_id)

    def carry(self, moves: int = 12, *, process: bool = True) -> None:
        """Let the other functions work until nothing changes any more."""
        for _ in range(moves):
            poll(self.bundle.ports, Deadline.after(60), lambda: False)
            if process:
                drain(self.bundle.ports, Deadline.after(60), at_once=1)
            if self.bundle.ports.jobs.next_due(self.bundle.providers) is None:
                return
            self.clock.advance(40_000)


class Working:
    """The house's clock; during a wait, the other functions work.

    等待期间让其他函数继续工作的时钟。
    """

    def __init__(self, house: House) -> None:
        self._house = house

    def __getattr__(self, name: str) -> Any:
        return getattr(self._house.clock, name)

    def sleep(self, seconds: float) -> None:
        self._house.carry()


Build = Callable[..., House]
"""Builds a house; arguments are settings, `wrap` as in `wiring.build`."""


def created(prompt: str = "a cup", **more: Any) -> dict[str, Any]:
    """A new job, as the create answers it.

    新建一个任务。
    """
    answer = post_json("/api/v1/models", {"prompt": prompt, **more})
    assert answer.status == 202, answer.body
    return dict(answer.json)


def local(url: str) -> str:
    """A link's path and query, without the server.

    去掉链接中的服务器部分。
    """
    return url.removeprefix("http://127.0.0.1:8000")


def finished(house: House, **more: Any) -> dict[str, Any]:
    """A job that has succeeded, its files published.

    一个已成功的任务。
    """
    job = created(**more)
    house.carry()
    shown = get(f"/api/v1/jobs/{job['id']}")
    assert shown.json["status"] == "succeeded", shown.body
    return dict(shown.json)
