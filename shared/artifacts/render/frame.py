"""From a scene and a camera to pixels: what each one shows, and smooth edges where edges are.

Every pixel is sampled once, in its middle. Where that is not enough – at outlines, folds, where
two surfaces meet, where something thinner than a pixel passes between the middles – it is sampled
again in eight places. Of see-through surfaces the nearest few are drawn, the farthest first.

这个模块由场景和相机得到像素，并只在边缘处平滑。
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.artifacts.render.camera import Camera
from shared.artifacts.render.materials import Surface
from shared.artifacts.render.raster import CENTRE, EIGHT, Array, Budget, ZBuffer
from shared.artifacts.render.scene import Scene
from shared.artifacts.render.shading import Shader

BUDGET = 150_000_000
"""Triangles, rows and samples looked at for one picture: some seconds of work, far above usual."""

LAYERS = 4
"""Of see-through surfaces, one before the other."""

_PIXELS_AT_ONCE = 1 << 16
"""Smoothed at once: eight samples of each, some 60 MB of them."""

_SOLID, _CUT_OUT, _GLASS = range(3)
_FOLD = np.float32(0.06)
"""A step of light, of 1, between two pixels from which on their edge is smoothed."""

_STEP = 2
"""A step of depth, as far as so many pixels are wide, from which on there is an edge."""


@dataclass(frozen=True)
class Frame:
    """A drawn scene: `colour` (side * side, 4) is sRGB times cover, and cover, 0..1.

    `shown` (side * side) says whether a pixel's middle shows the model. `shaded` counts the samples
    that were coloured, `smoothed` the pixels that were sampled more than once.

    这个类保存绘制好的画面。
    """

    colour: Array
    shown: Array
    shaded: int
    smoothed: int


def draw_frame(scene: Scene, camera: Camera, side: int) -> Frame:
    """Draw a scene, `side` pixels wide and high. Raises PreviewError.

    这个函数把场景绘制成画面。
    """
    painter = _Painter(scene, camera, side)
    layers = painter.layers()
    colour, light = painter.painted(layers)
    edges = np.zeros((side, side), bool)
    for layer in layers[:2]:
        _mark_edges(edges, painter, layer, light)
    painter.mark_slim(edges, layers[0].depths())
    pixels = np.flatnonzero(edges).astype(np.int32)
    for first in range(0, len(pixels), _PIXELS_AT_ONCE):
        some = pixels[first : first + _PIXELS_AT_ONCE]
        finer, _ = painter.painted(painter.layers(some, EIGHT))
        colour[some] = finer.reshape(len(some), len(EIGHT), 4).mean(axis=1)
    shown = layers[0].shown | layers[min(1, len(layers) - 1)].shown
    return Frame(colour, shown, painter.shader.shaded, len(pixels))


class _Painter:
    """Draws one scene on one screen, as often as asked."""

    def __init__(self, scene: Scene, camera: Camera, side: int) -> None:
        self.scene, self.side = scene, side
        self.step = np.float32(_STEP * 2 * camera.tangent / side)
        self._screen = _projected(scene, camera, side)
        self._budget = Budget(BUDGET)
        self.shader = Shader(scene, camera, self._screen)
        both = np.array([surface.double_sided for surface in scene.surfaces])
        self._both = both.take(scene.surface)
        modes = np.array([_mode(surface) for surface in scene.surfaces], np.int8)
        mode = modes.take(scene.surface)
        self._of_mode = [np.flatnonzero(mode == wanted) for wanted in (_CUT_OUT, _GLASS)]
        alone = not any(len(faces) for faces in self._of_mode)
        self._solid = None if alone else np.flatnonzero(mode == _SOLID)

    def layers(self, pixels: Array | None = None, offsets: Array = CENTRE) -> list[ZBuffer]:
        """What is solid, and then the see-through layers before it, the nearest first.

        绘制实体层和透明层。
        """

        def buffer() -> ZBuffer:
            return ZBuffer(self.side, self._budget, pixels, offsets)

        solid, (cut_out, glass) = buffer(), self._of_mode
        self._draw(solid, self._solid, None)
        self._draw(solid, cut_out, (None, solid.keys))
        layers, behind = [solid], None
        while len(glass) and len(layers) <= LAYERS:
            layer = buffer()
            self._draw(layer, glass, (behind, solid.keys))
            if not layer.shown.any():
                break
            layers.append(layer)
            behind = layer.keys
        return layers

    def _draw(
        self, layer: ZBuffer, which: Array | None, between: tuple[Array | None, Array] | None
    ) -> None:
        faces, both = self.scene.faces, self._both
        if which is not None:
            faces, both = faces.take(which, axis=0), both.take(which)
        keep = None if between is None else self.shader.opaque_enough
        layer.draw(self._screen, faces, which, both_sides=both, keep=keep, between=between)

    def painted(self, layers: list[ZBuffer]) -> tuple[Array, Array]:
        """Colour times cover, and cover, of every sample (n, 4); how strongly the front is lit.

        给各层着色并叠加。
        """
        count = len(layers[0].keys)
        colour, light = np.zeros((count, 4), np.float32), np.zeros(count, np.float32)
        for layer in (layers[0], *layers[:0:-1]):
            sample, faces = layer.hits()
            if not len(sample):
                continue
            found, light[sample] = self.shader.colours(faces, *layer.places(sample))
            if layer is layers[0]:
                found[:, 3] = 1
                colour[sample] = found
            else:
                found[:, :3] *= found[:, 3:]
                colour[sample] = found + colour[sample] * (1 - found[:, 3:])
        return colour, light

    def mark_slim(self, edges: Array, depth: Array) -> None:
        """Mark pixels whose middle misses what a corner or a thin triangle has before it.

        标记被细小部件穿过的像素。
        """
        for x, y, z in (self._screen, self._along_slivers()):
            with np.errstate(invalid="ignore"):
                column, row = x.astype(np.int32), y.astype(np.int32)
            inside = (column >= 0) & (row >= 0) & (column < self.side) & (row < self.side)
            pixel = np.where(inside, row * np.int32(self.side) + column, 0)
            missed = np.flatnonzero(inside & (depth.take(pixel) - z > self.step))
            edges.reshape(-1)[pixel.take(missed)] = True

    def _along_slivers(self) -> Array:
        """Places (3, n), a pixel apart, along the longest edges of triangles less than that high.

        细长三角形最长边上的采样点。
        """
        found = [np.zeros((3, 0), np.float32)]
        for first in range(0, len(self.scene.faces), _PIXELS_AT_ONCE):
            corner = self.scene.faces[first : first + _PIXELS_AT_ONCE].T
            x, y = self._screen[0].take(corner), self._screen[1].take(corner)
            wide, high = x[[1, 2, 0]] - x, y[[1, 2, 0]] - y
            length = wide * wide + high * high
            longest = length.max(axis=0)
            area = wide[0] * high[1] - wide[1] * high[0]
            slim = np.flatnonzero((longest > 2) & (area * area < 2 * longest) & (longest < 1e7))
            edge = length.take(slim, axis=1).argmax(axis=0)
            start, end = corner[edge, slim], corner[(edge + 1) % 3, slim]
            count = np.sqrt(longest.take(slim)).astype(np.int32) + 2
            self._budget.spend(int(count.sum(dtype=np.int64)))
            total = np.repeat(np.arange(len(slim)), count)
            ends = np.cumsum(count)
            share = (np.arange(len(total)) - (ends - count)[total]) / (count[total] - 1)
            from_, to = self._screen[:, start[total]], self._screen[:, end[total]]
            found.append(from_ + (to - from_) * share.astype(np.float32))
        return np.concatenate(found, axis=1)


def _projected(scene: Scene, camera: Camera, side: int) -> Array:
    """Every point's x and y in pixels, y down, and its depth, 1 - nearest / distance: (3, n).

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
    return screen


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


