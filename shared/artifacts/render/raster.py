"""A z-buffer for triangles in NumPy: no loop over triangles, only over batches of them.

Small triangles are tried against every pixel of a fixed block; larger ones are cut into their rows
of pixels, and rows into pixels. Each sample keeps one 64-bit key, depth above and triangle number
below, so that "nearest wins" is a single `minimum`.

Libraries that could do this were looked for: embreex, raybender, pytinyrenderer, pyjet3d and
riley-raster have no wheels for arm64 and Python 3.10, 3d-base is NumPy as well; toolkits and
compilers (VTK, Numba) were not tried, since they alone would fill most of a function's package.

这个模块用 NumPy 实现三角形的深度缓冲光栅化。
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Keep = Callable[[Array, Array, Array], Array]
"""(triangle numbers, x, y) of samples, x and y in pixels -> which of them are not see-through."""

CENTRE = np.zeros((1, 2), np.float32)
"""One sample, in the middle of its pixel."""

EIGHT = (
    np.array([(1, -3), (-1, 3), (5, 1), (-3, -5), (-5, 5), (-7, -1), (3, 7), (7, -7)], np.float32)
    / 16
)
"""Eight samples, no two in one row or column; the pattern that Direct3D prescribes."""

_EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_AT_ONCE = 1 << 16  # triangles, rows or pixels: some 20 MB of working memory
_BLOCKS = (1, 2, 4)
"""Sides of the blocks of pixels that small triangles are tried against."""

SMALL = 4
"""Pixels, of the longer side of its upright frame, up to which a triangle counts as small."""

_EDGE = np.float32(1e-3)
"""Pixels outside an edge that still count as inside: two neighbours must leave no gap."""

_FLAT = np.float32(1e-9)
"""Square pixels of area up to which a triangle is none."""

_HALF = np.float32(0.5)


class PreviewError(ValueError):
    """The model cannot be drawn, which says nothing against the model; `reason` is a sentence.

    这个错误说明无法绘制预览，但模型本身不一定有问题。
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Budget:
    """How many triangles, rows and samples may still be looked at before it is too many.

    这个类限制绘制的总工作量。
    """

    def __init__(self, left: int) -> None:
        self._left = left

    def spend(self, work: int) -> None:
        """Take work from what is left; raises PreviewError where there is not enough.

        这个方法扣除工作量，超出时报错。
        """
        self._left -= work
        if self._left < 0:
            raise PreviewError("the triangles overlap too much to be drawn in reasonable time")


@dataclass(frozen=True)
class _Triangles:
    """Triangles on the screen, set up to be compared with places on it; n of them in each array.

    `x`, `y` and `z` (3, n) are the corners, `names` (n,) what each is called. `across` and `down`
    (3, n) say how the three edges' distances, times their lengths, change from pixel to pixel: all
    are 0 or more inside. `outside` (3, n) is by how much they may be less. `slope` (2, n) is how
    depth changes, `reach` (2, n) its least and most. `low` (2, n) is the first column and row,
    `size` (2, n) how many there are.
    """

    names: Array
    x: Array
    y: Array
    z: Array
    across: Array
    down: Array
    outside: Array
    slope: Array
    reach: Array
    low: Array
    size: Array

    def chosen(self, which: Array) -> _Triangles:
        """Some of them, by number."""
        parts = (part.take(which, axis=-1) for part in vars(self).values())
        return _Triangles(*parts)

    def edges(self, which: Array, x: Array, y: Array) -> Array:
        """How far inside each edge (3, k) places of the triangles `which` lie."""
        inside: Array = self.across.take(which, axis=1) * (x - self.x.take(which, axis=1))
        inside += self.down.take(which, axis=1) * (y - self.y.take(which, axis=1))
        return inside

    def depth(self, which: Array, x: Array, y: Array) -> Array:
        """The depth (k,) of places of the triangles `which`, never beyond their corners'."""
        depth = self.slope[0].take(which) * (x - self.x[0].take(which))
        depth += self.slope[1].take(which) * (y - self.y[0].take(which))
        depth += self.z[0].take(which)
        nearest, farthest = self.reach
        held: Array = np.minimum(np.maximum(depth, nearest.take(which)), farthest.take(which))
        return held


