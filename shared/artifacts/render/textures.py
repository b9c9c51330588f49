"""Textures ready to be looked up: linear colours with their mipmaps, and how UVs lead to them.

A texture's colours are turned into linear light once, when it is read: a look-up is then a gather
of 64 bits per tap, and no table.

这个模块保存线性颜色的贴图及其多级缩小图，并按 UV 取样。
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.artifacts.render.raster import Array

CLAMP, MIRROR, REPEAT = 33071, 33648, 10497
"""What a sampler's wrapS and wrapT may be; anything else counts as REPEAT."""

NEAREST = 9728

_ONE = np.float32(1 / 65535)
_NO_LOWEST_BITS = np.uint64(0xFFFE_FFFE_FFFE_FFFE)
_FAR = np.float32(1e6)
"""A 32-bit UV beyond this says nothing about where in a texture it lies."""


@dataclass(frozen=True)
class Mipmaps:
    """One picture, and it again at half the size each, down to a single texel.

    `texels` are all levels one after another, row by row: one 64-bit word of four 16-bit numbers
    each, linear red, green, blue and alpha. Level n begins at `starts[n]` and has `heights[n]` rows
    of `widths[n]`. `opaque` says that every alpha is 1.

    这个类保存一张图片的各级缩小图。
    """

    texels: Array
    starts: Array
    widths: Array
    heights: Array
    opaque: bool

    @staticmethod
    def filled(high: int, wide: int, fill: Callable[[Array], bool]) -> Mipmaps:
        """The mipmaps of a picture that `fill` writes into (high, wide) 64-bit words.

        It returns whether the picture is opaque.

        这个方法由最大的一级生成各级缩小图。
        """
        sizes = [(high, wide)]
        while max(sizes[-1]) > 1:
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        heights, widths = np.array(sizes, np.int32).T
        ends = np.cumsum(heights * widths, dtype=np.int32)
        starts = ends - heights * widths
        texels = np.empty(ends[-1], np.uint64)
        levels = [
            texels[start:end].reshape(size)
            for start, end, size in zip(starts, ends, sizes, strict=True)
        ]
        opaque = fill(levels[0])
        for level, half in itertools.pairwise(levels):
            half[:] = _halved(level)
        return Mipmaps(texels, starts, widths, heights, opaque)

    @property
    def mean(self) -> Array:
        """The whole picture's linear red, green, blue and alpha, 0..1 (4,).

        这个属性给出整张图片的平均颜色。
        """
        mean: Array = self.texels[-1:].view(np.uint16) * _ONE
        return mean


