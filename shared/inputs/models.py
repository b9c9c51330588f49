"""A model that comes in: which of the four formats it is, and whether it is whole, by cheap looks.

GLB is checked by its container; FBX (binary) by the chain of its outermost records; STL by the
count of its triangles; OBJ and the text forms of FBX and STL by their words. A file of any size is
looked at in a few places, and OBJ once from its beginning to its end, as its bytes are hashed.

输入模型的格式识别与检查。
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator

from shared.artifacts.gltf.container import BrokenModel, BytesReader, RangeReader, check_container
from shared.artifacts.images.image import name_of, sniff
from shared.inputs.media import FBX, GLB, OBJ, STL

NAMES = {GLB: "GLB", FBX: "FBX", OBJ: "OBJ", STL: "STL"}

_HEAD = 64 * 1024
_TAIL = 4 * 1024
_FBX = b"Kaydara FBX Binary  \x00\x1a\x00"
_FBX_START = 27
"""Where the first record of a binary FBX begins: after its magic and version."""
_FBX_WIDE = 7500
"""The version from which on a record's offsets have 64 bits."""
_FBX_RECORDS = 1000
"""Outermost records of a binary FBX that are followed; exporters write about twelve."""
_STL_HEAD, _STL_FACET = 84, 50
_STL_BEHIND = 1024
"""Bytes that may follow the last facet: some exporters write their own mark there."""
_OBJ_WORDS = frozenset(
    b"# v vn vt vp f l p o g s usemtl mtllib usemap maplib mg lod shadow_obj trace_obj call csh "
    b"cstype deg bmat step curv curv2 surf parm trim hole scrv sp end con bevel c_interp d_interp "
    b"stech ctech".split()
)
# A choice or an anchor at their beginning would take ten times as long.
_VERTEX = re.compile(rb"\n[ \t]*v[ \t]+[-+.\d]")
_FACE = re.compile(rb"\n[ \t]*f[ \t]+-?\d")
_OVERLAP = 256


class UnusableModel(ValueError):
    """The model cannot be used; `code` names the fault for programs, `reason` for people.

    Codes: model_format_unsupported, model_truncated, model_broken.

    模型文件不可用。
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def inspect_model_bytes(data: bytes) -> str:
    """The media type of a model in memory; raises `UnusableModel`.

    检查内存中的模型。
    """
    media_type = recognise(BytesReader(data))
    for _ in scanned(media_type, [data]):
        pass
    return media_type


def recognise(reader: RangeReader) -> str:
    """The media type of a model by its content; raises `UnusableModel` for anything else, and for
    one that is seen to be cut or broken. Of an OBJ, `scanned` has the last word.

    按内容识别模型格式。
    """
    head = reader.read(0, min(reader.size, _HEAD))
    if head.startswith(b"glTF"):
        try:
            check_container(reader)
        except BrokenModel as broken:
            raise UnusableModel("model_broken", f"the GLB is broken: {broken}") from None
        return GLB
    if head.startswith(_FBX[:20]):
        _check_fbx(reader, head)
        return FBX
    if _is_binary_stl(reader.size, head):
        return STL
    if b"\0" not in head:
        return _text_format(reader, head)
    raise _unsupported(head)


def scanned(media_type: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks of a whole file as they come; raises `UnusableModel` at their end where an OBJ
    has no vertex or no face, or is no text after all.

    边读边检查整个文件。
    """
    if media_type != OBJ:
        yield from chunks
        return
    wanted = {"vertex": _VERTEX, "face": _FACE}
    before = b"\n"
    for chunk in chunks:
        if b"\0" in chunk:
            raise UnusableModel("model_broken", "the OBJ holds bytes that are no text")
        text = (before + chunk).replace(b"\r", b"\n")
        for name in [name for name, pattern in wanted.items() if pattern.search(text)]:
            del wanted[name]
        before = text[-_OVERLAP:]
        yield chunk
    for name in wanted:
        raise UnusableModel("model_broken", f"the OBJ has no {name}")


