"""Colour for what the z-buffer found: each visible sample is looked up, textured and lit once.

Drawing first finds which triangle each sample shows; only then are colours computed, so the cost
of a texture or a light does not depend on how many triangles lie behind one another.

这个模块为每个可见像素计算颜色和光照。
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.artifacts.render.camera import Camera
from shared.artifacts.render.materials import Surface
from shared.artifacts.render.raster import Array, ZBuffer
from shared.artifacts.render.scene import Scene

BUDGET = 100_000_000
"""Rows and pixels of triangles in one picture: some seconds of work, fifty times the usual."""

_SAMPLES_AT_ONCE = 1 << 17
_BARELY = 1 / 64
"""What is less opaque than this is not there."""

_SOLID, _CUT_OUT, _GLASS = range(3)


def _rgb(*parts: float) -> Array:
    return np.array(parts, np.float32)


_SKY, _GROUND = _rgb(0.40, 0.415, 0.44), _rgb(0.20, 0.19, 0.18)
_KEY, _FILL = _rgb(0.66, 0.64, 0.60), _rgb(0.10, 0.11, 0.13)


@dataclass(frozen=True)
class Frame:
    """A drawn scene: the solid layer, and the nearest see-through surface in front of it.

    `screen` holds each point's x and y in samples and its depth, 1 - nearest / distance.

    这个类保存一次绘制得到的两层深度缓冲。
    """

    scene: Scene
    camera: Camera
    screen: Array
    solid: ZBuffer
    glass: ZBuffer

    @staticmethod
    def draw(scene: Scene, camera: Camera, side: int) -> Frame:
        """Find what each of `side` x `side` samples shows. Raises PreviewError.

        这个方法找出每个采样点看到的三角形。
        """
        seen = camera.project(scene.points)
        near = max(float(np.nanmin(seen[:, 2])) * 0.999, 1e-6)
        screen = np.empty_like(seen)
        screen[:, 0] = (seen[:, 0] + 1) * (side / 2)
        screen[:, 1] = (1 - seen[:, 1]) * (side / 2)
        screen[:, 2] = 1 - near / seen[:, 2]
        solid, glass = ZBuffer(side, BUDGET), ZBuffer(side, BUDGET)
        frame = Frame(scene, camera, screen, solid, glass)
        modes = np.array([_mode(surface) for surface in scene.surfaces])[scene.surface]
        for mode, layer in ((_SOLID, solid), (_CUT_OUT, solid), (_GLASS, glass)):
            which = np.flatnonzero(modes == mode)
            keep = None if mode == _SOLID else frame._opaque_enough
            layer.draw(screen, scene.faces[which], which, keep)
        return frame

    def shaded(self) -> tuple[Array, Array]:
        """Linear colour times cover (side, side, 3), and cover (side, side, 1), of every sample.

        这个方法计算每个采样点的颜色和覆盖度。
        """
        side = self.solid.side
        light = np.zeros((side, side, 3), np.float32)
        cover = np.zeros((side, side, 1), np.float32)
        in_front = self.glass.depths() < self.solid.depths()
        for layer in (self.solid, self.glass):
            rows, columns, faces = layer.hits()
            if layer is self.glass:
                front = in_front[rows, columns]
                rows, columns, faces = rows[front], columns[front], faces[front]
            for first in range(0, len(rows), _SAMPLES_AT_ONCE):
                part = slice(first, first + _SAMPLES_AT_ONCE)
                place = rows[part], columns[part]
                colour = self._colours(faces[part], *place)
                alpha = colour[:, 3:] if layer is self.glass else np.float32(1)
                light[place] = colour[:, :3] * alpha + light[place] * (1 - alpha)
                cover[place] = alpha + cover[place] * (1 - alpha)
        return light, cover

    def _opaque_enough(self, faces: Array, second: Array, third: Array) -> Array:
        alpha = self._base_colours(faces, self._perspective(faces, second, third))[:, 3]
        cutoffs = [s.cutoff if s.mode == "MASK" else _BARELY for s in self.scene.surfaces]
        result: Array = alpha >= np.array(cutoffs)[self.scene.surface[faces]]
        return result

    def _perspective(self, faces: Array, second: Array, third: Array) -> Array:
        """Weights on the screen to weights on the surface: each divided by its distance."""
        weights = np.stack([1 - second - third, second, third], axis=1).astype(np.float32)
        weights *= 1 - self.screen[:, 2][self.scene.faces[faces]]
        weights /= weights.sum(axis=1, keepdims=True)
        return weights

    def _weights(self, faces: Array, row: Array, column: Array) -> Array:
        corners = self.screen[self.scene.faces[faces], :2]
        one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        x = column + np.float32(0.5) - corners[:, 0, 0]
        y = row + np.float32(0.5) - corners[:, 0, 1]
        area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
        area = np.where(area == 0, np.float32(1), area)
        second = np.clip((x * two[:, 1] - y * two[:, 0]) / area, 0, 1)
        third = np.clip((y * one[:, 0] - x * one[:, 1]) / area, 0, 1 - second)
        return self._perspective(faces, second, third)

    def _colours(self, faces: Array, row: Array, column: Array) -> Array:
        """Linear red, green, blue and alpha of these faces at these samples.

        采样点的颜色。
        """
        weights = self._weights(faces, row, column)
        colour = self._base_colours(faces, weights)
        scale = np.float32(2 / self.solid.side)
        view = -self.camera.ways(
            (column + np.float32(0.5)) * scale - 1, 1 - (row + np.float32(0.5)) * scale
        )
        lit = np.array([not s.unlit for s in self.scene.surfaces])[self.scene.surface[faces]]
        shown = self._lit(self._normals(faces, weights), view, colour[:, :3])
        colour[lit, :3] = shown[lit]
        return colour

    def _normals(self, faces: Array, weights: Array) -> Array:
        """The file's normals between the corners, or the triangle's own where it has none."""
        corners = self.scene.faces[faces]
        normal = _mixed(self.scene.normals[corners], weights)
        bare = np.flatnonzero(_dot(normal, normal)[:, 0] < 1e-6)
        points = self.scene.points[corners[bare]]
        normal[bare] = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
        return _unit(normal)

    def _lit(self, normal: Array, view: Array, base: Array) -> Array:
        """Key light from the upper left, a soft sky over a warm ground, a little shine and rim.

        光照计算。
        """
        facing = _dot(normal, view)
        normal = np.where(facing < 0, -normal, normal)
        camera = self.camera
        key = _unit(camera.back * 0.7 + camera.up * 0.8 - camera.right * 0.7).astype(np.float32)
        fill = _unit(camera.back * 0.5 + camera.up * 0.1 + camera.right).astype(np.float32)
        up = normal[:, 1:2] * np.float32(0.5) + np.float32(0.5)
        strength = _GROUND + (_SKY - _GROUND) * up
        strength += _KEY * _soft(normal @ key)
        strength += _FILL * _soft(normal @ fill)
        shine = np.clip(_dot(normal, _unit(key + view)), 0, 1) ** 32
        rim = (1 - np.abs(facing)) ** 4
        return _toned(base * strength + np.float32(0.05) * shine + np.float32(0.05) * rim * up)

    def _base_colours(self, faces: Array, weights: Array) -> Array:
        """Vertex colour times factor times texture, linear, with alpha.

        采样点的基础颜色。
        """
        corners = self.scene.faces[faces]
        colours: Array = np.ones((len(faces), 4), np.float32)
        if self.scene.colours is not None:
            colours = _mixed(self.scene.colours[corners].astype(np.float32), weights)
            colours *= np.float32(1 / 255)
        number = self.scene.surface[faces]
        for index in np.flatnonzero(np.bincount(number)):
            surface, here = self.scene.surfaces[index], number == index
            colours[here] *= surface.colour
            if surface.texture is not None:
                uv = _mixed(self.scene.uvs[corners[here]], weights[here])
                colours[here] *= surface.texture.sample(uv)
        return colours


def _toned(light: Array) -> Array:
    """Leave colours alone up to a knee, then bend softly towards white instead of clipping."""
    knee, room = np.float32(0.65), np.float32(0.35)
    bent = knee + room * (1 - np.exp(-np.maximum(light - knee, 0) / room))
    toned: Array = np.where(light < knee, light, bent)
    return toned


def _mode(surface: Surface) -> int:
    if surface.mode == "MASK":
        return _CUT_OUT
    return _GLASS if surface.shows_through else _SOLID


def _mixed(corners: Array, weights: Array) -> Array:
    result: Array = np.einsum("nci,nc->ni", corners, weights)
    return result


def _dot(one: Array, two: Array) -> Array:
    products: Array = np.einsum("ni,ni->n", one, two)[:, None]
    return products


def _unit(vector: Array) -> Array:
    length = np.sqrt(np.einsum("...i,...i->...", vector, vector))[..., None]
    result: Array = vector / np.maximum(length, 1e-20)
    return result


def _soft(cosine: Array) -> Array:
    """Light that reaches a little round the corner, as from a large soft source."""
    light: Array = np.clip((cosine + np.float32(0.2)) / np.float32(1.2), 0, 1)[:, None]
    return light
