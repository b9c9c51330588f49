"""A wish: what is to be made, with nothing left open, so that it can be kept and made again.

一个愿望：完整确定、可保存、可重做的生成内容。
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gpu_inference.work.protocol import Inputs, Spec

SEEDS = 2**32
"""Seeds there are, from 0."""


@dataclass(frozen=True)
class Wish:
    """What is to be made, all of it decided; repeating it gives the same pictures.

    完整确定的生成内容，可重复。
    """

    kind: str
    prompt: str
    negative_prompt: str
    width: int
    height: int
    steps: int
    guidance: float
    seed: int
    n: int
    strength: float
    priority: str

    def specs(self, inputs: Inputs) -> list[Spec]:
        """Return one spec per picture: each has a seed of its own.

        每张图一个规格。
        """
        first = Spec(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            width=self.width,
            height=self.height,
            steps=self.steps,
            guidance=self.guidance,
            seed=self.seed,
            image=inputs.image,
            strength=self.strength,
            mask=inputs.mask,
        )
        return [replace(first, seed=(self.seed + index) % SEEDS) for index in range(self.n)]


Decide = Callable[[], tuple[Wish, Inputs]]
"""Checks what a caller asked and fills it in; called only where there is room for it."""
