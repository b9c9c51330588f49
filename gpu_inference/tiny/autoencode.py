"""Teach the autoencoder: drawings into latents of an eighth of the side, and back.

With PyTorch's usual start it learns next to nothing: a single picture meets only the last of a
kernel's three frames, so its signal drowns in the biases. Here the other two frames and all
biases start at zero, and every block as the identity (`prepare`).

训练自编码器（VAE）。
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from gpu_inference.engine.accelerations import single_frame
from gpu_inference.tiny import data
from gpu_inference.tiny.learn import Lesson, Share

STEPS = 2500
_BATCH = 16
_CROP = 64  # what it is shown of a drawing: an autoencoder sees no farther than that anyway
_WHOLE = 0.1  # the part of batches with whole drawings, for the attention in the middle
_RATE = 2e-3
_NOISE = 0.1  # added to latents, so that near latents mean near pictures
_LOG_VARIANCE = -8.0  # fixed: what is sampled from a latent's distribution is its mean, almost


def prepare(vae: Any, *, seed: int) -> None:
    """Give untrained weights a start from which they learn.

    初始化权重，使其可训练。
    """
    dice = torch.Generator().manual_seed(seed)
    for module in vae.modules():
        if not isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d):
            continue
        torch.nn.init.zeros_(module.bias)
        kernel = module.weight.data
        if kernel.dim() == 5:
            last = kernel[:, :, -1]
            kernel[:, :, :-1] = 0
        else:
            last = kernel
        last.copy_(torch.randn(last.shape, generator=dice) / math.sqrt(last[0].numel()))
    for name, module in vae.named_modules():
        if name.endswith((".conv2", ".proj")):
            module.weight.data.zero_()
    half = vae.quant_conv.weight.shape[0] // 2
    for weight, value in ((vae.quant_conv.weight, 0.0), (vae.quant_conv.bias, _LOG_VARIANCE)):
        weight.data[half:] = value
    single_frame(vae)


def lesson(vae: Any, seed: int, scale: float) -> Lesson:
    """The autoencoder's part of the training.

    自编码器的训练阶段。
    """
    steps = round(STEPS * scale)

    def loss(step: int, share: Share) -> dict[str, torch.Tensor]:
        pictures = batch(step, seed, share).to(share.device)
        noise = torch.Generator().manual_seed(step * share.world + share.rank)
        return {"loss": _loss(vae, pictures, noise)}

    optimizer = torch.optim.AdamW(vae.parameters(), lr=_RATE, weight_decay=1e-4)
    return Lesson(
        "autoencoder",
        steps,
        {"vae": vae},
        [optimizer],
        loss,
        lambda step: min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps)),
    )


def _loss(vae: Any, pictures: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """How far (n, 3, h, w) in -1…1 are from what comes back."""
    latents = encode(vae, pictures)
    latents = latents + _NOISE * torch.randn(latents.shape, generator=noise).to(latents.device)
    back = vae.decoder(vae.post_quant_conv(latents))[:, :, 0]
    # Latents near 0 ± 1, whatever else they do.
    spread = 1e-3 * latents.square().mean()
    return functional.l1_loss(back, pictures) + 0.5 * functional.mse_loss(back, pictures) + spread


def encode(vae: Any, pictures: torch.Tensor) -> torch.Tensor:
    """The means of the latents of (n, 3, h, w) in -1…1: (n, 16, 1, h/8, w/8).

    编码为潜变量。
    """
    both = vae.quant_conv(vae.encoder(pictures.unsqueeze(2)))
    return both.chunk(2, dim=1)[0]


def batch(step: int, seed: int, share: Share) -> torch.Tensor:
    """A share of a step's pictures, always the same: crops of drawings, now and then whole ones.

    某一步的训练图片。
    """
    whole = random.Random(f"{seed} vae {step}").random() < _WHOLE
    pictures = []
    for number in share.of(_BATCH // 4 if whole else _BATCH):
        dice = random.Random(f"{seed} vae {step} {number}")
        picture = np.asarray(data.draw(data.scene(dice), dice=dice))
        if not whole:
            x, y = (dice.randrange(0, data.SIDE - _CROP + 1) for _ in range(2))
            picture = picture[y : y + _CROP, x : x + _CROP]
        pictures.append(picture)
    return as_tensor(pictures)


def as_tensor(pictures: list[Any]) -> torch.Tensor:
    """RGB arrays or pictures of one size as (n, 3, h, w) in -1…1.

    图片转为张量。
    """
    stacked = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    return stacked.permute(0, 3, 1, 2).float() / 127.5 - 1


def measure(vae: Any, latents: torch.Tensor) -> None:
    """Write the mean and the spread of each channel into the configuration; the pipeline uses them.

    统计潜变量的均值与标准差。
    """
    dims = (0, 2, 3, 4)
    vae.register_to_config(
        latents_mean=latents.mean(dims).tolist(), latents_std=latents.std(dims).tolist()
    )
