"""The pictures that wait: a bounded queue, ordered by priority and age, that hands out batches.

等待中的图片：有界队列，按优先级与先后排序，成批取出。
"""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_inference.errors import Canceled, Interrupted, NotReady, QueueFull, ServiceError
from gpu_inference.work.protocol import Spec
from gpu_inference.work.task import Task


@dataclass(frozen=True)
class Unit:
    """One picture of a task.

    任务中的一张图。
    """

    task: Task
    index: int

    @property
    def spec(self) -> Spec:
        """Return what is to be made.

        要生成的内容。
        """
        return self.task.specs[self.index]


class Queue:
    """Pictures in the order in which they are to be made. Any thread may use it.

    `size` bounds what waits, in pictures; `window` is how long, in seconds, the first of a batch
    waits for others of its shape.

    等待队列；任何线程都可使用。
    """

    def __init__(
        self, size: int, window: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._window = window
        self._clock = clock
        self._changed = threading.Condition()
        self._units: list[Unit] = []
        self._closed = False
        self._nudged = False
        self.seconds_each = 1.0
        """What a picture takes, as the worker last saw it; for Retry-After."""

    def __len__(self) -> int:
        return len(self._units)

    @property
    def closed(self) -> bool:
        """Say whether nothing new is taken in.

        是否已停止接收。
        """
        return self._closed

    def put(self, task: Task, *, bounded: bool = True) -> None:
        """Let a task's pictures wait; raises QueueFull, or NotReady when closed.

        放入队列。
        """
        units = [Unit(task, index) for index in range(len(task.specs))]
        with self._changed:
            if self._closed:
                raise NotReady("The service is about to stop.", code="draining", retry_after=30)
            waiting = len(self._units)
            # A request larger than the whole queue would otherwise never be taken.
            if bounded and waiting and waiting + len(units) > self._size:
                raise QueueFull(
                    f"{waiting} pictures are waiting; at most {self._size} may.",
                    retry_after=waiting * self.seconds_each,
                )
            for unit in units:
                bisect.insort(self._units, unit, key=lambda one: one.task.rank)
            self._changed.notify_all()

    def cancel(self, task: Task, error: ServiceError | None = None) -> bool:
        """End a task, waiting or running; False if it has ended otherwise.

        取消任务。
        """
        self._remove(task)
        return task.end(error or Canceled("The request was canceled."))

    def position(self, task: Task) -> int | None:
        """Return how many pictures come before the task's first; None if none of its waits.

        前面还有几张图。
        """
        with self._changed:
            for place, unit in enumerate(self._units):
                if unit.task is task:
                    return place
        return None

    def take(
        self, largest: Callable[[tuple[Any, ...]], int], fits: Callable[[Sequence[Spec]], bool]
    ) -> list[Unit]:
        """Wait for a batch of equal shape and remove it from the queue.

        `largest` says how many of a shape may be tried, `fits` what the memory holds. Empty when
        nudged, or closed with nothing left.

        取出一批形状相同的图。
        """
        with self._changed:
            while not self._nudged:
                self._forget_the_dead()
                if self._units:
                    head = self._units[0]
                    most = largest(head.spec.shape)
                    alike = [unit for unit in self._units if unit.spec.shape == head.spec.shape]
                    left = head.task.arrived + self._window - self._clock()
                    if len(alike) < most and left > 0 and not self._closed:
                        self._changed.wait(left)
                        continue
                    batch = _that_fit(alike[:most], fits)
                    chosen = {id(unit) for unit in batch}
                    self._units = [unit for unit in self._units if id(unit) not in chosen]
                    return batch
                if self._closed:
                    return []
                self._changed.wait()
            self._nudged = False
            return []

    def nudge(self) -> None:
        """Let the worker look up from waiting once.

        唤醒工作线程一次。
        """
        with self._changed:
            self._nudged = True
            self._changed.notify_all()

    def close(self) -> None:
        """Take nothing new in; what waits may still be taken.

        停止接收，已接收的仍可取出。
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def clear(self, error: ServiceError | None = None) -> None:
        """End everything that waits, as interrupted where no error is given.

        结束所有等待者。
        """
        with self._changed:
            tasks = {id(unit.task): unit.task for unit in self._units}
            self._units = []
            self._changed.notify_all()
        for task in tasks.values():
            task.end(error or Interrupted("The service stopped before this was made."))

    def _remove(self, task: Task) -> None:
        with self._changed:
            self._units = [unit for unit in self._units if unit.task is not task]
            self._changed.notify_all()

    def _forget_the_dead(self) -> None:
        now = self._clock()
        self._units = [unit for unit in self._units if unit.task.alive(now)]


def _that_fit(units: list[Unit], fits: Callable[[Sequence[Spec]], bool]) -> list[Unit]:
    """Return the longest start of a batch that the memory holds; the first is always tried."""
    batch = units[:1]
    for unit in units[1:]:
        if not fits([one.spec for one in [*batch, unit]]):
            break
        batch.append(unit)
    return batch
