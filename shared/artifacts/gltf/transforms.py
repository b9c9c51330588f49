"""Matrices out of what glTF writes down: translations, rotations and scales.

这个模块把平移、旋转和缩放变成矩阵。
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.artifacts.gltf.document import Node

Array = NDArray[Any]


def composed(translations: Array, rotations: Array, scales: Array) -> Array:
    """The (n, 4, 4) matrices, for column vectors, of n of each; rotations are (x, y, z, w).

    这个函数由平移、旋转、缩放组成变换矩阵。
    """
    lengths = np.linalg.norm(rotations, axis=1)
    x, y, z, w = (rotations / np.where(lengths > 0, lengths, 1)[:, None]).T
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    matrices = np.zeros((len(translations), 4, 4))
    matrices[:, :3, :3] = np.array(rows).transpose(2, 0, 1) * scales[:, None, :]
    matrices[:, :3, 3] = translations
    matrices[:, 3, 3] = 1
    return matrices


def local_matrices(nodes: Sequence[Node]) -> Array:
    """The nodes' own (n, 4, 4) matrices, for column vectors.

    这个函数给出各节点自身的变换矩阵。
    """
    if not nodes:
        return np.zeros((0, 4, 4))
    matrices = composed(
        np.array([node.translation for node in nodes], np.float64),
        np.array([node.rotation for node in nodes], np.float64),
        np.array([node.scale for node in nodes], np.float64),
    )
    for index, node in enumerate(nodes):
        if node.matrix is not None:
            matrices[index] = np.array(node.matrix).reshape(4, 4).T
    return matrices
