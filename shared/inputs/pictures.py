"""A picture that comes in: whole, of an accepted format, within the limits, and upright.

输入图片的检查与转正。
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import replace

from shared.artifacts.images.image import (
    BrokenImage,
    ImageInfo,
    ImageLimits,
    inspect_image,
    upright,
)
from shared.errors import InvalidInput, TooLarge, UnsupportedFormat
from shared.inputs.files import NewFile


def checked_picture(
    param: str, data: bytes, limits: ImageLimits, formats: Collection[str]
) -> NewFile:
    """A picture, sure to be whole and within the limits, upright, and made smaller where a side is
    over `max_side`: cameras' pictures are, and generators take no larger ones. Raises
    `InvalidInput` and its kin naming `param`.

    检查一张图片，并转正、缩小。
    """
    try:
        with _room:
            info, fitting = _inspected(data, limits)
        if info.media_type not in formats:
            accepted = ", ".join(formats)
            raise BrokenImage(
                "image_format_unsupported", f"this is {info.media_type}; send {accepted}"
            )
    except BrokenImage as broken:
        kinds: dict[str, type[InvalidInput]] = {
            "image_too_many_bytes": TooLarge,
            "image_format_unsupported": UnsupportedFormat,
        }
        error = kinds.get(broken.code, InvalidInput)
        raise error(f"{param}: {broken.reason}.", code=broken.code, param=param) from None
    return NewFile(data if fitting is None else fitting, info.media_type, info.width, info.height)


_room = threading.BoundedSemaphore(4)
"""Pictures that one process unpacks at once: a large one takes 300 MB while it is made smaller."""


def _inspected(data: bytes, limits: ImageLimits) -> tuple[ImageInfo, bytes | None]:
    """What a picture is, as it is to be kept, and its new bytes where it had to be changed."""
    info = inspect_image(data, replace(limits, max_side=limits.max_pixels))
    _check_shape(info, limits)
    fitting = upright(data, limits)
    if fitting is not None:
        info = inspect_image(fitting, limits, decode=False)
    return info, fitting


def _check_shape(info: ImageInfo, limits: ImageLimits) -> None:
    """Raise BrokenImage for a picture so long that its shorter side would come to too little."""
    long, short = max(info.width, info.height), min(info.width, info.height)
    if long > limits.max_side and short * limits.max_side // long < limits.min_side:
        raise BrokenImage(
            "image_too_large",
            f"the picture is {info.width} x {info.height} pixels; made no longer than "
            f"{limits.max_side}, its other side would be under {limits.min_side}",
        )
