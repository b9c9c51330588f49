"""A z-buffer for triangles in NumPy: no loop over triangles, only over batches of them.

Triangles are cut into their rows of pixels, and rows into pixels. Each pixel keeps one 64-bit key,
depth above and triangle number below, so that "nearest wins" is a single `minimum`.

这个模块用 NumPy 实现三角形的深度缓冲光栅化。
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Keep = Callable[[Array, Array, Array], Array]
"""(triangle numbers, second weights, third weights) -> which samples are not see-through."""

_EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_AT_ONCE = 1 << 17  # triangles, rows or pixels: some 20 MB of working memory
_EDGE = 1e-6
"""How far outside an edge still counts as inside: two neighbours must leave no gap between them."""


class PreviewError(ValueError):
    """The model cannot be drawn, which says nothing against the model; `reason` is a sentence.

    这个错误说明无法绘制预览，但模型本身不一定有问题。
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ZBuffer:
    """The nearest triangle of each pixel of a `side` x `side` picture.

    `budget` is how many rows and pixels of triangles may be drawn before PreviewError is raised.

    这个类记录每个像素上最近的三角形。
    """

    def __init__(self, side: int, budget: int) -> None:
        self.side = side
        self._budget = budget
        self._keys = np.full(side * side, _EMPTY)

    def draw(self, screen: Array, faces: Array, numbers: Array, keep: Keep | None = None) -> None:
        """Draw triangles: `screen` is (n, 3) x, y in pixels (y down) and depth in [0, 1).

        `faces` are rows of `screen`, `numbers` what each is called. Depth must be linear on the
        screen, and smaller is nearer. Triangles with a NaN or without area are skipped.

        这个方法把一批三角形画进深度缓冲。
        """
        for first in range(0, len(faces), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            corners = screen[faces[part]].astype(np.float64)
            low = np.maximum(np.ceil(corners[:, :, :2].min(axis=1) - 0.5), 0)
            high = np.minimum(np.floor(corners[:, :, :2].max(axis=1) - 0.5), self.side - 1)
            one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
            area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
            some = (low <= high).all(axis=1) & (np.abs(area) > 1e-12)
            some &= np.isfinite(corners).all(axis=(1, 2))
            corners, one, two, area = corners[some], one[some], two[some], area[some, None]
            low, high, named = low[some], high[some], numbers[part][some]
            # How the weights of the second and third corner change to the right and downwards.
            right = np.stack([two[:, 1], -one[:, 1]], axis=1) / area
            down = np.stack([-two[:, 0], one[:, 0]], axis=1) / area
            depth = np.stack([corners[:, 0, 2], one[:, 2], two[:, 2]], axis=1)
            rows = (high[:, 1] - low[:, 1]).astype(np.int64) + 1
            for batch in _batches(rows):
                which, row = self._unrolled(rows, batch)
                row = row + low[which, 1]
                away = 0.5 - corners[which, 0, 0], row + 0.5 - corners[which, 0, 1]
                start = right[which] * away[0][:, None] + down[which] * away[1][:, None]
                left, count = _spans(start, right[which], low[which, 0], high[which, 0])
                for pixels in _batches(count):
                    spot, column = self._unrolled(count, pixels)
                    face, column = which[spot], column + left[spot]
                    weights = start[spot] + right[face] * column[:, None]
                    pixel = (row[spot] * self.side + column).astype(np.int64)
                    self._keep_nearest(pixel, named[face], depth[face], weights, keep)

    def hits(self) -> tuple[Array, Array, Array]:
        """Row, column and triangle number of every pixel that shows something.

        这个方法返回有内容的像素及其三角形编号。
        """
        pixel = np.flatnonzero(self._keys != _EMPTY)
        rows, columns = np.divmod(pixel, self.side)
        return rows, columns, (self._keys[pixel] & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def depths(self) -> Array:
        """The depth of every pixel in [0, 1), 1 where nothing is, as (side, side) floats.

        这个方法返回每个像素的深度。
        """
        depth = np.where(self._keys == _EMPTY, 1.0, (self._keys >> np.uint64(32)) / 2.0**32)
        return depth.reshape(self.side, self.side)

    def _unrolled(self, counts: Array, batch: slice) -> tuple[Array, Array]:
        """Each place of a batch as often as its count says, and which time it is, from 0 on."""
        here = counts[batch]
        ends = np.cumsum(here)
        total = int(ends[-1])
        self._budget -= total
        if self._budget < 0:
            raise PreviewError("the triangles overlap too much to be drawn in reasonable time")
        times = np.arange(total) - np.repeat(ends - here, here)
        return np.repeat(np.arange(batch.start, batch.stop), here), times

    def _keep_nearest(
        self, pixel: Array, numbers: Array, depth: Array, weights: Array, keep: Keep | None
    ) -> None:
        if keep is not None:
            kept = keep(numbers, weights[:, 0], weights[:, 1])
            pixel, numbers = pixel[kept], numbers[kept]
            depth, weights = depth[kept], weights[kept]
        depths = depth[:, 0] + depth[:, 1] * weights[:, 0] + depth[:, 2] * weights[:, 1]
        key = (np.clip(depths, 0, 1 - 2.0**-32) * 2.0**32).astype(np.uint64) << np.uint64(32)
        np.minimum.at(self._keys, pixel, key | numbers.astype(np.uint64))


def _spans(start: Array, right: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """From which column of a row, and how many: where no corner's weight is negative.

    每行覆盖的列范围。
    """
    for value, slope in (
        (start[:, 0], right[:, 0]),
        (start[:, 1], right[:, 1]),
        (1 - start.sum(axis=1), -right.sum(axis=1)),
    ):
        edge = -(value + _EDGE) / slope
        low = np.where(slope > 0, np.maximum(low, np.ceil(edge)), low)
        high = np.where(slope < 0, np.minimum(high, np.floor(edge)), high)
        high = np.where((slope == 0) & (value < -_EDGE), -1, high)
    return low, np.maximum(high - low + 1, 0).astype(np.int64)


def _batches(counts: Array) -> Iterator[slice]:
    """Slices of about `_AT_ONCE` in all; one place may be more."""
    ends = np.cumsum(counts)
    first = 0
    while first < len(ends):
        done = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
        yield slice(first, last)
        first = last