def _unsupported(head: bytes) -> UnusableModel:
    known = {"image/jpeg": "a JPEG", "image/png": "a PNG", "image/webp": "a WebP"}
    name = known.get(sniff(head) or "") or name_of(head)
    if name == "not a picture that is known here":
        name = "not a model that is known here"
    return UnusableModel("model_format_unsupported", f"this is {name}; send GLB, FBX, OBJ or STL")


def _check_fbx(reader: RangeReader, head: bytes) -> None:
    """Follow the outermost records of a binary FBX to the empty one that ends them.

    检查二进制 FBX 的外层记录。
    """
    if not head.startswith(_FBX) or len(head) < _FBX_START:
        raise UnusableModel("model_broken", "the FBX's header is damaged")
    (version,) = struct.unpack_from("<I", head, 23)
    shape = "<QQQB" if version >= _FBX_WIDE else "<IIIB"
    length, place = struct.calcsize(shape), _FBX_START
    for _ in range(_FBX_RECORDS):
        if place + length > reader.size:
            raise UnusableModel("model_truncated", "the FBX ends too early")
        near = head if place + length <= len(head) else None
        record = near[place : place + length] if near else reader.read(place, length)
        end = struct.unpack(shape, record)[0]
        if end == 0:
            if place == _FBX_START:
                raise UnusableModel("model_broken", "the FBX is empty")
            return
        if end > reader.size:
            raise UnusableModel("model_truncated", "the FBX ends too early")
        if end < place + length:
            raise UnusableModel("model_broken", "the FBX's records lead nowhere")
        place = end
    raise UnusableModel("model_broken", "the FBX's records lead nowhere")


def _is_binary_stl(size: int, head: bytes) -> bool:
    """Whether the count of triangles fits the size and the first ones are numbers.

    是否为二进制 STL。
    """
    if size < _STL_HEAD + _STL_FACET or len(head) < _STL_HEAD + _STL_FACET:
        return False
    (count,) = struct.unpack_from("<I", head, 80)
    behind = size - _STL_HEAD - _STL_FACET * count
    if count == 0 or not 0 <= behind <= _STL_BEHIND:
        return False
    seen = min(count, (len(head) - _STL_HEAD) // _STL_FACET)
    facets = range(_STL_HEAD, _STL_HEAD + seen * _STL_FACET, _STL_FACET)
    # The first three floats are the normal, which some exporters leave as nonsense.
    return all(
        math.isfinite(one) for at in facets for one in struct.unpack_from("<9f", head, at + 12)
    )


def _text_format(reader: RangeReader, head: bytes) -> str:
    """The format of a text: FBX, STL or OBJ; raises `UnusableModel`.

    识别文本格式的模型。
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    tail = reader.read(max(0, reader.size - _TAIL), min(reader.size, _TAIL))
    if text[:5].lower() == b"; fbx":
        _ends_with(
            tail, lambda end: end.splitlines()[-1].lstrip()[:1] == b";" or end[-1:] == b"}", "FBX"
        )
        if b"FBXHeaderExtension" not in head:
            raise UnusableModel("model_broken", "the FBX has no header")
        return FBX
    if text[:5].lower() == b"solid" and text[5:6] in b" \t\r\n":
        _ends_with(tail, lambda end: b"endsolid" in end.lower(), "STL")
        if b"facet" not in text.lower().partition(b"endsolid")[0]:
            raise UnusableModel("model_broken", "the STL has no facet")
        return STL
    if _first_words(text) <= _OBJ_WORDS:
        return OBJ
    raise _unsupported(head)


def _ends_with(tail: bytes, whole: Callable[[bytes], bool], name: str) -> None:
    if not whole(tail.rstrip()):
        raise UnusableModel("model_truncated", f"the {name} ends too early")


def _first_words(text: bytes) -> set[bytes]:
    """The first words of a text's first lines; of nothing but blanks, a word that no format has."""
    lines = re.sub(rb"\\\r?\n", b" ", text[:8192]).splitlines()[:100]
    # The last line may be cut; a comment's mark needs no blank behind it.
    if len(text) > 8192 and len(lines) > 1:
        lines.pop()
    words = [line.split()[0] for line in lines if line.strip()]
    return {b"#" if word.startswith(b"#") else word for word in words} or {b""}
