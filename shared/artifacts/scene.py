"""A whole model as one heap of triangles in the world, ready to be drawn.

Points are moved to the origin and scaled so that the model's half-diagonal is 1: afterwards 32-bit
floats are exact enough for a model of any size, anywhere.

这个模块把整个模型合并成一堆世界坐标中的三角形。
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.artifacts import mesh
from shared.artifacts.glb import Container, RangeReader
from shared.artifacts.materials import PLAIN, Surface, read_surfaces
from shared.artifacts.mesh import Array, Drawn
from shared.artifacts.placing import placed_normals, placed_points

MAX_PARTS = 20_000
MAX_TRIANGLES = 8_000_000
MAX_VERTICES = 12_000_000
"""Seconds of reading, about a gigabyte; a generator's largest models have 2 million triangles."""


class PreviewError(ValueError):
    """The model cannot be drawn, which says nothing against the model; `reason` is a sentence.

    这个错误说明无法绘制预览，但模型本身不一定有问题。
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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


def read_scene(reader: RangeReader, container: Container) -> Scene:
    """Read all that the shown scene draws with triangles.

    Raises PreviewError where there is nothing to draw or too much of it.

    这个函数读取场景中所有可绘制的三角形。
    """
    parts = [part for part in mesh.drawn(container) if part.primitive.triangles]
    triangles = sum(part.primitive.triangles for part in parts)
    vertices = sum(part.primitive.vertices for part in parts)
    if not parts:
        raise PreviewError("the scene has no triangles to draw")
    if len(parts) > MAX_PARTS:
        raise PreviewError(f"{len(parts)} parts are too many to draw")
    if triangles > MAX_TRIANGLES or vertices > MAX_VERTICES:
        raise PreviewError(f"{triangles} triangles with {vertices} vertices are too many to draw")
    warnings: list[str] = []
    used = {part.primitive.material for part in parts}
    named = sorted(index for index in used if index is not None)
    found = read_surfaces(reader, container, set(named), warnings)
    surfaces = (PLAIN, *(found[index] for index in named))
    numbers: dict[int | None, int] = {None: 0}
    numbers.update((index, place + 1) for place, index in enumerate(named))
    try:
        coloured = any("COLOR_0" in part.primitive.attributes for part in parts)
        pieces = _Pieces(reader, container, surfaces, numbers, coloured)
        with np.errstate(all="ignore"):
            for part in parts:
                pieces.add(part)
            return pieces.scene(warnings)
    except mesh.Unreadable as error:
        raise PreviewError(f"no preview: {error}") from None


class _Pieces:
    """The arrays of the parts read so far; a primitive drawn many times is read once in a row."""

    def __init__(
        self,
        reader: RangeReader,
        container: Container,
        surfaces: tuple[Surface, ...],
        numbers: dict[int | None, int],
        coloured: bool,
    ) -> None:
        self._reader, self._container = reader, container
        self._surfaces, self._numbers = surfaces, numbers
        self._points: list[Array] = []
        self._normals: list[Array] = []
        self._uvs: list[Array] = []
        self._colours: list[Array] = []
        self._faces: list[Array] = []
        self._surface: list[Array] = []
        self._count = 0
        self._coloured = coloured

    def add(self, part: Drawn) -> None:
        """Append a part's triangles, in the world."""
        primitive = part.primitive
        number = self._numbers[primitive.material]
        points = np.concatenate(list(placed_points(self._reader, self._container, part)))
        faces = mesh.read_triangles(self._reader, self._container, primitive)
        if len(faces) and int(faces.max()) >= primitive.vertices:
            raise PreviewError("no preview: an index names a vertex that is not there")
        self._points.append(points)
        self._normals.append(placed_normals(self._reader, self._container, part))
        coordinates = self._surfaces[number].coordinates
        self._uvs.append(self._attribute(part, f"TEXCOORD_{coordinates}", 2, np.float32(0)))
        if self._coloured:
            colours = self._attribute(part, "COLOR_0", 4, np.float32(1))
            self._colours.append(np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8))
        self._faces.append(faces + np.uint32(self._count))
        self._surface.append(np.full(len(faces), number, np.uint32))
        self._count += len(points)

    def scene(self, warnings: list[str]) -> Scene:
        """All parts as one; vertices that no triangle uses do not count for its size."""
        faces = np.concatenate(self._faces)
        points = np.concatenate(self._points)
        seen = np.zeros(len(points), bool)
        seen[faces] = True
        seen &= np.isfinite(points).all(axis=1)
        if not seen.any():
            raise PreviewError("no triangle of the scene lies anywhere")
        low, high = points[seen].min(axis=0), points[seen].max(axis=0)
        centre, scale = (low + high) / 2, float(np.linalg.norm((high - low) / 2))
        if not 0 < scale < 1e300:
            raise PreviewError("the scene has no size")
        placed = ((points - centre) / scale).astype(np.float32)
        placed[~seen] = np.nan
        return Scene(
            points=placed,
            normals=np.concatenate(self._normals),
            uvs=np.concatenate(self._uvs),
            colours=np.concatenate(self._colours) if self._coloured else None,
            faces=faces,
            surface=np.concatenate(self._surface),
            surfaces=self._surfaces,
            centre=centre,
            scale=scale,
            warnings=tuple(warnings),
        )

    def _attribute(self, part: Drawn, name: str, width: int, default: np.float32) -> Array:
        """An attribute as (n, width) floats; what the file lacks is filled with the default."""
        out = np.full((part.primitive.vertices, width), default, np.float32)
        index = part.primitive.attributes.get(name)
        if index is not None:
            values = mesh.read_floats(self._reader, self._container, index)[:, :width]
            out[:, : values.shape[1]] = np.nan_to_num(values, posinf=0, neginf=0)
        return out
