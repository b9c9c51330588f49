"""Where the parts of the shown scene stand in the world: under their nodes, or on a skeleton.

A skinned part ignores its own node and follows its joints (glTF 2.0.1, 3.7.3.3): each vertex moves
by the weighted sum of joint matrix times inverse bind matrix. Animations are not played.

这个模块计算部件顶点在世界中的位置和法线。
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.document import TRIANGLES, BrokenModel, Node, Primitive, entries
from shared.artifacts.gltf.instancing import can_be_instanced, count_instances, instance_matrices
from shared.artifacts.gltf.mesh import Array, Unreadable, read_attribute, read_chunks, read_floats
from shared.artifacts.gltf.morphs import displacement
from shared.artifacts.gltf.transforms import local_matrices

MAX_DRAWN = 100_000
"""Nodes times primitives: a small file could otherwise ask for thousands of millions of parts."""

MAX_PLACED = 600_000
"""Nodes of one scene: no JSON within its bound has more, but each root may hold all the others."""

MAX_JOINTS = 500_000
"""Joints, and joints times the parts that follow them; beyond it skeletons do not count."""


@dataclass(frozen=True)
class Drawn:
    """One primitive of a mesh at one place of the scene.

    `matrices` (j, 4, 4) take its points to the world: one for all of them, or one for each joint of
    a skeleton in the pose the file is in. `weights` are those of its morph targets. `mirrored`: its
    node turns triangles inside out, so that their fronts are wound clockwise; as three.js has it,
    neither joints nor instances within the node change that.

    这个类表示场景中一次绘制及其世界变换矩阵。
    """

    mesh: int
    primitive: Primitive
    matrices: Array
    weights: tuple[float, ...] = ()
    mirrored: bool = False


@np.errstate(all="ignore")
def drawn(container: Container) -> list[Drawn]:
    """Every primitive with vertices that the shown scene draws, once for each place it is drawn at.

    Raises BrokenModel.

    这个函数列出场景实际绘制的所有部件。
    """
    document = container.document
    placed = _placed_nodes(container)
    users = [(document.nodes[index], world) for index, world in placed]
    users = [(node, world) for node, world in users if node.mesh is not None]
    solid = [can_be_instanced(primitives) for primitives in document.meshes]
    counts = [
        count_instances(container, node.instances)
        if node.instances and solid[node.mesh or 0]
        else None
        for node, _ in users
    ]
    # A part without vertices, or at no place at all, costs its look as well.
    total = sum(
        len(document.meshes[node.mesh or 0]) * max(1, count or 0)
        for (node, _), count in zip(users, counts, strict=True)
    )
    if total > MAX_DRAWN:
        raise BrokenModel(f"the scene draws {total} parts, more than {MAX_DRAWN}")
    turns = np.array([world[:3, :3] for _, world in users]).reshape(-1, 3, 3)
    mirrored = (np.linalg.det(turns) < 0).tolist()
    poses = _Poses(container, dict(reversed(placed)))
    result: list[Drawn] = []
    for (node, world), count, inside_out in zip(users, counts, mirrored, strict=True):
        result += _drawn_by(container, node, world, poses, count, inside_out)
    return result


def _drawn_by(
    container: Container,
    node: Node,
    world: Array,
    poses: _Poses,
    count: int | None,
    mirrored: bool,
) -> Iterator[Drawn]:
    """What one node draws: its mesh once, or at the places of its instances; raises BrokenModel.

    一个节点绘制的部件。
    """
    mesh, document = node.mesh or 0, container.document
    # As in three.js: a node's weights take the place of as many, and of meshes', not of lines'.
    usual = document.weights[mesh]
    own = (*(node.weights or ()), *usual[len(node.weights or ()) :])
    primitives = [part for part in document.meshes[mesh] if part.vertices]
    if count is None:
        for primitive in primitives:
            weights = usual if primitive.mode < TRIANGLES else own
            yield Drawn(mesh, primitive, poses.of(node, primitive, world), weights, mirrored)
        return
    for place in world @ instance_matrices(container, node.instances, count):
        for primitive in primitives:
            # As in three.js, neither morph weights nor a skeleton reach what is instanced.
            yield Drawn(mesh, primitive, place[None], (), mirrored)


def _placed_nodes(container: Container) -> list[tuple[int, Array]]:
    """The nodes that the shown scene reaches, each with its world matrix; raises BrokenModel.

    A root that is a node's child as well stands at both places, as in three.js.

    场景中的节点及其世界矩阵。
    """
    nodes = container.document.nodes
    own = local_matrices(nodes)
    found: list[tuple[int, Array]] = []
    waiting = [(root, np.eye(4)) for root in reversed(container.document.roots)]
    while waiting:
        index, above = waiting.pop()
        if len(found) >= MAX_PLACED:
            raise BrokenModel(f"the scene has more than {MAX_PLACED} nodes")
        world = above @ own[index]
        found.append((index, world))
        waiting += [(child, world) for child in reversed(nodes[index].children)]
    return found


class _Poses:
    """The poses of skeletons, each read once, within a bound on all their joints."""

    def __init__(self, container: Container, worlds: Mapping[int, Array]) -> None:
        self._container, self._worlds = container, worlds
        self._skins = entries(container.document.raw, "skins")
        self._poses: dict[int, Array | None] = {}
        self._joints = 0

    def of(self, node: Node, primitive: Primitive, world: Array) -> Array:
        """The matrices that a node's primitive follows: its joints', or the node's own.

        部件跟随的矩阵。
        """
        if node.skin is None or not {"JOINTS_0", "WEIGHTS_0"} <= primitive.attributes.keys():
            return world[None]
        if not self._skins[node.skin]["joints"] or primitive.mode < TRIANGLES:
            return world[None]  # as in three.js: lines and points have no skeleton
        if node.skin not in self._poses:
            raw = self._skins[node.skin]
            self._joints += len(raw["joints"])
            allowed = self._joints <= MAX_JOINTS
            found = _pose(self._container, self._worlds, raw) if allowed else None
            self._poses[node.skin] = found
        pose = self._poses[node.skin]
        if pose is None:
            return world[None]
        self._joints += len(pose)
        return pose if self._joints <= MAX_JOINTS else world[None]


def _pose(
    container: Container, worlds: Mapping[int, Array], raw: Mapping[str, Any]
) -> Array | None:
    """Joint matrix times inverse bind matrix of every joint; a joint outside the scene stays put.

    One matrix where the joints have not parted from one another; None where it cannot be read.

    骨骼的姿态矩阵。
    """
    matrices = np.stack([worlds.get(int(joint), np.eye(4)) for joint in raw["joints"]])
    if "inverseBindMatrices" in raw:
        # Many skins may share one array: of each, only as many rows are read as it has joints.
        bound = container.document.accessors[int(raw["inverseBindMatrices"])]
        bound = replace(bound, count=len(matrices), sparse=None)
        try:
            rows = np.concatenate([chunk for _, chunk in read_chunks(container, bound)])
        except Unreadable:
            return None
        matrices = matrices @ rows.astype(np.float64).reshape(-1, 4, 4).transpose(0, 2, 1)
    tolerance = 1e-5 * np.abs(matrices[0]).max()
    return matrices[:1] if np.allclose(matrices, matrices[0], 1e-4, tolerance) else matrices


def placed_points(container: Container, part: Drawn) -> Iterator[Array]:
    """The positions of a drawn part in the world, as chunks of (n, 3) 64-bit floats.

    Raises Undecodable or Unreadable for what is compressed and cannot be unpacked.

    这个函数分块给出部件在世界坐标中的顶点位置。
    """
    follow = _Following(container, part)
    moved, first = displacement(container, part.primitive, part.weights, "POSITION"), 0
    position = part.primitive.attributes["POSITION"]
    for points in read_floats(container, position, np.float64):
        if moved is not None:
            points += moved[first : first + len(points)]
            first += len(points)
        yield follow.moved(points, part.matrices[:, :3, :3], part.matrices[:, :3, 3])


def placed_normals(container: Container, part: Drawn) -> Array:
    """The unit normals of a drawn part in the world, (n, 3); zeros where the file has none.

    这个函数给出部件在世界坐标中的法线。
    """
    normals = read_attribute(container, part.primitive, "NORMAL", 3)
    if not normals.any():
        return normals
    moved = displacement(container, part.primitive, part.weights, "NORMAL")
    if moved is not None:
        normals = normals + moved
    turns = part.matrices[:, :3, :3]
    if len(turns) == 1:
        turns = _upright(turns[0])[None]
    with np.errstate(all="ignore"):
        world = _Following(container, part).moved(normals, turns, np.zeros((len(turns), 3)))
        length = np.linalg.norm(world, axis=1, keepdims=True)
        unit: Array = np.where(length > 1e-20, world / length, 0)
    return np.nan_to_num(unit, posinf=0, neginf=0).astype(np.float32)


def _upright(turn: Array) -> Array:
    """What keeps normals upright on their surface, be it mirrored, squeezed or sheared."""
    largest = np.abs(turn).max()
    if not 0 < largest < np.inf or abs(np.linalg.det(turn / largest)) < 1e-18:
        return np.zeros((3, 3))
    return np.linalg.inv(turn / largest).T


class _Following:
    """Moves a part's vertices, chunk after chunk, each by the four joints it follows."""

    def __init__(self, container: Container, part: Drawn) -> None:
        self._first = 0
        if len(part.matrices) == 1:
            return
        joints = read_attribute(container, part.primitive, "JOINTS_0", 4)
        self._joints = np.clip(joints, 0, len(part.matrices) - 1).astype(np.int32)
        weights = read_attribute(container, part.primitive, "WEIGHTS_0", 4)
        total = weights.sum(axis=1, keepdims=True)
        # As three.js has it: what follows nothing follows its first joint.
        self._weights = np.where(total > 0, weights / np.where(total > 0, total, 1), [1, 0, 0, 0])

    def moved(self, vectors: Array, turns: Array, shifts: Array) -> Array:
        """The next vectors, each turned and shifted.

        移动后的向量。
        """
        if len(turns) == 1:
            alone: Array = vectors @ turns[0].T + shifts[0]
            return alone
        rows = slice(self._first, self._first + len(vectors))
        self._first += len(vectors)
        total = np.zeros(vectors.shape)
        for joint, weight in zip(self._joints[rows].T, self._weights[rows].T, strict=True):
            here = np.einsum("nij,nj->ni", turns[joint], vectors) + shifts[joint]
            total += here * weight[:, None]
        return total
