"""EXT_mesh_gpu_instancing: one node that draws its mesh at many places.

Read as three.js reads it: only where every primitive of the mesh has triangles, by TRANSLATION,
ROTATION and SCALE, each standing for itself where it is missing.

这个模块读取一个节点的 GPU 实例。
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shared.artifacts.gltf.accessors import usable
from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.document import FAN, STRIP, TRIANGLES, BrokenModel, Primitive
from shared.artifacts.gltf.mesh import Array, Unreadable, read_rows
from shared.artifacts.gltf.transforms import composed

_PARTS = {
    "TRANSLATION": ("VEC3", (0.0, 0.0, 0.0)),
    "ROTATION": ("VEC4", (0.0, 0.0, 0.0, 1.0)),
    "SCALE": ("VEC3", (1.0, 1.0, 1.0)),
}


def count_instances(
    container: Container, attributes: Mapping[str, int], primitives: Sequence[Primitive]
) -> int | None:
    """How many instances a node asks for, or None where it draws its mesh once, as any node.

    这个函数给出实例数量。
    """
    if not attributes or any(p.mode not in (TRIANGLES, STRIP, FAN) for p in primitives):
        return None
    return min(container.document.accessors[index].count for index in attributes.values())


def instance_matrices(container: Container, attributes: Mapping[str, int], count: int) -> Array:
    """The (count, 4, 4) matrices of a node's instances, within the node; raises BrokenModel.

    这个函数读取各实例的变换矩阵。
    """
    parts = []
    for name, (kind, default) in _PARTS.items():
        if name not in attributes:
            parts.append(np.tile(default, (count, 1)))
            continue
        if usable(container.document.accessors, attributes[name]).kind != kind:
            raise BrokenModel(f"an instance's {name} is not {kind}")
        try:
            parts.append(read_rows(container, attributes[name], count))
        except Unreadable as error:
            raise BrokenModel(f"the {name} of instances cannot be read: {error}") from None
    return composed(*parts)
