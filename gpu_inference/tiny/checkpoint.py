"""The layout of a tiny Qwen-Image: every part of the real one, a few megabytes in all.

`build` writes it with random weights: the stock `DiffusionPipeline.from_pretrained` loads that
offline, its pictures mean nothing, but all the code that a real checkpoint runs runs on it, in a
second and on any machine. `train` starts from the same parts in a larger size.

微型 Qwen-Image 的结构；可生成随机权重的模型用于测试。
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from gpu_inference.tiny import captions

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# The pipeline cuts off the template's first 34 tokens by number, so every word of it must be one
# token here too. (QwenImagePipeline.prompt_template_encode)
_TEMPLATE = (
    "system\nDescribe the image by detailing the color, shape, size, texture, quantity, text,"
    " spatial relationships of the objects and background:\nuser\nassistant\n"
)


@dataclass(frozen=True)
class Shape:
    """How large the parts are; what is not here is as in the real model.

    各部分的大小。
    """

    text_width: int = 64  # of the text encoder, and so what the transformer reads
    text_layers: int = 2
    layers: int = 2
    heads: int = 4
    head: int = 16
    axes: tuple[int, int, int] = (4, 6, 6)  # even numbers that add up to a head's width
    channels: int = 8  # of the autoencoder at a picture's full size


SMALLEST = Shape()
"""For tests of everything but pictures: five megabytes in float32."""
TRAINED = Shape(
    text_width=96, text_layers=3, layers=6, heads=4, head=32, axes=(8, 12, 12), channels=8
)
"""What `train` makes: nine megabytes in float16."""


def build(folder: Path, *, seed: int = 0) -> Path:
    """Write the smallest checkpoint into `folder`; the same seed gives the same weights.

    在目录中生成最小的随机模型。
    """
    pipeline(SMALLEST, seed=seed).save_pretrained(folder)
    return folder


def pipeline(shape: Shape, *, seed: int) -> QwenImagePipeline:
    """Make the stock pipeline of that size, of random weights.

    构建随机权重的完整管线。
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = _tokenizer()
        return QwenImagePipeline(
            scheduler=_scheduler(),
            vae=_vae(shape),
            text_encoder=_text_encoder(tokenizer, shape),
            tokenizer=tokenizer,
            transformer=_transformer(shape),
        )


def _tokenizer() -> Qwen2Tokenizer:
    """Train a tokenizer of Qwen's kind on the captions' words: one token a word.

    按词表训练分词器。
    """
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.NFC()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    learner.decoder = decoders.ByteLevel()
    learner.train_from_iterator(
        [_TEMPLATE, *captions.words()],
        trainers.BpeTrainer(
            vocab_size=2000,  # more than there are words: every word becomes one token
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    learned = json.loads(learner.to_str())["model"]
    return Qwen2Tokenizer(
        vocab=learned["vocab"],
        merges=[tuple(pair) for pair in learned["merges"]],
        extra_special_tokens=list(SPECIAL_TOKENS[1:]),
        padding_side="right",
    )


def _text_encoder(tokenizer: Qwen2Tokenizer, shape: Shape) -> Qwen2_5_VLForConditionalGeneration:
    """Make a text encoder of Qwen2.5-VL's architecture, in the size of the shape.

    构建小型文本编码器。
    """
    token = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL_TOKENS}
    text: dict[str, Any] = {
        "hidden_size": shape.text_width,
        "intermediate_size": 2 * shape.text_width,
        "num_hidden_layers": shape.text_layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        # The sections add up to half of a head's width.
        "rope_parameters": {
            "mrope_section": _sections(shape.text_width // 4 // 2),
            "rope_type": "default",
            "rope_theta": 1_000_000.0,
        },
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 2048,
        "eos_token_id": token["<|im_end|>"],
        "bos_token_id": None,
        "pad_token_id": token["<|endoftext|>"],
    }
    vision = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": shape.text_width,
        "fullatt_block_indexes": [0],
    }
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config=text,
            vision_config=vision,
            image_token_id=token["<|image_pad|>"],
            video_token_id=token["<|video_pad|>"],
            vision_start_token_id=token["<|vision_start|>"],
            vision_end_token_id=token["<|vision_end|>"],
            tie_word_embeddings=True,
        )
    )


def _sections(half: int) -> list[int]:
    return [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8]


def _transformer(shape: Shape) -> QwenImageTransformer2DModel:
    """Make a transformer of Qwen-Image's architecture, in the size of the shape.

    构建小型扩散模型。
    """
    return QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=64,
        out_channels=16,
        num_layers=shape.layers,
        attention_head_dim=shape.head,
        num_attention_heads=shape.heads,
        joint_attention_dim=shape.text_width,
        guidance_embeds=False,
        axes_dims_rope=shape.axes,
    )


def _vae(shape: Shape) -> AutoencoderKLQwenImage:
    return AutoencoderKLQwenImage(
        base_dim=shape.channels,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 16,
        latents_std=[1.0] * 16,
    )


def _scheduler() -> FlowMatchEulerDiscreteScheduler:
    """Give the scheduler Qwen-Image's own values.

    与 Qwen-Image 相同的调度器。
    """
    return FlowMatchEulerDiscreteScheduler(
        base_image_seq_len=256,
        base_shift=0.5,
        max_image_seq_len=8192,
        max_shift=0.9,
        num_train_timesteps=1000,
        shift=1.0,
        shift_terminal=0.02,
        time_shift_type="exponential",
        use_dynamic_shifting=True,
    )
