"""Closed surfaces from grids: raised letters from a coverage picture, a slab from heights.

Every vertex is shared by all its triangles and every edge by exactly two of them, so the results
are watertight without any repair.
由网格数据生成封闭的曲面:立体字和浮雕板。
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from infra.local.standins.glb import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEPTHS = (0.16, 0.42, 0.0)  # em: the plate's front, the letters' front, the plate's back
SLAB = 0.06  # metres: the thickness below a relief, whose longer side is one metre


@lru_cache(maxsize=1)
def _cases() -> list[tuple[list[list[int]], list[list[int]], list[tuple[int, int]]]]:
    """For each of a cell's 16 cases: triangles inside, triangles outside, pieces of contour.

    Corners are 0..3 counter-clockwise, 4 + i is the point on the edge from corner i to i + 1. Bit i
    of a case says that corner i is inside. Where two opposite corners are inside they are kept
    apart, so that no two parts ever touch in a single point.

    十六种单元的切分方式。
    """
    cases = []
    for case in range(16):
        inside, outside = _walk(case, True), _walk(case, False)
        contour = [
            (one, two)
            for ring in inside
            for one, two in zip(ring, ring[1:] + ring[:1], strict=True)
            if one >= 4 and two >= 4
        ]
        fans = [
            [[ring[0], ring[i], ring[i + 1]] for ring in rings for i in range(1, len(ring) - 1)]
            for rings in (inside, outside)
        ]
        cases.append((fans[0], fans[1], contour))
    return cases


def _walk(case: int, inner: bool) -> list[list[int]]:
    """The polygons of one cell that lie inside, or outside, each counter-clockwise.

    一个单元内外的多边形。
    """
    wanted = [bool(case >> i & 1) == inner for i in range(4)]
    if inner and case in (0b0101, 0b1010):
        return [[i, 4 + i, 4 + (i - 1) % 4] for i in range(4) if wanted[i]]
    ring = []
    for i in range(4):
        if wanted[i]:
            ring.append(i)
        if wanted[i] != wanted[(i + 1) % 4]:
            ring.append(4 + i)
    return [ring] if ring else []


def extrude(coverage: NDArray[Any], em: float) -> Mesh:
    """A plate with raised letters from a coverage grid (rows upwards, nothing at the border) and
    the number of pixels to an em, which sets their depth.

    Each vertex is shared by all its triangles, each edge by exactly two: the letters' tops lie on
    an upper layer, the plate around them on a lower one, walls join the two along the contours.
    把覆盖度网格拉伸成一个封闭实体。
    """
    import numpy as np

    rows, columns = coverage.shape
    inside = coverage >= 0.5
    nodes = np.arange(rows * columns).reshape(rows, columns)
    corners = (nodes[:-1, :-1], nodes[:-1, 1:], nodes[1:, 1:], nodes[1:, :-1])
    across = rows * columns + nodes  # the point on the edge from a node to its right neighbour
    upward = 2 * rows * columns + nodes  # ... to its upper neighbour
    edges = (across[:-1, :-1], upward[:-1, 1:], across[1:, :-1], upward[:-1, :-1])
    local = np.stack([each.ravel() for each in (*corners, *edges)], axis=1)
    flags = inside.ravel()[local[:, :4]] @ np.array([1, 2, 4, 8])
    upper = 3 * rows * columns  # added to a number it means the same point one layer up
    pieces = []
    for case, (inner, outer, contour) in enumerate(_cases()):
        cells = local[flags == case]
        pieces += [cells[:, fan] + upper for fan in inner]
        pieces += [cells[:, fan] for fan in outer]
        for one, two in contour:
            a, b = cells[:, one], cells[:, two]
            pieces.append(np.stack([b + upper, a + upper, a], axis=1))
            pieces.append(np.stack([b + upper, a, b], axis=1))
    triangles = np.concatenate([*pieces, _plate(nodes, 2 * upper)])
    used, triangles = np.unique(triangles, return_inverse=True)
    places = _places(coverage)
    layer = np.minimum(used // upper, 2)
    flat = np.concatenate([places, places, places[nodes[[0, 0, -1, -1], [0, -1, -1, 0]].ravel()]])
    points = np.column_stack([flat[used], em * np.array(DEPTHS)[layer]])
    points -= (points.min(axis=0) + points.max(axis=0)) / 2
    shades = np.array([[88, 88, 88, 255], [255] * 4, [88, 88, 88, 255]])
    return Mesh(
        positions=points / np.ptp(points, axis=0).max(),
        triangles=triangles.reshape(-1, 3),
        colors=shades[layer],
    )


def _places(coverage: NDArray[Any]) -> NDArray[Any]:
    """Where nodes, points across and points upward lie, in pixels.

    网格点的位置。
    """
    import numpy as np

    rows, columns = coverage.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(float)

    def cut(step: NDArray[Any]) -> NDArray[Any]:
        # Kept away from the ends, so that no two points fall together.
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(step == 0, 0.5, (0.5 - coverage) / step)
        return np.clip(part, 0.06, 0.94)

    right = cut(np.diff(coverage, axis=1, append=0))
    up = cut(np.diff(coverage, axis=0, append=0))
    grids = ((x, y), (x + right, y), (x, y + up))
    return np.concatenate([np.column_stack([a.ravel(), b.ravel()]) for a, b in grids])


def _plate(nodes: NDArray[Any], corner: int) -> NDArray[Any]:
    """The plate's sides and back: its four back corners are numbered from `corner` on.

    底板的侧面与背面。
    """
    import numpy as np

    sides = (nodes[0, :], nodes[:, -1], nodes[-1, ::-1], nodes[::-1, 0])
    pieces = [np.array([[corner, corner + 2, corner + 1], [corner, corner + 3, corner + 2]])]
    for number, rim in enumerate(sides):
        one, two = corner + number, corner + (number + 1) % 4
        apex = np.full(len(rim) - 1, one)
        pieces.append(np.stack([apex, rim[1:], rim[:-1]], axis=1))
        pieces.append(np.array([[one, two, rim[-1]]]))
    return np.concatenate(pieces)


def slab(heights: list[NDArray[Any]], size: tuple[int, int]) -> Mesh:
    """A closed slab with heights on its front, and on its back if there are two; in metres.

    Faces and sides meet in a narrow bevel, so that every vertex has one normal and one place in the
    texture, and yet the edges look sharp. With two heights the texture holds both photos abreast.
    把高度网格做成封闭的板。
    """
    import numpy as np

    rows, columns = heights[0].shape
    half = np.array(size) / max(size) / 2
    x, y = np.meshgrid(
        np.linspace(-half[0], half[0], columns), np.linspace(-half[1], half[1], rows)
    )
    uv = np.stack([(x + half[0]) / (2 * half[0]), 0.5 - y / (2 * half[1])], axis=-1)
    nodes = np.arange(rows * columns).reshape(rows, columns)
    rim = np.concatenate([nodes[0, :-1], nodes[:-1, -1], nodes[-1, :0:-1], nodes[:0:-1, 0]])
    twofold = len(heights) == 2
    front = _face(x, y, SLAB / 2 + heights[0], uv * [0.5, 1] if twofold else uv)
    if twofold:
        # Seen from behind, left is where x is largest.
        mirrored = np.stack([1 - uv[..., 0] / 2, uv[..., 1]], axis=-1)
        behind = _face(x, y, SLAB / 2 + heights[1][:, ::-1], mirrored) * _TURN
        back_rim = rim
        closing = _squares(nodes)[:, ::-1]
    else:
        middle = np.array([[0, 0, -SLAB / 2, 0, 0, -1, 0.5, 0.5]])
        ring = front[rim].copy()
        ring[:, 2:6] = (-SLAB / 2, 0, 0, -1)
        behind = np.concatenate([ring, middle])
        back_rim = np.arange(len(rim))
        closing = np.stack([np.roll(back_rim, -1), back_rim, np.full(len(rim), len(rim))], axis=1)
    over, under = _sides(front[rim], behind[back_rim], half)
    first, second, third = len(front), len(front) + len(rim), len(front) + 2 * len(rim)
    loop = np.arange(len(rim))
    triangles = [
        _squares(nodes),
        _strip(rim, first + loop),
        _strip(first + loop, second + loop),
        _strip(second + loop, third + back_rim),
        third + closing,
    ]
    vertices = np.concatenate([front, over, under, behind])
    vertices[:, 2] -= (vertices[:, 2].min() + vertices[:, 2].max()) / 2
    return Mesh(vertices[:, :3], np.concatenate(triangles), vertices[:, 3:6], vertices[:, 6:])


# Turns a face to the back: z of places and normals, not x, whose grid the front shares.
_TURN = (1, 1, -1, 1, 1, -1, 1, 1)
_BEVEL = 0.004


def _face(x: NDArray[Any], y: NDArray[Any], z: NDArray[Any], uv: NDArray[Any]) -> NDArray[Any]:
    """One vertex a row: place, unit normal, place in the texture."""
    import numpy as np

    rise_y, rise_x = np.gradient(z, y[:, 0], x[0])
    normals = np.stack([-rise_x, -rise_y, np.ones_like(z)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    places = np.stack([x, y, z], axis=-1)
    vertices: NDArray[Any] = np.concatenate([places, normals, uv], axis=-1).reshape(-1, 8)
    return vertices


def _sides(
    front: NDArray[Any], back: NDArray[Any], half: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two rings between the front's rim and the back's, pushed outward by the bevel.

    倒角处的两圈侧面。
    """
    import numpy as np

    outward = np.isclose(np.abs(front[:, :2]), half) * np.sign(front[:, :2])
    over, under = front.copy(), front.copy()
    over[:, :2] += _BEVEL * outward
    under[:, :2] = over[:, :2]
    over[:, 2] = front[:, 2] - _BEVEL
    under[:, 2] = back[:, 2] + _BEVEL
    normals = outward / np.linalg.norm(outward, axis=1, keepdims=True)
    for ring in (over, under):
        ring[:, 3:5], ring[:, 5] = normals, 0
    return over, under


def _squares(nodes: NDArray[Any]) -> NDArray[Any]:
    """Two triangles for each cell of a grid, counter-clockwise seen from +z."""
    import numpy as np

    a, b, c, d = (
        each.ravel() for each in (nodes[:-1, :-1], nodes[:-1, 1:], nodes[1:, 1:], nodes[1:, :-1])
    )
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def _strip(above: NDArray[Any], below: NDArray[Any]) -> NDArray[Any]:
    """Triangles between two closed rings of the same length, facing outward."""
    import numpy as np

    next_above, next_below = np.roll(above, -1), np.roll(below, -1)
    return np.concatenate(
        [
            np.stack([next_above, above, below], axis=1),
            np.stack([next_above, below, next_below], axis=1),
        ]
    )
