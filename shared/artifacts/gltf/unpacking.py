"""What is compressed in a model, unpacked: once for each model, within a bound on its memory.

Sizes are declared before anything is unpacked; what declares more than is allowed stays packed.

这个模块按需解压模型中的压缩数据。
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.artifacts.gltf import draco, meshopt
from shared.artifacts.gltf.container import Container, read_exactly
from shared.artifacts.gltf.document import COMPONENT_BYTES, Draco, Meshopt, Undecodable

MAX_UNPACKED = 192 * 2**20
"""Bytes unpacked for one model: some millions of vertices; two models may be open at once."""

_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}

Array = NDArray[Any]


class Unreadable(ValueError):
    """The data is whole but is not read here: too much of it, or outside the file.

    这个错误表示数据没有坏，但这里读不了它。
    """


def read_buffer(container: Container, index: int, start: int, length: int) -> bytes:
    """`length` bytes of a buffer from byte `start` on; raises Unreadable where it has no data.

    这个函数读取缓冲区中的一段字节。
    """
    buffer = container.document.buffers[index]
    if buffer.missing is not None or start + length > buffer.length:
        raise Unreadable(buffer.missing or f"buffers[{index}] ends before byte {start + length}")
    if buffer.data is not None:
        return buffer.data[start : start + length]
    return read_exactly(container.reader, container.bin_start + start, length)


def unpacked(container: Container, packing: Meshopt | Draco) -> Array:
    """An array of the bytes that something compressed stands for, in the form that is declared.

    Raises Undecodable, and Unreadable where it would take too much memory.

    这个函数给出解压后的字节。
    """
    kept = container.unpacked
    if packing not in kept:
        if isinstance(packing, Meshopt):
            _reserve(container, packing.count * packing.stride)
            data = read_buffer(container, packing.buffer, packing.offset, packing.length)
            kept[packing] = meshopt.unpack(data, packing)
        else:
            _reserve(container, packing.count * packing.width * COMPONENT_BYTES[packing.component])
            kept[packing] = _draco_part(container, packing)
    found: Array = kept[packing]
    return found


def _reserve(container: Container, size: int) -> None:
    """Count what something will take; raises Unreadable where that is too much for one model."""
    total = container.unpacked.get("size", 0) + size
    if total > MAX_UNPACKED:
        raise Unreadable(f"it unpacks to more than {MAX_UNPACKED // 2**20} MB")
    container.unpacked["size"] = total


def draco_stream(container: Container, index: int) -> draco.Unpacked:
    """All that the Draco stream in a view holds; raises Undecodable and Unreadable.

    这个函数解码一个视图中的 Draco 数据流。
    """
    key = ("stream", index)
    if key not in container.unpacked:
        view = container.document.views[index]
        if isinstance(view.packing, Meshopt):
            data = unpacked(container, view.packing).tobytes()
        else:
            data = read_buffer(container, view.buffer, view.offset, view.length)
        # Vertices are half as many as triangles in most meshes, with some ten numbers each.
        _reserve(container, draco.declared_faces(data) * 32)
        container.unpacked[key] = draco.unpack(data)
    found: draco.Unpacked = container.unpacked[key]
    return found


def _draco_part(container: Container, packing: Draco) -> Array:
    """One attribute, or the indices, of a Draco stream in the form its accessor declares.

    Draco 数据流中的一部分。
    """
    found = draco_stream(container, packing.view)
    if packing.attribute is None:
        values: Array = found.triangles.reshape(-1, 1)
    elif packing.attribute not in found.attributes:
        raise Undecodable(f"the Draco stream has no attribute {packing.attribute}")
    else:
        values = found.attributes[packing.attribute]
    if values.ndim != 2 or values.shape != (packing.count, packing.width):
        raise Undecodable(f"attribute {packing.attribute} of the Draco stream has no such form")
    with np.errstate(all="ignore"):
        made: Array = np.ascontiguousarray(values, _DTYPES[packing.component])
    return made.reshape(-1).view(np.uint8)
