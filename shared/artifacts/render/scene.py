"""A whole model as one heap of triangles in the world, ready to be drawn.

Points are moved to the origin and scaled so that the model's half-diagonal is 1: afterwards 32-bit
floats are exact enough for a model of any size, anywhere.

这个模块把整个模型合并成一堆世界坐标中的三角形。
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.artifacts.gltf import mesh
from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.instances import Drawn, drawn, placed_normals, placed_points
from shared.artifacts.render.materials import PLAIN, Shelf, Surface
from shared.artifacts.render.raster import Array, PreviewError

MAX_PARTS = 20_000
MAX_TRIANGLES = 8_000_000
MAX_VERTICES = 12_000_000
"""Seconds of reading, about a gigabyte; a generator's largest models have 2 million triangles."""


@dataclass(frozen=True)
class Scene:
    """Triangles of the shown scene, with `surfaces` to colour them.

    `points` (n, 3) are scaled: world = point * `scale` + `centre`. `normals` are (n, 3), zero where
    the file has none; `uvs` (n, 2); `colours` (n, 4) 8-bit, or None where no part has any; `faces`
    (m, 3) rows of the points; `surface` (m,) says which of the `surfaces` each face has.

    这个类保存待绘制的全部三角形。
    """

    points: Array
    normals: Array
    uvs: Array
    colours: Array | None
    faces: Array
    surface: Array
    surfaces: tuple[Surface, ...]
    centre: Array
    scale: float
    warnings: tuple[str, ...]


def read_scene(container: Container) -> Scene:
    """Read all that the shown scene draws with triangles.

    Raises PreviewError where there is nothing to draw or too much of it.

    这个函数读取场景中所有可绘制的三角形。
    """
    parts = [part for part in drawn(container) if part.primitive.triangles]
    triangles = sum(part.primitive.triangles for part in parts)
    vertices = sum(part.primitive.vertices for part in parts)
    if not parts:
        raise PreviewError("the scene has no triangles to draw")
    if len(parts) > MAX_PARTS or triangles > MAX_TRIANGLES or vertices > MAX_VERTICES:
        raise PreviewError(
            f"{len(parts)} parts, {triangles} triangles, {vertices} vertices: too many to draw"
        )
    try:
        with np.errstate(all="ignore"):
            return _read(container, parts)
    except mesh.Unreadable as error:
        raise PreviewError(f"no preview: {error}") from None


def _read(container: Container, parts: list[Drawn]) -> Scene:
    """All parts as one scene, with the surfaces of their materials.

    把各部分合成一个场景。
    """
    named = sorted({p.primitive.material for p in parts if p.primitive.material is not None})
    shelf = Shelf(container, len(named))
    surfaces = (PLAIN, *(shelf.surface(index) for index in named))
    numbers: dict[int | None, int] = {None: 0}
    numbers.update((index, place) for place, index in enumerate(named, start=1))
    coloured = any("COLOR_0" in part.primitive.attributes for part in parts)
    points, normals, uvs, colours, faces, surface = [], [], [], [], [], []
    count = 0
    for part in parts:
        primitive = part.primitive
        order = mesh.read_triangles(container, primitive)
        if int(order.max()) >= primitive.vertices:
            raise PreviewError("no preview: an index names a vertex that is not there")
        points.append(np.concatenate(list(placed_points(container, part))))
        normals.append(placed_normals(container, part))
        uvs.append(mesh.read_attribute(container, primitive, "TEXCOORD_0", 2, 0))
        if coloured:
            found = mesh.read_attribute(container, primitive, "COLOR_0", 4, 1)
            colours.append(np.rint(np.clip(found, 0, 1) * 255).astype(np.uint8))
        faces.append(order + np.uint32(count))
        surface.append(np.full(len(order), numbers[primitive.material], np.uint32))
        count += primitive.vertices
    corners = np.concatenate(faces)
    placed, centre, scale = _centred(np.concatenate(points), corners)
    return Scene(
        points=placed,
        normals=np.concatenate(normals),
        uvs=np.concatenate(uvs),
        colours=np.concatenate(colours) if coloured else None,
        faces=corners,
        surface=np.concatenate(surface),
        surfaces=surfaces,
        centre=centre,
        scale=scale,
        warnings=tuple(shelf.warnings),
    )


def _centred(points: Array, faces: Array) -> tuple[Array, Array, float]:
    """Points moved and scaled, and by what; those that no triangle uses are left out as NaN.

    居中并缩放。
    """
    used = np.zeros(len(points), bool)
    used[faces] = True
    used &= np.isfinite(points).all(axis=1)
    if not used.any():
        raise PreviewError("no triangle of the scene lies anywhere")
    low, high = points[used].min(axis=0), points[used].max(axis=0)
    centre, scale = (low + high) / 2, float(np.linalg.norm((high - low) / 2))
    if not 0 < scale < 1e300:
        raise PreviewError("the scene has no size")
    placed = ((points - centre) / scale).astype(np.float32)
    placed[~used] = np.nan
    return placed, centre, scale
