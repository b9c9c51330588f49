"""Where the preview is taken from: a pinhole camera, and the nearest one that sees everything.

这个模块决定从哪里拍摄预览图。
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from shared.artifacts.render.raster import Array

AZIMUTH, ELEVATION = 35.0, 20.0
"""Degrees to the right of the model's front (+Z) and above the ground."""

FIELD_OF_VIEW = 28.0
"""Degrees across: about what an 85 mm lens sees, which flatters objects and faces."""

MARGIN = 0.1
"""Of the picture's half side, left free all round."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in world space: `right`, `up` and `back` are unit vectors, x right, y up.

    `tangent` is the tangent of half the field of view; the picture is square.

    这个类描述拍摄预览图的相机。
    """

    eye: Array
    right: Array
    up: Array
    back: Array
    tangent: float

    def project(self, points: Array) -> Array:
        """World points (n, 3) to picture x, y in -1..1 (y up) and distance along the view.

        这个方法把世界坐标投影到画面上。
        """
        axes = np.stack([self.right, self.up, -self.back], axis=1)
        seen: Array = (points - self.eye.astype(points.dtype)) @ axes.astype(points.dtype)
        seen[:, :2] /= seen[:, 2:] * self.tangent
        return seen

    def moved(self, scale: float, centre: Array) -> Camera:
        """The same view of the same thing, scaled and then moved.

        这个方法把相机换到缩放平移后的坐标系。
        """
        return replace(self, eye=self.eye * scale + centre)

    def rays(self, size: int) -> Array:
        """Unit directions through the centres of a size x size picture's pixels, row by row.

        这个方法给出穿过每个像素中心的光线方向。
        """
        step = (np.arange(size) + 0.5) / size * 2 - 1
        x, y = np.meshgrid(step, -step)
        return self.ways(x.reshape(-1), y.reshape(-1))

    def ways(self, x: Array, y: Array) -> Array:
        """Unit directions (n, 3) through places of the picture, x and y in -1..1, y up.

        这个方法给出穿过画面上指定位置的光线方向。
        """
        across = np.stack([x * self.tangent, y * self.tangent, np.full_like(x, -1.0)], axis=1)
        across /= np.sqrt(np.einsum("ni,ni->n", across, across))[:, None]
        axes = np.stack([self.right, self.up, self.back]).astype(across.dtype)
        unit: Array = across @ axes
        return unit


def look_at(points: Array, azimuth: float = AZIMUTH, elevation: float = ELEVATION) -> Camera:
    """The nearest camera in that direction that has every finite point in frame, margin included.

    Each axis is solved exactly: along x a point asks for distance >= z + |x - cx| / k, and the best
    cx makes the two sides ask for the same.

    这个函数求出能把所有点放进画面的最近相机。
    """
    turn, rise = math.radians(azimuth), math.radians(elevation)
    back = np.array(
        [math.sin(turn) * math.cos(rise), math.sin(rise), math.cos(turn) * math.cos(rise)]
    )
    right = np.array([math.cos(turn), 0.0, -math.sin(turn)])
    up = np.cross(back, right)
    tangent = math.tan(math.radians(FIELD_OF_VIEW) / 2)
    reach = tangent * (1 - MARGIN)
    seen = points @ np.stack([right, up, back], axis=1).astype(points.dtype)
    middle, distance = [0.0, 0.0], float(np.nanmax(seen[:, 2])) + 0.5
    for axis in (0, 1):
        plus = float(np.nanmax(seen[:, 2] + seen[:, axis] / reach))
        minus = float(np.nanmax(seen[:, 2] - seen[:, axis] / reach))
        middle[axis] = reach * (plus - minus) / 2
        distance = max(distance, (plus + minus) / 2)
    eye = right * middle[0] + up * middle[1] + back * distance
    return Camera(eye, right, up, back, tangent)
