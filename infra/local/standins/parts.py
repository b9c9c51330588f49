"""Closed parts that simple things are put together from: boxes, turned and swept shapes.

Every part is closed by itself and has its corners shared by all its triangles; a thing is several
parts that stand in one another. +y is up, +z the front, lengths are in metres.
拼出简单物体的封闭部件:方块、旋转体、拉伸体和管。
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from infra.local.standins.glb import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

CREASE = 38.0
"""Degrees: where two triangles meet at a larger angle, the edge between them is sharp."""

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """One closed surface: points (n, 3), triangles (m, 3) seen counter-clockwise from outside, and
    what it is to the whole: "body", "wheels", ….

    一个封闭的部件。
    """

    points: NDArray[Any]
    triangles: NDArray[Any]
    role: str = "body"

    def at(self, x: float = 0, y: float = 0, z: float = 0) -> Part:
        """The same moved.

        平移。
        """
        import numpy as np

        return replace(self, points=self.points + np.array([x, y, z]))

    def scaled(self, x: float = 1, y: float = 1, z: float = 1) -> Part:
        """The same stretched along the axes; factors are above 0.

        缩放。
        """
        return replace(self, points=self.points * (x, y, z))

    def turned(self, axis: str, degrees: float) -> Part:
        """The same turned about an axis, "x", "y" or "z", through the origin.

        旋转。
        """
        import numpy as np

        angle = np.radians(degrees)
        one, two = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        points = self.points.copy()
        a, b = self.points[:, one], self.points[:, two]
        points[:, one] = a * np.cos(angle) - b * np.sin(angle)
        points[:, two] = a * np.sin(angle) + b * np.cos(angle)
        return replace(self, points=points)

    def named(self, role: str) -> Part:
        """The same as another part of the whole.

        指定部件的角色。
        """
        return replace(self, role=role)


def pair(part: Part) -> list[Part]:
    """A part and its mirror image on the other side (x).

    左右成对的部件。
    """
    return [part, replace(part, points=part.points * (-1, 1, 1), triangles=part.triangles[:, ::-1])]


def box(wide: float, high: float, deep: float, role: str = "body") -> Part:
    """A box that stands on the ground in the middle.

    方块。
    """
    import numpy as np

    signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (0, 1) for z in (-0.5, 0.5)])
    sides = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    triangles = [tri for a, b, c, d in sides for tri in ((a, b, c), (a, c, d))]
    return Part(signs * (wide, high, deep), np.array(triangles), role)


@dataclass(frozen=True)
class Kit:
    """Makes round parts of so many segments to a full turn (3 or more).

    按精细度制作圆形部件。
    """

    segments: int

    def lathe(self, profile: Sequence[tuple[float, float]], role: str = "body") -> Part:
        """A turned shape: `profile` is (radius, height) from the axis below to the axis above, the
        radius between its ends above 0; the way goes round the outside.

        旋转体。
        """
        import numpy as np

        turn = np.arange(self.segments) * 2 * np.pi / self.segments
        around = np.stack([np.sin(turn), np.zeros_like(turn), np.cos(turn)], axis=1)
        rings = [np.array([[0.0, profile[0][1], 0.0]])]
        rings += [around * radius + (0, height, 0) for radius, height in profile[1:-1]]
        rings.append(np.array([[0.0, profile[-1][1], 0.0]]))
        return Part(np.concatenate(rings), _skin(len(profile) - 2, self.segments), role)

    def cylinder(
        self, radius: float, high: float, top: float | None = None, role: str = "body"
    ) -> Part:
        """A standing cylinder, or a cone cut off where its radius is `top`; 0 makes it pointed.

        圆柱或圆台。
        """
        above = radius if top is None else top
        if above == 0:
            return self.lathe([(0, 0), (radius, 0), (0, high)], role)
        return self.lathe([(0, 0), (radius, 0), (above, high), (0, high)], role)

    def ball(self, radius: float, role: str = "body") -> Part:
        """A ball around the origin.

        球。
        """
        import numpy as np

        steps = max(3, self.segments // 2)
        angles = np.linspace(-np.pi / 2, np.pi / 2, steps + 1)
        profile = [(radius * float(np.cos(a)), radius * float(np.sin(a))) for a in angles]
        return self.lathe([(0, -radius), *profile[1:-1], (0, radius)], role)

    def tube(self, path: Sequence[Point], radius: float, role: str = "body") -> Part:
        """A round bar along a path of two points or more, with flat ends.

        沿路径的圆管。
        """
        import numpy as np

        points = np.array(path, float)
        rings = _rings(points, np.full(len(points), radius), self._around(), closed=False)
        count = len(rings) * self.segments
        ends = np.array([points[0], points[-1]])
        triangles = _skin(len(rings), self.segments) - 1  # its two axis points come last here
        first, last = triangles == -1, triangles == count
        triangles = np.where(first, count, np.where(last, count + 1, triangles))
        return Part(np.concatenate([*rings, ends]), triangles, role)

    def ring(self, radius: float, thick: float, role: str = "body") -> Part:
        """A ring that lies on its side in the plane x–z around the origin, as thick as twice
        `thick`.

        圆环。
        """
        import numpy as np

        turn = np.arange(self.segments * 2) * np.pi / self.segments
        path = np.stack([np.cos(turn), np.zeros_like(turn), np.sin(turn)], axis=1) * radius
        rings = _rings(path, np.full(len(path), thick), self._around(), closed=True)
        count, n = len(rings), self.segments
        nodes = np.arange(count * n).reshape(count, n)
        below, above = nodes, np.roll(nodes, -1, axis=0)
        return Part(np.concatenate(rings), _quads(below, above), role)

    def disc(self, radius: float, deep: float, role: str = "body") -> Part:
        """A wheel around the origin, its axle along x, `deep` thick.

        车轮一样的圆盘。
        """
        return self.cylinder(radius, deep, role=role).at(y=-deep / 2).turned("z", 90)

    def _around(self) -> NDArray[Any]:
        import numpy as np

        turn = np.arange(self.segments) * 2 * np.pi / self.segments
        return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def prism(outline: Sequence[tuple[float, float]], deep: float, role: str = "body") -> Part:
    """A slab of an outline in the plane x–y, counter-clockwise seen from the front; every point of
    it must be seen from the outline's middle.

    由轮廓拉伸成的板。
    """
    import numpy as np

    flat = np.array(outline, float)
    count = len(flat)
    middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
    rim = np.arange(count)
    after = np.roll(rim, -1)
    front = np.column_stack([flat, np.full(count, deep / 2)])
    back = np.column_stack([flat, np.full(count, -deep / 2)])
    hubs = np.array([[*middle, deep / 2], [*middle, -deep / 2]])
    triangles = np.concatenate(
        [
            np.stack([np.full(count, 2 * count), rim, after], axis=1),
            np.stack([np.full(count, 2 * count + 1), count + after, count + rim], axis=1),
            np.stack([rim, count + rim, after], axis=1),
            np.stack([after, count + rim, count + after], axis=1),
        ]
    )
    return Part(np.concatenate([front, back, hubs]), triangles, role)


def _skin(rings: int, segments: int) -> NDArray[Any]:
    """The triangles of rings between two points: 0 below, the last one above."""
    import numpy as np

    nodes = 1 + np.arange(rings * segments).reshape(rings, segments)
    low, high = nodes[0], nodes[-1]
    bottom = np.stack([np.zeros(segments, int), np.roll(low, -1), low], axis=1)
    last = np.full(segments, 1 + rings * segments)
    top = np.stack([last, high, np.roll(high, -1)], axis=1)
    return np.concatenate([bottom, _quads(nodes[:-1], nodes[1:]), top])


def _quads(below: NDArray[Any], above: NDArray[Any]) -> NDArray[Any]:
    """Two triangles between each node, its neighbour in the ring, and those above them."""
    import numpy as np

    a, b = below.ravel(), np.roll(below, -1, axis=1).ravel()
    c, d = np.roll(above, -1, axis=1).ravel(), above.ravel()
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def _rings(
    path: NDArray[Any], radii: NDArray[Any], around: NDArray[Any], *, closed: bool
) -> list[NDArray[Any]]:
    """A circle around each point of a path, across its direction and not twisted against the last.

    沿路径的各个圆环。
    """
    import numpy as np

    if closed:
        along = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    else:
        along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    least = np.abs(along[0]).argmin()
    side = np.cross(along[0], np.eye(3)[least])
    rings = []
    for point, direction, radius in zip(path, along, radii, strict=True):
        side = side - direction * side.dot(direction)
        side /= np.linalg.norm(side)
        across = np.cross(direction, side)
        rings.append(point + radius * (around[:, :1] * side + around[:, 1:] * across))
    return rings


def shaded(parts: Sequence[Part]) -> Mesh:
    """The parts as one mesh with normals: smooth where triangles meet gently, sharp elsewhere.

    把部件合成带法线的网格。
    """
    import numpy as np

    offsets = np.cumsum([0, *(len(part.points) for part in parts)])
    points = np.concatenate([part.points for part in parts])
    triangles = np.concatenate(
        [part.triangles + offset for part, offset in zip(parts, offsets, strict=False)]
    )
    corners = points[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(across, axis=1, keepdims=True)
    # A sliver has no direction of its own; its neighbours' counts.
    facing = np.divide(across, length, out=np.zeros_like(across), where=length > 1e-12)
    normals = _corner_normals(triangles, facing, across)
    keys = np.column_stack([triangles.ravel(), np.round(normals * 500).astype(int)])
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return Mesh(points[triangles.ravel()[first]], inverse.reshape(-1, 3), normals=normals[first])


def _corner_normals(
    triangles: NDArray[Any], facing: NDArray[Any], weighted: NDArray[Any]
) -> NDArray[Any]:
    """A unit normal for each corner of each triangle, row by row: the sum over those triangles at
    its point that face nearly the same way, larger ones counting more.

    每个三角形角的法线。
    """
    import numpy as np

    owner = triangles.ravel()
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner)
    starts = np.cumsum(counts) - counts
    normals = np.empty((len(owner), 3))
    near = np.cos(np.radians(CREASE))
    for count in np.unique(counts[counts > 0]):
        # All points at which so many triangles meet, a row each.
        at = order[starts[counts == count][:, None] + np.arange(count)]
        faces = at // 3
        alike = facing[faces] @ facing[faces].transpose(0, 2, 1) >= near
        summed = alike.astype(float) @ weighted[faces]
        size = np.linalg.norm(summed, axis=2, keepdims=True)
        up = np.array([0.0, 1.0, 0.0])
        normals[at] = np.where(size > 1e-15, summed / np.maximum(size, 1e-15), up)
    return normals
