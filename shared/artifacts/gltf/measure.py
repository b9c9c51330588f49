"""What is in a model: triangles, vertices, bounds, materials, textures, and whether it is closed.

Counts are those of the shown scene, a mesh drawn by two nodes counting twice, as a viewer draws it.
Small files are measured from their vertices, large ones by what they declare of themselves.

这个模块统计模型的三角形、顶点、包围盒等信息。
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from shared.artifacts.gltf.container import Container, RangeReader, check_container
from shared.artifacts.gltf.document import BrokenModel, Primitive, as_object, entries, plain

if TYPE_CHECKING:
    from shared.artifacts.gltf.instances import Drawn
    from shared.artifacts.gltf.mesh import Array

MAX_POINTS = 30_000_000
"""Vertices read for one model; a small file of many instances could ask for any number."""

MAX_CLOSED = 1_000_000
"""Triangles looked at for holes: about a second and 300 MB; beyond it nothing is said."""

_AT_ONCE = 200_000
"""Points moved at once where a primitive is drawn at many places."""

_DIGITS = 6
_MAX_NAME = 100
"""Characters kept of what a generator calls itself."""


@dataclass(frozen=True)
class Inspection:
    """What was found in a whole model: `facts` ready for JSON, and `warnings` for the job.

    `facts` has triangles, lines and points drawn, vertices, bounds ([[x, y, z], [x, y, z]] in world
    space, or None), materials, textures, largest_texture_side (pixels, or None), animations,
    meshes, nodes, generator (text, or None), verified and, where the vertices were read and are at
    most a million, watertight. `verified` says what bounds and indices come from: "vertices" that
    were read, or the file's own "declarations". Declared bounds are an upper limit: a turned part's
    box is larger than the part. `container` is the model as it was read, with what was unpacked of
    it: whoever draws it next need not do that again; None where nothing was read.

    这个类保存一次模型检查的结果和警告。
    """

    facts: Mapping[str, Any]
    warnings: tuple[str, ...]
    container: Container | None = field(default=None, repr=False, compare=False)


def inspect_model(reader: RangeReader, *, measure_below: int) -> Inspection:
    """Check a GLB through and measure it.

    Files up to `measure_below` bytes are measured from their vertices, others from their
    declarations. Raises BrokenModel, and OSError where the source fails.

    这个函数完整检查并测量一个模型。
    """
    from shared.artifacts.gltf import extensions, instances, mesh, settling

    container = check_container(reader)
    small = reader.size <= measure_below
    if small:
        container = settling.settled(container)
    parts = instances.drawn(container)
    if small:
        mesh.check_packed(container)
    mesh.check_indices(container, packed=small)
    if not parts:
        raise BrokenModel("the scene draws nothing: no node that it reaches has vertices")
    warnings = [*container.document.warnings, *extensions.unknown_extensions(container, parts)]
    facts = _counted(container, parts)
    if not facts["triangles"]:
        warnings.append("the model has no triangles, only points or lines")
    try:
        if not small:
            raise mesh.Unreadable(f"larger than {measure_below / 2**20:.6g} MB")
        if facts["vertices"] > MAX_POINTS:
            raise mesh.Unreadable(f"more than {MAX_POINTS} vertices")
        facts["bounds"], lost = _bounds(_places(container, parts))
        if lost:
            warnings.append(f"{lost} vertices lie nowhere: their positions are not finite numbers")
        closed = _watertight(container, parts)
        if closed is not None:
            facts["watertight"] = closed
        facts["verified"] = "vertices"
    except mesh.Unreadable as error:
        warnings.append(f"measured from the file's own declarations: {error}")
        facts["bounds"], _ = _bounds(
            _moved(_declared(same[0], container), same) for same in _alike(parts)
        )
    return Inspection(facts, tuple(map(plain, warnings)), container)


def _counted(container: Container, parts: Sequence[Drawn]) -> dict[str, Any]:
    """The facts that need no vertices: counts of what is drawn and of what the file holds.

    不需要读取顶点的统计信息。
    """
    from shared.artifacts.gltf.pictures import largest_side

    raw = container.document.raw
    primitives = [part.primitive for part in parts]
    generator = as_object(raw["asset"], "asset").get("generator")
    return {
        "triangles": sum(primitive.triangles for primitive in primitives),
        "lines": sum(primitive.lines for primitive in primitives),
        "points": sum(primitive.points for primitive in primitives),
        "vertices": sum(primitive.vertices for primitive in primitives),
        "bounds": None,
        "materials": len(entries(raw, "materials")),
        "textures": len(entries(raw, "textures")),
        "largest_texture_side": largest_side(container),
        "animations": len(entries(raw, "animations")),
        "meshes": len(container.document.meshes),
        "nodes": len(container.document.nodes),
        "generator": plain(generator[:_MAX_NAME]) if isinstance(generator, str) else None,
        "verified": "declarations",
    }


def _alike(parts: Sequence[Drawn]) -> Iterable[list[Drawn]]:
    """The parts, those together that draw the same primitive in the same form at several places."""
    groups: dict[object, list[Drawn]] = {}
    for number, part in enumerate(parts):
        rigid = len(part.matrices) == 1
        key = (id(part.primitive), part.weights) if rigid else number
        groups.setdefault(key, []).append(part)
    return groups.values()


def _places(container: Container, parts: Sequence[Drawn]) -> Iterator[Array]:
    """The positions of all parts in the world, in chunks; what is drawn often is read once.

    所有部件的顶点位置。
    """
    import numpy as np

    from shared.artifacts.gltf import instances

    for same in _alike(parts):
        if len(same) == 1 or same[0].primitive.vertices > _AT_ONCE:
            for part in same:
                yield from instances.placed_points(container, part)
            continue
        still = replace(same[0], matrices=np.eye(4)[None])
        points = np.concatenate(list(instances.placed_points(container, still)))
        step = max(1, _AT_ONCE // max(1, len(points)))
        for first in range(0, len(same), step):
            yield _moved(points, same[first : first + step])


def _moved(points: Array, parts: Sequence[Drawn]) -> Array:
    """Points at the places of several parts, at each of a part's joints, (n, 3)."""
    import numpy as np

    matrices = np.concatenate([part.matrices for part in parts])
    moved: Array = points @ matrices[:, :3, :3].transpose(0, 2, 1) + matrices[:, None, :3, 3]
    return moved.reshape(-1, 3)


