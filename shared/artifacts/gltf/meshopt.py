"""Unpacks what meshoptimizer packed: vertex attributes, triangles, index sequences, and filters.

The bitstreams are those of EXT_meshopt_compression and KHR_meshopt_compression (Khronos glTF
extension registry, "Appendix A: Bitstream" and "Appendix B: Filters"). Attributes and filters are
unpacked by whole arrays; triangles one after another, because each names those before it.

这个模块解码 meshopt 压缩的顶点和索引数据。
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.artifacts.gltf.document import Meshopt, Undecodable

Array = NDArray[Any]

_GROUP = 16
_AT_ONCE = 1 << 14
"""Groups read at once: what that takes in memory is small beside any model."""

_FLUSH = 3 << 16
"""Indices kept as Python's own numbers, of nine times the size, at once."""

_MODES = ((0, 2, 4, 8), (0, 1, 2, 4), (1, 2, 4, 8))
"""Bits of a delta by a group's two header bits: of version 0, and of version 1 by its control."""


def unpack(packed: bytes, packing: Meshopt) -> Array:
    """The `count` x `stride` bytes that a stream stands for, as one array of bytes.

    Raises Undecodable. The caller has seen to it that the size can be afforded.

    这个函数解码一段 meshopt 数据。
    """
    if packing.mode == "ATTRIBUTES":
        if packing.stride % 4:
            raise Undecodable(f"meshopt attributes cannot have {packing.stride} bytes each")
        rows = _attributes(np.frombuffer(packed, np.uint8), packing.count, packing.stride)
        return _filtered(rows, packing.filter).reshape(-1)
    if packing.stride not in (2, 4):
        raise Undecodable(f"meshopt indices cannot have {packing.stride} bytes each")
    try:
        read = _triangles if packing.mode == "TRIANGLES" else _sequence
        indices = read(packed, packing.count)
    except IndexError:
        raise Undecodable("the meshopt stream ends before its indices do") from None
    kind = "<u2" if packing.stride == 2 else "<u4"
    return indices.astype(np.uint32).astype(kind).view(np.uint8)


# -- attributes


