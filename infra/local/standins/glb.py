"""Writing and unpacking binary glTF 2.0 files, as much of it as the stand-ins need.

写出和拆开 GLB 文件。
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

GENERATOR = "Maquette stand-in for Tripo (not a generated model)"
FLOAT, UNSIGNED_INT, UNSIGNED_BYTE = 5126, 5125, 5121
VERTICES, INDICES = 34962, 34963


@dataclass(frozen=True)
class Mesh:
    """One closed surface: float32 positions in metres, uint32 triangles, and what goes with each
    vertex: unit normals, texture coordinates, RGBA bytes.

    表示一个封闭的网格。
    """

    positions: NDArray[Any]
    triangles: NDArray[Any]
    normals: NDArray[Any] | None = None
    uv: NDArray[Any] | None = None
    colors: NDArray[Any] | None = None


class _Chunk:
    """The binary part under construction, each piece aligned to four bytes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        entry = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        self.views.append(entry if target is None else {**entry, "target": target})
        self.data += data + b"\0" * (-len(data) % 4)
        return len(self.views) - 1

    def accessor(self, data: bytes, target: int, **facts: Any) -> int:
        self.accessors.append({"bufferView": self.view(data, target), **facts})
        return len(self.accessors) - 1


@dataclass(frozen=True)
class Group:
    """A mesh that looks the same all over: its name, linear RGBA colour, metallic, roughness, and a
    JPEG as base colour texture (b"": none).

    外观一致的一组三角形。
    """

    name: str
    mesh: Mesh
    color: tuple[float, ...]
    metallic: float
    rough: float
    jpeg: bytes = b""


def write(
    mesh: Mesh, color: tuple[float, ...], metallic: float, rough: float, jpeg: bytes
) -> bytes:
    """A GLB of one mesh: `color` is linear RGBA, `jpeg` the base colour texture (b"": none).

    把一个网格写成 GLB 文件。
    """
    return write_groups([Group("surface", mesh, color, metallic, rough, jpeg)])


def write_groups(groups: Sequence[Group]) -> bytes:
    """A GLB of one mesh whose parts look different; at most one of them has a texture.

    把多组三角形写成 GLB 文件。
    """
    chunk = _Chunk()
    primitives, materials = [], []
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": GENERATOR},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "model"}],
    }
    for number, group in enumerate(groups):
        primitive: dict[str, Any] = {
            "attributes": _attributes(group.mesh, chunk),
            "mode": 4,
            "material": number,
        }
        flat = group.mesh.triangles.astype("<u4").ravel()
        primitive["indices"] = chunk.accessor(
            flat.tobytes(), INDICES, componentType=UNSIGNED_INT, count=len(flat), type="SCALAR"
        )
        primitives.append(primitive)
        surface: dict[str, Any] = {
            "baseColorFactor": [round(float(part), 4) for part in group.color],
            "metallicFactor": group.metallic,
            "roughnessFactor": group.rough,
        }
        if group.jpeg:
            surface["baseColorTexture"] = {"index": 0}
            document |= _texture(chunk.view(group.jpeg))
        materials.append({"name": group.name, "pbrMetallicRoughness": surface})
    document["meshes"] = [{"primitives": primitives, "name": "model"}]
    document["materials"] = materials
    document["accessors"], document["bufferViews"] = chunk.accessors, chunk.views
    document["buffers"] = [{"byteLength": len(chunk.data)}]
    return _pack(document, bytes(chunk.data))


def _texture(view: int) -> dict[str, Any]:
    """What the document says of the one texture, a JPEG in a buffer view.

    贴图的声明。
    """
    return {
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"bufferView": view, "mimeType": "image/jpeg"}],
    }


def _attributes(mesh: Mesh, chunk: _Chunk) -> dict[str, int]:
    """Write a mesh's vertices into the chunk; the number of the accessor of each attribute.

    写入顶点属性。
    """
    positions = mesh.positions.astype("<f4")
    count = len(positions)
    attributes = {
        "POSITION": chunk.accessor(
            positions.tobytes(),
            VERTICES,
            componentType=FLOAT,
            count=count,
            type="VEC3",
            min=[float(part) for part in positions.min(axis=0)],
            max=[float(part) for part in positions.max(axis=0)],
        )
    }
    floats = (("NORMAL", mesh.normals, "VEC3"), ("TEXCOORD_0", mesh.uv, "VEC2"))
    for name, values, shape in floats:
        if values is not None:
            data = values.astype("<f4").tobytes()
            attributes[name] = chunk.accessor(
                data, VERTICES, componentType=FLOAT, count=count, type=shape
            )
    if mesh.colors is not None:
        attributes["COLOR_0"] = chunk.accessor(
            mesh.colors.astype("u1").tobytes(),
            VERTICES,
            componentType=UNSIGNED_BYTE,
            normalized=True,
            count=count,
            type="VEC4",
        )
    return attributes


def _pack(document: dict[str, Any], data: bytes) -> bytes:
    """Return a GLB file of a document and its data.

    打包成 GLB 文件。
    """
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(data)
    return b"".join(
        (
            struct.pack("<4sII", b"glTF", 2, total),
            struct.pack("<I4s", len(text), b"JSON") + text,
            struct.pack("<I4s", len(data), b"BIN\0") + data,
        )
    )


def to_gltf(glb: bytes) -> bytes:
    """The same model as one .gltf text, its binary part inside as a data URI; ValueError if broken.

    把 GLB 改写成单个 glTF 文本文件。
    """
    try:
        magic, version, total = struct.unpack_from("<4sII", glb)
        length, kind = struct.unpack_from("<I4s", glb, 12)
        document = json.loads(glb[20 : 20 + length])
        start = 28 + length
        data = glb[start : start + struct.unpack_from("<I", glb, start - 8)[0]]
        document["buffers"][0]["uri"] = (
            "data:application/octet-stream;base64," + base64.b64encode(data).decode()
        )
    except (struct.error, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"no whole GLB file: {error}") from error
    if (magic, version, kind) != (b"glTF", 2, b"JSON") or total != len(glb):
        raise ValueError("no whole GLB file: wrong magic, version or length")
    return json.dumps(document, separators=(",", ":")).encode()
