"""A picture that comes in: whole, of an accepted format, within the limits, and upright.

输入图片的检查与转正。
"""

from __future__ import annotations

from collections.abc import Collection

from shared.artifacts.images.image import BrokenImage, ImageLimits, inspect_image, upright
from shared.errors import InvalidInput, TooLarge, UnsupportedFormat
from shared.inputs.files import NewFile


def checked_picture(
    param: str, data: bytes, limits: ImageLimits, formats: Collection[str]
) -> NewFile:
    """A picture, sure to be whole and within the limits; raises `InvalidInput` and its kin naming
    `param`.

    检查一张图片。
    """
    try:
        info = inspect_image(data, limits)
        if info.media_type not in formats:
            accepted = ", ".join(formats)
            raise BrokenImage(
                "image_format_unsupported", f"this is {info.media_type}; send {accepted}"
            )
        turned = upright(data)
    except BrokenImage as broken:
        kinds: dict[str, type[InvalidInput]] = {
            "image_too_many_bytes": TooLarge,
            "image_format_unsupported": UnsupportedFormat,
        }
        error = kinds.get(broken.code, InvalidInput)
        raise error(f"{param}: {broken.reason}.", code=broken.code, param=param) from None
    return NewFile(data if turned is None else turned, info.media_type, info.width, info.height)