@dataclass(frozen=True)
class Texture:
    """A picture on a surface.

    `coordinates` is the n of the TEXCOORD_n it is laid out by; `matrix` (2, 3) turns those UVs into
    the picture's own (KHR_texture_transform), None leaves them as they are. `wraps` are the
    sampler's for u and v. `nearest`: texels that are seen enlarged keep their edges.

    这个类描述表面上的一张贴图及其取样方式。
    """

    image: Mipmaps
    wraps: tuple[int, int] = (REPEAT, REPEAT)
    coordinates: int = 0
    matrix: Array | None = None
    nearest: bool = False

    @property
    def opaque(self) -> bool:
        """Whether every texel has an alpha of 1.

        这个属性判断贴图是否完全不透明。
        """
        return self.image.opaque

    def sample(self, u: Array, v: Array, footprint: Array | float = 0.0, parts: int = 4) -> Array:
        """Linear red, green, blue and alpha, 0..1, at UVs as the mesh has them: (parts, n).

        `footprint` is how far, in those UVs, it is from one pixel of the picture to the next: (n,)
        or one for all; 0 looks the texture up at its full size. `parts` 3 leaves out alpha, 1 all
        but red.

        这个方法在给定的 UV 处取贴图的线性颜色。
        """
        level = self._level(footprint)
        image = self.image
        wide, high, start = (
            some.take(level) for some in (image.widths, image.heights, image.starts)
        )
        x, y = self._placed(u, v)
        x = _folded(x, self.wraps[0]) * wide.astype(np.float32)
        y = _folded(y, self.wraps[1]) * high.astype(np.float32)
        found = np.ones((parts, len(u)), np.float32)
        seen = found[:3] if image.opaque else found
        if self.nearest and not np.any(level):
            column = np.minimum(x.astype(np.int32), wide - 1)
            row = np.minimum(y.astype(np.int32), high - 1)
            texels = image.texels.take(start + row * wide + column)
            return _weighted(seen, [(texels, np.full(len(u), _ONE))], found)
        left, right, across = _taps(x, wide, self.wraps[0])
        above, below, down = _taps(y, high, self.wraps[1])
        above, below = above * wide + start, below * wide + start
        across *= _ONE
        lower, upper = across * down, across - across * down
        rest = down * _ONE - lower
        taps = [
            (image.texels.take(above + left), _ONE - across - rest),
            (image.texels.take(above + right), upper),
            (image.texels.take(below + left), rest),
            (image.texels.take(below + right), lower),
        ]
        return _weighted(seen, taps, found)

    def _placed(self, u: Array, v: Array) -> tuple[Array, Array]:
        """The picture's own UVs; what is no place at all becomes 0."""
        if self.matrix is not None:
            (a, b, x), (c, d, y) = self.matrix
            u, v = a * u + b * v + x, c * u + d * v + y
        none = np.float32(0)
        return np.where(np.abs(u) < _FAR, u, none), np.where(np.abs(v) < _FAR, v, none)

    def _level(self, footprint: Array | float) -> Array:
        """Which level's texels are nearest in size to what a pixel covers.

        选择缩小图的级别。
        """
        image = self.image
        longer = np.float32(max(int(image.widths[0]), int(image.heights[0])))
        texels = np.asarray(footprint, np.float32) * longer
        if self.matrix is not None:
            (a, b, _), (c, d, _) = self.matrix
            # The longer way of two: a matrix's largest singular value.
            stretch = np.hypot(a + d, b - c) + np.hypot(a - d, b + c)
            texels = texels * (stretch * np.float32(0.5))
        level = np.rint(np.log2(np.maximum(texels, 1)))
        level = np.where(level < len(image.starts), level, len(image.starts) - 1)
        whole: Array = level.astype(np.int32)
        return whole


def _halved(texels: Array) -> Array:
    return _row_means(_row_means(texels).T).T


def _row_means(texels: Array) -> Array:
    """The mean of each two rows, of the four numbers of a word at once; an odd last row stays.

    每两行取平均。
    """
    if len(texels) == 1:
        return texels
    if len(texels) % 2:
        texels = np.concatenate([texels, texels[-1:]])
    one, two = texels[0::2], texels[1::2]
    mean: Array = one ^ two
    mean &= _NO_LOWEST_BITS
    mean >>= np.uint64(1)
    mean += one & two
    return mean


def _folded(place: Array, wrap: int) -> Array:
    """A coordinate in 0..1 that shows the same texel."""
    if wrap == CLAMP:
        return np.clip(place, np.float32(0), np.float32(1))
    if wrap == MIRROR:
        folded: Array = 1 - np.abs(place - 2 * np.floor(place * np.float32(0.5)) - 1)
    else:
        folded = place - np.floor(place)
    return folded


def _taps(place: Array, size: Array, wrap: int) -> tuple[Array, Array, Array]:
    """The two texels on either side of a place in 0..size, and how far it is to the second."""
    place = place - np.float32(0.5)
    first = np.floor(place)
    share = place - first
    one = first.astype(np.int32)
    two = one + 1
    if wrap in (CLAMP, MIRROR):
        return np.maximum(one, 0), np.minimum(two, size - 1), share
    return np.where(one < 0, size - 1, one), np.where(two >= size, 0, two), share


def _weighted(seen: Array, taps: list[tuple[Array, Array]], found: Array) -> Array:
    """Sum up the numbers of texels by their weights, into `seen`, part by part; gives `found`."""
    numbers = [(texels.view(np.uint16).reshape(-1, 4), weight) for texels, weight in taps]
    for part, out in enumerate(seen):
        (first, weight), *others = numbers
        np.multiply(first[:, part], weight, out=out, dtype=np.float32)
        for texels, weight in others:
            out += texels[:, part] * weight
    return found
