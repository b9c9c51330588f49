"""Where a part's vertices stand in the world: under its node, or in the pose of its skeleton.

A skinned part ignores its own node and follows its joints (glTF 2.0.1, 3.7.3.3): each vertex moves
by the weighted sum of joint matrix times inverse bind matrix. Animations are not played.

这个模块计算部件顶点在世界中的位置和法线。
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.artifacts.glb import Container, RangeReader
from shared.artifacts.gltf import entries
from shared.artifacts.mesh import (
    Array,
    Drawn,
    Unreadable,
    normalised,
    raw_chunks,
    read_floats,
)


@dataclass(frozen=True)
class _Skin:
    """Matrices of the joints (j, 4, 4), and for each vertex four joints and their weights."""

    matrices: Array
    joints: Array
    weights: Array

    def moved(self, vectors: Array, first: int, place: float) -> Array:
        """Vectors of the vertices from `first` on; `place` is 1 for points, 0 for directions."""
        rows = slice(first, first + len(vectors))
        total = np.zeros_like(vectors)
        for joint, weight in zip(self.joints[rows].T, self.weights[rows].T, strict=True):
            matrix = self.matrices[joint]
            here = np.einsum("nij,nj->ni", matrix[:, :3, :3], vectors) + matrix[:, :3, 3] * place
            total += here * weight[:, None]
        return total


def placed_points(reader: RangeReader, container: Container, part: Drawn) -> Iterator[Array]:
    """The positions of a drawn part in the world, as chunks of (n, 3) 64-bit floats.

    Raises Unreadable for compressed primitives.

    这个函数分块给出部件在世界坐标中的顶点位置。
    """
    if part.primitive.compressed:
        raise Unreadable("the triangles are compressed with Draco")
    index = part.primitive.attributes["POSITION"]
    accessor = container.document.accessors[index]
    pose = _pose(reader, container, part)
    for first, chunk in raw_chunks(reader, container, index):
        points = chunk.astype(np.float64)
        if accessor.normalized:
            points = normalised(points, accessor.component)
        if isinstance(pose, _Skin):
            yield pose.moved(points, first, 1.0)
        else:
            yield points @ pose[:3, :3].T + pose[:3, 3]


def placed_normals(reader: RangeReader, container: Container, part: Drawn) -> Array:
    """The unit normals of a drawn part in the world, (n, 3); zeros where the file has none.

    这个函数给出部件在世界坐标中的法线。
    """
    index = part.primitive.attributes.get("NORMAL")
    if index is None or container.document.accessors[index].width != 3:
        return np.zeros((part.primitive.vertices, 3), np.float32)
    normals = read_floats(reader, container, index)
    pose = _pose(reader, container, part)
    with np.errstate(all="ignore"):
        if isinstance(pose, _Skin):
            world = pose.moved(normals, 0, 0.0)
        else:
            world = normals @ _inverse(pose[:3, :3])
        length = np.linalg.norm(world, axis=1, keepdims=True)
        unit: Array = np.where(length > 1e-20, world / length, 0).astype(np.float32)
    return np.nan_to_num(unit, posinf=0, neginf=0)


def _inverse(turn: Array) -> Array:
    """Row vectors times this stay upright on their surface, be it mirrored, squeezed or sheared."""
    largest = np.abs(turn).max()
    if not 0 < largest < np.inf or abs(np.linalg.det(turn / largest)) < 1e-18:
        return np.zeros((3, 3), np.float32)
    return np.linalg.inv(turn / largest).astype(np.float32)


def _pose(reader: RangeReader, container: Container, part: Drawn) -> Array | _Skin:
    """One matrix for the whole part, or a skin where its joints have parted from one another."""
    attributes = part.primitive.attributes
    names = ("JOINTS_0", "WEIGHTS_0")
    if part.joints is None or not all(name in attributes for name in names):
        return part.matrix
    if any(container.document.accessors[attributes[name]].width != 4 for name in names):
        return part.matrix
    matrices = _joint_matrices(reader, container, part)
    if np.allclose(matrices, matrices[0], rtol=1e-4, atol=1e-5 * np.abs(matrices[0]).max()):
        together: Array = matrices[0]
        return together
    joints = read_floats(reader, container, attributes["JOINTS_0"])
    joints = np.clip(joints, 0, len(matrices) - 1).astype(np.int32)
    weights = read_floats(reader, container, attributes["WEIGHTS_0"])
    total = weights.sum(axis=1, keepdims=True)
    return _Skin(matrices, joints, np.where(total > 0, weights / total, 0.25))


def _joint_matrices(reader: RangeReader, container: Container, part: Drawn) -> Array:
    """Joint matrix times inverse bind matrix, for every joint of the part's skin."""
    joints = part.joints
    assert joints is not None
    assert part.skin is not None
    raw = entries(container.document.raw, "skins")[part.skin]
    if "inverseBindMatrices" not in raw:
        return joints
    bound = read_floats(reader, container, int(raw["inverseBindMatrices"]))[: len(joints)]
    matrices: Array = joints @ bound.reshape(-1, 4, 4).transpose(0, 2, 1).astype(np.float64)
    return matrices
