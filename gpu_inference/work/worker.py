"""The one thread that touches the engine: loads it, makes batch after batch, and survives failures.

唯一接触引擎的线程：加载、逐批生成、出错后继续。
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from gpu_inference.errors import GenerationFailed, Interrupted, NoMemory, NotReady, ServiceError
from gpu_inference.metrics import Metrics
from gpu_inference.work.protocol import Engine, LoadFailed, OutOfMemory, Stopped
from gpu_inference.work.queue import Queue, Unit

State = Literal["loading", "warming", "ready", "failed", "draining"]

_SMALLER_SECONDS = 600.0
"""How long a shape's batches stay small after the memory ran out, which others may have filled."""
_LAST_STEP_SECONDS = 20.0
"""What a step in the air gets to end in when the grace is over."""

_logger = logging.getLogger("qwen_image.worker")


class Worker:
    """Owns the engine. `on_ready` is called in its thread each time the model has become ready.

    拥有引擎的工作线程。
    """

    def __init__(
        self,
        engine: Engine,
        queue: Queue,
        metrics: Metrics,
        *,
        batch_size: int,
        on_ready: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state: State = "loading"
        self.reason: str | None = None
        self._engine = engine
        self._queue = queue
        self._metrics = metrics
        self._batch_size = batch_size
        self._on_ready = on_ready
        self._clock = clock
        self._halted = threading.Event()
        self._reload = False
        self._smaller: dict[tuple[Any, ...], tuple[int, float]] = {}
        # Pictures are compressed and written here, while the engine makes the next ones.
        self._finishing = ThreadPoolExecutor(2, thread_name_prefix="finishing")
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to load the model; returns at once.

        开始加载模型。
        """
        self._thread.start()

    def check_ready(self) -> None:
        """Raise NotReady, with the state and its reason, unless pictures can be made.

        未就绪则报错。
        """
        if self.state != "ready":
            why = f": {self.reason}" if self.reason else ""
            raise NotReady(
                f"The model is {self.state}{why}.",
                code="draining" if self.state == "draining" else "not_ready",
                retry_after=30 if self.state in ("failed", "draining") else 5,
            )

    def reload(self) -> None:
        """Give the model back and load it again after the batch in the air; what waits stays.

        重新加载模型。
        """
        self._reload = True
        self._queue.nudge()

    def drain(self, grace: float) -> None:
        """Finish what was accepted within `grace` seconds, interrupt the rest, and stop.

        在宽限期内完成已接收的工作，然后停止。
        """
        working = self.state == "ready"
        self.state = "draining"
        self._queue.close()
        if not working:
            self._queue.clear()
        if self._thread.is_alive():
            self._thread.join(grace if working else 0)
        self._halted.set()
        self._queue.clear()
        if self._thread.is_alive():
            # A model on its way into memory cannot be stopped; the thread is a daemon.
            self._thread.join(_LAST_STEP_SECONDS if working else 1)
        self._finishing.shutdown(wait=True)

    def _run(self) -> None:
        """Bring the model up and make batches until the queue is closed and empty, or halted.

        工作线程的主循环。
        """
        try:
            self._bring_up()
            while not (self._queue.closed and not len(self._queue)) and not self._halted.is_set():
                batch = self._queue.take(self._largest, self._engine.fits)
                if batch:
                    self._make(batch)
                if self._reload:
                    self._reload = False
                    self._engine.close()
                    self._bring_up()
        except BaseException as error:
            _logger.exception("the worker died")
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            self._engine.close()

    def _bring_up(self) -> None:
        """Load and warm up the model; a failure is the worker's state, not an exception.

        加载并预热模型。
        """
        began = self._clock()
        self._smaller.clear()
        try:
            self._enter("loading")
            self._engine.load()
            self._enter("warming")
            self._engine.warm_up()
        except LoadFailed as error:
            self._fail(error.reason)
        except Exception as error:
            _logger.exception("the model could not be brought up")
            self._fail(f"{type(error).__name__}: {error}")
        else:
            _logger.info("ready after %.1f s", self._clock() - began)
            self._enter("ready")
            self._on_ready()

    def _enter(self, state: State) -> None:
        # Draining is never left.
        if self.state != "draining":
            self.state, self.reason = state, None

    def _fail(self, reason: str) -> None:
        _logger.error("no model: %s", reason)
        if self.state != "draining":
            self.state, self.reason = "failed", reason
        self._queue.clear(Interrupted(f"The model is gone: {reason}.", retry_after=30))

    def _largest(self, shape: tuple[Any, ...]) -> int:
        smaller, until = self._smaller.get(shape, (self._batch_size, 0.0))
        return smaller if self._clock() < until else self._batch_size

    def _make(self, batch: list[Unit]) -> None:
        """Make one batch; after too little memory, or a fault, it is tried again in smaller parts.

        生成一批图片，失败则拆小重试。
        """
        now = self._clock()
        new = {id(unit.task): unit.task for unit in batch if unit.task.started is None}
        batch = [unit for unit in batch if unit.task.begin(now)]
        if not batch:
            return
        for task in new.values():
            self._metrics.waited(now - task.arrived)
        self._metrics.batch(len(batch))
        try:
            images = self._engine.generate(
                [unit.spec for unit in batch], _Steps(self, batch, self._clock, self._metrics)
            )
        except Stopped:
            for unit in batch:
                unit.task.end(Interrupted("The service stopped before this was made."))
        except OutOfMemory as error:
            self._metrics.out_of_memory()
            shape, half = batch[0].spec.shape, max(1, len(batch) // 2)
            self._smaller = {one: kept for one, kept in self._smaller.items() if kept[1] > now}
            self._smaller[shape] = (half, self._clock() + _SMALLER_SECONDS)
            _logger.warning("out of memory with %d pictures of %s", len(batch), shape)
            self._again(batch, half, NoMemory(_no_memory(batch[0], error), retry_after=30))
        except Exception as error:
            _logger.exception("a batch of %d failed", len(batch))
            # One picture's fault is not its neighbours': each is tried alone.
            self._again(batch, 1, GenerationFailed(f"{type(error).__name__}: {error}"))
        else:
            spent = (self._clock() - now) / len(batch)
            self._queue.seconds_each += 0.3 * (spent - self._queue.seconds_each)
            _tell_drawn(batch, spent)
            for unit, image in zip(batch, images, strict=True):
                self._finishing.submit(unit.task.deliver, unit.index, image)

    def _again(self, batch: list[Unit], size: int, error: ServiceError) -> None:
        if len(batch) == 1:
            batch[0].task.end(error)
            self._queue.cancel(batch[0].task)
            return
        for start in range(0, len(batch), size):
            self._make(batch[start : start + size])

    @property
    def halted(self) -> bool:
        """Say whether even begun work is to stop at its next step.

        是否要在下一步停止。
        """
        return self._halted.is_set()


class _Steps:
    """What the engine calls after each step: tells progress, and stops what nobody waits for."""

    def __init__(
        self, worker: Worker, batch: list[Unit], clock: Callable[[], float], metrics: Metrics
    ) -> None:
        self._worker = worker
        self._batch = batch
        self._clock = clock
        self._metrics = metrics
        self._last = clock()

    def __call__(self, done: int, total: int) -> None:
        now = self._clock()
        self._metrics.step(now - self._last)
        self._last = now
        for unit in self._batch:
            unit.task.step(unit.index, done / max(total, 1))
        # Every task is asked, so that each one past its deadline ends now.
        alive = [unit.task.alive(now) for unit in self._batch]
        if self._worker.halted or not any(alive):
            raise Stopped


def _tell_drawn(batch: list[Unit], seconds_each: float) -> None:
    """One line that names each picture's job: how often a job was made can be counted by it."""
    jobs = [unit.task.job for unit in batch]
    facts = {"jobs": jobs, "seconds_each": round(seconds_each, 4)}
    _logger.info("drew %d pictures", len(batch), extra={"facts": facts})


def _no_memory(unit: Unit, error: OutOfMemory) -> str:
    spec = unit.spec
    told = f" ({error})" if str(error) else ""
    return f"A picture of {spec.width}x{spec.height} does not fit into the memory just now{told}."
