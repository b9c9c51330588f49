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


def can_be_instanced(primitives: Sequence[Primitive]) -> bool:
    """Whether a mesh has triangles alone; lines and points are drawn once, whatever is asked for.

    这个函数判断网格能否实例化。
    """
    return all(part.mode in (TRIANGLES, STRIP, FAN) for part in primitives)


def count_instances(container: Container, attributes: Mapping[str, int]) -> int:
    """How many instances of a mesh there are by some attributes, of which there must be one.

    这个函数给出实例数量。
    """
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
