"""A picture that comes in: whole, of an accepted format, within the limits, and upright.

输入图片的检查与转正。
"""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.artifacts.images.image import BrokenImage, ImageLimits, inspect_image, upright
from shared.errors import InvalidInput, TooLarge, UnsupportedFormat
from shared.inputs.files import NewFile


@dataclass(frozen=True)
class PictureRules:
    """What pictures a deployment takes: their limits, and their formats as media types.

    本部署接受的图片。
    """

    limits: ImageLimits = field(default_factory=ImageLimits)
    formats: tuple[str, ...] = ("image/jpeg", "image/png", "image/webp")


def checked_picture(param: str, data: bytes, rules: PictureRules) -> NewFile:
    """A picture, sure to be whole and within the limits; raises `InvalidInput` and its kin naming
    `param`.

    检查一张图片。
    """
    try:
        info = inspect_image(data, rules.limits)
        if info.media_type not in rules.formats:
            accepted = ", ".join(rules.formats)
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