def _declared(part: Drawn, container: Container) -> Array:
    """The eight corners of a part's declared box, before it is moved; none if undeclared.

    声明的包围盒的八个角。
    """
    import numpy as np

    from shared.artifacts.gltf.mesh import normalised

    accessor = container.document.accessors[part.primitive.attributes["POSITION"]]
    if accessor.low is None or accessor.high is None:
        return np.zeros((0, 3))
    ends = np.array([accessor.low, accessor.high])
    if accessor.normalized:
        ends = normalised(ends, accessor.component)
    corners: Array = np.where(np.arange(8)[:, None] >> np.arange(3) & 1, ends[1], ends[0])
    return corners


def _bounds(groups: Iterable[Array]) -> tuple[list[list[float]] | None, int]:
    """The extremes of some points to six digits, and how many points are no place.

    点集的范围。
    """
    import numpy as np

    found, lost = [], 0
    with np.errstate(all="ignore"):
        for points in groups:
            good = np.isfinite(points).all(axis=1)
            lost += len(points) - int(good.sum())
            if good.any():
                found += [points[good].min(axis=0), points[good].max(axis=0)]
    if not found:
        return None, lost
    ends = np.min(found, axis=0), np.max(found, axis=0)
    return [[float(f"{value:.{_DIGITS}g}") + 0.0 for value in end] for end in ends], lost


def _watertight(container: Container, parts: list[Drawn]) -> bool | None:
    """Whether every mesh is closed, or None where there is too much to look at."""
    meshes = [container.document.meshes[index] for index in {part.mesh for part in parts}]
    work = sum(max(part.vertices, part.triangles) for mesh in meshes for part in mesh)
    if work > MAX_CLOSED:
        return None
    return all(_is_closed(container, mesh) for mesh in meshes)


def _is_closed(container: Container, parts: Sequence[Primitive]) -> bool:
    """Whether every edge has two triangles, once vertices at the same place are taken as one.

    网格是否封闭。
    """
    import numpy as np

    from shared.artifacts.gltf import closed, mesh

    points, faces, count = [], [], 0
    for part in parts:
        if part.triangles:
            position = mesh.read_floats(container, part.attributes["POSITION"])
            points.append(np.concatenate(list(position)))
            faces.append(mesh.read_triangles(container, part).astype(np.int64) + count)
            count += part.vertices
    return bool(points) and closed.is_closed(np.concatenate(points), np.concatenate(faces))
