"""Pictures for the HTTP tests, whole and broken.

测试用的图片。
"""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

ORIENTATION = 0x0112


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 48), *, turned: int = 1) -> bytes:
    """A whole picture; `turned` is its EXIF orientation.

    一张完整的图片。
    """
    out = io.BytesIO()
    exif = Image.Exif()
    exif[ORIENTATION] = turned
    Image.new("RGB", size, (200, 30, 30)).save(out, kind, exif=exif)
    return out.getvalue()


def bomb(side: int = 40_000) -> bytes:
    """A PNG whose header promises far more pixels than its few bytes hold.

    像素炸弹。
    """

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="9"/></svg>'
