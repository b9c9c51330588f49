"""One request's pictures on their way through the queue: who waits for them, and how they end.

一个请求的图片在队列中的历程。
"""

from __future__ import annotations

import hashlib
import io
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from PIL import Image

from gpu_inference.errors import ServiceError, TooSlow
from gpu_inference.work.protocol import Spec

PRIORITIES = {"high": -60.0, "normal": 0.0, "low": 60.0}
"""Seconds that a request's place in the queue moves: no class can starve another."""

_logger = logging.getLogger("qwen_image.task")


@dataclass(frozen=True)
class Picture:
    """A finished picture, as a file: PNG, until somebody wants it otherwise.

    一张完成的图（默认 PNG）。
    """

    content: bytes
    width: int
    height: int
    seed: int
    media_type: str = "image/png"

    @property
    def sha256(self) -> str:
        """Return the file's hash, in hex.

        文件的哈希值。
        """
        return hashlib.sha256(self.content).hexdigest()


# Told the pictures, or why there are none, before anybody else is.
Keep = Callable[[Sequence[Picture] | ServiceError], None]


class Task:
    """Pictures asked for together. It ends once: with all of them, or with one error.

    `seconds` is the deadline, counted from `arrived`, or from the first step with `late`. `keep`
    is called once, before `result` is there. `job` is the id of the job that it is, if any.

    一起请求的若干张图；只会结束一次。
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        *,
        arrived: float,
        seconds: float,
        late: bool = False,
        priority: str = "normal",
        keep: Keep | None = None,
        job: str | None = None,
    ) -> None:
        self.specs = tuple(specs)
        self.job = job
        self.arrived = arrived
        self.rank = arrived + PRIORITIES[priority]
        self.result: Future[list[Picture]] = Future()
        self.started: float | None = None
        self._seconds = seconds
        self._deadline = None if late else arrived + seconds
        self._keep = keep
        self._lock = threading.Lock()
        self._ended = False
        self._done = [0.0] * len(self.specs)
        self._pictures: dict[int, Picture] = {}

    @property
    def ended(self) -> bool:
        """Say whether it is decided how this ends; its pictures may still be written.

        是否已有结局。
        """
        return self._ended

    @property
    def progress(self) -> int:
        """Return how much is done, in percent; 100 only when all is written.

        完成的百分比。
        """
        if self.result.done():
            return 100
        return min(99, int(100 * sum(self._done) / len(self._done)))

    def begin(self, now: float) -> bool:
        """Note that the engine has it; False if it is over already.

        标记为已开始。
        """
        with self._lock:
            if self.started is None:
                self.started = now
                if self._deadline is None:
                    self._deadline = now + self._seconds
        return self.alive(now)

    def alive(self, now: float) -> bool:
        """Say whether anybody still waits for it; past its deadline it ends here.

        是否仍有人在等；过期则就此结束。
        """
        if not self._ended and self._deadline is not None and now >= self._deadline:
            self.end(TooSlow(f"It took longer than {self._seconds:g} seconds."))
        return not self._ended

    def step(self, index: int, share: float) -> None:
        """Note how far one picture is, 0 to 1.

        记录一张图的进度。
        """
        self._done[index] = share

    def end(self, error: ServiceError) -> bool:
        """End without pictures; False if it has ended otherwise.

        以错误结束。
        """
        with self._lock:
            if self._ended:
                return False
            self._ended = True
        self._pictures.clear()
        self._resolve(error)
        return True

    def deliver(self, index: int, image: Image.Image) -> None:
        """Take one picture of the engine's; the last one ends it.

        交付一张图。
        """
        if self._ended:
            return
        try:
            picture = _encode(image, self.specs[index].seed)
        except Exception as error:
            _logger.exception("a picture could not be written")
            self.end(ServiceError(f"The picture could not be written: {error}."))
            return
        with self._lock:
            if self._ended:
                return
            self._pictures[index] = picture
            if len(self._pictures) < len(self.specs):
                return
            self._ended = True
        self._resolve([self._pictures[number] for number in range(len(self.specs))])

    def _resolve(self, outcome: list[Picture] | ServiceError) -> None:
        """Keep the outcome, then tell who waits; where it cannot be kept, that is the outcome.

        先保存结果，再通知等待者。
        """
        try:
            if self._keep is not None:
                self._keep(outcome)
        except ServiceError as error:
            outcome = error
        except Exception as error:
            _logger.exception("a result could not be kept")
            outcome = ServiceError(f"The result could not be kept: {error}.")
        if isinstance(outcome, ServiceError):
            self.result.set_exception(outcome)
        else:
            self.result.set_result(outcome)


def _encode(image: Image.Image, seed: int) -> Picture:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return Picture(file.getvalue(), image.width, image.height, seed)
