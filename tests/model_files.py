"""Small whole models in every format that is taken as an input.

各种格式的小模型文件。
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tests.providers import triangle

Record = tuple[bytes, bytes]


def binary_fbx(version: int = 7400, records: Sequence[Record] = ((b"Objects", b"12345"),)) -> bytes:
    """A binary FBX of some outermost records, their property lists empty and their content raw."""
    out = b"Kaydara FBX Binary  \x00\x1a\x00" + struct.pack("<I", version)
    shape = "<QQQB" if version >= 7500 else "<IIIB"
    length = struct.calcsize(shape)
    for name, content in records:
        end = len(out) + length + len(name) + len(content)
        out += struct.pack(shape, end, 0, 0, len(name)) + name + content
    return out + bytes(length) + b"the footer"


def text_fbx() -> bytes:
    """An FBX in words."""
    return b"""; FBX 7.3.0 project file
; ----------------------------------------------------

FBXHeaderExtension:  {
\tFBXHeaderVersion: 1003
}
Objects:  {
}
"""


def binary_stl(facets: int = 2, head: bytes = b"made by a test") -> bytes:
    """A binary STL."""
    facet = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)
    return head.ljust(80) + struct.pack("<I", facets) + facet * facets


def text_stl() -> bytes:
    """An STL in words."""
    return b"""solid part
  facet normal 0 0 1
    outer loop
      vertex 0 0 0
      vertex 1 0 0
      vertex 0 1 0
    endloop
  endfacet
endsolid part
"""


def obj() -> bytes:
    """An OBJ of one triangle."""
    points = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\n"
    return b"# a triangle\nmtllib a.mtl\no part\n" + points + b"f 1//1 2//1 3//1\n"


WHOLE: dict[str, tuple[str, bytes]] = {
    "GLB": ("model/gltf-binary", triangle()),
    "FBX": ("application/vnd.autodesk.fbx", binary_fbx()),
    "FBX of 2016 and later": ("application/vnd.autodesk.fbx", binary_fbx(7700)),
    "FBX in words": ("application/vnd.autodesk.fbx", text_fbx()),
    "STL": ("model/stl", binary_stl()),
    "STL that begins like one in words": ("model/stl", binary_stl(head=b"solid part")),
    "STL with a mark behind": ("model/stl", binary_stl() + b"COLOR=1234"),
    "STL in words": ("model/stl", text_stl()),
    "STL in capitals": ("model/stl", text_stl().upper()),
    "OBJ": ("model/obj", obj()),
    "OBJ with a byte order mark": ("model/obj", b"\xef\xbb\xbf" + obj()),
    "OBJ with Windows' line ends": ("model/obj", obj().replace(b"\n", b"\r\n")),
    "OBJ with an old Macintosh's line ends": ("model/obj", obj().replace(b"\n", b"\r")),
    "OBJ with its lines set in": ("model/obj", obj().replace(b"\n", b"\n \t")),
    "OBJ that begins with its vertices": ("model/obj", b"v 0 0 0\nv 1 0 0\nv 0 1 .5\nf 1 2 3"),
    "OBJ with a comment without a blank": ("model/obj", b"#made by hand\n" + obj()),
    "OBJ whose faces count from the end": ("model/obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n"),
}
"""By what they are: the media type, and the file."""
