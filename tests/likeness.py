"""How alike two pictures of a model are, both (size, size, 4) 8-bit sRGB with alpha.

这个模块比较两张模型图片的相似程度。
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_VALUES = np.arange(256) / 255
_LINEAR = np.where(_VALUES <= 0.04045, _VALUES / 12.92, ((_VALUES + 0.055) / 1.055) ** 2.4)


def mask_of(picture: Array) -> Array:
    """Where the model covers at least half of a pixel.

    这个函数给出模型覆盖的像素。
    """
    mask: Array = picture[..., 3] >= 128
    return mask


def overlap(one: Array, two: Array) -> float:
    """Intersection over union of two masks; 1 where both are empty.

    这个函数计算两个掩膜的交并比。
    """
    union = int((one | two).sum())
    return float((one & two).sum()) / union if union else 1.0


def exposed(picture: Array, exposure: float) -> Array:
    """The picture's sRGB values, 0..255, its linear light having been multiplied and clipped.

    这个函数按曝光系数调整图片亮度。
    """
    light = np.clip(_LINEAR * exposure, 0, 1)
    values = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    result: Array = values[picture[..., :3]]
    return result


def difference(ours: Array, theirs: Array, exposure: float = 1.0) -> float:
    """Mean absolute difference of sRGB values where both show the model, ours exposed.

    这个函数计算两图公共区域的平均色差。
    """
    both = mask_of(ours) & mask_of(theirs)
    if not both.any():
        return 0.0
    return float(np.abs(exposed(ours[both], exposure) - theirs[both][..., :3]).mean())


def fitted_exposure(pairs: Sequence[tuple[Array, Array]]) -> float:
    """The one exposure of the first of each pair that brings all nearest to the second.

    这个函数求出使两组图片最接近的统一曝光。
    """
    low, high = -2.0, 2.0
    for _ in range(3):
        steps = np.linspace(low, high, 9)
        costs = [
            np.mean([difference(ours, theirs, float(2**step)) for ours, theirs in pairs])
            for step in steps
        ]
        best = int(np.argmin(costs))
        low, high = steps[max(best - 1, 0)], steps[min(best + 1, 8)]
    return float(2 ** steps[best])
