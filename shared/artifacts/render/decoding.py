"""A picture file becomes a texture: decoded once, reduced as light, in a few cheap passes.

What is larger than its texture may be is reduced strip by strip, so that beside the decoded picture
only a strip of it is ever held. The passes over all pixels are Pillow's, on bytes; NumPy only sees
the reduced picture.

这个模块把图片文件解码并缩小成贴图。
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shared.artifacts.gltf.mesh import Unreadable
from shared.artifacts.images.image import check_ends, name_of, sniff
from shared.artifacts.images.pixels import open_image, orientation_of, plain, turned
from shared.artifacts.render.raster import Array
from shared.artifacts.render.textures import Mipmaps

if TYPE_CHECKING:
    from PIL import Image

MAX_SOURCE_PIXELS = 70_000_000
"""One 8192 x 8192 texture; a larger one is left out of the preview."""

_TURNED = ("image/jpeg", "image/png")
"""Whose EXIF orientation Chromium heeds."""

_STRIP = 128
"""Rows at once: what is made of them stays in the processor's cache."""

_SMOOTH = 3
"""Of 255: below this mean difference between neighbours, means of bytes are means of light."""

_LIGHT_ERROR = np.uint16(200)
"""How much too bright a mean of light rounded to bytes may be, of 65535."""

_COLOURS = np.uint64(0x0000_FFFF_FFFF_FFFF)
"""The three colours of a texel, without its alpha."""


def _light(value: int) -> int:
    """An sRGB byte as linear light, of 65535."""
    part = value / 255
    return round(65535 * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4))


_BYTES = list(range(256))
_LINEAR = [value * 257 for value in _BYTES]
_FROM_SRGB = [_light(value) for value in _BYTES]
_LIGHT = [round(value / 257) for value in _FROM_SRGB] * 3


class Allowance:
    """How many pixels may still be decoded.

    这个类限制解码的像素总数。
    """

    def __init__(self, pixels: int) -> None:
        self.left = pixels

    def take(self, width: int, height: int) -> None:
        """Take a picture's pixels; raises Unreadable where there are too many.

        这个方法扣除一张图片的像素数。
        """
        if width * height > min(self.left, MAX_SOURCE_PIXELS):
            raise Unreadable(f"it has {width} x {height} pixels")
        self.left -= width * height


def read_texture(data: bytes, side: int, srgb: bool, allowance: Allowance) -> Mipmaps:
    """The mipmaps of a picture file, at most `side` pixels a side.

    `srgb` says how its colours are coded; else they are linear. Raises Unreadable where it is no
    picture that is read here or the allowance does not reach; and what Pillow raises.

    这个函数解码一张贴图并生成各级缩小图。
    """
    media_type = sniff(data) or _sniff_more(data)
    if media_type is None:
        raise Unreadable(f"it is {name_of(data)}, which is not read here")
    from PIL import UnidentifiedImageError

    try:
        opened = open_image(data, media_type)
    except UnidentifiedImageError:  # whose words name an address in memory
        raise Unreadable("its header cannot be read") from None
    with opened as image:
        allowance.take(image.width, image.height)
        if media_type != "image/jpeg":  # whose end the decoder asks for itself
            check_ends(data, media_type)
        image.draft("RGB", (side, side))
        image.load()
        # Browsers turn textures as well.
        way = orientation_of(image, data, media_type) if media_type in _TURNED else 1
        upright = turned(image, way)
        texels, opaque = _texels(upright, -(-max(image.size) // side), srgb)
    return Mipmaps.of(texels, opaque)


def _sniff_more(data: bytes) -> str | None:
    """What browsers show besides, though glTF does not know it."""
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    if data.startswith(b"GIF8"):
        return "image/gif"
    return "image/bmp" if data.startswith(b"BM") else None


def _texels(image: Image.Image, factor: int, srgb: bool) -> tuple[Array, bool]:
    """The picture reduced `factor` times each way as 64-bit texels, and whether it is opaque.

    把图片缩小为 64 位像素。
    """
    wide, high = (-(-side // factor) for side in image.size)
    texels = np.empty((high, wide), np.uint64)
    opaque = True
    rows = max(_STRIP // factor, 1)
    for first in range(0, high, rows):
        top, bottom = first * factor, min((first + rows) * factor, image.height)
        strip = plain(image.crop((0, top, image.width, bottom)))
        alpha = strip.getchannel("A") if strip.mode == "RGBA" else None
        if alpha is not None and alpha.getextrema() == (255, 255):
            alpha = None
        opaque = opaque and alpha is None
        texels[first : first + rows] = _reduced(strip.convert("RGB"), alpha, factor, srgb)
    return texels, opaque


def _reduced(colours: Image.Image, alpha: Image.Image | None, factor: int, srgb: bool) -> Array:
    """A strip's texels: means of bytes, and of light where neighbours differ so that it matters.

    A mean of light is never below the light of the mean; where it is no more than rounding above
    it, the finer one of the two counts. Alpha is averaged beside the colours, not into them.

    缩小一条图片。
    """
    mean = colours.reduce(factor)
    rough = srgb and factor > 1 and _is_rough(colours, mean)
    mean = mean.convert("RGBA")
    if alpha is not None:
        mean.putalpha(alpha.reduce(factor))
    texels = _sixteen_bits(mean, _FROM_SRGB if srgb else _LINEAR)
    if rough:
        light = np.asarray(colours.point(_LIGHT).reduce(factor).convert("RGBA")).astype(np.uint16)
        light *= np.uint16(257)
        np.maximum(light, _LIGHT_ERROR, out=light)
        light -= _LIGHT_ERROR
        words = light.view(np.uint64)
        words &= _COLOURS
        np.maximum(texels, light, out=texels)
    return texels.view(np.uint64)[..., 0]


def _is_rough(colours: Image.Image, mean: Image.Image) -> bool:
    """Whether the picture differs from its means by more than a few bytes, all in all."""
    from PIL import Image, ImageChops

    some = colours.resize(mean.size, Image.Resampling.NEAREST)
    away = ImageChops.difference(some, mean).resize((1, 1), Image.Resampling.BOX)
    return any(low > _SMOOTH for low, _ in away.getextrema())  # type: ignore[misc]


def _sixteen_bits(image: Image.Image, table: list[int]) -> Array:
    """Bytes by their table, as (height, width, 4) 16-bit numbers; alpha is always linear."""
    upper = image.point([value >> 8 for value in table] * 3 + _BYTES)
    lower = image.point([value & 255 for value in table] * 3 + _BYTES)
    texels: Array = np.asarray(upper).astype(np.uint16)
    texels <<= np.uint16(8)
    texels |= np.asarray(lower).astype(np.uint16)
    return texels
