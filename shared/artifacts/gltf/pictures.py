"""How large a model's textures are, read from the heads of their pictures alone.

PNG, JPEG, WebP and KTX2 are known; nothing is decoded, and no more than a few reads are made.

这个模块从图片头部读取贴图的尺寸。
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from shared.artifacts.gltf.buffers import decode_data_uri, is_data_uri
from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.document import BrokenModel, entries
from shared.artifacts.gltf.unpacking import Unreadable, read_buffer

MAX_PICTURES = 64
"""Pictures looked at in one model: each costs a read, which may go over a network."""

_HEAD = 512
_MAX_SEGMENTS = 64
"""Segments of a JPEG passed over in search of its size: profiles and notes come before it."""

Read = Callable[[int, int], bytes]
"""Some bytes of a picture from a place on; fewer, where it ends."""


def largest_side(container: Container) -> int | None:
    """The largest side of any picture that a texture names, in pixels; None where none is known.

    这个函数给出贴图中最大的边长。
    """
    raw = container.document.raw
    named: dict[int, None] = {}
    for texture in entries(raw, "textures"):
        sources = [texture.get("source")]
        extensions = texture.get("extensions")
        for item in extensions.values() if isinstance(extensions, dict) else ():
            sources.append(item.get("source") if isinstance(item, dict) else None)
        named.update((index, None) for index in sources if isinstance(index, int))
    images = entries(raw, "images")
    sides = [0]
    for index in list(named)[:MAX_PICTURES]:
        if 0 <= index < len(images):
            try:
                sides.append(max(picture_size(_reader(container, images[index]))))
            except (Unreadable, BrokenModel, struct.error, IndexError, ValueError):
                continue
    return max(sides) or None


def _reader(container: Container, item: dict[str, object]) -> Read:
    """Reads from a picture in a buffer view or in a data: URI; raises Unreadable.

    读取图片数据的方法。
    """
    uri, index = item.get("uri"), item.get("bufferView")
    if isinstance(uri, str) and is_data_uri(uri):
        data = decode_data_uri(uri) or b""
        return lambda start, length: data[start : start + length]
    views = container.document.views
    if not isinstance(index, int) or not 0 <= index < len(views):
        raise Unreadable("the picture lies outside the file")
    view = views[index]
    if view.fault is not None or view.packing is not None:
        raise Unreadable(view.fault or "the picture is compressed")
    return lambda start, length: read_buffer(
        container, view.buffer, view.offset + start, max(0, min(length, view.length - start))
    )


def picture_size(read: Read) -> tuple[int, int]:
    """Width and height of a picture from its head; raises ValueError for no known kind.

    这个函数从图片头部读取宽和高。
    """
    head = read(0, _HEAD)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return struct.unpack_from(">2I", head, 16)
    if head.startswith(b"\xabKTX 20\xbb\r\n\x1a\n"):
        return struct.unpack_from("<2I", head, 20)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(head)
    if head.startswith(b"\xff\xd8"):
        return _jpeg(head, read)
    raise ValueError("the picture is of no kind that is known")


def _webp(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8X":
        wide, high = (int.from_bytes(head[place : place + 3], "little") for place in (24, 27))
        return wide + 1, high + 1
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    wide, high = struct.unpack_from("<2H", head, 26)
    return wide & 0x3FFF, high & 0x3FFF


def _jpeg(head: bytes, read: Read) -> tuple[int, int]:
    """The size in a JPEG's frame, which comes after any number of other segments.

    读取 JPEG 的尺寸。
    """
    place = 2
    for _ in range(_MAX_SEGMENTS):
        segment = head[place : place + 9] if place + 9 <= len(head) else read(place, 9)
        marker, kind, length = segment[0], segment[1], int.from_bytes(segment[2:4], "big")
        if marker != 0xFF or (kind != 0xFF and length < 2):
            break
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            high, wide = struct.unpack_from(">2H", segment, 5)
            return wide, high
        place += 1 if kind == 0xFF else 2 + length
    raise ValueError("the JPEG has no frame")
