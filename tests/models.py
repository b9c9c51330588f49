"""Small GLB files built by hand for tests, so that every byte of them is known.

这个模块为测试构造小型 GLB 模型。
"""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_COMPONENTS = {"u1": 5121, "i1": 5120, "u2": 5123, "i2": 5122, "u4": 5125, "f4": 5126}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


def pack(document: Any, data: bytes | None = b"", *, text: bytes | None = None) -> bytes:
    """A GLB of a JSON document and a BIN chunk; `text` stands in for the JSON as it is.

    这个函数把 JSON 和二进制数据打包成 GLB。
    """
    body = text if text is not None else json.dumps(document).encode()
    body += b" " * (-len(body) % 4)
    chunks = struct.pack("<2I", len(body), 0x4E4F534A) + body
    if data:
        data += bytes(-len(data) % 4)
        chunks += struct.pack("<2I", len(data), 0x004E4942) + data
    return struct.pack("<3I", 0x46546C67, 2, 12 + len(chunks)) + chunks


class ModelBuilder:
    """Collects meshes, nodes, materials and pictures, and packs them into one GLB.

    Every `add_…` returns the index of what it added.

    这个类逐步搭建一个测试用的 GLB 模型。
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.document: dict[str, Any] = {"asset": {"version": "2.0"}, "scene": 0}
        self.roots: list[int] = []

    def _append(self, key: str, item: dict[str, Any]) -> int:
        self.document.setdefault(key, []).append(item)
        return len(self.document[key]) - 1

    def add_view(self, data: bytes, **more: Any) -> int:
        self.data += bytes(-len(self.data) % 4)
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), **more}
        self.data += data
        return self._append("bufferViews", view)

    def add_accessor(self, values: Any, dtype: str = "f4", **more: Any) -> int:
        array = np.ascontiguousarray(values, dtype="<" + dtype)
        flat = array.reshape(len(array), -1)
        item = {
            "bufferView": self.add_view(array.tobytes()),
            "componentType": _COMPONENTS[dtype],
            "count": len(array),
            "type": _TYPES[flat.shape[1]],
            "min": flat.min(axis=0).tolist(),
            "max": flat.max(axis=0).tolist(),
            **more,
        }
        return self._append("accessors", item)

    def add_mesh(
        self,
        points: Any,
        faces: Any = None,
        *,
        normals: Any = None,
        uvs: Any = None,
        colours: Any = None,
        material: int | None = None,
        mode: int | None = None,
        index_type: str = "u4",
    ) -> int:
        attributes = {"POSITION": self.add_accessor(points)}
        for name, values in (("NORMAL", normals), ("TEXCOORD_0", uvs), ("COLOR_0", colours)):
            if values is not None:
                attributes[name] = self.add_accessor(values)
        primitive: dict[str, Any] = {"attributes": attributes}
        if faces is not None:
            primitive["indices"] = self.add_accessor(np.asarray(faces).reshape(-1), index_type)
        if material is not None:
            primitive["material"] = material
        if mode is not None:
            primitive["mode"] = mode
        return self._append("meshes", {"primitives": [primitive]})

    def add_node(self, mesh: int | None = None, root: bool = True, **more: Any) -> int:
        node = {**({} if mesh is None else {"mesh": mesh}), **more}
        index = self._append("nodes", node)
        if root:
            self.roots.append(index)
        return index

    def add_image(self, data: bytes, media_type: str = "image/png") -> int:
        return self._append("images", {"bufferView": self.add_view(data), "mimeType": media_type})

    def add_texture(self, pixels: Array, **sampler: Any) -> int:
        from PIL import Image

        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        texture = {"source": self.add_image(out.getvalue())}
        if sampler:
            texture["sampler"] = self._append("samplers", sampler)
        return self._append("textures", texture)

    def add_material(self, texture: int | None = None, **more: Any) -> int:
        metal = more.pop("pbr", {})
        if texture is not None:
            metal = {**metal, "baseColorTexture": {"index": texture}}
        return self._append("materials", {"pbrMetallicRoughness": metal, **more})

    def glb(self) -> bytes:
        document = {**self.document, "scenes": [{"nodes": self.roots}]}
        if self.data:
            document["buffers"] = [{"byteLength": len(self.data)}]
        return pack(document, bytes(self.data))


def box(size: tuple[float, float, float] = (1, 1, 1)) -> tuple[Array, Array]:
    """The corners and triangles of a closed box around the origin, facing outwards.

    这个函数给出长方体的顶点和三角形。
    """
    points = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.5
    faces = [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]  # fmt: skip
    return points * size, np.array(faces)


def grid_sphere(columns: int, rows: int, radius: float = 1.0) -> tuple[Array, Array, Array]:
    """Points, triangles and UVs of a lumpy sphere with 2 x columns x rows triangles and a seam.

    这个函数给出带凹凸的球面网格。
    """
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    turn, rise = 2 * np.pi * u, np.pi * (v - 0.5)
    way = np.stack([np.cos(rise) * np.sin(turn), -np.sin(rise), np.cos(rise) * np.cos(turn)], -1)
    lumps = 1 + 0.12 * np.sin(5 * way[..., :1] + 3 * way[..., 1:2]) * np.cos(6 * way[..., 2:])
    points = (way * lumps * radius).reshape(-1, 3)
    corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).reshape(-1)
    below = corner + columns + 1
    one = np.stack([corner, below, corner + 1], axis=1)
    two = np.stack([corner + 1, below, below + 1], axis=1)
    return points, np.concatenate([one, two]), np.stack([u, v], -1).reshape(-1, 2)


def smooth_normals(points: Array, faces: Array) -> Array:
    """Vertex normals as the mean of the triangles around, weighted by their area.

    这个函数计算平滑的顶点法线。
    """
    corners = points[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(points, dtype=np.float64)
    for corner in range(3):
        np.add.at(total, faces[:, corner], flat)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def box_model(**node: Any) -> bytes:
    """A GLB with one closed box of 12 triangles in one node.

    这个函数生成只含一个长方体的 GLB。
    """
    builder = ModelBuilder()
    builder.add_node(builder.add_mesh(*box((1, 2, 3))), **node)
    return builder.glb()


def crane_model() -> bytes:
    """An asymmetric model: nested, turned, unevenly scaled and mirrored parts, some thin.

    这个函数生成带嵌套变换的不对称模型。
    """
    builder = ModelBuilder()
    block = builder.add_mesh(*box())
    points, faces, _ = grid_sphere(24, 16, 0.5)
    ball = builder.add_mesh(points, faces, normals=smooth_normals(points, faces))
    wedge = builder.add_mesh(
        [[0, 0, 0], [1.5, 0, 0], [0, 1, 0], [0, 0, 0.6]],
        [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]],
    )
    hook = builder.add_node(ball, root=False, translation=[0.5, -0.4, 0], scale=[0.2, 0.9, 0.4])
    arm = builder.add_node(
        block,
        root=False,
        translation=[0.6, 1.2, 0.1],
        rotation=[0, 0.258819, 0, 0.965926],
        scale=[2.5, 0.15, 0.2],
        children=[hook],
    )
    fin = builder.add_node(wedge, root=False, translation=[-0.4, 0.2, 0.3], scale=[-1.2, 0.7, 1.4])
    tilt = builder.add_node(
        root=False, rotation=[0.0871557, 0, 0.0435779, 0.995242], children=[arm, fin]
    )
    builder.add_node(block, scale=[0.4, 3, 0.3], translation=[0, 0.5, 0])
    shear = [0.8, 0.1, 0, 0, 0.3, 1.1, 0.2, 0, -0.1, 0.4, 0.9, 0, 0.4, -0.2, 0.5, 1]
    builder.add_node(matrix=shear, children=[tilt])
    return builder.glb()
