"""Morph targets at the weights that the file is in: how far each vertex is moved by them.

The default weights are those of the node, else those of its mesh (glTF 2.0.1, 3.7.2.2).

这个模块计算默认变形权重造成的顶点位移。
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.document import Primitive
from shared.artifacts.gltf.mesh import Array, Unreadable, read_floats

MAX_MORPHED = 30_000_000
"""Rows of targets read for one primitive: a small file may name the same target any times."""


def displacement(
    container: Container, primitive: Primitive, weights: Sequence[float], name: str
) -> Array | None:
    """How far the weighted targets move each vertex's `name`, (n, 3); None where none does.

    Raises Unreadable where the targets are too many, or compressed beyond reading.

    这个函数给出变形目标对每个顶点的总位移。
    """
    used = [
        (target[name], weight)
        for target, weight in zip(primitive.targets, weights, strict=False)
        if weight and name in target
    ]
    if not used:
        return None
    if len(used) * primitive.vertices > MAX_MORPHED:
        raise Unreadable(f"{len(used)} morph targets move {primitive.vertices} vertices each")
    total = np.zeros((primitive.vertices, 3), np.float32)
    for accessor, weight in used:
        first = 0
        for rows in read_floats(container, accessor):
            here = total[first : first + len(rows)]
            here += rows[: len(here), :3] * np.float32(weight)
            first += len(rows)
    return total
