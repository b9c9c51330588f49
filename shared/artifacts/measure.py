"""What is in a model: triangles, vertices, bounds, materials, textures, and whether it is closed.

Counts are those of the shown scene, a mesh drawn by two nodes counting twice, as a viewer draws it.
Small files are measured from their vertices; of large ones only the declarations are read, and the
positions of parts whose box is turned or not declared.

这个模块统计模型的三角形、顶点、包围盒等信息。
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.artifacts.glb import (
    BrokenModel,
    Container,
    FileReader,
    RangeReader,
    check_container,
)
from shared.artifacts.gltf import Primitive, entries

if TYPE_CHECKING:
    from shared.artifacts.mesh import Array, Drawn

MAX_POINTS = 30_000_000
"""Vertices read for one model; a small file of many instances could ask for any number."""

MAX_CLOSED = 1_000_000
"""Triangles looked at for holes: about a second and 300 MB; beyond it nothing is said."""

_DIGITS = 6
_MEGABYTE = 2**20


@dataclass(frozen=True)
class Inspection:
    """What was found in a whole model: `facts` ready for JSON, and `warnings` for the job.

    `facts` has triangles, vertices, bounds ([[x, y, z], [x, y, z]] in world space, or None),
    materials, textures, meshes, nodes and, where the vertices were read and are at most a million,
    watertight.

    这个类保存一次模型检查的结果和警告。
    """

    container: Container
    facts: Mapping[str, Any]
    warnings: tuple[str, ...]


def inspect_model(
    reader: RangeReader, *, measure_below: int, path: str | os.PathLike[str] | None = None
) -> Inspection:
    """Check a GLB through and measure it.

    Files up to `measure_below` bytes are measured from their vertices, read from the local copy at
    `path` if there is one; others from their declarations, by ranged reads of `reader`. Raises
    BrokenModel, and OSError where the source fails.

    这个函数完整检查并测量一个模型。
    """
    if path is not None:
        with FileReader(path) as local:
            return inspect_model(local, measure_below=measure_below)
    from shared.artifacts import mesh

    container = check_container(reader)
    mesh.check_indices(reader, container)
    parts = mesh.drawn(container)
    if not parts:
        raise BrokenModel("the scene draws nothing: no node that it reaches has vertices")
    warnings = list(container.warnings)
    facts = _counts(container, parts)
    if not facts["triangles"]:
        warnings.append("the model has no triangles, only points or lines")
    try:
        if reader.size <= measure_below:
            facts["bounds"] = _bounds(reader, container, parts, warnings, trust=False)
            closed = _watertight(reader, container, parts)
            if closed is not None:
                facts["watertight"] = closed
            return Inspection(container, facts, tuple(warnings))
        warnings.append(
            "measured from the file's own declarations: larger than"
            f" {measure_below / _MEGABYTE:.6g} MB"
        )
        facts["bounds"] = _bounds(reader, container, parts, warnings, trust=True)
    except mesh.Unreadable as error:
        warnings.append(f"measured from the file's own declarations: {error}")
        facts["bounds"] = _declared_bounds(parts, container)
    return Inspection(container, facts, tuple(warnings))


def declared_facts(container: Container) -> dict[str, Any]:
    """The facts a container declares about itself, without reading a vertex.

    Bounds are those of the declared boxes: around turned parts they are an upper limit.

    这个函数只根据文件自身的声明给出模型信息。
    """
    from shared.artifacts import mesh

    parts = mesh.drawn(container)
    return {**_counts(container, parts), "bounds": _declared_bounds(parts, container)}


def _counts(container: Container, parts: list[Drawn]) -> dict[str, Any]:
    raw = container.document.raw
    return {
        "triangles": sum(part.primitive.triangles for part in parts),
        "vertices": sum(part.primitive.vertices for part in parts),
        "bounds": None,
        "materials": len(entries(raw, "materials")),
        "textures": len(entries(raw, "textures")),
        "meshes": len(container.document.meshes),
        "nodes": len(container.document.nodes),
    }


def _box(part: Drawn, container: Container) -> Array | None:
    """The eight corners of the declared box in the world, or None where none is declared."""
    import numpy as np

    accessor = container.document.accessors[part.primitive.attributes["POSITION"]]
    if accessor.low is None or accessor.high is None:
        return None
    ends = np.array([accessor.low, accessor.high])
    if accessor.normalized:
        from shared.artifacts.mesh import normalised

        ends = normalised(ends, accessor.component)
    corners = np.where(np.arange(8)[:, None] >> np.arange(3) & 1, ends[1], ends[0])
    return corners @ part.matrix[:3, :3].T + part.matrix[:3, 3]


def _declared_bounds(parts: list[Drawn], container: Container) -> list[list[float]] | None:
    import numpy as np

    boxes = [box for part in parts if (box := _box(part, container)) is not None]
    return _rounded(np.concatenate(boxes)) if boxes else None


def _square(part: Drawn) -> bool:
    """Whether the part's axes stay along the world's axes, so that a box stays a box."""
    import numpy as np

    turn = np.abs(part.matrix[:3, :3])
    largest = turn.max(initial=0.0)
    return bool(((turn > 1e-9 * largest).sum(axis=1) <= 1).all()) and part.skin is None


def _bounds(
    reader: RangeReader,
    container: Container,
    parts: list[Drawn],
    warnings: list[str],
    trust: bool,
) -> list[list[float]] | None:
    """World bounds; declared boxes count where `trust`, or where reading would be endless."""
    import numpy as np

    from shared.artifacts.placing import placed_points

    found: list[Array] = []
    lost, left, guessed = 0, MAX_POINTS, False
    for part in parts:
        enough = left >= part.primitive.vertices
        wanted = not enough or (trust and _square(part))
        box = _box(part, container) if wanted else None
        if box is not None:
            guessed |= not _square(part)
            groups: Iterable[Array] = [box]
        elif enough:
            left -= part.primitive.vertices
            groups = placed_points(reader, container, part)
        else:
            continue
        with np.errstate(all="ignore"):
            for points in groups:
                good = np.isfinite(points).all(axis=1)
                lost += len(points) - int(good.sum())
                if good.any():
                    found += [points[good].min(axis=0), points[good].max(axis=0)]
    if lost:
        warnings.append(f"{lost} vertices lie nowhere: their positions are not finite numbers")
    if guessed:
        warnings.append("the bounds are an upper limit: too many turned parts to read them all")
    return _rounded(np.array(found)) if found else None


def _rounded(points: Array) -> list[list[float]] | None:
    """The extremes of some points to six digits; None where they are beyond all numbers."""
    import numpy as np

    if not np.isfinite(points).all():
        return None
    ends = (points.min(axis=0), points.max(axis=0))
    return [[float(f"{value:.{_DIGITS}g}") + 0.0 for value in end] for end in ends]


def _watertight(reader: RangeReader, container: Container, parts: list[Drawn]) -> bool | None:
    """Whether every mesh is closed, or None where there is too much to look at."""
    meshes = [container.document.meshes[index] for index in {part.mesh for part in parts}]
    work = sum(max(part.vertices, part.triangles) for mesh in meshes for part in mesh)
    if work > MAX_CLOSED:
        return None
    return all(_is_closed(reader, container, mesh) for mesh in meshes)


def _is_closed(reader: RangeReader, container: Container, parts: Sequence[Primitive]) -> bool:
    """Whether every edge has two triangles, once vertices at the same place are taken as one."""
    import numpy as np
    import trimesh

    from shared.artifacts import mesh

    points, faces, count = [], [], 0
    for part in parts:
        if not part.triangles:
            continue
        points.append(mesh.read_floats(reader, container, part.attributes["POSITION"]))
        faces.append(mesh.read_triangles(reader, container, part).astype(np.int64) + count)
        count += part.vertices
    if not points:
        return False
    places = np.concatenate(points)
    if not np.isfinite(places).all():
        return False
    # Scaled to 1, so that trimesh's absolute tolerance means the same for every model.
    places = places / np.float32(max(float(np.abs(places).max()), 1e-30))
    solid = trimesh.Trimesh(places, np.concatenate(faces), process=False)
    solid.merge_vertices()
    flat = (solid.faces == np.roll(solid.faces, 1, axis=1)).any(axis=1)
    solid.update_faces(~flat)
    return bool(solid.is_watertight)
