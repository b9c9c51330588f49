"""A whole model as one heap of triangles in the world, ready to be drawn.

Points are moved to the origin and scaled so that the model's half-diagonal is 1: afterwards 32-bit
floats are exact enough for a model of any size, anywhere. Lines and points become pairs of
triangles without any size of their own: the camera makes them one pixel wide.

这个模块把整个模型合并成一堆世界坐标中的三角形。
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from shared.artifacts.gltf import mesh
from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.document import LINE_LOOP, LINE_STRIP, LINES, POINTS, Primitive
from shared.artifacts.gltf.instances import Drawn, drawn, placed_normals, placed_points
from shared.artifacts.render.materials import PLAIN, Shelf, Surface
from shared.artifacts.render.raster import Array, PreviewError

MAX_PARTS = 20_000
MAX_TRIANGLES = 8_000_000
MAX_VERTICES = 12_000_000
"""Seconds of reading, about a gigabyte; a generator's largest models have 2 million triangles."""

_THIN = (POINTS, LINES, LINE_LOOP, LINE_STRIP)


@dataclass(frozen=True)
class Scene:
    """Triangles of the shown scene, with `surfaces` to colour them.

    `points` (n, 3) are scaled: world = point * `scale` + `centre`. `normals` are (n, 3), zero where
    the file has none, or None where no part has any; `uvs` hold (n, 2) for each of a surface's
    `layouts`; `colours` (n, 4) 8-bit and linear, or None. `faces` (m, 3) are rows of the points,
    counterclockwise from in front; `surface` (m,) says which of the `surfaces` each face has. The
    last 4 x `strokes` points, and 2 x `strokes` faces, are those of lines: each end twice.

    这个类保存待绘制的全部三角形。
    """

    points: Array
    normals: Array | None
    uvs: tuple[Array, ...]
    colours: Array | None
    faces: Array
    surface: Array
    surfaces: tuple[Surface, ...]
    strokes: int
    centre: Array
    scale: float
    warnings: tuple[str, ...]


def layouts(surface: Surface) -> tuple[int, ...]:
    """The n of every TEXCOORD_n that a surface's textures are laid out by, ascending.

    这个函数列出材质贴图用到的纹理坐标组。
    """
    return tuple(sorted({texture.coordinates for texture in surface.textures}))


def read_scene(container: Container) -> Scene:
    """Read all that the shown scene draws.

    Raises PreviewError where there is nothing to draw or too much of it.

    这个函数读取场景中所有可绘制的内容。
    """
    try:
        parts = [part for part in drawn(container) if _strokes(part.primitive) or _faces(part)]
        _check_size(parts)
        with np.errstate(all="ignore"):
            return _Gathered(container, parts).scene()
    except mesh.Unreadable as error:
        raise PreviewError(f"no preview: {error}") from None


def _check_size(parts: list[Drawn]) -> None:
    if not parts:
        raise PreviewError("the scene has no triangles to draw")
    triangles = sum(_faces(part) + 2 * _strokes(part.primitive) for part in parts)
    vertices = sum(part.primitive.vertices + 4 * _strokes(part.primitive) for part in parts)
    if len(parts) > MAX_PARTS or triangles > MAX_TRIANGLES or vertices > MAX_VERTICES:
        raise PreviewError(
            f"{len(parts)} parts, {triangles} triangles, {vertices} vertices: too many to draw"
        )


def _faces(part: Drawn) -> int:
    return part.primitive.triangles


def _strokes(primitive: Primitive) -> int:
    """How many lines and points a primitive draws at most."""
    return primitive.elements if primitive.mode in _THIN else 0


@dataclass
class _Read:
    """What is the same wherever a primitive is drawn: its triangles or lines, colours and UVs."""

    order: Array
    colours: Array
    uvs: list[Array]


