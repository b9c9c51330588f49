"""Is a mesh closed: does every edge have two triangles, once vertices at one place are one.

Counted with sorted arrays; the answers are trimesh's (`merge_vertices`, `is_watertight`), which the
tests hold them against.

这个模块判断网格是否封闭。
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_GRID = 1e8
"""Places per unit, of a mesh scaled to 1: closer vertices are taken as one."""

_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)


def is_closed(points: Array, faces: Array) -> bool:
    """Whether triangles (n, 3) of vertices at (m, 3) places leave no edge open.

    这个函数判断三角形是否围成封闭的表面。
    """
    if not len(faces) or not np.isfinite(points).all():
        return False
    scaled = points / np.float32(max(float(np.abs(points).max()), 1e-30))
    corners = _merged(np.round(scaled.astype(np.float64) * _GRID - 1e-6).astype(np.int64))[faces]
    a, b, c = corners.T
    corners = corners[(a != b) & (b != c) & (c != a)]
    if not len(corners):
        return False
    starts, ends = corners.reshape(-1), np.roll(corners, -1, axis=1).reshape(-1)
    edges = np.minimum(starts, ends) * np.int64(len(points)) + np.maximum(starts, ends)
    edges.sort()
    first, second = edges[::2], edges[1::2]
    if len(first) != len(second) or (first != second).any():
        return False
    return bool((first[1:] != second[:-1]).all())


def _merged(places: Array) -> Array:
    """For each of (m, 3) whole numbers, which of them it is the same as."""
    with np.errstate(over="ignore"):
        mixed = (places.astype(np.uint64) * _MIX).sum(axis=1, dtype=np.uint64)
    _, first, same = np.unique(mixed, return_index=True, return_inverse=True)
    if (places != places[first[same]]).any():  # two places mixed to one number
        _, same = np.unique(places, axis=0, return_inverse=True)
    merged: Array = same.reshape(-1).astype(np.int64)
    return merged
