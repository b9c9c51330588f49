"""Is a picture whole, what is it, how big is it: JPEG, PNG and WebP, recognised by their bytes.

The order is what keeps a hostile file cheap: size in bytes, then the first bytes, then the header's
width and height, and only then the pixels. Pillow is imported on first use; NumPy is not needed.

这个模块检查图片是否完整、是什么格式、有多大。
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.artifacts.images.pixels import open_image, orientation_of, plain, turned

if TYPE_CHECKING:
    from PIL import Image

_PILLOW_NAME = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
_PNG_START = b"\x89PNG\r\n\x1a\n"
_SIDEWAYS = (5, 6, 7, 8)
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_BAND = 256
"""Rows that are made at once where a picture is made smaller."""
_BARE_MARKERS = (0x01, *range(0xD0, 0xD9))


class BrokenImage(ValueError):
    """The picture cannot be used; `code` names the fault for programs, `reason` for people.

    Codes: image_too_many_bytes, image_format_unsupported, image_animated, image_too_many_pixels,
    image_too_small, image_too_large, image_truncated, image_metadata_too_large, image_unreadable.

    这个错误说明图片不能使用，并给出代码和原因。
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class ImageLimits:
    """What a picture may be: sides in pixels as displayed, pixels in all, bytes of the file.

    这个类规定图片允许的边长、像素数和字节数。
    """

    min_side: int = 1
    max_side: int = 10_000
    max_pixels: int = 50_000_000
    max_bytes: int = 50 * 2**20


@dataclass(frozen=True)
class ImageInfo:
    """What a whole picture is; `width` and `height` are pixels as displayed, EXIF turns applied.

    `mode` is Pillow's word for its channels: RGB, RGBA, L, …; `orientation` is how its pixels are
    stored, 1 to 8, as EXIF counts it.

    这个类描述一张完整的图片。
    """

    media_type: str
    width: int
    height: int
    mode: str
    orientation: int = 1


