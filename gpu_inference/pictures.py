"""Source pictures: what is accepted, how it is made upright RGB, and how it is brought to size.

The rules, in this order:
1. PNG, JPEG or WebP, one frame, within the bounds on bytes and pixels, whole to its last byte.
2. Turned upright as its EXIF orientation says; all other metadata is dropped.
3. Colours in another profile than sRGB are converted to sRGB (an unreadable profile is ignored).
4. What is transparent is laid on white; 16-bit and grey pictures become 8-bit RGB.
5. To width × height: scaled until it covers them, then cut equally at both sides; never stretched.

来源图片的检查、归一化与缩放规则。
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass

from PIL import Image, ImageCms, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP")


class PictureRefused(Exception):
    """The picture is not accepted; `code` is one of too_large, format_unsupported, image_invalid.

    图片不被接受。
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Source:
    """An accepted picture: a PNG file of upright 8-bit RGB, and its size.

    已接受的图片。
    """

    data: bytes
    width: int
    height: int


def accept(data: bytes, *, max_bytes: int, max_pixels: int, min_side: int = 16) -> Source:
    """Check a file by the rules above and return it as upright RGB; raises PictureRefused.

    检查图片并转为正向 RGB。
    """
    if len(data) > max_bytes:
        raise PictureRefused("too_large", f"the picture has more than {max_bytes} bytes")
    picture = _opened(data)
    if picture.width * picture.height > max_pixels:
        raise PictureRefused("too_large", f"the picture has more than {max_pixels} pixels")
    if min(picture.size) < min_side:
        raise PictureRefused(
            "image_invalid", f"the picture's sides must be {min_side} pixels or more"
        )
    if getattr(picture, "n_frames", 1) > 1:
        raise PictureRefused("format_unsupported", "animated pictures are not accepted")
    try:
        picture.load()
        upright = _rgb(ImageOps.exif_transpose(picture))
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        raise PictureRefused("image_invalid", f"the picture is damaged: {error}") from error
    file = io.BytesIO()
    upright.info.clear()
    # Fast to write: it only waits in memory for its turn.
    upright.save(file, format="PNG", compress_level=1)
    return Source(file.getvalue(), upright.width, upright.height)


def fitted(data: bytes, width: int, height: int) -> Image.Image:
    """Decode an accepted picture and bring it to this size: scaled to cover, cut at the middle.

    解码并裁剪缩放到目标尺寸。
    """
    with Image.open(io.BytesIO(data)) as picture:
        rgb = picture.convert("RGB")
    if rgb.size == (width, height):
        return rgb
    return ImageOps.fit(rgb, (width, height), method=Image.Resampling.LANCZOS)


def natural_size(width: int, height: int, *, pixels: int, step: int = 16) -> tuple[int, int]:
    """Return the size to make where a request names none: the source's shape, `pixels` in area.

    Both sides are multiples of `step`, at least one step; it is never more than `pixels`.

    请求未指定尺寸时，按来源图片的比例取尺寸。
    """
    scale = math.sqrt(pixels / (width * height))
    wide = max(step, round(width * scale / step) * step)
    high = max(step, round(height * scale / step) * step)
    while wide * high > pixels and max(wide, high) > step:
        if wide >= high:
            wide -= step
        else:
            high -= step
    return wide, high


def _opened(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; the bound on pixels is checked instead.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise PictureRefused("too_large", "the picture has too many pixels") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureRefused(
            "format_unsupported", "the picture is not a PNG, JPEG or WebP file"
        ) from error


def _rgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I") or picture.mode == "F":
        # 16-bit grey: Pillow would clip rather than scale.
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
    if picture.mode in ("P", "LA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    if picture.mode == "RGBA":
        alpha = picture.getchannel("A")
        flat = Image.new("RGB", picture.size, "white")
        flat.paste(_in_srgb(picture.convert("RGB"), profile), mask=alpha)
        return flat
    return _in_srgb(picture, profile).convert("RGB")


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile:
        return picture
    try:
        converted = ImageCms.profileToProfile(
            picture,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return converted or picture
