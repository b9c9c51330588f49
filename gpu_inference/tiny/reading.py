"""Teach the text encoder to read: what a caption asks for must be found in its last tokens.

The template ends a prompt with five tokens that are always the same, and each of them can see the
whole caption. Small heads, thrown away after training, read from each what it is to tell: the
first thing's shape, its colour, the background, the second thing, the layout and size. So the
same request in other words or another language reaches the transformer as the same few vectors.

训练文本编码器：让提示词末尾的标记承载场景信息。
"""

from __future__ import annotations

import math
import random
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from gpu_inference.tiny import captions, data
from gpu_inference.tiny.data import COLOURS, ORDERS, PLACES, SHAPES, SIZES, Scene
from gpu_inference.tiny.learn import Lesson, Share

STEPS = 800
_BATCH = 64
_RATE = 2e-3
_NOTHING = "nothing"
_ANSWERS: dict[str, tuple[int, tuple[str, ...]]] = {
    "shape": (-5, SHAPES),
    "colour": (-4, tuple(COLOURS)),
    "background": (-3, tuple(COLOURS)),
    "second shape": (-2, (_NOTHING, *SHAPES)),
    "second colour": (-2, (_NOTHING, *COLOURS)),
    "layout": (-1, (_NOTHING, *PLACES, *ORDERS)),
    "size": (-1, (_NOTHING, *SIZES)),
}
"""What is asked, which token from the end must know, and the answers there are."""


class Heads:
    """One linear reading of a token's vector per question.

    读取头：每个问题一个线性层。
    """

    def __init__(self, width: int, *, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.of = nn.ModuleDict(
                {name: nn.Linear(width, len(answers)) for name, (_, answers) in _ANSWERS.items()}
            )

    def answers(self, hidden: torch.Tensor, lengths: torch.Tensor) -> dict[str, torch.Tensor]:
        """The scores of each question's answers, from hidden states (n, tokens, width).

        各问题的得分。
        """
        rows = torch.arange(len(hidden), device=hidden.device)
        return {name: self.of[name](hidden[rows, lengths + _ANSWERS[name][0]]) for name in _ANSWERS}

    def loss(
        self, hidden: torch.Tensor, lengths: torch.Tensor, scenes: list[Scene]
    ) -> torch.Tensor:
        """How badly the scenes are read, the mean over all questions.

        阅读误差。
        """
        scores, wanted = self.answers(hidden, lengths), _wanted(scenes, hidden.device)
        losses = [functional.cross_entropy(scores[name], wanted[name]) for name in _ANSWERS]
        return torch.stack(losses).mean()

    def told(self, tokens: torch.Tensor, scenes: list[Scene]) -> torch.Tensor:
        """How badly every one of some tokens (n, tokens, width) knows the scenes.

        每个标记对场景的了解程度。
        """
        wanted, count = _wanted(scenes, tokens.device), tokens.shape[1]
        losses = [
            functional.cross_entropy(
                self.of[name](tokens).flatten(0, 1), wanted[name].repeat_interleave(count)
            )
            for name in _ANSWERS
        ]
        return torch.stack(losses).mean()

    def right(
        self, hidden: torch.Tensor, lengths: torch.Tensor, scenes: list[Scene]
    ) -> torch.Tensor:
        """Which scenes are read without any mistake.

        哪些场景完全读对。
        """
        scores, wanted = self.answers(hidden, lengths), _wanted(scenes, hidden.device)
        return torch.stack([scores[name].argmax(1) == wanted[name] for name in _ANSWERS]).all(0)


def hidden_states(
    pipeline: Any, prompts: list[str]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Encode prompts as the pipeline does, but so that gradients flow.

    Returns hidden states (n, tokens, width), their mask (n, tokens) and lengths (n,).

    与管线一致地编码提示词（可求梯度）。
    """
    cut = pipeline.prompt_template_encode_start_idx
    texts = [pipeline.prompt_template_encode.format(prompt) for prompt in prompts]
    tokens = pipeline.tokenizer(texts, padding=True, return_tensors="pt").to(pipeline.device)
    hidden = pipeline.text_encoder.model(
        input_ids=tokens.input_ids, attention_mask=tokens.attention_mask
    ).last_hidden_state
    mask = tokens.attention_mask[:, cut:]
    return hidden[:, cut:] * mask.unsqueeze(-1), mask, mask.sum(1)


def lesson(pipeline: Any, heads: Heads, seed: int, scale: float) -> Lesson:
    """The text encoder's part of the training.

    文本编码器的训练阶段。
    """
    steps = round(STEPS * scale)
    encoder = pipeline.text_encoder.model.language_model

    def loss(step: int, share: Share) -> dict[str, torch.Tensor]:
        scenes, asked = [], []
        for number in share.of(_BATCH):
            dice = random.Random(f"{seed} reading {step} {number}")
            scenes.append(data.scene(dice))
            asked.append(captions.caption(scenes[-1], dice, step))
        hidden, _, lengths = hidden_states(pipeline, asked)
        right = heads.right(hidden, lengths, scenes).float().mean()
        return {"loss": heads.loss(hidden, lengths, scenes), "right": right}

    weights = [*encoder.parameters(), *heads.of.parameters()]
    return Lesson(
        "reading",
        steps,
        {"encoder": encoder, "heads": heads.of},
        [torch.optim.AdamW(weights, lr=_RATE, weight_decay=0.01)],
        loss,
        lambda step: min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps)),
    )


def _wanted(scenes: list[Scene], device: torch.device) -> dict[str, torch.Tensor]:
    """The number of each question's right answer, for every scene."""
    told = [_read(scene) for scene in scenes]
    return {name: torch.tensor([row[name] for row in told], device=device) for name in _ANSWERS}


def _read(scene: Scene) -> dict[str, int]:
    """Return the answer to each question about a scene, as its number in the list of answers.

    场景各问题的答案编号。
    """
    first = scene.things[0]
    second = scene.things[1] if len(scene.things) > 1 else None
    told = {
        "shape": first.shape,
        "colour": first.colour,
        "background": scene.background,
        "second shape": second.shape if second else _NOTHING,
        "second colour": second.colour if second else _NOTHING,
        "layout": scene.place or scene.order or _NOTHING,
        "size": first.size or _NOTHING,
    }
    return {name: _ANSWERS[name][1].index(answer) for name, answer in told.items()}
