"""What kinds of file an input may be, and their media types.

输入文件的种类与媒体类型。
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Media(str, Enum):
    """What a role of a kind takes.

    输入角色接受的文件种类。
    """

    PICTURE = "picture"
    MODEL = "model"


GLB, FBX, OBJ, STL = (
    "model/gltf-binary",
    "application/vnd.autodesk.fbx",
    "model/obj",
    "model/stl",
)

MEDIA_TYPES: Mapping[Media, tuple[str, ...]] = {
    Media.PICTURE: ("image/jpeg", "image/png", "image/webp"),
    Media.MODEL: (GLB, FBX, OBJ, STL),
}
"""The media types of each, as files are recognised by their content."""


def media_of(media_type: str) -> Media | None:
    """Which of the two a media type is; None for any other.

    媒体类型属于哪一种。
    """
    for media, types in MEDIA_TYPES.items():
        if media_type in types:
            return media
    return None
