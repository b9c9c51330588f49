"""The JSON half of a glTF 2.0 file as typed values, and the plain checks they are read with.

Names and meanings are those of the Khronos glTF 2.0.1 specification.

这个模块定义 glTF 文档中各部分的类型和基本读取方法。
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

COMPONENT_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
FLOAT = 5126
POINTS, LINES, LINE_LOOP, LINE_STRIP, TRIANGLES, STRIP, FAN = range(7)
DRACO = "KHR_draco_mesh_compression"
INSTANCING = "EXT_mesh_gpu_instancing"
MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")

_EXACT = 2**53
"""Whole numbers beyond this are not exact in JSON readers that use doubles."""

_USABLE = 3.4e38
"""Beyond what a 32-bit float holds: no viewer could use such a number."""


_MAX_WORDS = 300
"""Characters of a message: names in a file may be of any length."""


def plain(words: str) -> str:
    """A message that can be written down: short, and without the halves of characters JSON allows.

    这个函数让消息长度有限且可以编码。
    """
    return words[:_MAX_WORDS].encode("utf-8", "replace").decode("utf-8")


class BrokenModel(ValueError):
    """The file cannot be used as a model; `reason` is one sentence that names the place.

    这个错误说明模型文件已损坏，并指出坏在哪里。
    """

    def __init__(self, reason: str) -> None:
        self.reason = plain(reason)
        super().__init__(self.reason)


class Undecodable(BrokenModel):
    """A compressed stream that nothing could decode: the data is not there at all.

    这个错误说明压缩数据无法解码。
    """


@dataclass(frozen=True)
class Buffer:
    """What stands behind a buffer: the BIN chunk, the `data` of a URI, or nothing, and then why.

    `length` is how many bytes can be read, whatever is declared.

    这个类描述缓冲区的数据来源。
    """

    length: int
    data: bytes | None = field(default=None, repr=False)
    missing: str | None = None


@dataclass(frozen=True)
class Meshopt:
    """How a view is packed by meshopt: the range of `buffer` in bytes, and what is in it.

    这个类描述 meshopt 压缩的数据。
    """

    buffer: int
    offset: int
    length: int
    mode: str
    filter: str
    count: int
    stride: int


@dataclass(frozen=True)
class Draco:
    """One part of a Draco stream: the attribute of a unique id, or the indices where it is None.

    `view` holds the stream; `count` rows are declared.

    这个类描述 Draco 数据流中的一部分。
    """

    view: int
    attribute: int | None
    count: int
    component: int
    width: int


@dataclass(frozen=True)
class View:
    """A range of a buffer in bytes; `stride` 0 means tightly packed.

    Where it is packed, the range is that of the data once unpacked, and not in the file. `fault`
    is why it cannot be read, and matters only if something does.

    这个类描述缓冲区中的一段字节范围。
    """

    offset: int
    length: int
    stride: int
    buffer: int = 0
    packing: Meshopt | Draco | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Accessor:
    """A typed array: `count` rows of `width` numbers. `low`/`high` are its declared extremes.

    `sparse` are the numbers of the rows that are replaced, and the rows that replace them. `fault`
    is why it cannot be read, and matters only if something does.

    这个类描述一个带类型的数组在文件中的样子。
    """

    view: int | None
    offset: int
    component: int
    kind: str
    width: int
    count: int
    normalized: bool = False
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    sparse: tuple[Accessor, Accessor] | None = None
    fault: str | None = None

    @property
    def row_bytes(self) -> int:
        """One row, tightly packed, in bytes.

        这个属性给出一行数据的字节数。
        """
        return self.width * COMPONENT_BYTES[self.component]


@dataclass(frozen=True)
class Primitive:
    """One draw call of a mesh: its mode, attribute accessors, indices and material.

    `elements` is how many vertices it draws, `triangles` how many triangles that makes, `targets`
    the attributes of each morph target.

    这个类描述网格里的一次绘制。
    """

    mode: int
    attributes: Mapping[str, int]
    indices: int | None
    material: int | None
    vertices: int
    elements: int
    targets: tuple[Mapping[str, int], ...] = ()

    @property
    def triangles(self) -> int:
        """How many triangles are drawn: a third of a list, all but two of a strip or fan.

        这个属性给出实际绘制的三角形数量。
        """
        if self.mode == TRIANGLES:
            return self.elements // 3
        return max(self.elements - 2, 0) if self.mode in (STRIP, FAN) else 0

    @property
    def lines(self) -> int:
        """How many straight lines are drawn, none of triangles' edges.

        这个属性给出实际绘制的线段数量。
        """
        if self.mode == LINES:
            return self.elements // 2
        if self.mode == LINE_LOOP:
            return self.elements if self.elements > 1 else 0
        return max(self.elements - 1, 0) if self.mode == LINE_STRIP else 0

    @property
    def points(self) -> int:
        """How many single points are drawn.

        这个属性给出实际绘制的点的数量。
        """
        return self.elements if self.mode == POINTS else 0


@dataclass(frozen=True)
class Node:
    """One node: what it draws, its children, and its local transform.

    `matrix` is 16 numbers by columns, or None for translation, rotation (x, y, z, w) and scale.
    `weights` are those of its mesh's morph targets, None where the mesh's own hold; `instances`
    the accessors of EXT_mesh_gpu_instancing.

    这个类描述场景树上的一个节点。
    """

    mesh: int | None
    skin: int | None
    children: tuple[int, ...]
    matrix: tuple[float, ...] | None
    translation: tuple[float, ...]
    rotation: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...] | None = None
    instances: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """A checked glTF document. `raw` is the JSON itself, for materials, textures and samplers.

    `roots` are the nodes of the scene that viewers show, `weights` the default weights of each
    mesh's morph targets, `tracks` the accessors of animations and skins. A mesh that nothing uses
    has no primitives here.

    这个类保存检查过的整份 glTF 文档。
    """

    raw: Mapping[str, Any] = field(repr=False)
    buffers: tuple[Buffer, ...] = field(repr=False)
    views: tuple[View, ...] = field(repr=False)
    accessors: tuple[Accessor, ...] = field(repr=False)
    meshes: tuple[tuple[Primitive, ...], ...] = field(repr=False)
    nodes: tuple[Node, ...] = field(repr=False)
    roots: tuple[int, ...] = field(repr=False)
    warnings: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
    tracks: tuple[int, ...] = field(default=(), repr=False)


def entries(root: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects under `key`, empty where there is none.

    这个函数取出文档中某一类对象的列表。
    """
    value = root.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BrokenModel(f"{key} is not a list")
    for index, item in enumerate(value):
        as_object(item, f"{key}[{index}]")
    return value


