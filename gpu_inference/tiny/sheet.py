"""A sheet of the model's pictures, to be looked at.

样图。
"""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image

from gpu_inference.tiny.data import SIDE

PROMPTS = (
    "a red circle on a blue background",
    "a large yellow star on a black background",
    "a small green heart on the left on a pink background",
    "a white cross at the top on a red background",
    "purple triangle, orange background",
    "Draw a big black square on yellow, please",
    "a blue circle left of a red square on a white background",
    "a yellow star above a green triangle on a grey background",
    "蓝色背景上的红色圆形",
    "画一个黄色的五角星，黑色背景",
    "绿色背景，一个大大的粉色爱心在中间",
    "红底白十字",
)
STEPS, GUIDANCE = 12, 2.0
_COLUMNS = 4


def draw(pipeline: Any, prompts: list[str], *, seed: int, steps: int = STEPS) -> list[Image.Image]:
    """One picture per prompt, by the stock pipeline, each from noise of its own.

    用管线为每个提示词生成一张图。
    """
    with torch.no_grad():
        pictures: list[Image.Image] = pipeline(
            prompts,
            negative_prompt=[" "] * len(prompts),
            width=SIDE,
            height=SIDE,
            num_inference_steps=steps,
            true_cfg_scale=GUIDANCE,
            generator=[torch.Generator().manual_seed(seed + n) for n in range(len(prompts))],
        ).images
    return pictures


def make(pipeline: Any, *, seed: int) -> Image.Image:
    """The sheet: pictures of all PROMPTS in rows.

    生成样图。
    """
    pipeline.set_progress_bar_config(disable=True)
    pictures = draw(pipeline, list(PROMPTS), seed=seed)
    cell = SIDE + 4
    rows = -(-len(pictures) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * cell, rows * cell), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % _COLUMNS * cell + 2, number // _COLUMNS * cell + 2))
    return sheet
