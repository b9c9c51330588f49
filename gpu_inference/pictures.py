"""Source pictures: what is accepted, how it is made upright RGB, and how it is brought to size.

The rules, in this order:
1. PNG, JPEG or WebP, one frame, within the bounds on bytes and pixels, whole to its last byte.
2. Turned upright as its EXIF orientation says; all other metadata is dropped.
3. Colours in another profile than sRGB are converted to sRGB (an unreadable profile is ignored).
4. What is transparent is laid on white; 16-bit and grey pictures become 8-bit RGB.
5. To width × height: scaled until it covers them, then cut equally at both sides; never stretched.

A mask says where to paint: white is painted anew, black is kept, and grey mixes the two.
6. Rules 1, 2 and 5 hold for it too, and it has its source's size. Colours count by their lightness.
7. What is transparent is black: kept. Below 16 is black and above 239 white, so that a JPEG's noise
   paints nothing.
8. The model paints every square of 8 × 8 pixels that the mask touches (it knows no smaller ones);
   then the source is laid back wherever the mask is black, to the last bit. Within the white, two
   pixels beside an edge are mixed, so that none shows.

来源图片与遮罩的检查、归一化与缩放规则。
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageCms, ImageFilter, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP")
CELL = 8
"""Pixels on a side of the smallest square that can be painted alone: one latent of the VAE."""
_SOFT = 2
_NOISE = 16
_ALPHA = ("RGBA", "LA", "PA")
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture upright that says it is stored in one of these ways."""


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
    """An accepted picture: a PNG file of upright 8-bit RGB (a mask's is grey), and its size.

    已接受的图片。
    """

    data: bytes
    width: int
    height: int


def accept(data: bytes, *, max_bytes: int, max_pixels: int, min_side: int = 16) -> Source:
    """Check a file by the rules above and return it as upright RGB; raises PictureRefused.

    检查图片并转为正向 RGB。
    """
    return _source(_rgb(_upright(data, max_bytes, max_pixels, min_side)))


def accept_mask(data: bytes, *, max_bytes: int, max_pixels: int, min_side: int = 16) -> Source:
    """Check a mask by the rules above and return it in grey; raises PictureRefused.

    检查遮罩并转为灰度。
    """
    mask = _grey(_upright(data, max_bytes, max_pixels, min_side)).point(_levels)
    if mask.getextrema() == (0, 0):
        raise PictureRefused(
            "image_invalid", "the mask is black all over: nothing would be painted"
        )
    return _source(mask)


def mask_of_alpha(data: bytes, *, max_bytes: int, max_pixels: int, min_side: int = 16) -> bytes:
    """Return the mask that a picture's transparency means to OpenAI: transparent is painted anew.

    Raises PictureRefused, also where the picture has no transparency.

    由透明度得到遮罩（透明处重绘）。
    """
    picture = _upright(data, max_bytes, max_pixels, min_side)
    if picture.mode not in _ALPHA and "transparency" not in picture.info:
        raise PictureRefused(
            "image_invalid", "the mask has no transparency that says where to paint"
        )
    return _source(ImageOps.invert(picture.convert("RGBA").getchannel("A"))).data


