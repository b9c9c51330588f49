"""A z-buffer for triangles in NumPy: no loop over triangles, only over classes of their size.

Each pixel keeps one 64-bit key, depth above and triangle number below, so that "nearest wins" is a
single `minimum`. Triangles are sorted by the size of their bounding boxes in powers of two; a whole
class is tested against its pixels at once. Boxes over 32 pixels are cut into tiles first.

这个模块用 NumPy 实现三角形的深度缓冲光栅化。
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Keep = Callable[[Array, Array, Array], Array]
"""(triangle numbers, second weights, third weights) -> which samples are not see-through."""

TILE = 32
EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)

_FACES_AT_ONCE = 1 << 17
_SAMPLES_AT_ONCE = 1 << 19
_EDGE = np.float32(1e-6)
"""How far outside an edge still counts as inside: two neighbours must leave no gap between them."""


class TooCostly(ValueError):
    """The triangles overlap so much that drawing them would take too long.

    这个错误表示三角形重叠过多，绘制代价太大。
    """


@dataclass
class ZBuffer:
    """The nearest triangle of each pixel of a `side` x `side` picture.

    `budget` is how many pixel tests may still be spent; TooCostly is raised beyond it.

    这个类记录每个像素上最近的三角形。
    """

    side: int
    budget: int
    keys: Array = field(init=False)

    def __post_init__(self) -> None:
        # The padding takes what the last column of a class may write beyond the picture.
        width = self.side + TILE
        self.keys = np.full(width * width, EMPTY)

    def draw(self, screen: Array, faces: Array, numbers: Array, keep: Keep | None = None) -> None:
        """Draw triangles: `screen` is (n, 3) x, y in pixels (y down) and depth in [0, 1).

        `faces` are rows of `screen`, `numbers` what each is called. Depth must be linear on the
        screen, and smaller is nearer. Triangles with a NaN or without area are skipped.

        这个方法把一批三角形画进深度缓冲。
        """
        for first in range(0, len(faces), _FACES_AT_ONCE):
            part = slice(first, first + _FACES_AT_ONCE)
            setup = _Setup.of(screen[faces[part]], numbers[part], self.side)
            large = (setup.wide > TILE) | (setup.high > TILE)
            self._draw_classes(setup.only(~large), keep)
            self._draw_tiles(setup.only(large), keep)

    def hits(self) -> tuple[Array, Array, Array]:
        """Row, column and triangle number of every pixel that shows something.

        这个方法返回有内容的像素及其三角形编号。
        """
        keys = self._picture()
        rows, columns = np.nonzero(keys != EMPTY)
        return rows, columns, (keys[rows, columns] & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def shown(self) -> Array:
        """Which pixels show something, as (side, side) booleans.

        这个方法给出有内容的像素。
        """
        some: Array = self._picture() != EMPTY
        return some

    def depths(self) -> Array:
        """The depth of every pixel in [0, 1), 1 where nothing is, as (side, side) floats.

        这个方法返回每个像素的深度。
        """
        keys = self._picture()
        return np.where(keys == EMPTY, 1.0, (keys >> np.uint64(32)) / 2.0**32)

    def _picture(self) -> Array:
        return self.keys.reshape(self.side + TILE, -1)[: self.side, : self.side]

    def _draw_classes(self, setup: _Setup, keep: Keep | None) -> None:
        kinds = _power(setup.wide) * 8 + _power(setup.high)
        order = np.argsort(kinds, kind="stable")
        edges = np.append(np.flatnonzero(np.diff(kinds[order], prepend=-1)), len(order))
        for start, end in itertools.pairwise(edges):
            kind = int(kinds[order[start]])
            wide, high = 1 << (kind // 8), 1 << (kind % 8)
            step = max(1, _SAMPLES_AT_ONCE // (wide * high))
            for first in range(start, end, step):
                self._draw_boxes(
                    setup.only(order[first : min(first + step, end)]), wide, high, keep
                )

    def _draw_tiles(self, setup: _Setup, keep: Keep | None) -> None:
        across, down = -(-setup.wide // TILE), -(-setup.high // TILE)
        totals = np.cumsum(across * down)
        first = 0
        while first < len(totals):
            done = int(totals[first - 1]) if first else 0
            last = max(first + 1, int(np.searchsorted(totals, done + 65536, side="right")))
            self._spend((int(totals[last - 1]) - done) * 16)
            tiles = setup.only(np.arange(first, last)).tiles(across[first:last], down[first:last])
            step = _SAMPLES_AT_ONCE // (TILE * TILE)
            for start in range(0, len(tiles.number), step):
                part = tiles.only(np.arange(start, min(start + step, len(tiles.number))))
                self._draw_boxes(part, TILE, TILE, keep)
            first = last

    def _spend(self, samples: int) -> None:
        self.budget -= samples
        if self.budget < 0:
            raise TooCostly("the triangles overlap too much to be drawn in reasonable time")

    def _draw_boxes(self, box: _Setup, wide: int, high: int, keep: Keep | None) -> None:
        """Test each triangle against the `wide` x `high` pixels from its own left, top corner."""
        self._spend(len(box.number) * wide * high)
        x, y = np.arange(wide, dtype=np.float32), np.arange(high, dtype=np.float32)
        second = _plane(box.second, x, y)
        third = _plane(box.third, x, y)
        inside = (second >= -_EDGE) & (third >= -_EDGE)
        inside &= second + third <= 1 + _EDGE
        which = np.flatnonzero(inside)
        if not len(which):
            return
        row, place = np.divmod(which, wide * high)
        second, third = second.ravel()[which], third.ravel()[which]
        if keep is not None:
            kept = keep(box.number[row], second, third)
            row, place, second, third = row[kept], place[kept], second[kept], third[kept]
        depth = box.depth[row, 0] + box.depth[row, 1] * second + box.depth[row, 2] * third
        key = (np.clip(depth, 0, 1 - 2.0**-32) * 2.0**32).astype(np.uint64) << np.uint64(32)
        key |= box.number[row].astype(np.uint64)
        down, right = np.divmod(place, wide)
        pixel = (box.top[row] + down) * (self.side + TILE) + box.left[row] + right
        np.minimum.at(self.keys, pixel, key)


@dataclass(frozen=True)
class _Setup:
    """Triangles ready to be tested: boxes in pixels, weights and depth as planes over the box.

    `second` and `third` hold, for the weights of those corners, the value at the centre of the
    left, top pixel and the change per pixel to the right and down.
    """

    left: Array
    top: Array
    wide: Array
    high: Array
    second: Array
    third: Array
    depth: Array
    number: Array

    @staticmethod
    def of(corners: Array, numbers: Array, side: int) -> _Setup:
        """Cut boxes to the picture, and drop triangles that cover no pixel's centre."""
        one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        with np.errstate(invalid="ignore"):
            low = np.maximum(np.ceil(corners[:, :, :2].min(axis=1) - 0.5), 0)
            high = np.minimum(np.floor(corners[:, :, :2].max(axis=1) - 0.5), side - 1)
            some = (high >= low).all(axis=1) & np.isfinite(corners[:, :, 2]).all(axis=1)
            some &= np.abs(_area(one, two)) > 1e-12
        corners, low, high = corners[some].astype(np.float64), low[some], high[some]
        one, two = one[some].astype(np.float64), two[some].astype(np.float64)
        area = _area(one, two)
        x, y = (low + 0.5 - corners[:, 0, :2]).T
        second = np.stack([x * two[:, 1] - y * two[:, 0], two[:, 1], -two[:, 0]], axis=1)
        third = np.stack([y * one[:, 0] - x * one[:, 1], -one[:, 1], one[:, 0]], axis=1)
        box = (high - low).astype(np.int64) + 1
        place = low.astype(np.int64)
        return _Setup(
            left=place[:, 0],
            top=place[:, 1],
            wide=box[:, 0],
            high=box[:, 1],
            second=(second / area[:, None]).astype(np.float32),
            third=(third / area[:, None]).astype(np.float32),
            depth=np.stack([corners[:, 0, 2], one[:, 2], two[:, 2]], axis=1),
            number=numbers[some],
        )

    def only(self, which: Array) -> _Setup:
        """The triangles at these places."""
        return _Setup(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def tiles(self, across: Array, down: Array) -> _Setup:
        """Each triangle once for each tile of its box that it may touch."""
        count = across * down
        which = np.repeat(np.arange(len(count)), count)
        number = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        row, column = np.divmod(number, across[which])
        second, third = self.second[which], self.third[which]
        for plane in (second, third):
            plane[:, 0] += plane[:, 1] * column * TILE + plane[:, 2] * row * TILE
        first = -second - third
        first[:, 0] += 1
        touched = np.ones(len(which), bool)
        for plane in (first, second, third):
            reach = np.maximum(plane[:, 1], 0) + np.maximum(plane[:, 2], 0)
            touched &= plane[:, 0] + (TILE - 1) * reach >= -_EDGE
        cut = _Setup(
            left=self.left[which] + column * TILE,
            top=self.top[which] + row * TILE,
            wide=self.wide[which],
            high=self.high[which],
            second=second,
            third=third,
            depth=self.depth[which],
            number=self.number[which],
        )
        return cut.only(touched)


def _area(one: Array, two: Array) -> Array:
    doubled: Array = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    return doubled


def _plane(plane: Array, x: Array, y: Array) -> Array:
    across = plane[:, 0:1] + plane[:, 1:2] * x
    values: Array = across[:, None, :] + (plane[:, 2:3] * y)[:, :, None]
    return values


def _power(size: Array) -> Array:
    """The exponent of the smallest power of two that is at least `size`."""
    exponent: Array = np.ceil(np.log2(size)).astype(np.int64)
    return exponent