def quoted(value: object) -> str:
    """A JSON value as a message may show it: short, and never the data of a `data:` URI.

    这个函数把 JSON 值缩短成可以显示的文字。
    """
    text = f"{value!r:.80}"
    return "a data: URI" if "data:" in text.lower() or "base64" in text.lower() else text


def extension(item: Mapping[str, Any], names: Sequence[str], place: str) -> dict[str, Any] | None:
    """The first of the named extensions that an object has, None where it has none of them.

    这个函数取出对象上的扩展。
    """
    extensions = as_object(item.get("extensions") or {}, f"{place}.extensions")
    for name in names:
        if name in extensions:
            return as_object(extensions[name], f"{place}.extensions.{name}")
    return None


def as_object(value: object, place: str) -> dict[str, Any]:
    """A JSON object, or BrokenModel naming the place.

    这个函数确认一个值是 JSON 对象。
    """
    if not isinstance(value, dict):
        raise BrokenModel(f"{place} is not an object")
    return value


def as_whole(value: object, place: str, low: int = 0, high: int = _EXACT) -> int:
    """A whole number from `low` to `high`, or BrokenModel naming the place.

    这个函数确认一个值是范围内的整数。
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BrokenModel(f"{place} is not a whole number")
    if not low <= value <= high:
        raise BrokenModel(f"{place} is {value if abs(value) <= _EXACT else 'huge'}, out of range")
    return value


def optional_whole(item: Mapping[str, Any], key: str, place: str, default: int = 0) -> int:
    """The whole number under `key`, the default where there is none or null; raises BrokenModel.

    这个函数取出可以省略的整数。
    """
    value = item.get(key)
    return default if value is None else as_whole(value, f"{place}.{key}")


def as_numbers(value: object, place: str, length: int) -> tuple[float, ...]:
    """A list of `length` usable numbers, or BrokenModel naming the place.

    这个函数确认一个值是指定长度的数字列表。
    """
    if not isinstance(value, list) or len(value) != length:
        raise BrokenModel(f"{place} is not a list of {length} numbers")
    if not all(map(is_number, value)):
        raise BrokenModel(f"{place} holds something that is not a number, or no 32-bit float")
    return tuple(float(item) for item in value)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a JSON value is a number that a 32-bit float can hold (and not true or false).

    这个函数判断一个 JSON 值是不是普通数字。
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -_USABLE < value < _USABLE