def _attributes(source: Array, count: int, stride: int) -> Array:
    """Rows of `stride` bytes from a stream of deltas; raises Undecodable.

    解码顶点属性。
    """
    version = int(source[0]) ^ 0xA0 if len(source) else 0xFF
    if version > 1:
        raise Undecodable("the stream does not start as meshopt attributes do")
    tail = stride + (stride // 4 if version else 0)
    end = len(source) - max(tail, 24 if version else 32)
    block = min(8192 // stride // _GROUP * _GROUP, 256)
    if end < 1 or -(-count // block) * (stride // 4) > end:
        raise Undecodable(f"the meshopt stream is too short for {count} rows")
    deltas = _deltas(source, count, stride, block, version, end)
    first = source[len(source) - tail : len(source) - tail + stride]
    channels = source[len(source) - stride // 4 :] if version else np.zeros(stride // 4, np.uint8)
    rows = np.empty((count, stride), np.uint8)
    for place, channel in enumerate(channels.tolist()):
        four = slice(4 * place, 4 * place + 4)
        kind = channel & 3
        if kind == 3:
            raise Undecodable("the meshopt stream has a channel of an unknown kind")
        if kind == 2:
            rows[:, four] = _xored(deltas[four], first[four], channel >> 4)
        else:
            rows[:, four] = _summed(deltas[four], first[four], "<u1" if kind == 0 else "<u2")
    return rows


def _deltas(source: Array, count: int, stride: int, block: int, version: int, end: int) -> Array:
    """The deltas as (stride, count) bytes.

    A walk finds where each group of sixteen lies and how it is packed; all groups packed in the
    same way are then read at once. Raises Undecodable.

    读取差分数据。
    """
    data, sizes = source.tobytes(), _group_sizes(source)
    deltas = np.zeros((stride, -(-count // _GROUP) * _GROUP), np.uint8)
    found = {bits: (array("q"), array("q")) for bits in (1, 2, 4, 8)}
    position = 1
    for start in range(0, count, block):
        rows = min(block, count - start)
        groups = -(-rows // _GROUP)
        controls = position
        position += stride // 4 if version else 0
        for byte in range(stride):
            control = data[controls + byte // 4] >> 2 * (byte % 4) & 3 if version else 0
            if control == 2:
                continue
            target = byte * deltas.shape[1] + start
            if control == 3:
                if position + rows > end:
                    raise Undecodable("the meshopt stream ends before its attributes do")
                deltas[byte, start : start + rows] = source[position : position + rows]
                position += rows
                continue
            modes = _MODES[control + 1 if version else 0]
            header, position = position, position + (groups + 3) // 4
            for group in range(groups):
                bits = modes[data[header + group // 4] >> 2 * (group % 4) & 3]
                if bits:
                    if position >= end:
                        raise Undecodable("the meshopt stream ends before its attributes do")
                    places, targets = found[bits]
                    places.append(position)
                    targets.append(target + group * _GROUP)
                    position += sizes[bits][position]
            if position > end:
                raise Undecodable("the meshopt stream ends before its attributes do")
    if position != end:
        raise Undecodable("the meshopt stream goes on after its attributes")
    flat = deltas.reshape(-1)
    padded = np.concatenate([source, np.zeros(2 * _GROUP, np.uint8)])
    for bits, (places, targets) in found.items():
        for first in range(0, len(places), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            here = np.array(targets[some])[:, None] + np.arange(_GROUP)
            flat[here] = _groups(padded, np.array(places[some]), bits)
    return deltas[:, :count]


def _group_sizes(source: Array) -> dict[int, bytes]:
    """For each way of packing, how many bytes a group has that starts at each place.

    各位置上每种打包方式的字节数。
    """
    sizes = {8: bytes([_GROUP]) * len(source)}
    for bits in (1, 2, 4):
        base, sentinel = _GROUP * bits // 8, (1 << bits) - 1
        escapes = np.zeros(len(source) + base, np.int32)
        for shift in range(0, 8, bits):
            escapes[: len(source)] += source >> shift & sentinel == sentinel
        total = np.concatenate([np.zeros(1, np.int32), np.cumsum(escapes, dtype=np.int32)])
        group = base + total[base : base + len(source)] - total[: len(source)]
        sizes[bits] = group.astype(np.uint8).tobytes()
    return sizes


def _groups(padded: Array, places: Array, bits: int) -> Array:
    """The sixteen deltas of each group of one way of packing, (n, 16) bytes.

    读取同一种打包方式的各组差分。
    """
    base = _GROUP * bits // 8
    packed: Array = padded[places[:, None] + np.arange(base)]
    if bits == 8:
        return packed
    shifts: Array = np.arange(0, 8, bits, dtype=np.uint8)
    if bits > 1:
        shifts = shifts[::-1]  # the first delta is in the highest bits, but for single ones
    sentinel = (1 << bits) - 1
    values = (packed[:, :, None] >> shifts & sentinel).reshape(-1, _GROUP).astype(np.uint8)
    escaped = values == sentinel
    order = places[:, None] + base + np.cumsum(escaped, axis=1) - escaped
    return np.where(escaped, padded[order], values)


def _summed(deltas: Array, first: Array, kind: str) -> Array:
    """Rows of four bytes, each number the one before plus its zigzag-coded delta."""
    numbers = np.ascontiguousarray(deltas.T).view(kind)
    one = numbers.dtype.type(1)
    steps = (numbers >> one) ^ (np.zeros(1, numbers.dtype) - (numbers & one))
    if len(steps):
        steps[0] += first.copy().view(kind)
    rows: Array = np.cumsum(steps, axis=0, dtype=numbers.dtype).view(np.uint8)
    return rows


def _xored(deltas: Array, first: Array, turn: int) -> Array:
    """Rows of four bytes, each number the one before XOR its turned delta."""
    numbers = np.ascontiguousarray(deltas.T).view("<u4")
    if turn:
        numbers = numbers >> np.uint32(turn) | numbers << np.uint32(32 - turn)
    if len(numbers):
        numbers[0] ^= first.copy().view("<u4")
    rows: Array = np.bitwise_xor.accumulate(numbers, axis=0).view(np.uint8)
    return rows


# -- filters


@np.errstate(all="ignore")
def _filtered(rows: Array, name: str) -> Array:
    """Rows of bytes as they were before a filter made them easier to pack; raises Undecodable.

    还原滤镜处理前的数据。
    """
    stride = rows.shape[1]
    if name == "NONE" or not len(rows):
        return rows
    if name == "EXPONENTIAL":
        numbers = rows.view("<i4")
        values = np.ldexp(((numbers << 8) >> 8).astype("<f4"), numbers >> 24)
        whole: Array = values.astype("<f4").view(np.uint8)
        return whole
    if stride not in ((8,) if name == "QUATERNION" else (4, 8)):
        raise Undecodable(f"the meshopt filter {name} cannot have rows of {stride} bytes")
    back = {"OCTAHEDRAL": _octahedral, "QUATERNION": _quaternion, "COLOR": _colour}[name]
    made: Array = back(rows, stride // 4)
    return made


def _octahedral(rows: Array, size: int) -> Array:
    """Unit vectors from the plane that an octahedron unfolds to.

    由八面体展开还原单位向量。
    """
    numbers = rows.view(f"<i{size}").copy()
    top = (1 << 8 * size - 1) - 1
    x, y, one = (numbers[:, place].astype(np.float32) for place in range(3))
    x, y = x / one, y / one
    z = 1 - np.abs(x) - np.abs(y)
    inside = np.maximum(-z, 0)
    x, y = x - np.where(x >= 0, inside, -inside), y - np.where(y >= 0, inside, -inside)
    scale = top / np.sqrt(x * x + y * y + z * z)
    numbers[:, :3] = _whole(np.stack([x, y, z], axis=1) * scale[:, None], -top, top)
    return numbers.view(np.uint8)


def _quaternion(rows: Array, _size: int) -> Array:
    """Unit quaternions from their three smaller parts, and which part is left out.

    还原单位四元数。
    """
    numbers = rows.view("<i2")
    last = numbers[:, 3].astype(np.int32)
    scale = np.float32(np.sqrt(0.5)) / (last | 3)
    parts = numbers[:, :3] * scale[:, None]
    left_out = np.sqrt(np.maximum(0, 1 - (parts * parts).sum(axis=1)))
    values = _whole(np.concatenate([parts, left_out[:, None]], axis=1) * 32767, -32767, 32767)
    made = np.empty_like(numbers)
    for part, step in enumerate((1, 2, 3, 0)):
        made[np.arange(len(made)), (last & 3) + step & 3] = values[:, part]
    return made.view(np.uint8)


def _colour(rows: Array, size: int) -> Array:
    """Red, green, blue and alpha from luma, two chromas, and an alpha that tells their scale.

    由亮度和色度还原颜色。
    """
    plain = rows.view(f"<u{size}").astype(np.int64)
    signed = rows.view(f"<i{size}").astype(np.int64)
    luma, orange, green, alpha = plain[:, 0], signed[:, 1], signed[:, 2], plain[:, 3]
    scale = (1 << np.frexp(np.maximum(alpha, 1).astype(np.float64))[1].astype(np.int64)) - 1
    alpha = alpha & scale >> 1
    alpha = alpha << 1 | alpha & 1
    parts = [luma + orange - green, luma + green, luma - orange - green, alpha]
    top = (1 << 8 * size) - 1
    values = _whole(np.stack(parts, axis=1) * (top / np.maximum(scale, 1))[:, None], 0, top)
    return values.astype(f"<u{size}").view(np.uint8)


def _whole(values: Array, low: int, high: int) -> Array:
    """The nearest whole numbers within bounds; what is no number is 0."""
    near = np.floor(np.nan_to_num(values, posinf=high, neginf=low) + 0.5)
    return np.clip(near, low, high).astype(np.int64)


# -- indices


def _sequence(packed: bytes, count: int) -> Array:
    """Indices, each a difference from the last one on either of two tracks; raises Undecodable.

    解码索引序列。
    """
    if not packed or packed[0] & 0xFE != 0xD0:
        raise Undecodable("the stream does not start as a meshopt index sequence does")
    if len(packed) < 1 + count + 4:
        raise Undecodable(f"the meshopt stream is too short for {count} indices")
    numbers, end = _variable(packed, 1, count)
    if end != len(packed) - 4:
        raise Undecodable("the meshopt stream does not end where its indices do")
    track, coded = numbers & 1, numbers >> 1
    steps = coded >> 1 ^ -(coded & 1)
    indices = np.zeros(count, np.int64)
    for side in (0, 1):
        indices[track == side] = np.cumsum(steps[track == side])
    return indices


def _variable(packed: bytes, start: int, count: int) -> tuple[Array, int]:
    """`count` numbers of seven bits a byte, the lowest first, and where they end.

    读取变长整数。
    """
    data = np.frombuffer(packed, np.uint8)[start:]
    last = np.flatnonzero(data < 0x80)[:count]
    if len(last) < count:
        raise Undecodable("the meshopt stream ends before its indices do")
    if not count:
        return np.zeros(0, np.int64), start
    first = np.concatenate([[0], last[:-1] + 1])
    if int((last - first).max()) > 4:
        raise Undecodable("the meshopt stream has a number of more than 32 bits")
    numbers = np.zeros(count, np.int64)
    for place in range(5):
        here = first + place <= last
        part = data[np.minimum(first + place, last)].astype(np.int64) & 0x7F
        numbers |= np.where(here, part << 7 * place, 0)
    return numbers & 0xFFFFFFFF, start + int(last[-1]) + 1


def _triangles(packed: bytes, count: int) -> Array:
    """Indices of triangles, each by an edge and a vertex of those before it, or by new ones.

    Raises Undecodable, and IndexError where the stream ends too early.

    解码三角形索引。
    """
    version = packed[0] ^ 0xE0 if packed else 0xFF
    if version > 1 or count % 3:
        raise Undecodable("the stream does not start as meshopt triangles do")
    many = count // 3
    if len(packed) < 1 + many + 16:
        raise Undecodable(f"the meshopt stream is too short for {many} triangles")
    table, place, end = packed[len(packed) - 16 :], 1 + many, len(packed) - 16
    newest = 13 if version else 15
    edges, vertices = [(0, 0)] * 16, [0] * 16
    edge = vertex = upcoming = last = 0
    out: list[int] = []
    done: list[Array] = []
    for code in packed[1 : 1 + many]:
        low = code & 15
        if code < 0xF0:
            a, b = edges[edge - 1 - (code >> 4) & 15]
            if low == 0:
                c = upcoming
                upcoming += 1
            elif low < newest:
                c = vertices[vertex - 1 - low & 15]
            elif low < 15:
                c = last = last + (1 if low == 14 else -1)
            else:
                step, place = _number(packed, place)
                c = last = last + step
            if low == 0 or low >= newest:
                vertices[vertex] = c
                vertex = vertex + 1 & 15
            edges[edge] = c, b
            edges[edge + 1 & 15] = a, c
            edge = edge + 2 & 15
        else:
            free = low >= 14
            if free:
                pair = packed[place]
                place += 1
                if not pair:
                    upcoming = 0
            else:
                pair = table[low]
            high, deep = pair >> 4, pair & 15
            if low == 15:
                step, place = _number(packed, place)
                a = last = last + step
            else:
                a = upcoming
                upcoming += 1
            if high == 0:
                b = upcoming
                upcoming += 1
            elif high == 15 and free:
                step, place = _number(packed, place)
                b = last = last + step
            else:
                b = vertices[vertex - high & 15]
            if deep == 0:
                c = upcoming
                upcoming += 1
            elif deep == 15 and free:
                step, place = _number(packed, place)
                c = last = last + step
            else:
                c = vertices[vertex - deep & 15]
            vertices[vertex] = a
            vertex = vertex + 1 & 15
            if high == 0 or (high == 15 and free):
                vertices[vertex] = b
                vertex = vertex + 1 & 15
            if deep == 0 or (deep == 15 and free):
                vertices[vertex] = c
                vertex = vertex + 1 & 15
            edges[edge] = b, a
            edges[edge + 1 & 15] = c, b
            edges[edge + 2 & 15] = a, c
            edge = edge + 3 & 15
        out += (a, b, c)
        if len(out) >= _FLUSH:
            done.append(_unsigned(out))
            out.clear()
    if place != end:
        raise Undecodable("the meshopt stream does not end where its triangles do")
    return np.concatenate([*done, _unsigned(out)])


def _unsigned(numbers: list[int]) -> Array:
    return (np.array(numbers, np.int64) & 0xFFFFFFFF).astype(np.uint32)


def _number(packed: bytes, place: int) -> tuple[int, int]:
    """A zigzag-coded difference of up to five bytes, and where it ends."""
    value = 0
    for shift in range(0, 35, 7):
        byte = packed[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    value &= 0xFFFFFFFF
    return value >> 1 ^ -(value & 1), place
