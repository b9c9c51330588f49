"""Teach the transformer to draw: flow matching from noise to latents of what a caption asks for.

With the noise level sigma, a latent x and noise e, it sees (1 - sigma) x + sigma e and learns to
say e - x, as the pipeline's scheduler wants it. The text encoder learns along, and goes on being
asked what it has read, so that it does not forget to.

The tokens of the picture are asked as well, after the second block: what they have been told, and
where in the picture they are. In deep noise only the text can tell them the one, and only the turns
of rotary embedding the other, so they learn to listen at once. Without this, colours come soon and
shapes very late: of all that a loss sees, an outline is the least.

训练扩散变换器（流匹配），文本编码器一同训练。
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageChops
from torch import nn
from torch.nn import functional

from gpu_inference.tiny import autoencode, captions, data, reading
from gpu_inference.tiny.learn import Lesson, Share

STEPS = 5000
BANK = 12_000
"""Drawings whose latents are kept; captions are thought of anew each time."""
_SIDE = data.SIDE // 16  # tokens of a picture in a row
_SPREAD = 0.25  # a caption says almost all of where things are: blurred otherwise, for long
_BATCH = 64
_RATE = 2e-3
_TEXT_RATE = 2e-4
_READING = 0.05  # the weight of being asked what was read
_HEARD, _HEARD_AFTER = 0.1, 1  # that of asking the picture's tokens, and after which block
_UNASKED, _SILENCE = 0.1, " "  # the part of captions left out, for guidance
_ON_SHAPES = 3.0  # how much more a token with a part of a shape counts than plain background
_SHIFT = 0.49  # as the scheduler shifts sigmas for the 64 tokens of a picture


@dataclass(frozen=True)
class Bank:
    """Latents as the transformer reads them, (n, tokens, channels), and how much tokens count.

    潜变量库。
    """

    latents: torch.Tensor
    weights: torch.Tensor


def bank_scene(number: int, seed: int) -> data.Scene:
    """The scene of a number in the bank.

    库中某编号的场景。
    """
    return data.scene(random.Random(f"{seed} bank {number}"), _SPREAD)


def bank_pictures(numbers: range, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The drawings of these numbers as tensors, and their tokens' weights.

    库中若干编号的图片与权重。
    """
    pictures, weights = [], []
    for number in numbers:
        dice = random.Random(f"{seed} tint {number}")
        picture = data.draw(bank_scene(number, seed), dice=dice)
        pictures.append(picture)
        weights.append(_weights(picture))
    return autoencode.as_tensor(pictures), torch.stack(weights)


def pack(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
    """Latents (n, 16, 1, h, w), measured, as the transformer's tokens.

    标准化并打包潜变量。
    """
    config = pipeline.vae.config
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1, 1)
        for values in (config.latents_mean, config.latents_std)
    )
    n, channels, _, height, width = latents.shape
    return pipeline._pack_latents((latents - mean) / std, n, channels, height, width)


def lesson(
    pipeline: Any,
    heads: reading.Heads,
    bank: Bank,
    seed: int,
    scale: float,
    on_steps: Callable[[int], None],
) -> Lesson:
    """The transformer's part of the training.

    扩散变换器的训练阶段。
    """
    steps = round(STEPS * scale)
    encoder, transformer = pipeline.text_encoder.model.language_model, pipeline.transformer
    listeners = _Listeners(transformer.inner_dim, seed).to(transformer.device)
    after: list[torch.Tensor] = []
    transformer.transformer_blocks[_HEARD_AFTER].register_forward_hook(
        lambda block, arguments, streams: after.append(streams[1])
    )

    def loss(step: int, share: Share) -> dict[str, torch.Tensor]:
        seen = _examples(bank, step, seed, share)
        after.clear()
        drawing, read = _losses(pipeline, heads, bank, seen)
        spoken = seen.spoken
        heard = listeners(after[0][spoken], [seen.scenes[row] for row in spoken])
        whole = drawing + _READING * read + _HEARD * heard
        return {"loss": whole, "drawing": drawing, "reading": read, "heard": heard}

    text = [*encoder.parameters(), *heads.of.parameters()]
    drawers = [*transformer.parameters(), *listeners.parameters()]
    return Lesson(
        "drawing",
        steps,
        {
            "transformer": transformer,
            "encoder": encoder,
            "heads": heads.of,
            "listeners": listeners,
        },
        [
            torch.optim.AdamW(text, lr=_TEXT_RATE, weight_decay=0.01),
            torch.optim.AdamW(drawers, lr=_RATE, betas=(0.9, 0.95), weight_decay=0.01, fused=True),
        ],
        loss,
        # A short rise, a plateau, then down to nothing.
        lambda step: min(1.0, (step + 1) / 200, 2.0 * (steps - step) / steps),
        on_steps,
    )


