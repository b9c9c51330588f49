"""The light that a preview is seen in: soft, neutral, and turning with the camera.

What is dull takes light from everywhere, a little more from above and from the upper left; what is
metal mirrors three lamps, the blurrier the rougher it is. All is fitted to what three.js shows
(scripts/bench/pictures): the dull to four kinds of light, as near as possible to the farthest from
it, the metal to RoomEnvironment, since without surroundings it would be black.

这个模块定义预览图的光照。
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.artifacts.render.camera import Camera
from shared.artifacts.render.raster import Array

_AMBIENT, _SKY, _KEY = np.float32(0.60), np.float32(0.05), np.float32(0.33)
"""Light from everywhere, more of it (or less) from above (or below), and from the upper left."""

_UPPER_LEFT = (-0.26, 0.58, 0.77)

_DIM = 0.23, -0.06
"""What metal mirrors where no lamp is, and how much more of it behind the camera."""

_LAMPS = (
    ((-0.51, 0.26, 0.82), 1.80),
    ((0.69, 0.47, 0.56), 0.76),
    ((-0.78, 0.62, 0.11), 0.50),
)
"""Where each lamp stands, to the right, above and behind the camera, and how strong it is."""


class Lighting:
    """The light around a camera; directions are three arrays, x, y and z in the world.

    这个类给出相机周围的光照。
    """

    def __init__(self, camera: Camera) -> None:
        self._axes = np.stack([camera.right, camera.up, camera.back])

    def dull(self, normals: Sequence[Array]) -> Array:
        """How much light a dull surface gives back, of its base colour: 0.55 to 0.98.

        这个方法计算粗糙表面的受光强度。
        """
        light = np.maximum(self._along(_UPPER_LEFT, normals), 0)
        light *= _KEY
        light += normals[1] * _SKY
        light += _AMBIENT
        return light

    def mirrored(self, ways: Sequence[Array], roughness: Array | np.float32) -> Array:
        """How much light comes along directions away from a surface, blurred by its roughness.

        这个方法计算金属表面反射的光照强度。
        """
        sharpness = np.float32(0.9) / (roughness * roughness + np.float32(0.025))
        share = sharpness / (sharpness + 3)
        light = self._along((0, 0, _DIM[1]), ways)
        light += np.float32(_DIM[0])
        for place, strength in _LAMPS:
            lobe = self._along(place, ways)
            lobe -= 1
            lobe *= sharpness
            light += np.exp(lobe) * share * np.float32(strength)
        return light

    def _along(self, direction: tuple[float, float, float], vectors: Sequence[Array]) -> Array:
        """How far each vector goes in a direction given by right, up and back."""
        x, y, z = (np.array(direction) @ self._axes).astype(np.float32)
        along: Array = vectors[0] * x + vectors[1] * y + vectors[2] * z
        return along


def tarnish(colour: Array, roughness: Array) -> Array:
    """What is left of metal's colour, 0..1, as a share: light between its facets is coloured twice.

    After C. Fdez-Aguera, "A multiple-scattering microfacet model for real-time image-based
    lighting" (2019), as three.js has it; the share reflected at once is fitted to its own.

    这个函数计算粗糙金属颜色变深的比例。
    """
    at_once = 1 - np.float32(0.55) * roughness
    mean = colour * np.float32(20 / 21) + np.float32(1 / 21)
    left: Array = at_once / (1 - (1 - at_once) * mean)
    return left
