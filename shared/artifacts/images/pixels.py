"""Opened pictures as viewers show them: upright, and in plain 8-bit colours whatever they hold.

Pillow clips what has more than 8 bits instead of scaling it, and reads all of a photograph's EXIF
to turn it, which broken EXIF does not survive.

这个模块把打开的图片转正，并统一成 8 位颜色。
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from shared.artifacts.images.exif import orientation, tiff_orientation, without_exif

if TYPE_CHECKING:
    from PIL import Image

_PILLOW_NAME = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
    "image/gif": "GIF",
}
_MAX_SCANS = 100
"""Of a progressive JPEG, which has some ten: each goes over the whole picture again."""

_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


def open_image(data: bytes, media_type: str) -> Image.Image:
    """Read a picture's header. Raises what Pillow raises, and ValueError for too many scans.

    这个函数只读取图片头部。
    """
    from PIL import Image

    if media_type == "image/jpeg":
        data = without_exif(data)
        scans = data.count(b"\xff\xda")
        if scans > _MAX_SCANS:
            raise ValueError(f"it has {scans} scans")
    return Image.open(io.BytesIO(data), formats=[_PILLOW_NAME[media_type]])


def orientation_of(image: Image.Image, data: bytes, media_type: str) -> int:
    """1 to 8, as EXIF counts them: by the EXIF tag, else by XMP or a PNG's raw profile, else 1.

    这个函数判断图片的方向，没有标记则为 1。
    """
    found = orientation(data, media_type)
    if found is not None:
        return found
    profile = image.info.get("Raw profile type exif")
    if isinstance(profile, str):
        try:
            block = bytes.fromhex("".join(profile.split("\n")[3:]))
        except ValueError:
            block = b""
        found = tiff_orientation(block)
    xmp = image.info.get("xmp")
    if found is None and isinstance(xmp, bytes):
        match = _XMP_ORIENTATION.search(xmp)
        found = int(match[1]) if match else None
    return found or 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """A picture stored in this orientation, set upright.

    这个函数按方向把图片转正。
    """
    from PIL.Image import Transpose

    ways = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(ways[orientation]) if orientation in ways else image


def plain(image: Image.Image) -> Image.Image:
    """The picture as 8-bit RGB, or RGBA where some of it may be transparent.

    16-bit grey is scaled, and a 16-bit transparent colour is found by its upper halves.

    这个函数把任意模式的图片转换成 8 位 RGB 或 RGBA。
    """
    clear = image.info.get("transparency")
    if image.mode == "I" or image.mode.startswith("I;16"):
        wide = image.convert("I")
        grey = wide.point([(value * 255 + 32767) // 65535 for value in range(65536)], "L")
        if not isinstance(clear, int):
            return grey.convert("RGB")
        alpha = wide.point([0 if value == clear else 255 for value in range(65536)], "L")
        result = grey.convert("RGBA")
        result.info.pop("transparency", None)
        result.putalpha(alpha)
        return result
    if image.mode == "RGB" and isinstance(clear, tuple) and max(clear) > 255:
        image = image.copy()
        image.info["transparency"] = tuple(part >> 8 for part in clear)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)
