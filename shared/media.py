"""Media types and the names of files.

媒体类型与文件扩展名。
"""

from __future__ import annotations

import mimetypes


def extension(media_type: str) -> str:
    """The file name's ending for a media type, with its dot; ".bin" if there is none.

    由媒体类型得到扩展名。
    """
    return _KNOWN.get(media_type) or mimetypes.guess_extension(media_type) or ".bin"


_KNOWN = {
    "application/vnd.autodesk.fbx": ".fbx",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "model/gltf-binary": ".glb",
    "model/obj": ".obj",
    "model/stl": ".stl",
}
"""Those that Python's own table lacks in some version or on some machine, or has several for."""