class _Listeners(nn.Module):  # type: ignore[misc]  # torch shows no types here
    """Ask every token of a picture what it was told, and its row and column."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.heads = reading.Heads(width, seed=seed)
        self.of = self.heads.of
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.row, self.column = nn.Linear(width, _SIDE), nn.Linear(width, _SIDE)

    def forward(self, tokens: torch.Tensor, scenes: list[data.Scene]) -> torch.Tensor:
        """How badly the tokens (n, _SIDE * _SIDE, width) know."""
        numbers = torch.arange(_SIDE * _SIDE, device=tokens.device).repeat(len(tokens))
        flat = tokens.flatten(0, 1)
        where = functional.cross_entropy(self.row(flat), numbers // _SIDE)
        where = where + functional.cross_entropy(self.column(flat), numbers % _SIDE)
        return self.heads.told(tokens, scenes) + where


@dataclass(frozen=True)
class _Examples:
    """What a process sees in a step, one per row."""

    scenes: list[data.Scene]
    asked: list[str]
    clean: torch.Tensor
    weights: torch.Tensor
    dirt: torch.Tensor
    sigmas: torch.Tensor

    @property
    def spoken(self) -> list[int]:
        """The rows that were asked for anything."""
        return [row for row, text in enumerate(self.asked) if text != _SILENCE]


def _examples(bank: Bank, step: int, seed: int, share: Share) -> _Examples:
    """Return a step's examples for this process: the same ones however many processes share them.

    取一步训练的样本。
    """
    noise = torch.Generator().manual_seed(random.Random(f"{seed} noise {step}").getrandbits(62))
    mine = list(share.of(_BATCH))
    sigmas = _sigmas(_BATCH, noise)[mine]
    dirt = torch.randn((_BATCH, *bank.latents.shape[1:]), generator=noise)[mine]
    numbers, scenes, asked = [], [], []
    for row in mine:
        dice = random.Random(f"{seed} flow {step} {row}")
        numbers.append(dice.randrange(len(bank.latents)))
        scenes.append(bank_scene(numbers[-1], seed))
        silent = dice.random() < _UNASKED
        asked.append(_SILENCE if silent else captions.caption(scenes[-1], dice, step))
    clean = bank.latents[numbers].float()
    tensors = (clean, bank.weights[numbers].unsqueeze(-1), dirt, sigmas)
    return _Examples(scenes, asked, *(tensor.to(share.device) for tensor in tensors))


def _losses(
    pipeline: Any, heads: reading.Heads, bank: Bank, seen: _Examples
) -> tuple[torch.Tensor, torch.Tensor]:
    """How badly it draws, and how badly it reads what it was asked.

    绘画与理解两项损失。
    """
    hidden, mask, lengths = reading.hidden_states(pipeline, seen.asked)
    level = seen.sigmas.view(-1, 1, 1)
    said = pipeline.transformer(
        hidden_states=(1 - level) * seen.clean + level * seen.dirt,
        timestep=seen.sigmas,
        encoder_hidden_states=hidden,
        encoder_hidden_states_mask=mask,
        img_shapes=[[(1, _SIDE, _SIDE)]] * len(seen.asked),
        return_dict=False,
    )[0]
    off = (said - (seen.dirt - seen.clean)).square()
    drawing = (seen.weights * off).mean() / bank.weights.mean()
    spoken = seen.spoken
    scenes = [seen.scenes[row] for row in spoken]
    return drawing, heads.loss(hidden[spoken], lengths[spoken], scenes)


def _sigmas(count: int, noise: torch.Generator) -> torch.Tensor:
    """Mostly from the middle, where a shape is decided; some from everywhere."""
    middle = torch.sigmoid(torch.randn(count, generator=noise))
    flat = torch.rand(count, generator=noise)
    plain = torch.where(torch.rand(count, generator=noise) < 0.3, flat, middle)
    shift = math.exp(_SHIFT)
    return (shift * plain / (1 + (shift - 1) * plain)).clamp(1e-3, 1)


def _weights(picture: Image.Image) -> torch.Tensor:
    """More where a token has a part of a shape, (tokens,)."""
    plain = Image.new("RGB", picture.size, picture.getpixel((0, 0)))
    off = autoencode.as_tensor([ImageChops.difference(picture, plain)])
    covered = functional.max_pool2d(off.amax(1, keepdim=True), 16).flatten() > -0.9
    return 1 + (_ON_SHAPES - 1) * covered.float()