def _upright(data: bytes, max_bytes: int, max_pixels: int, min_side: int) -> Image.Image:
    """Decode an accepted picture and turn it as its EXIF says; raises PictureRefused.

    解码并摆正图片，不合格则拒绝。
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
        return _turned(picture)
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        raise PictureRefused("image_invalid", f"the picture is damaged: {error}") from error


def _turned(picture: Image.Image) -> Image.Image:
    """The picture turned by its EXIF orientation alone: whatever else is odd there is no matter.

    只按方向标记摆正图片。
    """
    try:
        way = picture.getexif().get(_ORIENTATION)
    except Exception:  # EXIF is decoration: whatever is wrong in it, the pixels still count
        way = None
    return picture.transpose(_TURNS[way]) if way in _TURNS else picture


def _source(picture: Image.Image) -> Source:
    file = io.BytesIO()
    picture.info.clear()
    # Fast to write: it only waits in memory for its turn.
    picture.save(file, format="PNG", compress_level=1)
    return Source(file.getvalue(), picture.width, picture.height)


def fitted(data: bytes, width: int, height: int) -> Image.Image:
    """Decode an accepted picture and bring it to this size: scaled to cover, cut at the middle.

    A mask stays in grey.

    解码并裁剪缩放到目标尺寸。
    """
    with Image.open(io.BytesIO(data)) as picture:
        grey = picture.mode == "L"
        plain = picture.convert("L" if grey else "RGB")
    if plain.size == (width, height):
        return plain
    # A mask's edges must not overshoot into what is kept.
    method = Image.Resampling.BILINEAR if grey else Image.Resampling.LANCZOS
    return ImageOps.fit(plain, (width, height), method=method)


def resized(source: Source, width: int, height: int) -> Source:
    """Bring an accepted picture, or mask, to another size for good.

    缩放已接受的图片。
    """
    return _source(fitted(source.data, width, height))


def cells(mask: Image.Image) -> Image.Image:
    """Return the squares that a mask touches, whole and white: what the model is to paint.

    遮罩触及的全部格子。
    """
    touched = mask.point(lambda value: 255 if value else 0).reduce(CELL)
    whole = touched.point(lambda value: 255 if value else 0)
    return whole.resize(mask.size, Image.Resampling.NEAREST)


def composed(source: Image.Image, painted: Image.Image, mask: Image.Image) -> Image.Image:
    """Lay what was painted over its source where the mask says so; where it is black, none of it.

    按遮罩合成；黑色处与源图完全一致。
    """
    soft = mask.filter(ImageFilter.BoxBlur(_SOFT))
    # The darker of both: the edge is soft within the white only.
    return Image.composite(painted, source, ImageChops.darker(mask, soft))


def recoded(png: bytes, media_type: str, quality: int) -> bytes:
    """Write a finished picture as WebP or JPEG; `quality` from 0 to 100.

    转存为 WebP 或 JPEG。
    """
    file = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        # Full colour resolution above 90: thin coloured lines, such as written words, stay sharp.
        sampling = {"subsampling": 0} if media_type == "image/jpeg" and quality > 90 else {}
        picture.save(file, media_type.partition("/")[2], quality=max(1, quality), **sampling)
    return file.getvalue()


def natural_size(
    width: int, height: int, *, pixels: int, step: int = 16, least: int = 1, most: int = 2**20
) -> tuple[int, int]:
    """Return the size to make where a request names none: the source's shape, `pixels` in area.

    Both sides are multiples of `step` from `least` to `most`: where a long and narrow source would
    leave these, the size is as near to its shape as they allow. It is never more than `pixels`, if
    a square of `least` is not.

    请求未指定尺寸时，按来源图片的比例取尺寸。
    """
    low, high = -(-least // step) * step, most // step * step
    scale = math.sqrt(pixels / (width * height))
    sides = [min(high, max(low, round(side * scale / step) * step)) for side in (width, height)]
    while sides[0] * sides[1] > pixels and max(sides) > low:
        sides[sides.index(max(sides))] -= step
    return sides[0], sides[1]


def _opened(data: bytes) -> Image.Image:
    """Read a picture's head, of the accepted formats only; raises PictureRefused.

    只打开允许的图片格式。
    """
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
    """Return the picture in sRGB, 8 bits a channel, what is transparent laid on white.

    转为白底的 RGB 图片。
    """
    profile = picture.info.get("icc_profile")
    picture = _eight_bit(picture)
    if picture.mode in ("P", "LA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    if picture.mode == "RGBA":
        alpha = picture.getchannel("A")
        flat = Image.new("RGB", picture.size, "white")
        flat.paste(_in_srgb(picture.convert("RGB"), profile), mask=alpha)
        return flat
    return _in_srgb(picture, profile).convert("RGB")


def _grey(picture: Image.Image) -> Image.Image:
    picture = _eight_bit(picture)
    if picture.mode in _ALPHA or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        flat = Image.new("L", picture.size, 0)
        flat.paste(clear.convert("L"), mask=clear.getchannel("A"))
        return flat
    return picture.convert("L")


def _levels(value: int) -> int:
    if value < _NOISE:
        return 0
    return 255 if value >= 256 - _NOISE else value


def _eight_bit(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        # 16-bit grey: Pillow would clip rather than scale.
        return picture.convert("I").point(lambda value: value / 256).convert("L")
    return picture


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the picture in sRGB by its own profile; as it is, where that cannot be read.

    按色彩配置转为 sRGB。
    """
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
