"""Vertex data of a checked GLB as NumPy arrays: read by ranges, in chunks, where it is needed.

Positions, indices and the other attributes come out as the specification means them: integers
normalised, sparse rows replaced, strips and fans unrolled, nodes' transforms multiplied through.

这个模块把 GLB 中的顶点数据读成 NumPy 数组。
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.artifacts.glb import BrokenModel, Container, RangeReader, read_exactly
from shared.artifacts.gltf import (
    COMPONENT_BYTES,
    FAN,
    FLOAT,
    STRIP,
    TRIANGLES,
    Node,
    Primitive,
    entries,
)

_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}

CHUNK_BYTES = 4 * 2**20
"""One range request's worth: large enough to be quick over a network, small beside any memory."""

MAX_EMPTY_ROWS = 1_000_000
"""An accessor without data is all zeros and costs the file nothing; it must not cost memory."""

MAX_JOINTS = 2_000_000
"""Joints times the parts that follow them; beyond it skeletons are left out of account."""

MAX_DRAWN = 100_000
"""Nodes times primitives: a small file could otherwise ask for thousands of millions of parts."""

Array = NDArray[Any]


class Unreadable(ValueError):
    """The vertex data is whole but in a form that is not read here (compressed).

    这个错误表示数据没有坏，但这里读不了它的压缩形式。
    """


@dataclass(frozen=True)
class Drawn:
    """One primitive at one place of the scene; `matrix` is 4x4 and takes its points to the world.

    `mesh` and `number` name the primitive in the document. A skinned part has the number of its
    `skin` and the world matrices (j, 4, 4) of its `joints`.

    这个类表示场景中一次绘制及其世界变换矩阵。
    """

    mesh: int
    number: int
    primitive: Primitive
    matrix: Array
    skin: int | None
    joints: Array | None


def local_matrix(node: Node) -> Array:
    """A node's own 4x4 matrix, for column vectors.

    这个函数给出节点自身的变换矩阵。
    """
    if node.matrix is not None:
        return np.array(node.matrix, dtype=np.float64).reshape(4, 4).T
    x, y, z, w = node.rotation
    length = float(np.sqrt(x * x + y * y + z * z + w * w))
    if length > 0 and np.isfinite(length):
        x, y, z, w = x / length, y / length, z / length, w / length
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(node.scale)
    matrix[:3, 3] = node.translation
    return matrix


def world_matrices(container: Container) -> dict[int, Array]:
    """The world matrix of every node that the shown scene reaches.

    这个函数计算场景中每个节点的世界矩阵。
    """
    nodes = container.document.nodes
    found: dict[int, Array] = {}
    waiting = [(root, np.eye(4)) for root in reversed(container.document.roots)]
    with np.errstate(all="ignore"):
        while waiting:
            index, above = waiting.pop()
            if index in found:
                continue
            found[index] = above @ local_matrix(nodes[index])
            waiting += [(child, found[index]) for child in reversed(nodes[index].children)]
    return found


def drawn(container: Container) -> list[Drawn]:
    """Every primitive with vertices that the shown scene draws, once for each node that draws it.

    这个函数列出场景实际绘制的所有部件。
    """
    document = container.document
    worlds = world_matrices(container)
    total = sum(
        len(document.meshes[mesh])
        for index in worlds
        if (mesh := document.nodes[index].mesh) is not None
    )
    if total > MAX_DRAWN:
        raise BrokenModel(f"the scene draws {total} parts, more than {MAX_DRAWN}")
    joints = _joints(container, worlds)
    result = []
    for index, matrix in worlds.items():
        node = document.nodes[index]
        if node.mesh is None:
            continue
        for number, primitive in enumerate(document.meshes[node.mesh]):
            if primitive.vertices:
                found = None if node.skin is None else joints.get(node.skin)
                result.append(Drawn(node.mesh, number, primitive, matrix, node.skin, found))
    return result


def _joints(container: Container, worlds: Mapping[int, Array]) -> dict[int, Array]:
    """The world matrices of each skin's joints; a joint outside the shown scene stays put."""
    document = container.document
    skins = [skin["joints"] for skin in entries(document.raw, "skins")]
    users = [document.nodes[index] for index in worlds]
    work = sum(
        len(skins[node.skin]) * len(document.meshes[node.mesh])
        for node in users
        if node.skin is not None and node.mesh is not None
    )
    if work > MAX_JOINTS:
        return {}
    used = {node.skin for node in users if node.skin is not None}
    still = np.eye(4)
    return {
        skin: np.stack([worlds.get(int(joint), still) for joint in skins[skin]]) for skin in used
    }


def read_view(
    reader: RangeReader, container: Container, view_index: int, offset: int, length: int
) -> bytes:
    """`length` bytes of a buffer view from its byte `offset` on.

    Raises Unreadable where the view is compressed.

    这个函数读取缓冲视图中的一段字节。
    """
    view = container.document.views[view_index]
    buffer = container.document.buffers[view.buffer]
    start = view.offset + offset
    if view.compressed:
        raise Unreadable(f"bufferViews[{view_index}] is compressed")
    if buffer.inline is not None:
        return buffer.inline[start : start + length]
    return read_exactly(reader, container.bin_start + start, length)


