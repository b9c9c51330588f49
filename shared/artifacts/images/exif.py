"""Which way up a photograph was taken: its EXIF orientation, read without reading the rest.

Cameras and apps write EXIF with zero denominators, wrong types, wrong counts and broken offsets.
None of that matters here: only the one tag is looked for, in the first directory, byte by byte.
The shapes are those of TIFF 6.0 (directories), EXIF 2.3 (JPEG), PNG 3 (eXIf) and WebP (EXIF).

这个模块只读取照片 EXIF 中的方向标记。
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_ORIENTATION = 0x0112
_INLINE = {1: "B", 3: "H", 4: "I"}
"""The TIFF types of a whole number that lies in its directory's entry: byte, short, long."""

_MAX_PARTS = 50_000
"""A JPEG's segments or a file's chunks that are looked through; a photograph has some dozens, a PNG
one for some kilobytes."""

_PREFIX = b"Exif\0"
_APP1, _APP2, _START_OF_SCAN, _END = 0xE1, 0xE2, 0xDA, 0xD9


def orientation(data: bytes, media_type: str) -> int | None:
    """1 (upright) to 8 as EXIF counts them; None where a JPEG, PNG or WebP does not say.

    这个函数返回照片的方向，没有标记则返回空。
    """
    finders = {"image/jpeg": _jpeg_exif, "image/png": _png_exif, "image/webp": _webp_exif}
    for block in finders[media_type](data) if media_type in finders else ():
        value = tiff_orientation(block)
        if value is not None:
            return value
    return None


def tiff_orientation(block: bytes) -> int | None:
    """The orientation in an EXIF block, with or without its `Exif` prefix; None where it has none.

    这个函数在一段 EXIF 数据中查找方向标记。
    """
    if block.startswith(_PREFIX):
        block = block[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return None
    (start,) = struct.unpack_from(order + "I", block, 4)
    if start + 2 > len(block):
        return None
    (count,) = struct.unpack_from(order + "H", block, start)
    # A count that is too high reads what there is.
    for place in range(start + 2, min(start + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, times = struct.unpack_from(order + "2HI", block, place)
        if tag == _ORIENTATION and kind in _INLINE and times == 1:
            (value,) = struct.unpack_from(order + _INLINE[kind], block, place + 8)
            return int(value) if 1 <= value <= 8 else None
    return None


def without_exif(data: bytes) -> bytes:
    """A JPEG without its EXIF and its index of further pictures, for readers that trust both.

    这个函数去掉 JPEG 中的 EXIF 和多图索引。
    """
    parts, kept = [], 0
    for marker, start, end in _segments(data):
        body = data[start + 4 : start + 10]
        if (marker == _APP1 and body.startswith(_PREFIX)) or (
            marker == _APP2 and body.startswith(b"MPF\0")
        ):
            parts.append(data[kept:start])
            kept = end
    return b"".join([*parts, data[kept:]]) if parts else data


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of what comes before a JPEG's picture; start is the marker's 0xFF.

    JPEG 图像数据之前的各段。
    """
    place = 2
    for _ in range(_MAX_PARTS):
        place = data.find(b"\xff", place)
        while 0 <= place < len(data) - 4 and data[place + 1] == 0xFF:
            place += 1
        if not 0 <= place < len(data) - 4:
            return
        marker = data[place + 1]
        if marker in (_START_OF_SCAN, _END):
            return
        if marker < 0xC0 or 0xD0 <= marker < 0xD9:  # stuffing, and markers without a body
            place += 2
            continue
        end = place + 2 + max(2, struct.unpack_from(">H", data, place + 2)[0])
        yield marker, place, end
        place = end


def _jpeg_exif(data: bytes) -> Iterator[bytes]:
    for marker, start, end in _segments(data):
        if marker == _APP1 and data[start + 4 : start + 9] == _PREFIX:
            yield data[start + 4 : end]


def _png_exif(data: bytes) -> Iterator[bytes]:
    place = 8
    for _ in range(_MAX_PARTS):
        if place + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"eXIf":
            yield data[place + 8 : place + 8 + length]
        place += 12 + length


def _webp_exif(data: bytes) -> Iterator[bytes]:
    place = 12
    for _ in range(_MAX_PARTS):
        if place + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, place)
        if kind == b"EXIF":
            yield data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2
