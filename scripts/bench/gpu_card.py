"""What a card can do at most: its matrix and attention rates, and the work that a picture is.

显卡的极限速度，以及生成一张图所需的计算量。
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.hooks.first_block_cache import FBCHeadBlockHook
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpu_inference.engine import float8

_TRIES, _WARM = 10, 3
# By the names that the setting `attention` takes.
_KERNELS = {
    "": None,
    "_native_cudnn": SDPBackend.CUDNN_ATTENTION,
    "_native_flash": SDPBackend.FLASH_ATTENTION,
}


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given.

    等待设备完成。
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forward_tflop(config: Any, side: int, words: int) -> float:
    """Count one call of the transformer, in 10^12 operations: 70 for 1024 pixels and 100 tokens.

    Multiplications and additions of the linear layers and of the attention, of a square picture.
    The modulations are left out: a third of the weights, each used once, for one vector.

    计算一次前向的运算量。
    """
    width = config.num_attention_heads * config.attention_head_dim
    tokens = (side // 16) ** 2 + words
    linear = 2 * 12 * width**2 * tokens
    attention = 4 * tokens**2 * width
    return float(config.num_layers * (linear + attention)) / 1e12


def matrix_rate(device: torch.device, size: int) -> float:
    """Measure a bfloat16 matrix product, in TFLOP/s.

    测量 bf16 矩阵乘法速度。
    """
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / _seconds(lambda: torch.mm(one, other), device) / 1e12


def float8_rate(device: torch.device, size: int) -> float:
    """Measure a float8 product with a scale per row, in TFLOP/s; the rounding is not timed.

    测量 float8 矩阵乘法速度。
    """
    one, other = (
        float8.in_rows(torch.randn(size, size, device=device, dtype=torch.bfloat16))
        for _ in range(2)
    )

    def multiply() -> torch.Tensor:
        return torch._scaled_mm(
            one[0],
            other[0].t(),
            scale_a=one[1],
            scale_b=other[1].t(),
            out_dtype=torch.bfloat16,
            use_fast_accum=True,
        )

    return 2 * size**3 / _seconds(multiply, device) / 1e12


def attention_rates(device: torch.device, heads: int, head: int, tokens: int) -> dict[str, float]:
    """Measure torch's exact attention kernels as a block calls them, in TFLOP/s.

    `` is what torch chooses by itself. What the card or the build has not is left out.

    测量各注意力内核的速度。
    """
    query, key, value = (
        torch.randn(1, tokens, heads, head, device=device, dtype=torch.bfloat16).transpose(1, 2)
        for _ in range(3)
    )
    found = {}
    for name, kernel in _KERNELS.items():
        try:
            with sdpa_kernel(kernel) if kernel else _as_it_is():
                seconds = _seconds(
                    lambda: functional.scaled_dot_product_attention(query, key, value), device
                )
        except RuntimeError:
            continue
        found[name] = 4 * tokens**2 * heads * head / seconds / 1e12
    return found


def best_attention(rates: dict[str, float]) -> str:
    """Choose the setting: another kernel where it is clearly faster and takes padding masks too.

    选择最快的注意力内核。
    """
    if rates.get("_native_cudnn", 0.0) > 1.03 * rates.get("", math.inf):
        return "_native_cudnn"
    return ""


@contextmanager
def counted_forwards() -> Iterator[list[bool]]:
    """Note for each call of the transformer with a step cache whether it was computed in full.

    统计步缓存跳过的次数。
    """
    asked: list[bool] = []
    usual = FBCHeadBlockHook._should_compute_remaining_blocks

    def noting(hook: Any, residual: torch.Tensor) -> bool:
        asked.append(bool(usual(hook, residual)))
        return asked[-1]

    FBCHeadBlockHook._should_compute_remaining_blocks = noting
    try:
        yield asked
    finally:
        FBCHeadBlockHook._should_compute_remaining_blocks = usual


def _seconds(work: Callable[[], Any], device: torch.device) -> float:
    for _ in range(_WARM):
        work()
    synchronize(device)
    begun = time.perf_counter()
    for _ in range(_TRIES):
        work()
    synchronize(device)
    return (time.perf_counter() - begun) / _TRIES


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield
