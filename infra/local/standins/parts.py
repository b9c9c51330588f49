"""Closed parts that simple things are put together from: boxes, turned and swept shapes.

Every part is closed by itself and has its corners shared by all its triangles; a thing is several
parts that stand in one another. +y is up, +z the front, lengths are in metres.
拼出简单物体的封闭部件:方块、旋转体、拉伸体和管。
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from infra.local.standins.glb import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

CREASE = 38.0
"""Degrees: where two triangles meet at a larger angle, the edge between them is sharp."""

BEVEL = 0.004
"""Width of the narrow face along a sharp edge, as a share of the part's longest side."""

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


def bevelled(part: Part) -> Part:
    """The part with a narrow face along each sharp edge: so every vertex has one normal, is shared
    by all its triangles, and the edges still look sharp.

    给尖锐的边加上窄倒角。
    """
    import numpy as np

    corners = _Corners(part)
    if not corners.sharp:
        return part
    spread, faces = corners.groups()
    size = np.ptp(part.points, axis=0).max()
    points = part.points[spread]
    inward = corners.middles(faces, len(spread)) - points
    length = np.linalg.norm(inward, axis=1, keepdims=True)
    step = np.minimum(BEVEL * size, 0.2 * length)
    points = points + inward / np.maximum(length, 1e-12) * step
    more = np.array([*corners.strips(faces)], int).reshape(-1, 3)
    return replace(part, points=points, triangles=np.concatenate([faces, more]))


class _Corners:
    """A part's triangles' corners, told apart where a sharp edge runs between them. A corner's
    number is three times its triangle's, plus its place in it; an edge bears that of its beginning.

    三角形的角及尖锐的边。
    """

    def __init__(self, part: Part) -> None:
        import numpy as np

        self._points, self._triangles = part.points, part.triangles
        places = self._points[self._triangles]
        across = np.cross(places[:, 1] - places[:, 0], places[:, 2] - places[:, 0])
        length = np.linalg.norm(across, axis=1, keepdims=True)
        facing = across / np.maximum(length, 1e-30)
        begins = self._triangles.ravel()
        ends = np.roll(self._triangles, -1, axis=1).ravel()
        # An edge and its twin, which runs the other way, have the same two points.
        key = np.minimum(begins, ends) * len(self._points) + np.maximum(begins, ends)
        order = np.argsort(key, kind="stable").reshape(-1, 2)
        twins = np.empty(len(begins), int)
        twins[order] = order[:, ::-1]
        alike = np.einsum("ij,ij->i", np.repeat(facing, 3, axis=0), facing[twins // 3])
        self._begins: list[int] = begins.tolist()
        self._twins: list[int] = twins.tolist()
        self.sharp: list[int] = np.flatnonzero(alike < np.cos(np.radians(CREASE))).tolist()

    def groups(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """For each new vertex the old one; and the triangles by new vertices.

        拆分后的顶点与三角形。
        """
        import numpy as np

        # Where no sharp edge is, all corners at a point are one; elsewhere each is alone at first.
        edged, sharp = {self._begins[edge] for edge in self.sharp}, set(self.sharp)
        count = len(self._points)
        parent = list(range(count + len(self._begins)))

        def root(one: int) -> int:
            while parent[one] != one:
                parent[one] = parent[parent[one]]
                one = parent[one]
            return one

        for corner, point in enumerate(self._begins):
            if point not in edged:
                parent[count + corner] = point
            elif corner not in sharp:
                # The triangle beyond the edge that begins here has this point at its twin's end.
                parent[root(count + corner)] = root(count + _after(self._twins[corner]))
        roots = np.array([root(count + corner) for corner in range(len(self._begins))])
        _, first, faces = np.unique(roots, return_index=True, return_inverse=True)
        return self._triangles.ravel()[first], faces.reshape(-1, 3)

    def middles(self, faces: NDArray[Any], count: int) -> NDArray[Any]:
        """The mean of the middles of each new vertex's triangles.

        每个新顶点周围三角形的中心。
        """
        import numpy as np

        middle = self._points[self._triangles].mean(axis=1)
        summed, times = np.zeros((count, 3)), np.zeros((count, 1))
        for slot in range(3):
            np.add.at(summed, faces[:, slot], middle)
            np.add.at(times, faces[:, slot], 1)
        means: NDArray[Any] = summed / times
        return means

    def strips(self, faces: NDArray[Any]) -> Iterator[tuple[int, int, int]]:
        """The triangles that close the gaps: along sharp edges, and where three of them meet.

        填补倒角处的缝隙。
        """
        around: dict[int, dict[int, int]] = {}
        new: list[int] = faces.ravel().tolist()
        for edge in self.sharp:
            twin = self._twins[edge]
            a1, a2, b2, b1 = new[edge], new[_after(edge)], new[twin], new[_after(twin)]
            if edge < twin:
                if a1 != b1:
                    yield a2, a1, b1
                if a2 != b2:
                    yield a2, b1, b2
            # Seen from each of its two triangles, an edge leaves one gap at its beginning.
            if a1 != b1:
                around.setdefault(self._begins[edge], {})[b1] = a1
        for gaps in around.values():
            while gaps:
                first, after = next(iter(gaps.items()))
                del gaps[first]
                ring = [first]
                while after != first:
                    ring.append(after)
                    after = gaps.pop(after)
                yield from ((ring[0], ring[i], ring[i + 1]) for i in range(1, len(ring) - 1))


def _after(corner: int) -> int:
    """The next corner of the same triangle."""
    return corner - 2 if corner % 3 == 2 else corner + 1


def shaded(parts: Sequence[Part]) -> Mesh:
    """The parts as one mesh; a vertex's normal is the mean over its triangles, by their area.

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
    normals = np.zeros_like(points)
    for slot in range(3):
        np.add.at(normals, triangles[:, slot], across)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0])
    normals = np.where(length > 1e-15, normals / np.maximum(length, 1e-15), up)
    return Mesh(points, triangles, normals)
