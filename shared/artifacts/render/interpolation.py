"""From the corners of the triangles that are seen to the samples that show them.

What a triangle has is put together once, in one row, however many samples show it; a sample then
takes that row and mixes its three corners.

这个模块把三角形各角的数据插值到采样点。
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from shared.artifacts.render.camera import Camera
from shared.artifacts.render.raster import Array
from shared.artifacts.render.scene import Scene

_ONE = np.float32(1)


class Seen:
    """The triangles `seen` of a scene on the `screen` (3, n), a row each: k of them.

    这个类保存可见三角形各角的数据。
    """

    def __init__(self, scene: Scene, camera: Camera, screen: Array, seen: Array) -> None:
        self.surface: Array = scene.surface.take(seen)
        self.camera = camera
        self._scene = scene
        self._corner: Array = scene.faces.take(seen, axis=0)
        x, y, z = (axis.take(np.ascontiguousarray(self._corner.T)) for axis in screen)
        self._area: Array = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
        area = np.where(self._area == 0, _ONE, self._area)
        second = (y[2] - y[0]) / area, (x[0] - x[2]) / area
        third = (y[0] - y[1]) / area, (x[1] - x[0]) / area
        at_zero = [-(x[0] * one[0] + y[0] * one[1]) for one in (second, third)]
        # How the second and third corner's weights change with x and y, and each one's nearness.
        self.terms: Array = np.stack([*second, at_zero[0], *third, at_zero[1], *(_ONE - z)], axis=1)
        self._uvs: dict[int, tuple[Array, Array]] = {}

    @functools.cached_property
    def normals(self) -> Array:
        """The normals of the three corners: (k, 9), or (k, 3) if they agree.

        They are the file's, turned only where a triangle is seen from behind, as viewers
        do it; or the triangle's own where it has none.

        这个属性给出各角的法线。
        """
        points = self._scene.points.take(self._corner, axis=0)
        behind = np.where(self._area > 0, -_ONE, _ONE)
        flat: Array = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
        flat *= (behind / np.maximum(np.sqrt(_dot(flat, flat)), np.float32(1e-20)))[:, None]
        if self._scene.normals is None:
            return flat
        normals = self._scene.normals.take(self._corner, axis=0)
        normals *= behind[:, None, None]
        bare = (np.abs(normals).sum(axis=2) < np.float32(1e-3)).any(axis=1)
        normals[bare] = flat[bare, None]
        agree = bool((normals == normals[:, :1]).all())
        table: Array = normals[:, 0] if agree else normals.reshape(-1, 9)
        return table

    @functools.cached_property
    def colours(self) -> Array | None:
        """The vertex colours of the three corners, 0..1 (k, 12); None where the scene has none.

        这个属性给出各角的顶点颜色。
        """
        if self._scene.colours is None:
            return None
        found = self._scene.colours.take(self._corner, axis=0).reshape(-1, 12)
        colours: Array = found * np.float32(1 / 255)
        return colours

    def uvs(self, layer: int) -> tuple[Array, Array]:
        """The UVs of the three corners (k, 6), and how far apart two pixels are in them (k,).

        Across or down, whichever is farther: so graphics cards choose a mipmap.

        这个方法给出各角的纹理坐标和相邻像素的间距。
        """
        if layer not in self._uvs:
            uv = self._scene.uvs[layer].take(self._corner, axis=0)
            one, two = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
            steps = (one * self.terms[:, [at]] + two * self.terms[:, [at + 3]] for at in (0, 1))
            across, down = (_dot(step, step) for step in steps)
            apart = np.sqrt(np.maximum(across, down))
            self._uvs[layer] = uv.reshape(-1, 6), apart
        return self._uvs[layer]


@dataclass(frozen=True)
class Normals:
    """Unit normals: x, y and z in `parts`, for each sample, or for each triangle if `row` names it.

    这个类保存单位法线。
    """

    parts: list[Array]
    row: Array | None = None


class Samples:
    """Places on seen triangles: `row` (n,) says on which, `x` and `y` where on the screen.

    这个类表示可见三角形上的一批采样点。
    """

    def __init__(self, seen: Seen, row: Array, x: Array, y: Array) -> None:
        self._seen, self._row, self._x, self._y = seen, row, x, y
        self.surface: Array = seen.surface.take(row)

    @functools.cached_property
    def _weights(self) -> list[Array]:
        """The three corners' weights on the surface.

        三个角的权重。
        """
        terms = self._seen.terms.take(self._row, axis=0)
        second = np.clip(terms[:, 0] * self._x + terms[:, 1] * self._y + terms[:, 2], 0, 1)
        third = terms[:, 3] * self._x + terms[:, 4] * self._y + terms[:, 5]
        third = np.clip(third, 0, _ONE - second)
        # Weights on the screen become weights on the surface: each divided by its distance.
        weights = [(_ONE - second - third) * terms[:, 6], second * terms[:, 7], third * terms[:, 8]]
        total = _ONE / (weights[0] + weights[1] + weights[2])
        return [weight * total for weight in weights]

    def normals(self) -> Normals:
        """The normals that samples are lit by.

        这个方法给出采样点的单位法线。
        """
        table = self._seen.normals
        if table.shape[1] == 3:
            return Normals(list(table.T), self._row)
        parts = _mixed(table.take(self._row, axis=0), self._weights)
        length = parts[0] * parts[0] + parts[1] * parts[1] + parts[2] * parts[2]
        length = _ONE / np.sqrt(np.maximum(length, np.float32(1e-12)))
        return Normals([part * length for part in parts])

    def mirrored_ways(self, side: int, here: Array | slice) -> list[Array]:
        """Unit directions from some of the samples to what a mirror would show there: x, y and z.

        `side` is that of the screen in pixels.

        这个方法给出采样点的镜面反射方向。
        """
        normals = self.normals()
        row = slice(None) if normals.row is None else normals.row
        normal = [part[row][here] for part in normals.parts]
        x, y = self._x[here] * np.float32(2 / side) - 1, 1 - self._y[here] * np.float32(2 / side)
        way = self._seen.camera.ways(x, y).T
        twice = 2 * (way[0] * normal[0] + way[1] * normal[1] + way[2] * normal[2])
        return [one - twice * part for one, part in zip(way, normal, strict=True)]

    def colours(self) -> list[Array]:
        """The vertex colours' red, green, blue and alpha, 0..1; 1 where the scene has none.

        这个方法给出采样点的顶点颜色。
        """
        table = self._seen.colours
        if table is None:
            return [np.ones(len(self._row), np.float32) for _ in range(4)]
        return _mixed(table.take(self._row, axis=0), self._weights)

    def uvs(self, layer: int, here: Array | slice) -> tuple[Array, Array, Array]:
        """The u and v of some of the samples, and how far apart two pixels are in them, (m,) each.

        这个方法给出采样点的纹理坐标和相邻像素的间距。
        """
        table, apart = self._seen.uvs(layer)
        row = self._row[here]
        weights = [weight[here] for weight in self._weights]
        u, v = _mixed(table.take(row, axis=0), weights)
        return u, v, apart.take(row)


def _mixed(corners: Array, weights: list[Array]) -> list[Array]:
    """Each part of the three corners' values (n, 3 x parts), mixed."""
    width = corners.shape[1] // 3
    return [
        corners[:, part] * weights[0]
        + corners[:, width + part] * weights[1]
        + corners[:, 2 * width + part] * weights[2]
        for part in range(width)
    ]


def _dot(one: Array, two: Array) -> Array:
    products: Array = np.einsum("ni,ni->n", one, two)
    return products
