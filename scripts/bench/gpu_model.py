"""Qwen-Image in its full size, of random weights made on the card: no download, no disk.

Speed does not depend on values. The text encoder is a stand-in of one layer: the real one's 17 GB
are used once a picture, for some milliseconds.

在显卡上直接生成随机权重的全尺寸模型。
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKLQwenImage, QwenImagePipeline, QwenImageTransformer2DModel

from gpu_inference.tiny import checkpoint

_STD = 0.02
"""Of the weights: with it, numbers keep their size from layer to layer."""


@dataclass(frozen=True)
class Size:
    """How large the model, its pictures and the card's trials are.

    模型与图片的规模。
    """

    transformer: dict[str, Any]
    vae: dict[str, Any]
    text_width: int
    large: int
    small: int
    steps: int
    few: int
    words: int
    matrix: int


# What the checkpoint's transformer/config.json and vae/config.json say. (Qwen/Qwen-Image)
FULL = Size(
    transformer={
        "num_layers": 60,
        "attention_head_dim": 128,
        "num_attention_heads": 24,
        "joint_attention_dim": 3584,
        "axes_dims_rope": (16, 56, 56),
    },
    vae={"base_dim": 96, "num_res_blocks": 2},
    text_width=3584,
    large=1024,
    small=512,
    steps=50,
    few=8,
    words=100,
    matrix=8192,
)
DRY = Size(
    transformer={
        "num_layers": 3,
        "attention_head_dim": 16,
        "num_attention_heads": 4,
        "joint_attention_dim": 64,
        "axes_dims_rope": (4, 6, 6),
    },
    vae={"base_dim": 8, "num_res_blocks": 1},
    text_width=64,
    large=64,
    small=32,
    steps=4,
    few=2,
    words=20,
    matrix=64,
)


def build(size: Size, device: torch.device, dtype: torch.dtype) -> QwenImagePipeline:
    """Make the stock pipeline of that size on the device; the same weights every time.

    构建完整管线。
    """
    small = checkpoint.pipeline(checkpoint.Shape(text_width=size.text_width, text_layers=1), seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKLQwenImage(
            z_dim=16,
            dim_mult=[1, 2, 4, 4],
            temperal_downsample=[False, True, True],
            latents_mean=[0.0] * 16,
            latents_std=[1.0] * 16,
            **size.vae,
        )
    pipeline = QwenImagePipeline(
        scheduler=small.scheduler,
        vae=vae.to(device, dtype),
        text_encoder=small.text_encoder.to(device, dtype),
        tokenizer=small.tokenizer,
        transformer=_transformer(size, device, dtype),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def words(pipeline: QwenImagePipeline, prompt: str) -> int:
    """Count the tokens that the transformer reads of a prompt.

    提示词的词元数。
    """
    text = pipeline.prompt_template_encode.format(prompt)
    ids: list[int] = pipeline.tokenizer(text).input_ids
    return len(ids) - int(pipeline.prompt_template_encode_start_idx)


def prompt_of(pipeline: QwenImagePipeline, count: int) -> str:
    """Write a prompt of that many tokens.

    生成指定长度的提示词。
    """
    prompt = " red" * (count - words(pipeline, ""))
    if words(pipeline, prompt) != count:
        raise ValueError("the tokenizer does not take ' red' for one token")
    return prompt


def _transformer(
    size: Size, device: torch.device, dtype: torch.dtype
) -> QwenImageTransformer2DModel:
    """Make a transformer of the size with random weights, on the device from the start.

    在设备上构建随机权重的模型。
    """
    with torch.device("meta"):
        transformer = QwenImageTransformer2DModel(
            patch_size=2, in_channels=64, out_channels=16, **size.transformer
        )
    transformer = transformer.to(dtype).to_empty(device=device).requires_grad_(False).eval()
    generator = torch.Generator(device).manual_seed(0)
    for name, weight in transformer.named_parameters():
        if weight.dim() > 1:
            weight.normal_(0.0, _STD, generator=generator)
        else:
            weight.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    # The angles are no weights, and were made on no device.
    axes = list(size.transformer["axes_dims_rope"])
    transformer.pos_embed = type(transformer.pos_embed)(10000, axes, scale_rope=True)
    return transformer