def sniff(head: bytes) -> str | None:
    """The media type of a JPEG, PNG or WebP by its first 12 bytes; None for anything else.

    这个函数根据开头的字节判断图片格式。
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(_PNG_START):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def inspect_image(data: bytes, limits: ImageLimits, *, decode: bool = True) -> ImageInfo:
    """Decode a picture once to be sure that it is whole, and say what it is.

    Raises BrokenImage. A picture beyond the limits is refused by its header, before decoding.
    Without `decode` its header and its end are all that is looked at.

    这个函数完整解码一张图片并返回它的基本信息。
    """
    info, opened = _checked(data, limits)
    with opened:
        if decode:
            # All of a JPEG's data is still read and unpacked, but into 1/64 of the memory.
            _decode(opened, least=1)
    return info


def decode_image(data: bytes, limits: ImageLimits, least: int) -> tuple[ImageInfo, Image.Image]:
    """What inspect_image says, and the pixels that it decoded, as they are stored.

    A JPEG is unpacked no larger than is needed for `least` pixels a side. Raises BrokenImage.

    这个函数完整解码一张图片，返回基本信息和像素。
    """
    info, opened = _checked(data, limits)
    with opened:
        _decode(opened, least)
    return info, opened


def _checked(data: bytes, limits: ImageLimits) -> tuple[ImageInfo, Image.Image]:
    """A picture opened and checked by all but its pixels.

    检查除像素外的一切。
    """
    if len(data) > limits.max_bytes:
        raise BrokenImage(
            "image_too_many_bytes", f"the picture has more than {limits.max_bytes} bytes"
        )
    media_type = _supported(data)
    image = _open(data, media_type)
    orientation = orientation_of(image, data, media_type)
    width, height = image.size[::-1] if orientation in _SIDEWAYS else image.size
    _check_sides(width, height, limits)
    if media_type != "image/jpeg" and getattr(image, "n_frames", 1) > 1:
        raise BrokenImage("image_animated", "the picture is animated; send a still one")
    check_ends(data, media_type)
    return ImageInfo(media_type, width, height, image.mode, orientation), image


def upright(data: bytes, limits: ImageLimits | None = None) -> bytes | None:
    """The picture turned as its EXIF orientation asks, and made smaller where a side is over
    `max_side`, in its own format; None if it is fine as it is.

    Quality 95, less where that is more than `max_bytes`; colour profile kept, EXIF dropped. Raises
    BrokenImage. Call inspect_image first: no other limits are checked here.

    这个函数把拍歪的照片转正、把过大的缩小，本来就合适的返回空。
    """
    limits = limits or ImageLimits(max_side=1 << 30, max_bytes=1 << 40)
    media_type = _supported(data)
    with _open(data, media_type) as image:
        orientation = orientation_of(image, data, media_type)
        longest = limits.max_side if max(image.size) > limits.max_side else None
        if orientation == 1 and longest is None:
            return None
        profile = image.info.get("icc_profile")
        _decode(image, longest)
        if longest is None:
            upright = turned(image, orientation)
        else:
            # Made smaller first: to turn a picture takes its memory twice.
            smaller = _smaller(image, longest)
            profile = profile if smaller.mode == image.mode else None  # it is of other colours
            upright = turned(smaller, orientation)
            del smaller
    for name in ("exif", "xmp"):  # both may say again how the camera was held
        upright.info.pop(name, None)
    try:
        return _written(upright, media_type, profile, limits.max_bytes)
    except (MemoryError, BrokenImage):
        raise
    except Exception as error:  # what was read is not always what can be written
        raise _unreadable(error, data, media_type) from None


def _smaller(image: Image.Image, longest: int) -> Image.Image:
    """The picture in plain colours, its longer side of this many pixels.

    Band by band: at once, Pillow would need it twice beside the result, three times where it is
    transparent.

    这个函数逐条缩小图片，以节省内存。
    """
    from PIL import Image as Pillow

    source = plain(image)
    width, height = (max(1, round(side * longest / max(image.size))) for side in image.size)
    made = Pillow.new(source.mode, (width, height))
    scale = source.height / height
    reach = int(2 * scale) + 2  # how far a bicubic filter looks, in rows of the source
    for top in range(0, height, _BAND):
        bottom = min(top + _BAND, height)
        first = max(0, int(top * scale) - reach)
        last = min(source.height, int(bottom * scale) + reach)
        band = source.crop((0, first, source.width, last))
        rows = (top * scale - first, min(bottom * scale, source.height) - first)
        part = (0.0, rows[0], float(source.width), rows[1])
        made.paste(band.resize((width, bottom - top), Pillow.Resampling.BICUBIC, part), (0, top))
    return made


def _written(image: Image.Image, media_type: str, profile: bytes | None, most: int) -> bytes:
    """The picture as a file of at most so many bytes, as good as that allows.

    写成不超过上限的文件。
    """
    name = "compress_level" if media_type == "image/png" else "quality"
    for value in (1, 6) if media_type == "image/png" else (95, 90, 80, 60):
        out = io.BytesIO()
        image.save(out, _PILLOW_NAME[media_type], icc_profile=profile, **{name: value})
        if out.tell() <= most:
            return out.getvalue()
    raise BrokenImage(
        "image_too_many_bytes", f"set upright, the picture has more than {most} bytes"
    )


def _supported(data: bytes) -> str:
    media_type = sniff(data)
    if media_type is None:
        raise BrokenImage(
            "image_format_unsupported", f"this is {name_of(data)}; send JPEG, PNG or WebP"
        )
    return media_type


def name_of(data: bytes) -> str:
    """What a file that is no JPEG, PNG or WebP is, in words with an article.

    这个函数用文字说明这是什么文件。
    """
    if not data:
        return "an empty file"
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand in (b"avif", b"avis"):
            return "an AVIF"
        return "a HEIC" if brand[:2] in (b"he", b"mi", b"ms") else "a video"
    for start, name in (
        (b"GIF8", "a GIF"),
        (b"BM", "a BMP"),
        (b"\xabKTX 20\xbb", "a KTX2 texture"),
        (b"\xabKTX 11\xbb", "a KTX texture"),
        (b"DDS ", "a DDS texture"),
        (b"\xff\x0a", "a JPEG XL"),
        (b"\0\0\0\x0cJXL ", "a JPEG XL"),
        (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
        (b"II*\0", "a TIFF"),
        (b"MM\0*", "a TIFF"),
        (b"%PDF", "a PDF"),
        (b"glTF", "a GLB model"),
        (b"PK\x03\x04", "a ZIP archive"),
    ):
        if data.startswith(start):
            return name
    text = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "not a picture that is known here"


def _open(data: bytes, media_type: str) -> Image.Image:
    """Read the header only; Pillow's own bomb limits stay on beneath the caller's.

    只读取图片头部。
    """
    from PIL import Image

    try:
        return open_image(data, media_type)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BrokenImage("image_too_many_pixels", "the picture has far too many pixels") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise a dozen types on hostile headers
        raise _unreadable(error, data, media_type) from None


def _decode(image: Image.Image, least: int | None = None) -> None:
    if least is not None:
        image.draft("RGB", (least, least))
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(error, b"", "") from None


def _unreadable(error: Exception, data: bytes, media_type: str) -> BrokenImage:
    """Which of a picture's faults an error of Pillow's stands for.

    把读取错误归为图片的毛病。
    """
    words = str(error)
    if "MAX_TEXT" in words or "too large" in words:
        return BrokenImage("image_metadata_too_large", "the picture's texts unpack to too much")
    if "truncated" in words.lower():
        return BrokenImage("image_truncated", "the picture ends too early")
    if media_type:
        try:
            check_ends(data, media_type)
        except BrokenImage as cut:
            return cut
    return BrokenImage("image_unreadable", f"the picture cannot be decoded: {words[:120]}")


def _check_sides(width: int, height: int, limits: ImageLimits) -> None:
    shape = f"the picture is {width} x {height} pixels"
    if width * height > limits.max_pixels:
        raise BrokenImage("image_too_many_pixels", f"{shape}, more than {limits.max_pixels} in all")
    if min(width, height) < limits.min_side:
        raise BrokenImage("image_too_small", f"{shape}; no side may be under {limits.min_side}")
    if max(width, height) > limits.max_side:
        raise BrokenImage("image_too_large", f"{shape}; no side may be over {limits.max_side}")


def check_ends(data: bytes, media_type: str) -> None:
    """Raise BrokenImage where a picture was cut: a decoder forgives a missing end.

    A PNG's critical chunks must match their checksums, too.

    这个函数检查文件结尾是否完整。
    """
    ends = {"image/jpeg": _jpeg_ends, "image/png": _png_ends, "image/webp": _webp_ends}
    if media_type in ends and not ends[media_type](data):
        raise BrokenImage("image_truncated", "the picture ends too early")


def _jpeg_ends(data: bytes) -> bool:
    """Whether an end-of-image marker follows; what comes after it (a video, a map) is not ours.

    JPEG 是否完整。
    """
    place = 2
    while match := _JPEG_MARKER.search(data, place):
        marker = data[match.end() - 1]
        if marker == 0xD9:
            return True
        place = match.end()
        if marker not in _BARE_MARKERS:
            if place + 2 > len(data):
                return False
            place += max(2, struct.unpack_from(">H", data, place)[0])
    return False


def _png_ends(data: bytes) -> bool:
    """Whether the chunks lead to IEND; each critical one must match its checksum.

    PNG 是否完整。
    """
    place = len(_PNG_START)
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if end > len(data):
            return False
        if kind[0] < 0x60:
            (checksum,) = struct.unpack_from(">I", data, end - 4)
            if zlib.crc32(memoryview(data)[place + 4 : end - 4]) != checksum:
                raise BrokenImage(
                    "image_unreadable", f"a {kind.decode('latin-1')} chunk is damaged"
                )
        if kind == b"IEND":
            return True
        place = end
    return False


def _webp_ends(data: bytes) -> bool:
    return len(data) >= 12 and len(data) >= 8 + int(struct.unpack_from("<I", data, 4)[0])