def raw_chunks(
    reader: RangeReader, container: Container, index: int
) -> Iterator[tuple[int, Array]]:
    """The rows of an accessor as stored, sparse rows replaced: (first row, rows x width) chunks.

    这个函数分块给出访问器中的原始数据。
    """
    accessor = container.document.accessors[index]
    dtype = np.dtype(_DTYPES[accessor.component])
    rows, values = _sparse_rows(reader, container, index)
    stride = accessor.element_bytes
    if accessor.view is not None:
        stride = container.document.views[accessor.view].stride or stride
    elif accessor.count > MAX_EMPTY_ROWS:
        raise Unreadable(f"accessors[{index}] has {accessor.count} rows and no data")
    step = max(1, CHUNK_BYTES // stride)
    for first in range(0, accessor.count, step):
        count = min(step, accessor.count - first)
        if accessor.view is None:
            chunk: Array = np.zeros((count, accessor.width), dtype)
        else:
            start = accessor.offset + first * stride
            length = (count - 1) * stride + accessor.element_bytes
            data = read_view(reader, container, accessor.view, start, length)
            chunk = np.ndarray(
                (count, accessor.width), dtype, data, strides=(stride, dtype.itemsize)
            )
        if len(rows):
            chunk = chunk.copy()
            here = (rows >= first) & (rows < first + count)
            chunk[rows[here] - first] = values[here]
        yield first, chunk


def _sparse_rows(reader: RangeReader, container: Container, index: int) -> tuple[Array, Array]:
    accessor = container.document.accessors[index]
    sparse = accessor.sparse
    if sparse is None:
        return np.zeros(0, np.int64), np.zeros((0, accessor.width))
    size = COMPONENT_BYTES[sparse.index_component] * sparse.count
    where = read_view(reader, container, sparse.index_view, sparse.index_offset, size)
    rows = np.frombuffer(where, _DTYPES[sparse.index_component]).astype(np.int64)
    if rows.max() >= accessor.count or (np.diff(rows) <= 0).any():
        raise BrokenModel(f"accessors[{index}].sparse has indices out of order or out of range")
    size = accessor.element_bytes * sparse.count
    data = read_view(reader, container, sparse.value_view, sparse.value_offset, size)
    values = np.frombuffer(data, _DTYPES[accessor.component]).reshape(sparse.count, -1)
    return rows, values[:, : accessor.width]


def normalised(values: Array, component: int) -> Array:
    """Integers that stand for fractions, as 0..1 or -1..1; floats as they are.

    这个函数把归一化整数还原为小数。
    """
    if component == FLOAT:
        return values
    top = np.iinfo(np.dtype(_DTYPES[component])).max
    fractions: Array = np.maximum(values / values.dtype.type(top), values.dtype.type(-1))
    return fractions


def read_floats(reader: RangeReader, container: Container, index: int) -> Array:
    """A whole accessor as a rows x width array of 32-bit floats.

    这个函数读出整个访问器的浮点数组。
    """
    accessor = container.document.accessors[index]
    out = np.empty((accessor.count, accessor.width), np.float32)
    for first, chunk in raw_chunks(reader, container, index):
        part = chunk.astype(np.float32)
        if accessor.normalized:
            part = normalised(part, accessor.component)
        out[first : first + len(part)] = part
    return out


def read_triangles(reader: RangeReader, container: Container, primitive: Primitive) -> Array:
    """The triangles of a primitive as an (n, 3) array of vertex numbers; strips and fans unrolled.

    这个函数读出部件的三角形顶点编号。
    """
    if not primitive.triangles:
        return np.zeros((0, 3), np.uint32)
    if primitive.indices is None:
        order: Array = np.arange(primitive.vertices, dtype=np.uint32)
    else:
        parts = [chunk[:, 0] for _, chunk in raw_chunks(reader, container, primitive.indices)]
        order = np.concatenate(parts).astype(np.uint32, copy=False)
    if primitive.mode == TRIANGLES:
        return order[: primitive.triangles * 3].reshape(-1, 3)
    if primitive.mode == FAN:
        return np.stack([np.full(len(order) - 2, order[0]), order[1:-1], order[2:]], axis=1)
    assert primitive.mode == STRIP
    strip = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
    strip[1::2] = strip[1::2][:, [0, 2, 1]]
    return strip


def check_indices(reader: RangeReader, container: Container) -> None:
    """Read every index once and see that it names a vertex; memory stays at one chunk.

    Raises BrokenModel. Compressed primitives are passed over: their indices are not stored plainly.

    这个函数检查每个索引都指向存在的顶点。
    """
    document = container.document
    least: dict[int, tuple[int, str]] = {}
    for mesh, primitives in enumerate(document.meshes):
        for number, primitive in enumerate(primitives):
            if primitive.indices is None or primitive.compressed or not primitive.vertices:
                continue
            place = f"meshes[{mesh}].primitives[{number}]"
            known = least.get(primitive.indices, (primitive.vertices, place))
            least[primitive.indices] = min(known, (primitive.vertices, place))
    declared = sum(
        document.accessors[index].count * document.accessors[index].element_bytes for index in least
    )
    if declared > 2 * container.size + CHUNK_BYTES:
        raise BrokenModel(
            f"the indices declare {declared} bytes in a file of {container.size}: they overlap"
        )
    for index, (vertices, place) in least.items():
        try:
            for first, chunk in raw_chunks(reader, container, index):
                top = int(chunk.max())
                if top >= vertices:
                    row = first + int(np.argmax(chunk[:, 0]))
                    raise BrokenModel(
                        f"{place} has index {top} at row {row} of accessors[{index}] but only"
                        f" {vertices} vertices"
                    )
        except Unreadable:
            continue
