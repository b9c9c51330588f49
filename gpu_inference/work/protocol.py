"""What the queue asks of an engine, in words they share: a picture to make, what can go wrong.

队列与引擎之间的约定：一张图的要求，以及可能的失败。
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image

# Called after each denoising step with (steps done, steps in all); raises Stopped to end the batch.
OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Inputs:
    """The files that a request comes with: a source picture, and a mask that says where to paint.

    请求附带的文件：源图与遮罩。
    """

    image: bytes | None = None
    mask: bytes | None = None


NO_INPUTS = Inputs()


@dataclass(frozen=True)
class Spec:
    """One picture to make: everything validated and filled in.

    `image` holds the source picture's bytes for image-to-image (PNG, JPEG or WebP, upright RGB),
    and `strength` how far to move away from it (0 to 1). `mask` is of the same size, in grey: only
    where it is white is painted, where it is black the source stays.

    一张图的完整要求。
    """

    prompt: str
    negative_prompt: str
    width: int
    height: int
    steps: int
    guidance: float
    seed: int
    image: bytes | None = None
    strength: float = 0.0
    mask: bytes | None = None

    @property
    def shape(self) -> tuple[int, int, int, float, bool, bool, float]:
        """Say what must be equal within a batch: size, steps, guidance, and how a source is used.

        同一批次内必须相同的参数。
        """
        with_image = self.image is not None
        strength = self.strength if with_image else 0.0
        size = (self.width, self.height)
        return (*size, self.steps, self.guidance, with_image, self.mask is not None, strength)


class OutOfMemory(Exception):
    """The batch does not fit; nothing of it was made, and its memory was given back.

    显存不足：本批未生成任何图，内存已归还。
    """


class Stopped(Exception):
    """Raised by `on_step` to abort the whole batch at a step's end; the engine lets it through.

    在一步结束时中止整个批次。
    """


class LoadFailed(Exception):
    """The model cannot be loaded; `reason` says why, in words for an operator.

    模型无法加载，并说明原因。
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PromptTooLong(Exception):
    """The prompt has more tokens than the model reads; it is refused rather than cut.

    提示词过长，拒绝而不截断。
    """

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(f"the prompt has {tokens} tokens; the model reads at most {limit}")
        self.tokens = tokens
        self.limit = limit


class Engine(Protocol):
    """One model on one device. Only the queue's worker thread calls it, but for `check_prompt`,
    `fits`, `info` and `memory`, which any thread may call once `load` has returned (`info` and
    `memory` even before).

    一个设备上的一个模型；除标明者外只由工作线程调用。
    """

    def load(self) -> None:
        """Load the model; blocks, and raises LoadFailed.

        加载模型。
        """

    def warm_up(self) -> None:
        """Make one picture, so that the first caller does not pay for what is slow once.

        生成一张图以预热。
        """

    def generate(self, batch: Sequence[Spec], on_step: OnStep) -> list[Image.Image]:
        """Make a batch of equal shape; raises OutOfMemory, or what `on_step` raised.

        生成一批形状相同的图。
        """

    def check_prompt(self, text: str) -> str:
        """Return the text with special tokens made harmless; raises PromptTooLong.

        检查并净化提示词。
        """

    def fits(self, specs: Sequence[Spec]) -> bool:
        """Say whether the batch is within the memory budget.

        判断该批次是否在显存预算之内。
        """

    def info(self) -> dict[str, Any]:
        """Describe the model: name, dtype, device, kinds, what is switched on, sizes and limits.

        描述模型与设置。
        """

    def memory(self) -> dict[str, int]:
        """Return bytes: allocated, reserved and peak (the process's resident set on a CPU).

        返回内存用量（字节）。
        """

    def close(self) -> None:
        """Give the model's memory back.

        释放模型。
        """