def _mark_edges(edges: Array, painter: _Painter, layer: ZBuffer, light: Array) -> None:
    """Mark pixels beside which depth, light or surface change at once.

    标记深度、光照或表面突变处的像素。
    """
    depth = layer.depths().reshape(edges.shape)
    bend = np.abs(2 * depth[:, 1:-1] - depth[:, :-2] - depth[:, 2:]) > painter.step
    edges[:, 1:-1] |= bend
    bend = np.abs(2 * depth[1:-1] - depth[:-2] - depth[2:]) > painter.step
    edges[1:-1] |= bend
    light = light.reshape(edges.shape)
    _mark_both(
        edges,
        np.abs(light[:, 1:] - light[:, :-1]) > _FOLD,
        np.abs(light[1:] - light[:-1]) > _FOLD,
    )
    if len(painter.scene.surfaces) > 2:
        sample, faces = layer.hits()
        surface = np.full(edges.shape, -1, np.int32)
        surface.reshape(-1)[sample] = painter.scene.surface.take(faces)
        _mark_both(edges, surface[:, 1:] != surface[:, :-1], surface[1:] != surface[:-1])


def _mark_both(edges: Array, across: Array, down: Array) -> None:
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down


def _mode(surface: Surface) -> int:
    if surface.mode == "MASK":
        return _CUT_OUT
    return _GLASS if surface.shows_through else _SOLID
