"""A small picture of a picture: what a list shows of it.

这个模块为图片生成缩略图。
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from shared.artifacts.images.pixels import plain, turned

if TYPE_CHECKING:
    from PIL import Image

DRAFT = 2
"""A JPEG is unpacked at least this many times as large as the thumbnail: enough to look good."""


def draw_thumbnail(stored: Image.Image, orientation: int, side: int) -> tuple[bytes, int, int]:
    """A WebP of a decoded picture, and its width and height: no side over `side` pixels.

    It is set upright as its `orientation` asks, and never larger than the picture itself; its
    transparency and colour profile are kept. Raises what Pillow raises.

    这个函数生成一张 WebP 缩略图。
    """
    from PIL.Image import Resampling

    profile = stored.info.get("icc_profile")
    image = plain(stored)
    image.thumbnail((side, side), Resampling.LANCZOS)
    image = turned(image, orientation)
    out = io.BytesIO()
    # A profile of grey or ink is no profile of what they became.
    kept = profile if profile is not None and profile[16:20] == b"RGB " else None
    image.save(out, "WEBP", quality=88, method=4, icc_profile=kept)
    return out.getvalue(), image.width, image.height