class _Gathered:
    """All parts of a scene, one after another, with the surfaces of their materials."""

    def __init__(self, container: Container, parts: list[Drawn]) -> None:
        self._container, self._parts = container, parts
        named = {part.primitive.material for part in parts}
        materials = sorted(index for index in named if index is not None)
        shelf = Shelf(container, len(materials))
        read = [PLAIN, *(shelf.surface(index) for index in materials)]
        self._number: dict[int | None, int] = {None: 0}
        self._number.update((index, place) for place, index in enumerate(materials, start=1))
        self.surfaces = (*read, *(_line_surface(surface) for surface in read))
        self.warnings = shelf.warnings
        self._lines = len(read)
        self._known: dict[int, _Read] = {}
        attributes = {name for part in parts for name in part.primitive.attributes}
        self._coloured, self._smooth = "COLOR_0" in attributes, "NORMAL" in attributes
        self._layouts = max((len(layouts(surface)) for surface in read), default=0)

    def scene(self) -> Scene:
        """Read it all.

        这个方法读取并合并全部内容。
        """
        points = [np.concatenate(list(placed_points(self._container, p))) for p in self._parts]
        read = [self._read(part.primitive) for part in self._parts]
        faces, surface, ends, line_surface = self._joined_faces(points, read)
        count = sum(len(part) for part in points)
        added = np.arange(count, count + 4 * len(ends), dtype=np.uint32).reshape(-1, 4)
        twice = ends.repeat(2, axis=1).reshape(-1)
        if len(ends):
            points.append(np.concatenate(points)[twice])
            faces = np.concatenate([faces, added[:, [0, 1, 2, 1, 3, 2]].reshape(-1, 3)])
            surface = np.concatenate([surface, line_surface.repeat(2)])
        placed, centre, scale = _centred(points, faces)
        layers = range(self._layouts)
        return Scene(
            points=placed,
            normals=self._normals(twice),
            uvs=tuple(_rows([one.uvs[layer] for one in read], twice) for layer in layers),
            colours=_rows([one.colours for one in read], twice) if self._coloured else None,
            faces=faces,
            surface=surface,
            surfaces=self.surfaces,
            strokes=len(ends),
            centre=centre,
            scale=scale,
            warnings=tuple(self.warnings),
        )

    def _joined_faces(
        self, points: list[Array], read: list[_Read]
    ) -> tuple[Array, Array, Array, Array]:
        """All triangles and the surface of each, all lines' ends and the surface of each.

        合并三角形与线段。
        """
        none = np.zeros(0, np.int32)
        faces: list[Array] = [none.astype(np.uint32).reshape(0, 3)]
        ends: list[Array] = [none.astype(np.uint32).reshape(0, 2)]
        surface: list[Array] = [none]
        line_surface: list[Array] = [none]
        first = 0
        for part, placed, one in zip(self._parts, points, read, strict=True):
            number = self._number[part.primitive.material]
            order = one.order[:, ::-1] if part.mirrored else one.order
            if part.primitive.mode in _THIN:
                ends.append(order + np.uint32(first))
                line_surface.append(np.full(len(order), number + self._lines, np.int32))
            else:
                faces.append(order + np.uint32(first))
                surface.append(np.full(len(order), number, np.int32))
            first += len(placed)
        joined = (np.concatenate(some) for some in (faces, surface, ends, line_surface))
        return next(joined), next(joined), next(joined), next(joined)

    def _normals(self, twice: Array) -> Array | None:
        if not self._smooth:
            return None
        return _rows([placed_normals(self._container, part) for part in self._parts], twice)

    def _read(self, primitive: Primitive) -> _Read:
        """A primitive's own arrays, read once however often it is drawn.

        读取部件自身的数据。
        """
        known = self._known.get(id(primitive))
        if known is not None:
            return known
        thin = primitive.mode in _THIN
        order = (_ends if thin else mesh.read_triangles)(self._container, primitive)
        if order.size and int(order.max()) >= primitive.vertices:
            raise PreviewError("no preview: an index names a vertex that is not there")
        colours: Array = np.zeros((0, 4), np.uint8)
        if self._coloured:
            colours = mesh.read_attribute(self._container, primitive, "COLOR_0", 4, 1)
            colours = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
        sets = layouts(self.surfaces[self._number[primitive.material]])
        names = [f"TEXCOORD_{number}" for number in sets]
        uvs = [mesh.read_attribute(self._container, primitive, name, 2, 0) for name in names]
        bare = np.broadcast_to(np.zeros(2, np.float32), (primitive.vertices, 2))
        known = _Read(order, colours, uvs + [bare] * (self._layouts - len(uvs)))
        self._known[id(primitive)] = known
        return known


def _line_surface(surface: Surface) -> Surface:
    """A material as lines and points show it: the base colour alone, unlit, from both sides."""
    return replace(
        surface, unlit=True, double_sided=True, emission=np.zeros(3, np.float32), metallic=0.0
    )


def _ends(container: Container, primitive: Primitive) -> Array:
    """The two ends of each line, (n, 2) vertex numbers; a point is a line from itself to itself.

    每条线段的两个端点。
    """
    order = mesh.read_order(container, primitive)
    if primitive.mode == POINTS:
        return np.stack([order, order], axis=1)
    if primitive.mode == LINES:
        return order[: len(order) // 2 * 2].reshape(-1, 2)
    ends = np.stack([order[:-1], order[1:]], axis=1)
    if primitive.mode == LINE_LOOP and len(order) > 2:
        ends = np.concatenate([ends, [[order[-1], order[0]]]])
    return ends.astype(np.uint32, copy=False)


def _rows(parts: list[Array], twice: Array) -> Array:
    """The rows of all parts, and those of the lines' ends twice."""
    rows = np.concatenate(parts)
    return np.concatenate([rows, rows[twice]]) if len(twice) else rows


def _centred(parts: list[Array], faces: Array) -> tuple[Array, Array, float]:
    """All points moved and scaled, and by what; those that no triangle uses are left out as NaN.

    `parts` is emptied on the way, so that no more than one part is in memory twice.

    居中并缩放。
    """
    used = np.zeros(sum(len(part) for part in parts), bool)
    used[faces] = True
    low, high, first = np.full(3, np.inf), np.full(3, -np.inf), 0
    for part in parts:
        here = used[first : first + len(part)]
        here &= np.isfinite(part).all(axis=1)
        seen = part if here.all() else part[here]
        if len(seen):
            low, high = np.minimum(low, seen.min(axis=0)), np.maximum(high, seen.max(axis=0))
        first += len(part)
    if not used.any():
        raise PreviewError("no triangle of the scene lies anywhere")
    centre, scale = (low + high) / 2, float(np.linalg.norm((high - low) / 2))
    if not 0 < scale < 1e300:
        raise PreviewError("the scene has no size")
    placed = np.empty((len(used), 3), np.float32)
    while parts:
        part = parts.pop()
        placed[first - len(part) : first] = (part - centre) / scale
        first -= len(part)
    placed[~used] = np.nan
    return placed, centre, scale