class ZBuffer:
    """The nearest triangle of each sample of a `side` x `side` picture.

    Every pixel is sampled in its middle; where `pixels` (row * side + column, ascending) are given,
    those alone are, at `offsets` (s, 2) from their middles. `keys` are one per sample, a pixel's
    together. `large` are the numbers of drawn triangles of more than SMALL pixels across, `slim`
    those of them that are about a pixel high. All work is taken from `budget`.

    这个类记录每个采样点上最近的三角形。
    """

    def __init__(
        self, side: int, budget: Budget, pixels: Array | None = None, offsets: Array = CENTRE
    ) -> None:
        self.side = side
        self.offsets = offsets
        self._pixels = pixels
        self._budget = budget
        count = side * side if pixels is None else len(pixels)
        self.keys: Array = np.full(count * len(offsets), _EMPTY)
        self.large: list[Array] = []
        self.slim: list[Array] = []
        if pixels is not None:
            # How many of the pixels come before each place of the picture.
            self._before = np.zeros(side * side + 1, np.int32)
            self._before[pixels + 1] = 1
            np.cumsum(self._before, out=self._before)

    def draw(
        self,
        screen: Array,
        faces: Array,
        numbers: Array | None = None,
        *,
        both_sides: Array | None = None,
        keep: Keep | None = None,
        between: tuple[Array | None, Array] | None = None,
    ) -> None:
        """Draw triangles: `screen` is (3, n) x, y in pixels (y down) and depth in [0, 1).

        `faces` (m, 3) are columns of `screen`, `numbers` what each is called, else its row. Depth
        must be linear on the screen, and smaller is nearer. Triangles with a NaN or without area
        are skipped, and those wound clockwise unless `both_sides` (m,) says otherwise. `between`
        are the keys of a layer that all must lie behind, if any, and of one they must lie before.

        这个方法把一批三角形画进深度缓冲。
        """
        for first in range(0, len(faces), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            corner = np.ascontiguousarray(faces[part].T)
            names = (
                np.arange(first, first + corner.shape[1], dtype=np.uint64)
                if numbers is None
                else numbers[part].astype(np.uint64)
            )
            both = None if both_sides is None else both_sides[part]
            self._budget.spend(corner.shape[1])
            triangles = self._set_up(screen, corner, names, both)
            for which, pixel in self._touched(triangles):
                self._keep_nearest(triangles, which, pixel, keep, between)

    def hits(self) -> tuple[Array, Array]:
        """Which samples show something, and the number of the triangle that each shows.

        这个方法返回有内容的采样点及其三角形编号。
        """
        sample = np.flatnonzero(self.keys != _EMPTY)
        names = self.keys.view(np.uint32)[_LOW_WORD::2].take(sample)
        return sample, names.astype(np.int32)

    def places(self, samples: Array) -> tuple[Array, Array]:
        """The x and y of samples, in pixels.

        这个方法返回采样点的坐标。
        """
        place, offset = np.divmod(samples.astype(np.int32), np.int32(len(self.offsets)))
        x, y = self._middles(place)
        if len(self.offsets) > 1:
            x += self.offsets[:, 0].take(offset)
            y += self.offsets[:, 1].take(offset)
        return x, y

    def _middles(self, place: Array) -> tuple[Array, Array]:
        """The x and y of the middles of the pixels that are sampled, by their place among them."""
        pixel = place if self._pixels is None else self._pixels.take(place)
        row, column = np.divmod(pixel, np.int32(self.side))
        return _middle(column), _middle(row)

    def depths(self) -> Array:
        """The depth of every sample in [0, 1), 1 where nothing is.

        这个方法返回每个采样点的深度。
        """
        depth: Array = self.keys.view(np.uint32)[1 - _LOW_WORD :: 2].view(np.float32)
        return np.where(self.keys == _EMPTY, np.float32(1), depth)

    @property
    def shown(self) -> Array:
        """Whether each sample shows something.

        这个属性说明每个采样点是否有内容。
        """
        seen: Array = self.keys != _EMPTY
        return seen

    def _set_up(self, screen: Array, corner: Array, names: Array, both: Array | None) -> _Triangles:
        """The triangles that face the camera and may reach a sample.

        准备面向相机的三角形。
        """
        x, y = screen[0].take(corner), screen[1].take(corner)
        area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
        reach = np.float32(0 if len(self.offsets) == 1 else 0.5)
        low, high = (np.stack([_end(x, of), _end(y, of)]) for of in (np.minimum, np.maximum))
        longer = np.maximum(*(high - low))
        low = np.maximum(np.ceil(low - (_HALF + reach)), 0)
        high = np.minimum(np.floor(high - (_HALF - reach)), self.side - 1)
        seen = (area < -_FLAT) if both is None else (area < -_FLAT) | (both & (area > _FLAT))
        self._sort_out(names, seen & (longer > SMALL), np.abs(area) < longer)
        seen &= (low[0] <= high[0]) & (low[1] <= high[1])
        chosen = np.flatnonzero(seen)
        x, y, area = x.take(chosen, axis=1), y.take(chosen, axis=1), area.take(chosen)
        z = screen[2].take(corner.take(chosen, axis=1))
        low = low.take(chosen, axis=1)
        turn = np.where(area < 0, np.float32(-1), np.float32(1))
        across, down = (y - y[[1, 2, 0]]) * turn, (x[[1, 2, 0]] - x) * turn
        one, two = z[1] - z[0], z[2] - z[0]
        slope = np.stack(
            [
                one * (y[2] - y[0]) - two * (y[1] - y[0]),
                two * (x[1] - x[0]) - one * (x[2] - x[0]),
            ]
        )
        return _Triangles(
            names=names.take(chosen),
            x=x,
            y=y,
            z=z,
            across=across,
            down=down,
            outside=(np.abs(across) + np.abs(down)) * -(_EDGE + reach),
            slope=slope / area,
            reach=np.stack([_end(z, np.minimum), _end(z, np.maximum)]),
            low=low,
            size=(high.take(chosen, axis=1) - low).astype(np.int32) + 1,
        )

    def _sort_out(self, names: Array, large: Array, slim: Array) -> None:
        self.large.append(names[large].astype(np.int32))
        self.slim.append(names[large & slim].astype(np.int32))

    def _touched(self, triangles: _Triangles) -> Iterator[tuple[Array, Array]]:
        """Triangles, and the places of the sampled pixels that they reach into, in batches."""
        largest = np.maximum(*triangles.size)
        above = 0
        for side in (side for side in _BLOCKS if side <= self.side):
            some = np.flatnonzero((largest > above) & (largest <= side))
            above = side
            for first in range(0, len(some), _AT_ONCE // side):
                yield self._in_block(triangles, some[first : first + _AT_ONCE // side], side)
        yield from self._in_rows(triangles, np.flatnonzero(largest > above))

    def _in_block(self, triangles: _Triangles, some: Array, side: int) -> tuple[Array, Array]:
        """The pixels touched by triangles that a block of side x side pixels holds.

        小三角形逐块测试。
        """
        self._budget.spend(len(some) * side * side)
        low = np.minimum(triangles.low.take(some, axis=1), self.side - side)
        start = triangles.edges(some, low[0] + _HALF, low[1] + _HALF)
        start -= triangles.outside.take(some, axis=1)
        first = low[1].astype(np.int32) * np.int32(self.side) + low[0].astype(np.int32)
        if side == 1:
            inside = np.flatnonzero(np.minimum(np.minimum(*start[:2]), start[2]) >= 0)
            return self._wanted(some.take(inside), first.take(inside))
        step = np.arange(side * side, dtype=np.float32)
        right, below = step % side, step // side
        within = np.ones((len(some), side * side), bool)
        for edge in range(3):
            value = triangles.across[edge].take(some)[:, None] * right
            value += triangles.down[edge].take(some)[:, None] * below
            value += start[edge][:, None]
            within &= value >= 0
        which, cell = np.divmod(np.flatnonzero(within).astype(np.int32), np.int32(side * side))
        row, column = np.divmod(cell, np.int32(side))
        pixel = first.take(which) + row * np.int32(self.side) + column
        return self._wanted(some.take(which), pixel)

    def _wanted(self, which: Array, pixel: Array) -> tuple[Array, Array]:
        """Those whose pixel is sampled at all, and its place among those that are."""
        if self._pixels is None:
            return which, pixel
        place = self._before.take(pixel)
        wanted = np.flatnonzero(self._before.take(pixel + 1) > place)
        return which.take(wanted), place.take(wanted)

    def _in_rows(self, triangles: _Triangles, some: Array) -> Iterator[tuple[Array, Array]]:
        """The pixels touched by triangles of any size, cut into rows first.

        大三角形按行切分。
        """
        rows = triangles.size[1].take(some)
        for batch in _batches(rows):
            here, row = self._unrolled(rows, batch)
            here = some.take(here)
            row = row + triangles.low[1].take(here).astype(np.int32)
            left, count = _spans(triangles, here, row)
            first = row * np.int32(self.side) + left
            if self._pixels is not None:
                first, last = (self._before.take(end) for end in (first, first + count))
                count = last - first
            for places in _batches(count):
                spot, further = self._unrolled(count, places)
                yield here.take(spot), first.take(spot) + further

    def _unrolled(self, counts: Array, batch: slice) -> tuple[Array, Array]:
        """Each place of a batch as often as its count says, and which time it is, from 0 on."""
        here = counts[batch]
        ends = np.cumsum(here)
        total = int(ends[-1])
        self._budget.spend(total)
        times = np.arange(total, dtype=np.int32) - np.repeat((ends - here).astype(np.int32), here)
        return np.repeat(np.arange(batch.start, batch.stop, dtype=np.int32), here), times

    def _keep_nearest(
        self,
        triangles: _Triangles,
        which: Array,
        place: Array,
        keep: Keep | None,
        between: tuple[Array | None, Array] | None,
    ) -> None:
        """Enter what is nearest so far at the samples of these pixels.

        记下更近的三角形。
        """
        which, sample, x, y = self._samples(triangles, which, place)
        depth = triangles.depth(which, x, y)
        key = depth.view(np.uint32).astype(np.uint64)
        key <<= np.uint64(32)
        key |= triangles.names.take(which)
        if keep is not None or between is not None:
            wanted = key < self.keys.take(sample)
            if between is not None:
                behind, before = between
                wanted &= key < before.take(sample)
                if behind is not None:
                    wanted &= key > behind.take(sample)
            good = np.flatnonzero(wanted)
            if keep is not None:
                names = triangles.names.take(which.take(good)).astype(np.int32)
                good = good[keep(names, x.take(good), y.take(good))]
            key, sample = key.take(good), sample.take(good)
        np.minimum.at(self.keys, sample, key)

    def _samples(
        self, triangles: _Triangles, which: Array, place: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Triangle, sample number, x and y of the samples that triangles cover in pixels.

        像素内被覆盖的采样点。
        """
        x, y = self._middles(place)
        if self._pixels is None:
            return which, place, x, y
        count = len(self.offsets)
        self._budget.spend(len(which) * count)
        start = triangles.edges(which, x, y)
        within = np.ones((len(which), count), bool)
        for edge in range(3):
            across, down = triangles.across[edge].take(which), triangles.down[edge].take(which)
            start[edge] += (np.abs(across) + np.abs(down)) * _EDGE
            value = across[:, None] * self.offsets[:, 0]
            value += down[:, None] * self.offsets[:, 1]
            value += start[edge][:, None]
            within &= value >= 0
        spot, offset = np.divmod(np.flatnonzero(within).astype(np.int32), np.int32(count))
        x = x.take(spot) + self.offsets[:, 0].take(offset)
        y = y.take(spot) + self.offsets[:, 1].take(offset)
        return which.take(spot), place.take(spot) * np.int32(count) + offset, x, y


_LOW_WORD = 0 if np.little_endian else 1


def _end(corners: Array, of: np.ufunc) -> Array:
    """The least or the most of the three corners; a reduction over so short an axis is slow."""
    end: Array = of(of(corners[0], corners[1]), corners[2])
    return end


def _middle(pixel: Array) -> Array:
    return pixel.astype(np.float32) + _HALF


def _spans(triangles: _Triangles, which: Array, row: Array) -> tuple[Array, Array]:
    """From which column of a row, and how many: where no edge is further than `outside` away.

    每行覆盖的列范围。
    """
    low = triangles.low[0].take(which)
    high = low + triangles.size[0].take(which) - 1
    start = triangles.edges(which, low + _HALF, _middle(row))
    start -= triangles.outside.take(which, axis=1)
    first, last = low, high
    for edge in range(3):
        slope = triangles.across[edge].take(which)
        place = low - start[edge] / slope
        first = np.where(slope > 0, np.maximum(first, np.ceil(place)), first)
        last = np.where(slope < 0, np.minimum(last, np.floor(place)), last)
        last = np.where((slope == 0) & (start[edge] < 0), -1, last)
    return first.astype(np.int32), np.maximum(last - first + 1, 0).astype(np.int32)


def _batches(counts: Array) -> Iterator[slice]:
    """Slices of about `_AT_ONCE` in all; one place may be more."""
    ends = np.cumsum(counts, dtype=np.int64)
    first = 0
    while first < len(ends):
        done = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
        yield slice(first, last)
        first = last
