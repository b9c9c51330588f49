"""A picture file becomes a texture: decoded once, reduced as light, in a few cheap passes.

What is larger than its texture may be is reduced strip by strip, so that beside the decoded picture
only a strip of it is ever held. The passes over all pixels are Pillow's, on bytes; NumPy only sees
the reduced picture.

这个模块把图片文件解码并缩小成贴图。
"""

from __future__ import annotations

import functools
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


_LINEAR = np.arange(256, dtype=np.uint16) * np.uint16(257)
_FROM_SRGB = np.array([_light(value) for value in range(256)], np.uint16)
_LIGHT = [round(int(value) / 257) for value in _FROM_SRGB] * 3


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
        factor = -(-max(upright.size) // side)
        wide, high = (-(-length // factor) for length in upright.size)
        return Mipmaps.filled(high, wide, functools.partial(_fill, upright, factor, srgb))


def _sniff_more(data: bytes) -> str | None:
    """What browsers show besides, though glTF does not know it."""
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    return "image/gif" if data.startswith(b"GIF8") else None


def _fill(image: Image.Image, factor: int, srgb: bool, texels: Array) -> bool:
    """Write the picture, reduced `factor` times each way, as 64-bit texels; whether it is opaque.

    把图片缩小为 64 位像素。
    """
    opaque = True
    rows = max(_STRIP // factor, 1)
    for first in range(0, len(texels), rows):
        top, bottom = first * factor, min((first + rows) * factor, image.height)
        strip = plain(image.crop((0, top, image.width, bottom)))
        alpha = strip.getchannel("A") if strip.mode == "RGBA" else None
        if alpha is not None and alpha.getextrema() == (255, 255):
            alpha = None
        opaque = opaque and alpha is None
        colours = strip if strip.mode == "RGB" else strip.convert("RGB")
        texels[first : first + rows] = _reduced(colours, alpha, factor, srgb)
    return opaque


def _reduced(colours: Image.Image, alpha: Image.Image | None, factor: int, srgb: bool) -> Array:
    """A strip's texels: means of bytes, and of light where neighbours differ so that it matters.

    A mean of light is never below the light of the mean; where it is no more than rounding above
    it, the finer one of the two counts. Alpha is averaged beside the colours, not into them.

    缩小一条图片。
    """
    mean = colours.reduce(factor) if factor > 1 else colours
    rough = srgb and factor > 1 and _is_rough(colours, mean)
    mean = mean.convert("RGBA")
    if alpha is not None:
        mean.putalpha(alpha.reduce(factor))
    texels = _sixteen_bits(mean, _FROM_SRGB if srgb else _LINEAR)
    if srgb and alpha is not None:  # which is always linear
        np.multiply(np.asarray(mean)[..., 3], np.uint16(257), out=texels[..., 3])
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
    away = ImageChops.difference(some, mean).reduce(mean.size)
    return any(low > _SMOOTH for low, _ in away.getextrema())  # type: ignore[misc]


def _sixteen_bits(image: Image.Image, table: Array) -> Array:
    pixels = np.asarray(image)
    texels = np.empty(pixels.shape, np.uint16)
    table.take(pixels, mode="clip", out=texels)
    return texels
