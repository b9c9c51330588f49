"""Vertex data of a checked GLB as NumPy arrays: read by ranges, in chunks, where it is needed.

Positions, indices and the other attributes come out as the specification means them: integers
normalised, sparse rows replaced, strips and fans unrolled.

这个模块把 GLB 中的顶点数据读成 NumPy 数组。
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.document import FAN, FLOAT, TRIANGLES, Accessor, BrokenModel, Primitive
from shared.artifacts.gltf.unpacking import Unreadable, read_buffer, unpacked

__all__ = [
    "Array", "Unreadable", "check_indices", "check_packed", "normalised", "read_attribute",
    "read_chunks", "read_floats", "read_rows", "read_triangles", "read_view",
]  # fmt: skip

_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}

CHUNK_BYTES = 4 * 2**20
"""One range request's worth: large enough to be quick over a network, small beside any memory."""

MAX_EMPTY_ROWS = 1_000_000
"""An accessor without data is all zeros and costs the file nothing; it must not cost memory."""

Array = NDArray[Any]


def read_view(container: Container, index: int, offset: int, length: int) -> bytes:
    """`length` bytes of a buffer view from its byte `offset` on, unpacked if it is compressed.

    Raises Undecodable, and Unreadable for what is not in the file or too large to unpack.

    这个函数读取缓冲视图中的一段字节。
    """
    view = container.document.views[index]
    if view.fault is not None:
        raise Unreadable(view.fault)
    if view.packing is not None:
        return unpacked(container, view.packing)[offset : offset + length].tobytes()
    return read_buffer(container, view.buffer, view.offset + offset, length)


