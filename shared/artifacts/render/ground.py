"""What a model stands on in its preview: a light neutral ground, and a soft shadow upon it.

The shadow is that of light from everywhere: dark where the model comes near to the ground. It is
made of what the picture shows already, at a fraction of the picture's size.

这个模块绘制预览图的地面和柔和的接触阴影。
"""

from __future__ import annotations

import functools

import numpy as np

from shared.artifacts.render.camera import Camera
from shared.artifacts.render.raster import Array
from shared.artifacts.render.shading import coded

_DARKEST = 0.4
"""How much of the ground's light the shadow takes where the model touches it."""

_CELLS = 96
"""Of the shadow, along each side of a square three half-diagonals of the model wide."""

_HEIGHT = 0.12
"""How far above the ground, of the model's half-diagonal, its shadow has faded to a third."""

_BLUR, _SPREAD = 2, 1.8
"""Cells that a shadow is blurred by, three times over; and how much of its strength it keeps."""

_COARSER = 4
"""Pixels of the picture, each way, for one of the shadow's."""


@functools.lru_cache(maxsize=4)
def ground(size: int) -> Array:
    """A light grey that darkens a little towards the corners, (size, size, 3) 8-bit, to be read.

    It is worked out once for each size.

    这个函数给出指定大小的背景。
    """
    step = (np.arange(size) + 0.5) / size * 2 - 1
    away = np.clip(np.hypot(step[None, :], step[:, None] + 0.2) / 1.6, 0, 1)[..., None] ** 2
    light = np.array([0.87, 0.875, 0.885]) * (1 - away) + np.array([0.64, 0.66, 0.69]) * away
    grey: Array = np.rint(coded(light) * 255).astype(np.uint8)
    grey.flags.writeable = False
    return grey


def shadow(distance: Array, camera: Camera, low: float) -> Array:
    """How dark a shadow lies on the parts of a picture, 0..255: (n, n), n a quarter of its side.

    `distance` (size, size) is how far along the camera's view what each pixel shows lies, infinite
    where that is nothing; `low` is the height of the model's lowest point. Camera and model are in
    the same world, in which the model's half-diagonal is 1 and its middle at the origin.

    这个函数计算地面上的阴影浓度。
    """
    size = len(distance)
    side = -(-size // _COARSER)
    if camera.back[1] <= 0.05:  # from below, or along it, the ground is not seen
        return np.zeros((side, side), np.uint8)
    seen = distance[::2, ::_COARSER]
    rows, columns = (place.astype(np.float32) for place in np.nonzero(np.isfinite(seen)))
    found = seen[np.isfinite(seen)]
    points = _points(camera, size, columns * _COARSER + 0.5, rows * 2 + 0.5, found)
    cells = _splat(points, low)
    step = (np.arange(side, dtype=np.float32) + 0.5) * (size / side)
    x, y = (one.reshape(-1) for one in np.meshgrid(step, step))
    ways = _points(camera, size, x, y, np.ones(len(x), np.float32))
    eye = camera.eye.astype(np.float32)
    ways -= eye
    down = np.where(ways[:, 1] < -1e-3, (low - eye[1]) / ways[:, 1], np.float32(0))
    column, row = (_cell(eye[axis] + ways[:, axis] * down) for axis in (0, 2))
    inside = (down > 0) & (column >= 0) & (column < _CELLS) & (row >= 0) & (row < _CELLS)
    cell = np.where(inside, row * _CELLS + column, 0).astype(np.int32)
    dark = np.where(inside, cells.reshape(-1).take(cell), 0) * (255 * _DARKEST)
    smooth = _blurred(_blurred(dark.reshape(side, side), 1).T, 1).T
    return smooth.astype(np.uint8)


def _points(camera: Camera, size: int, x: Array, y: Array, distance: Array) -> Array:
    """The places in the world (n, 3) of pixels at distances along the view."""
    across = (x * (2 / size) - 1) * camera.tangent
    up = (1 - y * (2 / size)) * camera.tangent
    way = np.stack([across * distance, up * distance, -distance], axis=1)
    axes = np.stack([camera.right, camera.up, camera.back]).astype(np.float32)
    points: Array = way @ axes + camera.eye.astype(np.float32)
    return points


def _cell(place: Array) -> Array:
    return np.floor((place / 1.5 + 1) * (_CELLS / 2))


def _splat(points: Array, low: float) -> Array:
    """How much of each cell of the ground is under something, by its height, and blurred, 0..1.

    地面网格上的遮挡程度。
    """
    near = np.exp((low - points[:, 1]) / _HEIGHT)
    cell = (_cell(points[:, 2]) * _CELLS + _cell(points[:, 0])).astype(np.int32)
    highest = np.zeros(_CELLS * _CELLS)
    np.maximum.at(highest, np.clip(cell, 0, len(highest) - 1), near)
    cells: Array = highest.reshape(_CELLS, _CELLS)
    for _ in range(3):
        cells = _blurred(_blurred(cells, _BLUR).T, _BLUR).T
    darkest: Array = np.minimum(cells * _SPREAD, 1)
    return darkest


def _blurred(cells: Array, by: int) -> Array:
    """The mean of each cell with as many rows before and after it."""
    total = np.cumsum(np.pad(cells, [(by + 1, by), (0, 0)]), axis=0)
    mean: Array = (total[2 * by + 1 :] - total[: -2 * by - 1]) / (2 * by + 1)
    return mean
