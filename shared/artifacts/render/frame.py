"""From a scene and a camera to pixels: what each one shows, and smooth edges where edges are.

Every pixel is sampled once, in its middle; where that is not enough, it is sampled again in eight
places. Of see-through surfaces the nearest few are drawn, the farthest of them first.

这个模块由场景和相机得到像素，并只在边缘处平滑。
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.artifacts.render.camera import Camera
from shared.artifacts.render.edges import find_edges, near
from shared.artifacts.render.materials import Surface
from shared.artifacts.render.raster import CENTRE, EIGHT, Array, Budget, ZBuffer
from shared.artifacts.render.scene import Scene
from shared.artifacts.render.shading import Shader, coded

BUDGET = 60_000_000
"""Triangles, rows and samples looked at for one picture, some seconds of work: a model of a million
triangles takes 4 to 5 million."""

LAYERS = 4
"""Of see-through surfaces, one before the other."""

_PIXELS_AT_ONCE = 1 << 16
"""Smoothed at once: eight samples of each, some 60 MB of them."""

_SOLID, _CUT_OUT, _GLASS = range(3)


@dataclass(frozen=True)
class Frame:
    """A drawn scene: `colour` (side * side, 4) is 8-bit sRGB times cover, and cover.

    `shown` (side * side) says whether a pixel's middle shows the model. `shaded` counts the samples
    that were coloured, `smoothed` the pixels that were sampled more than once. `distance` is how
    far along the view a pixel's middle shows something solid, infinite where it does not.

    这个类保存绘制好的画面。
    """

    colour: Array
    shown: Array
    distance: Array
    shaded: int
    smoothed: int


def draw_frame(scene: Scene, camera: Camera, side: int) -> Frame:
    """Draw a scene, `side` pixels wide and high. Raises PreviewError.

    这个函数把场景绘制成画面。
    """
    painter = _Painter(scene, camera, side)
    layers = painter.layers()
    colour, light = painter.painted(layers)
    smoothed = _smooth(painter, layers, colour, light)
    shown = layers[0].shown
    if len(layers) > 1:
        shown |= layers[1].shown
    depth = layers[0].depths()
    distance = np.where(depth < 1, painter.near / (1 - depth), np.float32(np.inf))
    return Frame(colour, shown, distance, painter.shader.shaded, smoothed)


def _smooth(painter: _Painter, layers: list[ZBuffer], colour: Array, light: Array) -> int:
    """Sample pixels with edges in them again, and say how many there are.

    平滑边缘像素。
    """
    scene, screen, budget = painter.scene, painter.screen, painter.budget
    pixels = find_edges(scene, screen, layers, light, painter.pixel, budget)
    groups = painter.groups_near(pixels, layers)
    for first in range(0, len(pixels), _PIXELS_AT_ONCE):
        some = pixels[first : first + _PIXELS_AT_ONCE]
        finer, _ = painter.painted(painter.layers(groups, some, EIGHT))
        total = finer.reshape(len(some), len(EIGHT), 4).sum(axis=1, dtype=np.uint16)
        colour[some] = (total + len(EIGHT) // 2) // len(EIGHT)
    return len(pixels)


class _Painter:
    """Draws one scene on one screen, as often as asked.

    `pixel` is how far it is from one pixel to the next at the distance of 1, `near` the distance
    that is 0 in depth.
    """

    def __init__(self, scene: Scene, camera: Camera, side: int) -> None:
        self.scene, self.side = scene, side
        self.pixel = 2 * camera.tangent / side
        self.screen, self.near = _projected(scene, camera, side)
        self.budget = Budget(BUDGET)
        self.shader = Shader(scene, camera, self.screen, side)
        self._tints = np.array([_tint(surface) for surface in scene.surfaces], np.float32)
        both = np.array([surface.double_sided for surface in scene.surfaces])
        self._both = both.take(scene.surface)
        modes = np.array([_mode(surface, scene) for surface in scene.surfaces], np.int8)
        mode = modes.take(scene.surface)
        self._groups = [np.flatnonzero(mode == wanted) for wanted in (_SOLID, _CUT_OUT, _GLASS)]

    def layers(
        self,
        groups: list[Array] | None = None,
        pixels: Array | None = None,
        offsets: Array = CENTRE,
    ) -> list[ZBuffer]:
        """What is solid, and then the see-through layers before it, the nearest first.

        `groups` are the solid, the cut-out and the see-through faces, else all of them.

        绘制实体层和透明层。
        """

        def buffer() -> ZBuffer:
            return ZBuffer(self.side, self.budget, pixels, offsets)

        solid, cut_out, glass = groups or self._groups
        layers, behind = [buffer()], None
        front = layers[0].keys
        self._draw(layers[0], solid)
        self._draw(layers[0], cut_out, (None, front))
        while len(glass) and len(layers) <= LAYERS:
            layer = buffer()
            self._draw(layer, glass, (behind, front))
            if not layer.shown.any():
                break
            layers.append(layer)
            behind = layer.keys
        return layers

    def _draw(
        self, layer: ZBuffer, which: Array, between: tuple[Array | None, Array] | None = None
    ) -> None:
        faces, both, names = self.scene.faces, self._both, None
        if len(which) < len(faces):
            faces, both, names = faces.take(which, axis=0), both.take(which), which
        keep = None if between is None else self.shader.opaque_enough
        layer.draw(self.screen, faces, names, both_sides=both, keep=keep, between=between)

    def groups_near(self, pixels: Array, layers: list[ZBuffer]) -> list[Array]:
        """The faces of each group that may reach one of these pixels.

        可能触及这些像素的面。
        """
        faces = near(pixels, self.side, self.screen).take(self.scene.faces[:, 0])
        for large in (large for layer in layers for large in layer.large):
            faces[large] = True
        return [which[faces.take(which)] for which in self._groups]

    def painted(self, layers: list[ZBuffer]) -> tuple[Array, Array]:
        """Colour times cover, and cover, of every sample (n, 4); how strongly the front is lit.

        给各层着色并叠加。
        """
        count = len(layers[0].keys)
        colour, light = np.zeros((count, 4), np.uint8), np.zeros(count, np.float32)
        for layer in (layers[0], *layers[:0:-1]):
            sample, faces = layer.hits()
            found, light[sample] = self.shader.colours(faces, *layer.places(sample))
            if layer is not layers[0]:
                alpha = found[:, 3:] * np.float32(1 / 255)
                found[:, 3] = 255
                behind = self._passed(faces, colour.take(sample, axis=0)) * (1 - alpha)
                found = (found * alpha + behind + np.float32(0.5)).astype(np.uint8)
            else:
                found[:, 3] = 255
            colour.view(np.uint32)[sample] = found.view(np.uint32)
        return colour, light

    def _passed(self, faces: Array, behind: Array) -> Array:
        """What is behind samples (n, 4) as it comes through them: transmission colours it.

        Where nothing is, transmission shows half a white, as three.js does: else a glass on its own
        could not be seen. Colours that are coded multiply about as light does.

        透射后的背景颜色。
        """
        if not self._tints.any():
            return behind
        surface = self.scene.surface.take(faces)
        tint = self._tints.take(surface, axis=0)
        glass = tint[:, 3:] > 0
        shown = behind + glass * (255 - behind[:, 3:]) * np.float32(0.5)
        return np.where(glass, shown * tint, shown)


def _projected(scene: Scene, camera: Camera, side: int) -> tuple[Array, float]:
    """Every point's x and y in pixels, y down, and depth, 1 - near / distance: (3, n); and near.

    把所有点投影到屏幕上。
    """
    seen = camera.project(scene.points)
    near = max(float(np.nanmin(seen[:, 2])) * 0.999, 1e-6)
    screen = np.empty((3, len(seen)), np.float32)
    screen[0] = (seen[:, 0] + 1) * (side / 2)
    screen[1] = (1 - seen[:, 1]) * (side / 2)
    screen[2] = 1 - near / seen[:, 2]
    if scene.strokes:
        _widen(screen[:, -4 * scene.strokes :])
    return screen, near


def _widen(ends: Array) -> None:
    """Move the ends of lines, each of which is there twice, half a pixel to either side.

    A line also grows by half a pixel at each end, so that a point becomes a square of one pixel.

    把线段加宽到一个像素。
    """
    x, y = (axis.reshape(-1, 4) for axis in ends[:2])
    along = np.stack([x[:, 2] - x[:, 0], y[:, 2] - y[:, 0]])
    length = np.sqrt((along**2).sum(axis=0))
    along = np.where(length > 1e-6, along / np.maximum(length, 1e-6), [[1.0], [0.0]]) / 2
    for column, (forth, aside) in enumerate([(-1, 1), (-1, -1), (1, 1), (1, -1)]):
        x[:, column] += forth * along[0] - aside * along[1]
        y[:, column] += forth * along[1] + aside * along[0]


def _tint(surface: Surface) -> Array:
    """What transmission multiplies the colours behind by, and 1; zeros where there is none."""
    if not surface.transmission:
        return np.zeros(4, np.float32)
    tint = surface.colour[:3] * surface.attenuation
    if surface.texture is not None:
        tint = tint * surface.texture.image.mean[:3]
    return np.append(coded(tint), np.float32(1))


def _mode(surface: Surface, scene: Scene) -> int:
    """Which group a surface's faces belong to."""
    if surface.mode == "MASK":
        return _CUT_OUT
    clear = surface.mode == "BLEND" and scene.colours is not None
    if clear and scene.colours is not None and int(scene.colours[:, 3].min()) < 255:
        return _GLASS
    return _GLASS if surface.shows_through else _SOLID
