"""Pictures written byte by byte for tests, in forms that a library does not write.

这个模块为测试手工构造图片文件。
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.artifacts.images.image import ImageLimits, decode_image
from shared.artifacts.images.thumbnail import DRAFT, draw_thumbnail

Array = NDArray[Any]


def png(pixels: Array, colour_type: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of (height, width, channels) pixels, 8 or 16 bits by their dtype.

    `colour_type` is PNG's: 0 grey, 2 colour, 3 palette, 4 grey and alpha, 6 colour and alpha.
    `chunks` go before the pixels.

    这个函数写出 8 位或 16 位的 PNG。
    """
    high, wide = pixels.shape[:2]
    depth = pixels.dtype.itemsize * 8
    rows = pixels.astype(">u2" if depth == 16 else "u1").reshape(high, -1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    out = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">2I5B", wide, high, depth, colour_type, 0, 0, 0)
    for kind, content in (
        (b"IHDR", header),
        *chunks,
        (b"IDAT", zlib.compress(body)),
        (b"IEND", b""),
    ):
        out += struct.pack(">I", len(content)) + kind + content
        out += struct.pack(">I", zlib.crc32(kind + content))
    return out


def solid(width: int, height: int) -> bytes:
    """A PNG of one colour.

    这个函数写出单色的 PNG。
    """
    return png(np.full((height, width, 3), 120, np.uint8), 2)


def thumbnail_of(data: bytes, side: int) -> tuple[bytes, int, int]:
    """The thumbnail of a picture's file, its width and its height.

    这个函数生成图片文件的缩略图。
    """
    info, pixels = decode_image(data, ImageLimits(), side * DRAFT)
    return draw_thumbnail(pixels, info.orientation, side)
