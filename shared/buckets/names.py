"""The names of objects, the same in every bucket: keys, media types by ending, downloads' names.

各种存储共用的命名规则：键、媒体类型和下载文件名。
"""

from __future__ import annotations

import base64
import mimetypes
import re
import unicodedata
from pathlib import PurePosixPath
from urllib.parse import quote

MEDIA_TYPES = {
    ".3mf": "model/3mf",
    ".fbx": "application/vnd.autodesk.fbx",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".obj": "model/obj",
    ".png": "image/png",
    ".stl": "model/stl",
    ".txt": "text/plain",
    ".usdz": "model/vnd.usdz+zip",
    ".webp": "image/webp",
    ".zip": "application/zip",
}
ANY_TYPE = "application/octet-stream"
_ENDINGS = {media_type: ending for ending, media_type in MEDIA_TYPES.items()}
"""Of two endings of a type the later one, .jpg and not .jpeg."""

_KEY = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_PREFIX = re.compile(r"([A-Za-z0-9._-]+/)*[A-Za-z0-9._-]*")
_KEY_LENGTH = 512
_PART_LENGTH = 255  # what file systems allow a name
_FILENAME_LENGTH = 80
_FILENAME_BYTES = 240  # file systems allow 255; a Chinese character is three, an emoji four
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE | re.DOTALL)
"""What Windows takes for a device, whatever its ending ("Naming Files, Paths, and Namespaces")."""
_UNSAFE = re.compile(r'[/\\:*?"<>|;]')


def check_key(key: str) -> None:
    """Raise `ValueError` for what is no key: see `Bucket`.

    检查键是否合规。
    """
    parts = key.split("/")
    if (
        len(key) > _KEY_LENGTH
        or not _KEY.fullmatch(key)
        or any(part in (".", "..") or len(part) > _PART_LENGTH for part in parts)
    ):
        raise ValueError(f"not a key: {key[:_KEY_LENGTH]!r}")


MOST_KEYS = 1000
"""Keys in one page of a list: S3 gives no more ("ListObjectsV2")."""


def check_listing(prefix: str, limit: int) -> None:
    """Raise `ValueError` for a prefix that no key begins with, or a limit that no page has.

    检查列举的参数。
    """
    if len(prefix) > _KEY_LENGTH or not _PREFIX.fullmatch(prefix):
        raise ValueError(f"no key begins with {prefix[:_KEY_LENGTH]!r}")
    if not 0 < limit <= MOST_KEYS:
        raise ValueError(f"a page has 1 to {MOST_KEYS} keys, not {limit}")


def media_type_of(key: str) -> str:
    """The media type of an object by its key's ending, `application/octet-stream` for any other.

    由键的扩展名得到媒体类型。
    """
    return MEDIA_TYPES.get(PurePosixPath(key).suffix.lower(), ANY_TYPE)


def extension(media_type: str) -> str:
    """The file name's ending for a media type, with its dot; ".bin" if there is none.

    Python's own table, which differs between versions and machines, is asked last.

    由媒体类型得到扩展名。
    """
    return _ENDINGS.get(media_type) or mimetypes.guess_extension(media_type) or ".bin"


def check_media_type(key: str, media_type: str) -> str:
    """The media type an object is stored with; `ValueError` where its key's ending says another.

    Under an ending that is not known, whatever is asked for is stored as `ANY_TYPE`.

    核对媒体类型与扩展名。
    """
    known = media_type_of(key)
    if known not in (media_type, ANY_TYPE):
        raise ValueError(f"the media type of {key} is {known}, not {media_type[:99]!r}")
    return known


def put_headers(media_type: str, size: int, sha256: str | None) -> dict[str, str]:
    """The headers that a presigned PUT is held to, by the names that S3 gives them.

    限时上传请求必须携带的请求头。
    """
    headers = {"Content-Type": media_type, "Content-Length": str(size)}
    if sha256 is not None:
        headers[CHECKSUM] = base64.b64encode(bytes.fromhex(sha256)).decode()
    return headers


CHECKSUM = "x-amz-checksum-sha256"
"""The header of a body's SHA-256, in Base64: S3 refuses another body ("Checking object
integrity")."""


def clean_filename(filename: str, *, otherwise: str = "download") -> str:
    """A name that any file system takes and that breaks out of no header; `otherwise` where
    nothing is left of it.

    清理下载文件名。
    """
    kept = "".join(c for c in filename if not unicodedata.category(c).startswith("C"))
    kept = _UNSAFE.sub("_", kept).strip(" .")
    if _RESERVED.fullmatch(kept):
        kept = f"_{kept}"
    return shortened(kept, _FILENAME_LENGTH, _FILENAME_BYTES) or otherwise


def shortened(name: str, characters: int, size: int) -> str:
    """The beginning of a name: at most so many characters, and `size` bytes of UTF-8.

    截短文件名。
    """
    return name[:characters].encode()[:size].decode(errors="ignore").rstrip(" .")


def content_disposition(filename: str) -> str:
    """The `Content-Disposition` that makes a browser save under this name (RFC 6266); in ASCII for
    those that read no other.

    生成下载文件名的响应头。
    """
    name = clean_filename(filename)
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    stem, dot, ending = plain.rpartition(".")
    if dot and not any(one.isalnum() for one in stem):
        plain = f"download.{ending}"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
