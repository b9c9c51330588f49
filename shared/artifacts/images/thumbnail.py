"""A small picture of a picture: what a list shows of it.

这个模块为图片生成缩略图。
"""

from __future__ import annotations

import io

from shared.artifacts.images.image import sniff
from shared.artifacts.images.pixels import open_image, orientation_of, plain, turned

_DRAFT = 2
"""A JPEG is unpacked at least this many times as large as the thumbnail: enough to look good."""


def draw_thumbnail(data: bytes, side: int) -> tuple[bytes, int, int]:
    """A WebP of a whole picture, and its width and height: upright, no side over `side` pixels.

    Never larger than the picture itself; its transparency and colour profile are kept. Raises what
    Pillow raises. Call inspect_image first: no limits are checked here.

    这个函数生成一张 WebP 缩略图。
    """
    from PIL import Image

    media_type = sniff(data) or ""
    with open_image(data, media_type) as opened:
        orientation = orientation_of(opened, data, media_type)
        profile = opened.info.get("icc_profile")
        if opened.mode == "RGB":
            opened.draft("RGB", (side * _DRAFT, side * _DRAFT))
        opened.load()
        image = plain(opened)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        image = turned(image, orientation)
    out = io.BytesIO()
    # A profile of grey or ink is no profile of what they became.
    kept = profile if profile is not None and profile[16:20] == b"RGB " else None
    image.save(out, "WEBP", quality=88, method=4, icc_profile=kept)
    return out.getvalue(), image.width, image.height
