"""Which pixels one sample in the middle does not do justice to.

They lie at outlines and folds, where surfaces meet, and where something thinner than a pixel passes
between the middles: found in the picture itself, by steps of depth, light and surface, and by the
corners and slim triangles that the picture misses.

这个模块找出需要平滑的像素。
"""

from __future__ import annotations

import numpy as np

from shared.artifacts.render.raster import SMALL, Array, Budget, ZBuffer
from shared.artifacts.render.scene import Scene

_FOLD = np.float32(0.06)
"""A step of light, of about 1, between two pixels from which on their edge is smoothed."""

_STEP = 2
"""A step of depth, as far as so many pixels are wide, from which on there is an edge."""

_CELL = 2 * SMALL


def find_edges(
    scene: Scene,
    screen: Array,
    layers: list[ZBuffer],
    light: Array,
    pixel: float,
    budget: Budget,
) -> Array:
    """The pixels (n,), row * side + column and ascending, that are to be sampled again.

    `layers` are what is solid, and the see-through ones before it, the nearest first; `screen` is
    (3, n) x, y in pixels and depth; `light` is how strongly each pixel is lit; `pixel` how far it
    is from one to the next at the distance of 1.

    这个函数列出需要再次采样的像素。
    """
    side = layers[0].side
    edges = np.zeros((side, side), bool)
    step = np.float32(_STEP * pixel)
    _mark_both(edges, *(np.abs(change) > _FOLD for change in _changes(light.reshape(side, side))))
    for layer in layers[:2]:
        depth = layer.depths().reshape(side, side)
        # A plane's depth changes evenly over the screen, however steep it is: that is no edge.
        edges[:, 1:-1] |= np.abs(2 * depth[:, 1:-1] - depth[:, :-2] - depth[:, 2:]) > step
        edges[1:-1] |= np.abs(2 * depth[1:-1] - depth[:-2] - depth[2:]) > step
        sample, faces = layer.hits()
        numbers = scene.surface.take(faces)
        if len(numbers) and numbers.min() != numbers.max():
            surface = np.full((side, side), -1, np.int32)
            surface.reshape(-1)[sample] = numbers
            _mark_both(edges, *(change != 0 for change in _changes(surface)))
        _mark_missed(edges, _along_slim(scene, screen, layer, budget), depth, step)
    _mark_missed(edges, screen, layers[0].depths(), step)
    return np.flatnonzero(edges).astype(np.int32)


def near(pixels: Array, side: int, screen: Array) -> Array:
    """Which places of the `screen` (3, n) lie less than _CELL pixels away from one of `pixels`.

    Some lie further away, but no more than twice as far.

    这个函数找出靠近给定像素的点。
    """
    row, column = np.divmod(pixels, np.int32(side))
    cells = side // _CELL + 3
    marked = np.zeros((cells, cells), bool)
    for down in range(3):
        for across in range(3):
            marked[row // _CELL + down, column // _CELL + across] = True
    x, y = (np.clip(axis, 0, side - 1) * np.float32(1 / _CELL) for axis in screen[:2])
    cell = (y.astype(np.int32) + 1) * np.int32(cells) + x.astype(np.int32) + 1
    found: Array = marked.reshape(-1).take(cell, mode="clip")
    return found


def _changes(picture: Array) -> tuple[Array, Array]:
    return picture[:, 1:] - picture[:, :-1], picture[1:] - picture[:-1]


def _mark_both(edges: Array, across: Array, down: Array) -> None:
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down


def _mark_missed(edges: Array, places: Array, depth: Array, step: np.float32) -> None:
    """Mark the pixels of places (3, n) that lie before what their pixels' middles show, and others
    next to them: what is small may have its corners in every second pixel only.

    标记被中心采样遗漏的像素及其邻居。
    """
    side = len(edges)
    x, y, z = places
    column, row = x.astype(np.int32), y.astype(np.int32)
    inside = (column >= 0) & (row >= 0) & (column < side) & (row < side)
    pixel = np.where(inside, row * np.int32(side) + column, 0)
    missed = inside & (depth.reshape(-1).take(pixel) - z > step)
    found, marked = pixel[missed], edges.reshape(-1)
    for beside in (0, -1, 1, -side, side):
        marked[np.clip(found + beside, 0, side * side - 1)] = True


def _along_slim(scene: Scene, screen: Array, layer: ZBuffer, budget: Budget) -> Array:
    """Places (3, n), a pixel apart, along the longest edges of a layer's slim triangles.

    细长三角形最长边上的采样点。
    """
    slim = np.concatenate([np.zeros(0, np.int32), *layer.slim])
    corner = scene.faces.take(slim, axis=0).T
    x, y = screen[0].take(corner), screen[1].take(corner)
    length = np.hypot(x[[1, 2, 0]] - x, y[[1, 2, 0]] - y)
    edge, each = length.argmax(axis=0), np.arange(len(slim))
    start, end = corner[edge, each], corner[(edge + 1) % 3, each]
    count = length.max(axis=0, initial=0).astype(np.int32) + 2
    budget.spend(int(count.sum(dtype=np.int64)))
    which = np.repeat(each, count)
    step = np.arange(len(which)) - (np.cumsum(count) - count)[which]
    share = (step / (count[which] - 1)).astype(np.float32)
    first, last = screen[:, start[which]], screen[:, end[which]]
    places: Array = first + (last - first) * share
    return places
