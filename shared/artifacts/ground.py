"""What surrounds the model in its preview: a light backdrop, a soft shadow, and darker creases.

None of it moves the model's outline: it is paint over what was drawn.

这个模块绘制预览图的背景、柔和阴影和凹处暗部。
"""

from __future__ import annotations

import numpy as np

from shared.artifacts.camera import Camera
from shared.artifacts.mesh import Array
from shared.artifacts.raster import TooCostly, ZBuffer
from shared.artifacts.scene import Scene

_CELLS = 160
"""The shadow's map is this many cells a side; it is blurred, so few are enough."""

_REACH = 1.6
"""Half the width of the shadow's map, in half-diagonals of the model."""

_BUDGET = 20_000_000


def backdrop(size: int) -> Array:
    """A light grey that darkens a little towards the corners, as linear (size, size, 3).

    这个函数生成浅灰色渐变背景。
    """
    step = (np.arange(size) + 0.5) / size * 2 - 1
    away = np.clip(np.hypot(step[None, :], step[:, None] + 0.2) / 1.6, 0, 1)[..., None] ** 2
    light = np.array([0.92, 0.925, 0.935]) * (1 - away) + np.array([0.64, 0.66, 0.69]) * away
    return light.astype(np.float32)


def shadow(scene: Scene, camera: Camera, size: int) -> Array:
    """How much of the sky the model takes from the ground at each pixel, 0..1, (size, size).

    Seen from below, what lies close to the ground takes most. `camera` is in the scene's own units.

    这个函数计算模型在地面上的柔和阴影。
    """
    low = float(np.nanmin(scene.points[:, 1]))
    beneath = np.empty_like(scene.points)
    beneath[:, :2] = (scene.points[:, [0, 2]] / (2 * _REACH) + 0.5) * _CELLS
    beneath[:, 2] = (scene.points[:, 1] - low) / 2.5
    buffer = ZBuffer(_CELLS, _BUDGET)
    try:
        buffer.draw(beneath, scene.faces, np.arange(len(scene.faces)))
    except TooCostly:
        return np.zeros((size, size), np.float32)
    height = buffer.depths().astype(np.float32) * 2.5
    contact = np.where(buffer.shown(), np.exp(-height / np.float32(0.12)), 0)
    around = np.where(buffer.shown(), np.exp(-height / np.float32(0.8)), 0)
    dark = 0.5 * blurred(contact, 1, 3) + 0.45 * blurred(around, 7, 3)
    return _on_floor(dark.astype(np.float32), low, camera, size)


def _on_floor(dark: Array, low: float, camera: Camera, size: int) -> Array:
    """Look the map up where each pixel's ray meets the floor."""
    rays = camera.rays(size)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = (low - float(camera.eye[1])) / rays[:, 1]
        place = camera.eye[[0, 2]] + rays[:, [0, 2]] * along[:, None]
    cell = (place / (2 * _REACH) + 0.5) * _CELLS - 0.5
    good = (along > 0) & (cell >= 0).all(axis=1) & (cell < _CELLS - 1).all(axis=1)
    cell = np.where(good[:, None], cell, 0)
    corner = cell.astype(np.int32)
    across, down = (cell - corner).T
    x, y = corner.T
    upper = dark[y, x] * (1 - across) + dark[y, x + 1] * across
    lower = dark[y + 1, x] * (1 - across) + dark[y + 1, x + 1] * across
    found = np.where(good, upper * (1 - down) + lower * down, 0)
    faded: Array = found.reshape(size, size) * _fade(size)
    return faded.astype(np.float32)


def creases(distance: Array) -> Array:
    """A factor for each pixel, 1 in the open and less where its surroundings lie in front of it.

    `distance` is infinite where nothing is; what is empty has no say.

    这个函数让模型凹处略微变暗，显出形状。
    """
    shown = np.isfinite(distance)
    depth = np.where(shown, distance, 0).astype(np.float32)
    weight = shown.astype(np.float32)
    dark = np.zeros_like(depth)
    for radius, strength in ((len(depth) // 100, 5.0), (len(depth) // 28, 2.2)):
        around = blurred(depth, radius, 2) / np.maximum(blurred(weight, radius, 2), 1e-3)
        behind = np.clip(depth - around, 0, None)
        # What lies far behind its surroundings is merely another thing, not a crease.
        dark += strength * behind * np.exp(-behind / np.float32(0.06))
    return np.where(shown, 1 - np.clip(dark, 0, 0.4), 1).astype(np.float32)


def blurred(values: Array, radius: int, times: int) -> Array:
    """Box-blur a 2-D array a few times, which comes close to a Gaussian; outside counts as 0.

    这个函数对二维数组做模糊。
    """
    if radius < 1:
        return values
    width = 2 * radius + 1
    for _ in range(times):
        for axis in (0, 1):
            pad = [(0, 0), (0, 0)]
            pad[axis] = (radius + 1, radius)
            total = np.cumsum(np.pad(values, pad), axis=axis, dtype=np.float64)
            ahead = np.take(total, np.arange(width, total.shape[axis]), axis=axis)
            behind = np.take(total, np.arange(total.shape[axis] - width), axis=axis)
            values = ((ahead - behind) / width).astype(np.float32)
    return values


def _fade(size: int) -> Array:
    """1 inside, falling to 0 at the picture's border, so that no shadow ends at an edge."""
    step = np.clip((np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5) / (size * 0.1), 0, 1)
    smooth = step * step * (3 - 2 * step)
    both: Array = smooth[:, None] * smooth[None, :]
    return both