def read_chunks(container: Container, accessor: Accessor) -> Iterator[tuple[int, Array]]:
    """The rows of an accessor as stored, sparse rows replaced: (first row, rows x width) chunks.

    这个函数分块给出访问器中的原始数据。
    """
    dtype = np.dtype(_DTYPES[accessor.component])
    stride = accessor.row_bytes
    if accessor.view is not None:
        stride = container.document.views[accessor.view].stride or stride
    elif accessor.count > MAX_EMPTY_ROWS:
        raise Unreadable(f"an accessor has {accessor.count} rows and no data")
    rows, values = _replaced(container, accessor)
    step = max(1, CHUNK_BYTES // stride)
    if not accessor.count:
        yield 0, np.zeros((0, accessor.width), dtype)
    for first in range(0, accessor.count, step):
        shape = min(step, accessor.count - first), accessor.width
        chunk: Array = np.zeros(shape, dtype)
        if accessor.view is not None:
            length = (shape[0] - 1) * stride + accessor.row_bytes
            start = accessor.offset + first * stride
            data = read_view(container, accessor.view, start, length)
            chunk = np.ndarray(shape, dtype, data, strides=(stride, dtype.itemsize))
        if len(rows):
            here = (rows >= first) & (rows < first + len(chunk))
            chunk = chunk.copy()
            chunk[rows[here] - first] = values[here]
        yield first, chunk


def _replaced(container: Container, accessor: Accessor) -> tuple[Array, Array]:
    """The rows that a sparse accessor replaces, and their values; none of one that is not.

    稀疏数据替换的行与值。
    """
    if accessor.sparse is None:
        return np.zeros(0, np.int64), np.zeros((0, accessor.width))
    parts = (
        np.concatenate([chunk for _, chunk in read_chunks(container, part)])
        for part in accessor.sparse
    )
    rows, values = next(parts)[:, 0].astype(np.int64), next(parts)
    if (len(rows) and rows.max() >= accessor.count) or (np.diff(rows) <= 0).any():
        raise BrokenModel("a sparse accessor has indices out of order or out of range")
    return rows, values


def normalised(values: Array, component: int) -> Array:
    """Integers that stand for fractions, as 0..1 or -1..1; floats as they are.

    这个函数把归一化整数还原为小数。
    """
    if component == FLOAT:
        return values
    top = np.iinfo(np.dtype(_DTYPES[component])).max
    fractions: Array = np.maximum(values / values.dtype.type(top), values.dtype.type(-1))
    return fractions


def read_floats(container: Container, index: int, dtype: type = np.float32) -> Iterator[Array]:
    """An accessor as chunks of rows x width floats.

    这个函数分块读出访问器的浮点数组。
    """
    accessor = container.document.accessors[index]
    for _, chunk in read_chunks(container, accessor):
        values: Array = chunk.astype(dtype)
        yield normalised(values, accessor.component) if accessor.normalized else values


def read_rows(container: Container, index: int, count: int) -> Array:
    """The first `count` rows of an accessor as 64-bit floats; raises Unreadable.

    这个函数读出访问器开头的若干行。
    """
    accessor = container.document.accessors[index]
    if accessor.sparse is None:
        accessor = replace(accessor, count=min(count, accessor.count))
    chunks = [chunk for _, chunk in read_chunks(container, accessor)]
    rows: Array = np.concatenate(chunks)[:count].astype(np.float64)
    return normalised(rows, accessor.component) if accessor.normalized else rows


def read_attribute(
    container: Container, primitive: Primitive, name: str, width: int, default: float = 0
) -> Array:
    """An attribute as (n, width) 32-bit floats; what the file lacks is filled with the default.

    这个函数读出部件的一种顶点属性。
    """
    out = np.full((primitive.vertices, width), default, np.float32)
    if name in primitive.attributes:
        chunks = read_floats(container, primitive.attributes[name])
        # An attribute may be longer than the positions: who draws takes as many as there are.
        values = np.concatenate(list(chunks))[: primitive.vertices, :width]
        out[: len(values), : values.shape[1]] = np.nan_to_num(values, posinf=0, neginf=0)
    return out


def read_order(container: Container, primitive: Primitive) -> Array:
    """The vertex numbers of a primitive in the order in which it draws them, (n,).

    这个函数读出部件绘制顶点的顺序。
    """
    if primitive.indices is None:
        return np.arange(primitive.vertices, dtype=np.uint32)
    indices = container.document.accessors[primitive.indices]
    parts = [chunk[:, 0] for _, chunk in read_chunks(container, indices)]
    return np.concatenate(parts).astype(np.uint32, copy=False)


def read_triangles(container: Container, primitive: Primitive) -> Array:
    """The triangles of a primitive as an (n, 3) array of vertex numbers; strips and fans unrolled.

    这个函数读出部件的三角形顶点编号。
    """
    order = read_order(container, primitive)
    if primitive.mode == TRIANGLES:
        return order[: primitive.triangles * 3].reshape(-1, 3)
    if primitive.mode == FAN:
        return np.stack([np.full(len(order) - 2, order[0]), order[1:-1], order[2:]], axis=1)
    strip = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
    strip[1::2] = strip[1::2][:, [0, 2, 1]]
    return strip


def check_indices(container: Container, packed: bool = True) -> None:
    """Read every index once and see that it names a vertex; memory stays at one chunk.

    Compressed indices are unpacked for it, or passed over where they are not to be (`packed`) or
    cannot be. Raises BrokenModel.

    这个函数检查每个索引都指向存在的顶点。
    """
    accessors, plain = container.document.accessors, 0
    for index, (vertices, place) in _least_vertices(container).items():
        accessor = accessors[index]
        if _is_packed(container, accessor):
            if not packed:
                continue
        else:
            plain += accessor.count * accessor.row_bytes
        size = container.reader.size
        if plain > 2 * size + CHUNK_BYTES:
            raise BrokenModel(
                f"the indices declare {plain} bytes in a file of {size}: they overlap"
            )
        try:
            for first, chunk in read_chunks(container, accessor):
                row = int(np.argmax(chunk[:, 0])) if len(chunk) else 0
                if len(chunk) and chunk[row, 0] >= vertices:
                    raise BrokenModel(
                        f"{place} has index {chunk[row, 0]} at row {first + row} of its indices"
                        f" but only {vertices} vertices"
                    )
        except Unreadable:
            continue


def check_packed(container: Container) -> None:
    """Unpack all that the scenes use of what is compressed, within the bound on memory.

    Loaders do, be it drawn or not: one stream that cannot be unpacked costs them the whole model.
    Raises Undecodable.

    这个函数解压场景用到的全部压缩数据。
    """
    document = container.document
    if not any(view.packing is not None for view in document.views):
        return
    used: dict[int, None] = {}
    for part in (part for mesh in document.meshes for part in mesh):
        for names in (part.attributes, *part.targets):
            used.update(dict.fromkeys(names.values()))
        if part.indices is not None:
            used[part.indices] = None
    for node in document.nodes:
        used.update(dict.fromkeys(node.instances.values()))
    used.update(dict.fromkeys(document.tracks))
    for index in used:
        view = document.accessors[index].view
        packing = None if view is None else document.views[view].packing
        if view is not None and packing is not None and document.views[view].fault is None:
            try:
                unpacked(container, packing)
            except Unreadable:
                return


def _least_vertices(container: Container) -> dict[int, tuple[int, str]]:
    """For each accessor of indices, the fewest vertices that a user of it has, and which user."""
    least: dict[int, tuple[int, str]] = {}
    for mesh, primitives in enumerate(container.document.meshes):
        for number, primitive in enumerate(primitives):
            if primitive.indices is not None and primitive.vertices:
                user = primitive.vertices, f"meshes[{mesh}].primitives[{number}]"
                least[primitive.indices] = min(user, least.get(primitive.indices, user))
    return least


def _is_packed(container: Container, accessor: Accessor) -> bool:
    if accessor.view is None:
        return False
    return container.document.views[accessor.view].packing is not None
