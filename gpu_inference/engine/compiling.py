"""torch.compile of a transformer's repeated blocks, so that a compiler can fuse what lies between
their matrix products.

编译 transformer 的重复层。
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.transformers import transformer_qwenimage
from torch import nn

# A block is built anew for another batch, another length of text, with or without padding, until
# sizes are variables. At the usual limit of 8 torch would go on uncompiled, and hardly say so.
# The limit is the thread's that sets it: blocks are compiled where the model was loaded.
_VERSIONS = 64

_complex_rotary = transformer_qwenimage.apply_rotary_emb_qwen


def compile_blocks(transformer: Any, **options: Any) -> None:
    """Compile every repeated block, on its first call; `options` go to torch.compile.

    The block's forward is compiled, not the module: hooks set later, such as those of the step
    cache, then run around what is compiled instead of breaking it into pieces.

    编译每个重复层。
    """
    torch._dynamo.config.recompile_limit = _VERSIONS
    if isinstance(transformer, transformer_qwenimage.QwenImageTransformer2DModel):
        _turn_in_real_numbers(transformer)
    blocks = [
        module
        for module in transformer.modules()
        if type(module).__name__ in (transformer._repeated_blocks or ())
    ]
    if not blocks:
        raise ValueError(f"{type(transformer).__name__} has no repeated blocks")
    for block in blocks:
        block.forward = torch.compile(block.forward, **options)


def _turn_in_real_numbers(transformer: nn.Module) -> None:
    """The rotary embedding is written with complex numbers, which the compiler leaves as they are:
    queries and keys would go through memory in float32, four times a block. The same products and
    sums with real numbers are fused.

    用实数计算旋转位置编码，便于编译器融合。
    """
    transformer_qwenimage.apply_rotary_emb_qwen = _rotary
    transformer.pos_embed.register_forward_hook(_as_pairs)


def _as_pairs(_module: nn.Module, _arguments: Any, found: tuple[torch.Tensor, ...]) -> Any:
    return tuple(torch.view_as_real(turns) for turns in found)


def _rotary(x: torch.Tensor, turns: Any, *arguments: Any, **named: Any) -> Any:
    if isinstance(turns, tuple) or turns.is_complex():  # of another transformer, not compiled
        return _complex_rotary(x, turns, *arguments, **named)
    real, imaginary = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = turns.unsqueeze(1).unbind(-1)
    turned = (real * cosine - imaginary * sine, real * sine + imaginary * cosine)
    return torch.stack(turned, dim=-1).flatten(3).type_as(x)
