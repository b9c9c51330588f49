"""Does a glTF document keep its promises: every range within its buffer, every number usable.

Nothing here touches vertex data: the whole check costs one pass over the JSON. The rules are those
of the Khronos glTF 2.0.1 specification that a loader trips over; what every loader tolerates is a
warning instead, because a model that draws has been paid for.

这个模块检查 glTF 文档的结构，并把它变成带类型的值。
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.artifacts.gltf import (
    COMPONENT_BYTES,
    DRACO,
    FAN,
    TRIANGLES,
    Accessor,
    BrokenModel,
    Buffer,
    Document,
    Node,
    Primitive,
    Sparse,
    View,
    as_numbers,
    as_object,
    as_whole,
    entries,
)
from shared.artifacts.references import check_animations, check_references, check_skins

_INDEX_COMPONENTS = (5121, 5123, 5125)
_SHAPES = {
    "SCALAR": (1, 1),
    "VEC2": (1, 2),
    "VEC3": (1, 3),
    "VEC4": (1, 4),
    "MAT2": (2, 2),
    "MAT3": (3, 3),
    "MAT4": (4, 4),
}
_MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
_UNDERSTOOD = {
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "KHR_materials_unlit",
    "KHR_materials_pbrSpecularGlossiness",
    "EXT_texture_webp",
}
"""Extensions that a file may require and that are measured and drawn like the rest."""


def check_document(raw: object, bin_length: int | None) -> Document:
    """Check a parsed glTF JSON value against a BIN chunk of `bin_length` bytes (None: no chunk).

    Raises BrokenModel at the first fault.

    这个函数检查 glTF 文档，并把它变成带类型的值。
    """
    root = as_object(raw, "the JSON")
    version = as_object(root.get("asset"), "asset").get("version")
    if not isinstance(version, str) or not version.startswith("2."):
        raise BrokenModel(f"asset.version is {version!r:.40}, expected 2.x")
    warnings = _extension_warnings(root)
    buffers = tuple(_buffers(root, bin_length))
    views = tuple(_views(root, buffers))
    accessors = tuple(_accessors(root, views))
    check_references(root)
    meshes = tuple(_meshes(root, accessors, warnings))
    nodes = tuple(_nodes(root))
    parents = _parents(nodes)
    check_skins(root, accessors)
    check_animations(root)
    roots = _roots(root, parents, len(nodes))
    return Document(root, buffers, views, accessors, meshes, nodes, roots, tuple(warnings))


def _extension_warnings(root: Mapping[str, Any]) -> list[str]:
    required = root.get("extensionsRequired", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise BrokenModel("extensionsRequired is not a list of names")
    return [
        f"the model requires {name[:60]}, which is not looked into"
        for name in dict.fromkeys(required)
        if name not in _UNDERSTOOD
    ][:20]


def _extension(item: Mapping[str, Any], names: Sequence[str], place: str) -> dict[str, Any] | None:
    extensions = as_object(item.get("extensions", {}), f"{place}.extensions")
    for name in names:
        if name in extensions:
            return as_object(extensions[name], f"{place}.extensions.{name}")
    return None


def _buffers(root: Mapping[str, Any], bin_length: int | None) -> Iterator[Buffer]:
    for index, item in enumerate(entries(root, "buffers")):
        place = f"buffers[{index}]"
        length = as_whole(item.get("byteLength"), f"{place}.byteLength", low=1)
        uri = item.get("uri")
        if uri is not None:
            yield Buffer(length, False, _data_uri(uri, length, place))
        elif index == 0 and bin_length is not None:
            if not length <= bin_length <= length + 3:
                raise BrokenModel(
                    f"{place} declares {length} bytes but the BIN chunk has {bin_length}"
                )
            yield Buffer(length, True)
        elif _extension(item, _MESHOPT, place) is not None:
            yield Buffer(length, False)
        else:
            raise BrokenModel(f"{place} has no data: no BIN chunk belongs to it and it has no URI")


def _data_uri(uri: object, length: int, place: str) -> bytes:
    if not isinstance(uri, str) or not uri.startswith("data:"):
        raise BrokenModel(f"{place} lies outside the file: {uri!r:.80}")
    head, comma, body = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise BrokenModel(f"{place}.uri is not base64 data")
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise BrokenModel(f"{place}.uri is not base64 data") from None
    if len(data) < length:
        raise BrokenModel(f"{place} declares {length} bytes but its URI holds {len(data)}")
    return data


def _views(root: Mapping[str, Any], buffers: Sequence[Buffer]) -> Iterator[View]:
    for index, item in enumerate(entries(root, "bufferViews")):
        place = f"bufferViews[{index}]"
        view = _view(item, buffers, place)
        packed = _extension(item, _MESHOPT, place)
        if packed is not None:
            _view(packed, buffers, f"{place}'s compressed data")
            view = View(view.buffer, view.offset, view.length, view.stride, True)
        elif buffers[view.buffer].inline is None and not buffers[view.buffer].in_bin:
            raise BrokenModel(f"{place} lies in buffers[{view.buffer}], which has no data")
        yield view


def _view(item: Mapping[str, Any], buffers: Sequence[Buffer], place: str) -> View:
    buffer = as_whole(item.get("buffer"), f"{place}.buffer")
    if buffer >= len(buffers):
        raise BrokenModel(f"{place} refers to buffers[{buffer}], there are {len(buffers)}")
    offset = as_whole(item.get("byteOffset", 0), f"{place}.byteOffset")
    length = as_whole(item.get("byteLength"), f"{place}.byteLength", low=1)
    stride = as_whole(item.get("byteStride", 0), f"{place}.byteStride", high=256)
    if offset + length > buffers[buffer].length:
        raise BrokenModel(
            f"{place} ends at byte {offset + length} but buffers[{buffer}] has"
            f" {buffers[buffer].length} bytes"
        )
    return View(buffer, offset, length, stride, False)


def _accessors(root: Mapping[str, Any], views: Sequence[View]) -> Iterator[Accessor]:
    for index, item in enumerate(entries(root, "accessors")):
        place = f"accessors[{index}]"
        kind = item.get("type")
        if not isinstance(kind, str) or kind not in _SHAPES:
            raise BrokenModel(f"{place}.type is {kind!r:.40}, not a glTF type")
        columns, rows = _SHAPES[kind]
        component = _component(item.get("componentType"), place, tuple(COMPONENT_BYTES))
        column_bytes = rows * COMPONENT_BYTES[component]
        if columns > 1:
            column_bytes = -(-column_bytes // 4) * 4
        width = columns * rows
        view = item.get("bufferView")
        accessor = Accessor(
            view=None if view is None else _view_index(view, views, place),
            offset=as_whole(item.get("byteOffset", 0), f"{place}.byteOffset"),
            component=component,
            kind=kind,
            width=width,
            count=as_whole(item.get("count"), f"{place}.count", low=1, high=2**32),
            element_bytes=columns * column_bytes,
            normalized=item.get("normalized") is True,
            low=_extreme(item, "min", place, width),
            high=_extreme(item, "max", place, width),
            sparse=None,
        )
        if accessor.view is not None:
            stride = views[accessor.view].stride or accessor.element_bytes
            if stride < accessor.element_bytes:
                raise BrokenModel(f"bufferViews[{accessor.view}].byteStride is too small: {place}")
            end = accessor.offset + stride * (accessor.count - 1) + accessor.element_bytes
            _check_range(place, accessor.view, accessor.offset, end, component, views)
        yield _with_sparse(accessor, item, views, place)


def _component(value: object, place: str, allowed: Sequence[int]) -> int:
    component = as_whole(value, f"{place}.componentType")
    if component not in allowed:
        raise BrokenModel(f"{place}.componentType is {component}, not one of {list(allowed)}")
    return component


def _view_index(value: object, views: Sequence[View], place: str) -> int:
    view = as_whole(value, f"{place}.bufferView")
    if view >= len(views):
        raise BrokenModel(f"{place} refers to bufferViews[{view}], there are {len(views)}")
    return view


def _check_range(
    place: str, view: int, offset: int, end: int, component: int, views: Sequence[View]
) -> None:
    if end > views[view].length:
        raise BrokenModel(
            f"{place} ends at byte {end} but bufferViews[{view}] has {views[view].length} bytes"
        )
    size = COMPONENT_BYTES[component]
    if offset % size or (views[view].offset + offset) % size or views[view].stride % size:
        raise BrokenModel(f"{place} is not aligned to its {size}-byte components")


def _extreme(item: Mapping[str, Any], key: str, place: str, width: int) -> tuple[float, ...] | None:
    return None if key not in item else as_numbers(item[key], f"{place}.{key}", width)


def _with_sparse(
    accessor: Accessor, item: Mapping[str, Any], views: Sequence[View], place: str
) -> Accessor:
    if "sparse" not in item:
        return accessor
    place = f"{place}.sparse"
    sparse = as_object(item["sparse"], place)
    count = as_whole(sparse.get("count"), f"{place}.count", low=1, high=accessor.count)
    indices = as_object(sparse.get("indices"), f"{place}.indices")
    values = as_object(sparse.get("values"), f"{place}.values")
    component = _component(indices.get("componentType"), f"{place}.indices", _INDEX_COMPONENTS)
    found = Sparse(
        count=count,
        index_view=_view_index(indices.get("bufferView"), views, f"{place}.indices"),
        index_offset=as_whole(indices.get("byteOffset", 0), f"{place}.indices.byteOffset"),
        index_component=component,
        value_view=_view_index(values.get("bufferView"), views, f"{place}.values"),
        value_offset=as_whole(values.get("byteOffset", 0), f"{place}.values.byteOffset"),
    )
    for part, view, offset, size, kind in (
        ("indices", found.index_view, found.index_offset, COMPONENT_BYTES[component], component),
        (
            "values",
            found.value_view,
            found.value_offset,
            accessor.element_bytes,
            accessor.component,
        ),
    ):
        _check_range(f"{place}.{part}", view, offset, offset + size * count, kind, views)
    return dataclasses.replace(accessor, sparse=found)


def _meshes(
    root: Mapping[str, Any], accessors: Sequence[Accessor], warnings: list[str]
) -> Iterator[tuple[Primitive, ...]]:
    unbounded = 0
    for index, mesh in enumerate(entries(root, "meshes")):
        primitives = entries(mesh, "primitives")
        if not primitives:
            raise BrokenModel(f"meshes[{index}] has no primitives")
        made = []
        for number, item in enumerate(primitives):
            primitive = _primitive(item, accessors, f"meshes[{index}].primitives[{number}]")
            position = primitive.attributes.get("POSITION")
            if position is not None:
                found = accessors[position]
                unbounded += found.low is None or found.high is None
            made.append(primitive)
        yield tuple(made)
    if unbounded:
        warnings.append(f"{unbounded} primitives declare no min and max of their POSITION")


def _primitive(item: Mapping[str, Any], accessors: Sequence[Accessor], place: str) -> Primitive:
    attributes = {
        name: as_whole(value, f"{place}.attributes.{name[:40]}")
        for name, value in as_object(item.get("attributes"), f"{place}.attributes").items()
    }
    counts = {accessors[index].count for index in attributes.values()}
    if len(counts) > 1:
        raise BrokenModel(f"{place} has attributes of different lengths: {sorted(counts)}")
    position = attributes.get("POSITION")
    if position is not None and accessors[position].kind != "VEC3":
        raise BrokenModel(f"{place} has a POSITION that is {accessors[position].kind}, not VEC3")
    vertices = accessors[position].count if position is not None else 0
    elements = vertices
    indices = item.get("indices")
    if indices is not None:
        indices = as_whole(indices, f"{place}.indices")
        found = accessors[indices]
        if found.kind != "SCALAR" or found.component not in _INDEX_COMPONENTS:
            raise BrokenModel(f"{place} has indices that are not unsigned whole numbers")
        elements = found.count if position is not None else 0
    return Primitive(
        mode=as_whole(item.get("mode", TRIANGLES), f"{place}.mode", high=FAN),
        attributes=attributes,
        indices=indices,
        material=None if "material" not in item else int(item["material"]),
        compressed=_extension(item, (DRACO,), place) is not None,
        vertices=vertices,
        elements=elements,
    )


def _nodes(root: Mapping[str, Any]) -> Iterator[Node]:
    for index, item in enumerate(entries(root, "nodes")):
        place = f"nodes[{index}]"

        def numbers(
            key: str, default: list[float], item: dict[str, Any] = item, place: str = place
        ) -> tuple[float, ...]:
            return as_numbers(item.get(key, default), f"{place}.{key}", len(default))

        yield Node(
            mesh=None if "mesh" not in item else int(item["mesh"]),
            skin=None if "skin" not in item else int(item["skin"]),
            children=tuple(int(child) for child in item.get("children", ())),
            matrix=numbers("matrix", [0.0] * 16) if "matrix" in item else None,
            translation=numbers("translation", [0.0, 0.0, 0.0]),
            rotation=numbers("rotation", [0.0, 0.0, 0.0, 1.0]),
            scale=numbers("scale", [1.0, 1.0, 1.0]),
        )


def _parents(nodes: Sequence[Node]) -> dict[int, int]:
    parents: dict[int, int] = {}
    for index, node in enumerate(nodes):
        for child in node.children:
            if child in parents:
                raise BrokenModel(f"nodes[{child}] is the child of more than one node")
            parents[child] = index
    reached = [index for index in range(len(nodes)) if index not in parents]
    for index in reached:
        reached.extend(nodes[index].children)
    if len(reached) < len(nodes):
        lost = min(set(range(len(nodes))) - set(reached))
        raise BrokenModel(f"nodes[{lost}] is its own ancestor")
    return parents


def _roots(root: Mapping[str, Any], parents: Mapping[int, int], count: int) -> tuple[int, ...]:
    scenes = entries(root, "scenes")
    if not scenes:
        return tuple(index for index in range(count) if index not in parents)
    return tuple(dict.fromkeys(int(n) for n in scenes[int(root.get("scene", 0))].get("nodes", ())))
