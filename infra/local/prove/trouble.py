"""What may go wrong in a run besides deaths, as a scenario's own part: here, nothing does.

除进程中断外，一个场景还会遇到的麻烦。
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.prove.clock import ShiftedClock
from infra.local.prove.place import Row
from shared.jobs.model import Job


@dataclass(frozen=True)
class Scene:
    """Where a run takes place: its clock, the generator's address and the settings for it, where
    webhooks go (a URL with a place for a name), and a folder that outlives every life.

    一次运行的环境。
    """

    clock: ShiftedClock
    standin: str
    generator: Mapping[str, str]
    callback_url: str
    folder: Path


class Trouble:
    """No trouble at all. Each scenario that has some says so in a class of its own, below this one.

    One is made for a run, before its first life; what lives are to share it keeps in the scene's
    folder, for each life is a process of its own.

    没有麻烦；各种麻烦继承自它。
    """

    also: Sequence[str] = ()
    """Jobs besides the run's own that must be carried to their ends."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def before(self, bundle: Any) -> None:
        """Once, before the first life: over the store and bucket as they will be found.

        首个进程启动前的准备。
        """

    def spoil(self) -> None:
        """In each life, before its bundle is wired: changes to the code itself.

        在每个进程里改动代码。
        """

    def wrap(self, name: str, part: Any) -> Any:
        """In each life: `store`, `bucket` or `provider NAME`, with something put around it.

        在部件外加一层。
        """
        return part

    def created(self, number: int, job_id: str) -> None:
        """In each life, after a job of the run was asked for.

        任务创建之后。
        """

    def round(self) -> None:
        """In each life, before the timers come once more.

        每轮定时之前。
        """

    def end(self) -> None:
        """In each life, once all jobs have ended: whatever it was, it is over.

        任务全部结束后，麻烦随之结束。
        """

    def excuses(self, number: int, job: Job) -> bool:
        """Whether a job, by its number among the run's, may end as it did, if not well.

        某个任务这样结束是否可以接受。
        """
        return False

    def judge(self, laid: Sequence[Row], rows: Sequence[Row], jobs: Sequence[Job]) -> list[str]:
        """What else is wrong in the end, by what lay in the store before the first life and by
        what lies there now.

        最后还有什么不对。
        """
        return []


class Around:
    """A part with something done before and after those calls whose names are chosen.

    在部件的某些调用前后做点什么。
    """

    def __init__(
        self,
        part: Any,
        chosen: Callable[[str], bool],
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self._part, self._chosen, self._before, self._after = part, chosen, before, after

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._part, attribute)
        if not callable(found) or not self._chosen(attribute):
            return found

        def call(*args: Any, **named: Any) -> Any:
            self._before()
            try:
                return found(*args, **named)
            finally:
                self._after()

        return call
