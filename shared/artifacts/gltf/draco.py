"""Unpacks Draco streams, by Google's own decoder; what a stream declares is looked at first.

The head of the bitstream: Draco 2.2, https://google.github.io/draco/spec/ (header, metadata,
connectivity).

这个模块解码 Draco 压缩的网格。
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.artifacts.gltf.document import Undecodable

Array = NDArray[Any]

_METADATA = 0x8000
_MAX_DEPTH = 8
_MOST_FACES = 64
"""Triangles that a byte may stand for: the best that the format does is some eight, on a grid."""


@dataclass(frozen=True)
class Unpacked:
    """What a stream holds: triangles (n, 3), and the attributes by their unique id, row by row.

    这个类保存解码后的三角形和顶点属性。
    """

    triangles: Array
    attributes: Mapping[int, Array]


def unpack(packed: bytes) -> Unpacked:
    """Decode a stream; raises Undecodable.

    这个函数解码一段 Draco 数据。
    """
    faces = declared_faces(packed)
    if faces > _MOST_FACES * len(packed):
        raise Undecodable(f"the Draco stream has {len(packed)} bytes for {faces} triangles")
    import DracoPy

    try:
        mesh = DracoPy.decode(packed)
    except MemoryError:
        raise
    except Exception as error:  # the library raises types of its own, and plain ones
        raise Undecodable(f"the Draco stream cannot be decoded: {str(error)[:80]}") from None
    found = {item["unique_id"]: np.asarray(item["data"]) for item in mesh.attributes}
    if len({len(data) for data in found.values()}) != 1:
        raise Undecodable("the Draco stream has attributes of different lengths")
    return Unpacked(np.asarray(mesh.faces, np.uint32).reshape(-1, 3), found)


def declared_faces(packed: bytes) -> int:
    """How many triangles a stream declares in its head; raises Undecodable.

    这个函数读取 Draco 数据头部声明的三角形数量。
    """
    try:
        magic, major, minor, kind, method, flags = struct.unpack_from("<5s4BH", packed)
        if magic != b"DRACO" or kind != 1 or method > 1:
            raise Undecodable("the stream is not a Draco mesh")
        head = _Head(packed, 11, fixed=(major, minor) < (2, 2))
        if flags & _METADATA:
            for _ in range(head.number()):
                head.number()
                head.skip_metadata()
            head.skip_metadata()
        if method == 1:
            head.place += 1  # how the edges are walked
            head.count()  # vertices
        return head.count()
    except (IndexError, struct.error):
        raise Undecodable("the Draco stream ends within its head") from None


class _Head:
    """Reads the head of a stream; before version 2.2 its counts were of fixed length."""

    def __init__(self, data: bytes, place: int, fixed: bool) -> None:
        self._data, self.place, self._fixed = data, place, fixed

    def number(self) -> int:
        """A number of seven bits a byte, the lowest first."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self._data[self.place]
            self.place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Undecodable("the Draco stream has a number of more than 32 bits")

    def count(self) -> int:
        """A count of vertices or triangles."""
        if not self._fixed:
            return self.number()
        (value,) = struct.unpack_from("<I", self._data, self.place)
        self.place += 4
        return int(value)

    def skip_metadata(self, depth: int = 0) -> None:
        """Pass over names and values that say nothing of the geometry."""
        if depth > _MAX_DEPTH:
            raise Undecodable("the metadata of the Draco stream is nested too deeply")
        for _ in range(self.number()):
            self._skip_text()
            size = self.number()
            self._skip(size)
        for _ in range(self.number()):
            self._skip_text()
            self.skip_metadata(depth + 1)

    def _skip_text(self) -> None:
        size = self._data[self.place]
        self._skip(1 + size)

    def _skip(self, size: int) -> None:
        self.place += size
        if self.place > len(self._data):
            raise Undecodable("the Draco stream ends within its head")
