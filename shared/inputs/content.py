"""What a deployment takes as an input, and the check of a file in memory against it.

输入文件的规则与检查。
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.artifacts.images.image import ImageLimits
from shared.errors import InvalidInput, TooLarge, UnsupportedFormat
from shared.inputs import pictures
from shared.inputs.files import InputFile, NewFile
from shared.inputs.media import MEDIA_TYPES, Media

if TYPE_CHECKING:
    from shared.inputs.models import UnusableModel


@dataclass(frozen=True)
class ContentRules:
    """The pictures and models that a deployment takes: limits, and formats as media types.

    本部署接受的输入文件。
    """

    pictures: ImageLimits = field(default_factory=ImageLimits)
    picture_formats: tuple[str, ...] = MEDIA_TYPES[Media.PICTURE]
    model_bytes: int = 150 * 2**20

    def most_bytes(self, media: Media) -> int:
        """The largest file of this kind, in bytes.

        文件大小的上限。
        """
        return self.pictures.max_bytes if media is Media.PICTURE else self.model_bytes


def checked(param: str, data: bytes, media: Media, rules: ContentRules) -> NewFile:
    """A file in memory, sure to be a whole picture (set upright) or a model; raises `InvalidInput`
    and its kin naming `param`.

    检查内存中的一个文件。
    """
    if media is Media.PICTURE:
        return pictures.checked_picture(param, data, rules.pictures, rules.picture_formats)
    # Only for kinds that take models: a cold start has no time for its many parts.
    from shared.inputs import models

    check_size(param, len(data), media, rules)
    try:
        return NewFile(data, models.inspect_model_bytes(data))
    except models.UnusableModel as fault:
        raise model_fault(param, fault) from None


def check_size(param: str, size: int, media: Media, rules: ContentRules) -> None:
    """Raise `TooLarge`, naming `param`, for more bytes than a file of this kind may have.

    检查文件大小。
    """
    most = rules.most_bytes(media)
    if size > most:
        code = "image_too_many_bytes" if media is Media.PICTURE else "model_too_many_bytes"
        message = f"{param}: the {media.value} has {size} bytes, more than {most}."
        raise TooLarge(message, code=code, param=param)


def check_together(files: Mapping[str, NewFile] | Mapping[str, InputFile]) -> None:
    """Raise `InvalidInput` for inputs that do not go together: a mask is of its picture's size.

    检查各输入之间的搭配。
    """
    image, mask = files.get("image"), files.get("mask")
    if image and mask and (image.width, image.height) != (mask.width, mask.height):
        raise InvalidInput(
            f"mask has {mask.width} x {mask.height} pixels; it must be of the picture's size, "
            f"{image.width} x {image.height}.",
            param="mask",
        )


def model_fault(param: str, fault: UnusableModel) -> InvalidInput:
    """What is wrong with a model, as an error that names `param`.

    模型问题对应的错误。
    """
    unsupported = fault.code == "model_format_unsupported"
    error = UnsupportedFormat if unsupported else InvalidInput
    return error(f"{param}: {fault.reason}.", code=fault.code, param=param)
