"""Colour for what the z-buffer found: each sample that is seen is looked up, textured and lit once.

Drawing first finds which triangle each sample shows; only then are colours computed, so the cost
of a texture or a light does not depend on how many triangles lie behind one another.

Colours become sRGB here, before they are mixed: a browser blends and smooths what is already coded,
and so does the preview.

这个模块为每个可见采样点计算颜色和光照。
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from shared.artifacts.render.camera import Camera
from shared.artifacts.render.interpolation import Samples, Seen
from shared.artifacts.render.lighting import Lighting, tarnish
from shared.artifacts.render.materials import Surface
from shared.artifacts.render.raster import Array
from shared.artifacts.render.scene import Scene, layouts
from shared.artifacts.render.textures import Texture

_BARELY = 1 / 64
"""What is less opaque than this is not there."""

_SAMPLES_AT_ONCE = 1 << 15  # their working memory stays within a processor's cache
_SHEEN = np.float32(0.01)
"""What even a black surface reflects: between a lamp's nothing and a white environment's 4%."""

_OCCLUDED = np.float32(0.85)
"""How much of the light an occlusion texture can take: between all of an environment's and the part
that no lamp gives (scripts/bench/pictures)."""

_FULLY = np.float32(0.3)
"""How much less rough than 1 metal is from which on it mirrors alone."""

_STEPS = 4095


def coded(linear: Array) -> Array:
    """Linear light, 0..1, coded in sRGB.

    这个函数把线性光转换为 sRGB 编码。
    """
    curve = 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    result: Array = np.where(linear <= 0.0031308, linear * 12.92, curve)
    return result


_CODED = np.rint(coded(np.arange(_STEPS + 1) / _STEPS) * 255).astype(np.uint8)


class Shader:
    """Colours the samples of a scene's triangles on the `screen` (3, n) of a camera.

    The screen is `side` pixels wide and high. `shaded` counts the samples that were coloured.

    这个类为场景的采样点着色。
    """

    def __init__(self, scene: Scene, camera: Camera, screen: Array, side: int) -> None:
        self.shaded = 0
        self._scene, self._camera, self._screen, self._side = scene, camera, screen, side
        self._row = np.zeros(len(scene.faces), np.int32)
        self._lighting = Lighting(camera)

    def colours(self, faces: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """8-bit sRGB and alpha of samples (n, 4), and how strongly each is lit, of about 1 (n,).

        `faces` are what samples at `x` and `y`, in pixels, show.

        这个方法计算采样点的颜色、透明度和受光强度。
        """
        self.shaded += len(faces)
        colour, light = np.empty((len(faces), 4), np.uint8), np.empty(len(faces), np.float32)
        seen, row = self._rows(faces)
        for first in range(0, len(faces), _SAMPLES_AT_ONCE):
            part = slice(first, first + _SAMPLES_AT_ONCE)
            samples = Samples(seen, row[part], x[part], y[part])
            self._shade(samples, colour[part], light[part])
        return colour, light

    def opaque_enough(self, faces: Array, x: Array, y: Array) -> Array:
        """Whether these samples are opaque enough to be drawn at all (n,).

        这个方法判断采样点是否足够不透明。
        """
        seen, row = self._rows(faces)
        samples = Samples(seen, row, x, y)
        cutoffs = [s.cutoff if s.mode == "MASK" else _BARELY for s in self._scene.surfaces]
        enough: Array = self._base(samples)[3] >= np.array(cutoffs, np.float32)[samples.surface]
        return enough

    def _rows(self, faces: Array) -> tuple[Seen, Array]:
        """The different faces, and which of them each is."""
        self._row[faces] = -1
        different = np.flatnonzero(self._row)
        self._row[different] = np.arange(len(different), dtype=np.int32)
        row = self._row.take(faces)
        self._row[different] = 0
        return Seen(self._scene, self._camera, self._screen, different), row

    def _shade(self, samples: Samples, colour: Array, light: Array) -> None:
        """Fill in what `colours` gives, for one batch.

        计算一批采样点的颜色。
        """
        parts = self._base(samples)
        light[:], sheen = self._light(samples), np.full(len(light), _SHEEN)
        surfaces = list(self._surfaces(samples))
        for surface, here in surfaces:
            if surface.unlit:
                light[here], sheen[here] = 1, 0
            elif surface.metallic:
                self._plate(surface, samples, here, parts, light, sheen)
        for part in parts[:3]:
            part *= light
            part += sheen
        for surface, here in surfaces:
            if surface.occlusion_texture is not None:
                dim = self._occluded(surface, surface.occlusion_texture, samples, here)
                for part in parts[:3]:
                    part[here] *= dim
            if surface.transmission:
                alpha = parts[3][here] if surface.mode == "BLEND" else np.float32(1)
                parts[3][here] = alpha * np.float32(1 - surface.transmission)
            if surface.emission.any():
                for part, glow in zip(parts, self._emitted(surface, samples, here), strict=False):
                    part[here] += glow
        _code(parts, colour)

    def _light(self, samples: Samples) -> Array:
        """How much light samples give back; where triangles are flat, each is lit but once."""
        normals = samples.normals()
        light = self._lighting.dull(normals.parts)
        return light if normals.row is None else light.take(normals.row)

    def _plate(
        self,
        surface: Surface,
        samples: Samples,
        here: Array | slice,
        parts: list[Array],
        light: Array,
        sheen: Array,
    ) -> None:
        """Where a surface is metal, put what it mirrors in the place of the light it gives back.

        金属表面改用反射光。
        """
        metallic: Array = np.full(1, surface.metallic, np.float32)
        roughness: Array = np.full(1, surface.roughness, np.float32)
        texture = surface.metallic_roughness_texture
        if texture is not None:
            _, green, blue = _looked_up(surface, texture, samples, here, 3)
            metallic, roughness = blue * metallic, green * roughness
        for part in parts[:3]:
            if float(part.min()) < 1:
                part[here] *= 1 + (tarnish(part[here], roughness) - 1) * metallic
        # The roughest metal mirrors so wide a surrounding that it looks like what is dull.
        metallic = metallic * np.minimum((1 - roughness) / _FULLY, 1)
        if metallic.any():
            mirrored = self._lighting.mirrored(samples.mirrored_ways(self._side, here), roughness)
            light[here] += (mirrored - light[here]) * metallic
            sheen[here] *= 1 - metallic

    def _base(self, samples: Samples) -> list[Array]:
        """Vertex colour times factor times texture, linear: red, green, blue and alpha, (n,) each.

        采样点的基础颜色。
        """
        parts = samples.colours()
        for surface, here in self._surfaces(samples):
            texture = surface.texture
            texels = None if texture is None else _looked_up(surface, texture, samples, here)
            for number, factor in enumerate(surface.colour):
                if texels is not None:
                    parts[number][here] *= texels[number] * factor
                elif factor != 1:
                    parts[number][here] *= factor
        return parts

    def _occluded(
        self, surface: Surface, texture: Texture, samples: Samples, here: Array | slice
    ) -> Array:
        """What is left of the light."""
        left: Array = _looked_up(surface, texture, samples, here, 1)[0]
        left -= 1
        left *= np.float32(surface.occlusion_strength) * _OCCLUDED
        left += 1
        return left

    def _emitted(
        self, surface: Surface, samples: Samples, here: Array | slice
    ) -> Iterable[Array | np.float32]:
        if surface.emission_texture is None:
            return list(surface.emission)
        glow = _looked_up(surface, surface.emission_texture, samples, here, 3)
        return [part * factor for part, factor in zip(glow, surface.emission, strict=True)]

    def _surfaces(self, samples: Samples) -> Iterator[tuple[Surface, Array | slice]]:
        """The surfaces that samples show, and which samples show them."""
        numbers = np.flatnonzero(np.bincount(samples.surface))
        for number in numbers:
            alone = len(numbers) == 1
            here = slice(None) if alone else np.flatnonzero(samples.surface == number)
            yield self._scene.surfaces[number], here


def _code(parts: list[Array], colour: Array) -> None:
    """Write linear red, green and blue as 8-bit sRGB, and alpha as it is, into `colour` (n, 4)."""
    for number, part in enumerate(parts):
        part = np.minimum(part, 1)
        if number == 3:
            colour[:, number] = part * np.float32(255) + np.float32(0.5)
            continue
        part *= np.float32(_STEPS)
        part += np.float32(0.5)
        _CODED.take(part.astype(np.int16), mode="clip", out=colour[:, number])


def _looked_up(
    surface: Surface, texture: Texture, samples: Samples, here: Array | slice, parts: int = 4
) -> Array:
    layer = layouts(surface).index(texture.coordinates)
    return texture.sample(*samples.uvs(layer, here), parts)
