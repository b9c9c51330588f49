"""Matrix products in 8 bits: weights and activations as float8, a scale for each row of both.

Only GPUs that multiply float8 gain from it (compute capability 8.9 and newer). Each activation's
scale is found as it comes, so nothing is calibrated.

8 位浮点矩阵乘法：权重与激活逐行缩放。
"""

from __future__ import annotations

import torch
from torch import nn

_LARGEST = torch.finfo(torch.float8_e4m3fn).max
# The blocks' linear layers that stay whole. What leads back from the wide layer of the image's
# MLP has outliers that 8 bits do not hold (SGLang keeps it too: sgl-project/sglang PR 23155); the
# modulations turn one vector a step, and every value of the block is multiplied by what they say.
_WHOLE = ("img_mlp.net.2", "img_mod", "txt_mod")


class Float8Linear(nn.Module):  # type: ignore[misc]  # torch shows no types here
    """A linear layer that multiplies in float8; made of a usual one.

    以 float8 计算的线性层。
    """

    def __init__(self, whole: nn.Linear, device: torch.device) -> None:
        super().__init__()
        values, scale = in_rows(whole.weight.detach().to(device))
        # Buffers, so that the model's dtype is still that of its whole weights.
        self.register_buffer("weight", values)
        self.register_buffer("scale", scale)
        bias = None if whole.bias is None else whole.bias.detach().to(device)
        self.register_buffer("bias", bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute `x` times the weight's transpose, plus the bias, in the type of `x`.

        线性变换。
        """
        values, scale = in_rows(x.reshape(-1, x.shape[-1]))
        product = torch._scaled_mm(
            values,
            self.weight.t(),
            scale_a=scale,
            scale_b=self.scale.t(),
            bias=self.bias,
            out_dtype=x.dtype,
            use_fast_accum=True,
        )
        return product.view(*x.shape[:-1], -1)


def in_rows(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round a matrix to float8; returns it and the number to multiply each row by.

    逐行量化为 float8。
    """
    numbers = matrix.float()
    # A row of zeros has no scale of its own.
    scale = (numbers.abs().amax(dim=-1, keepdim=True) / _LARGEST).clamp(min=1e-12)
    values = (numbers / scale).clamp(-_LARGEST, _LARGEST).to(torch.float8_e4m3fn)
    return values, scale


def is_computed_by(device: torch.device, dtype: torch.dtype) -> bool:
    """Say whether the device multiplies float8 by rows; the sum comes out as bfloat16 only.

    判断设备是否支持 float8 计算。
    """
    if device.type != "cuda" or dtype != torch.bfloat16:
        return False
    return bool(torch.cuda.get_device_capability(device) >= (8, 9))


def convert(transformer: nn.Module, device: torch.device) -> None:
    """Put the blocks' linear layers, but for the sensitive ones, into float8 on the device.

    把各层的线性层换成 float8。
    """
    changed = 0
    for block in transformer.transformer_blocks:
        for name, layer in list(block.named_modules()):
            if not isinstance(layer, nn.Linear) or name.startswith(_WHOLE):
                continue
            if layer.in_features % 16 or layer.out_features % 16:
                continue  # the kernels take sixteens only
            above, _, last = name.rpartition(".")
            setattr(block.get_submodule(above), last, Float8Linear(layer, device))
            changed += 1
    if not changed:
        raise ValueError(f"{type(transformer).__name__} has no such layers")
