"""Does a glTF document keep its promises: every range within its buffer, every number usable.

Nothing here touches vertex data: the whole check costs one pass over the JSON. The rules are those
of the Khronos glTF 2.0.1 specification that a loader trips over; what every loader tolerates is a
warning instead, because a model that draws has been paid for.

这个模块检查 glTF 文档的结构，并把它变成带类型的值。
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.artifacts.gltf.document import (
    COMPONENT_BYTES,
    DRACO,
    FAN,
    FLOAT,
    INSTANCING,
    MESHOPT,
    TRIANGLES,
    Accessor,
    BrokenModel,
    Document,
    Node,
    Primitive,
    View,
    as_numbers,
    as_object,
    as_whole,
    entries,
)
from shared.artifacts.gltf.references import check_references

_INDEX_COMPONENTS = (5121, 5123, 5125)
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_UNDERSTOOD = {INSTANCING, "KHR_mesh_quantization", "KHR_materials_unlit", "EXT_texture_webp"}
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
    check_references(root)
    views = tuple(_views(root, list(_buffers(root, bin_length)), bin_length is not None))
    accessors = tuple(_accessors(root, views))
    meshes = tuple(_meshes(root, accessors, warnings))
    nodes = tuple(_nodes(root))
    _check_skins(root, accessors)
    roots = _roots(root, nodes)
    weights = tuple(
        _weights(item, f"meshes[{index}]") or ()
        for index, item in enumerate(root.get("meshes", ()))
    )
    return Document(root, views, accessors, meshes, nodes, roots, tuple(warnings), weights)


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


def _buffers(root: Mapping[str, Any], bin_length: int | None) -> Iterator[int]:
    """Each buffer's length: the first is the BIN chunk, others stand in for compressed data.

    各缓冲区的长度。
    """
    for index, item in enumerate(entries(root, "buffers")):
        place = f"buffers[{index}]"
        length = as_whole(item.get("byteLength"), f"{place}.byteLength", low=1)
        if "uri" in item:
            raise BrokenModel(f"{place} lies outside the file's BIN chunk: {item['uri']!r:.80}")
        if index == 0 and bin_length is not None:
            if not length <= bin_length <= length + 3:
                raise BrokenModel(
                    f"{place} declares {length} bytes but the BIN chunk has {bin_length}"
                )
        elif _extension(item, MESHOPT, place) is None:
            raise BrokenModel(f"{place} has no data: no BIN chunk belongs to it")
        yield length


def _views(root: Mapping[str, Any], buffers: Sequence[int], has_bin: bool) -> Iterator[View]:
    for index, item in enumerate(entries(root, "bufferViews")):
        place = f"bufferViews[{index}]"
        packed = _extension(item, MESHOPT, place)
        if packed is not None:
            _view(packed, buffers, f"{place}'s compressed data", True)
        elif item.get("buffer") != 0 or not has_bin:
            raise BrokenModel(f"{place} does not lie in the BIN chunk")
        yield _view(item, buffers, place, packed is not None)


def _view(item: Mapping[str, Any], buffers: Sequence[int], place: str, compressed: bool) -> View:
    """A buffer view, sure to lie within its buffer; raises BrokenModel.

    检查一个缓冲视图。
    """
    buffer = as_whole(item.get("buffer"), f"{place}.buffer", high=len(buffers) - 1)
    offset = as_whole(item.get("byteOffset", 0), f"{place}.byteOffset")
    length = as_whole(item.get("byteLength"), f"{place}.byteLength", low=1)
    stride = as_whole(item.get("byteStride", 0), f"{place}.byteStride", high=256)
    if offset + length > buffers[buffer]:
        raise BrokenModel(
            f"{place} ends at byte {offset + length} but buffers[{buffer}] has"
            f" {buffers[buffer]} bytes"
        )
    return View(offset, length, stride, compressed)


def _accessors(root: Mapping[str, Any], views: Sequence[View]) -> Iterator[Accessor]:
    """The accessors, each sure to lie within its view; raises BrokenModel.

    检查各个访问器。
    """
    for index, item in enumerate(entries(root, "accessors")):
        place = f"accessors[{index}]"
        kind = item.get("type")
        if not isinstance(kind, str) or kind not in _WIDTHS:
            raise BrokenModel(f"{place}.type is {kind!r:.40}, not a glTF type")
        count = as_whole(item.get("count"), f"{place}.count", low=1, high=2**32)
        accessor = _accessor(item, kind, count, tuple(COMPONENT_BYTES), views, place)
        yield dataclasses.replace(
            accessor,
            normalized=item.get("normalized") is True,
            low=_extreme(item, "min", place, accessor.width),
            high=_extreme(item, "max", place, accessor.width),
            sparse=_sparse(item, accessor, views, place) if "sparse" in item else None,
        )


def _accessor(
    item: Mapping[str, Any],
    kind: str,
    count: int,
    components: Sequence[int],
    views: Sequence[View],
    place: str,
) -> Accessor:
    """An array whose whole range lies in its view, aligned.

    检查一个访问器。
    """
    component = as_whole(item.get("componentType"), f"{place}.componentType")
    if component not in components:
        raise BrokenModel(f"{place}.componentType is {component}, not one of {list(components)}")
    index = None if "bufferView" not in item else int(item["bufferView"])
    offset = as_whole(item.get("byteOffset", 0), f"{place}.byteOffset")
    accessor = Accessor(index, offset, component, kind, _WIDTHS[kind], count)
    if index is None:
        return accessor
    view, size, row = views[index], COMPONENT_BYTES[component], accessor.row_bytes
    if 0 < view.stride < row:
        raise BrokenModel(f"bufferViews[{index}].byteStride is too small: {place}")
    end = offset + (view.stride or row) * (count - 1) + row
    if end > view.length:
        raise BrokenModel(
            f"{place} ends at byte {end} but bufferViews[{index}] has {view.length} bytes"
        )
    if offset % size or (view.offset + offset) % size or view.stride % size:
        raise BrokenModel(f"{place} is not aligned to its {size}-byte components")
    return accessor


def _extreme(item: Mapping[str, Any], key: str, place: str, width: int) -> tuple[float, ...] | None:
    return None if key not in item else as_numbers(item[key], f"{place}.{key}", width)


def _sparse(
    item: Mapping[str, Any], over: Accessor, views: Sequence[View], place: str
) -> tuple[Accessor, Accessor]:
    """The rows and the values of a sparse accessor, each as an accessor; raises BrokenModel.

    稀疏访问器的行与值。
    """
    place = f"{place}.sparse"
    sparse = as_object(item["sparse"], place)
    count = as_whole(sparse.get("count"), f"{place}.count", low=1, high=over.count)
    parts = []
    for name, kind, components in (
        ("indices", "SCALAR", _INDEX_COMPONENTS),
        ("values", over.kind, (over.component,)),
    ):
        part = as_object(sparse.get(name), f"{place}.{name}")
        if "bufferView" not in part:
            raise BrokenModel(f"{place}.{name} has no bufferView")
        if name == "values":
            part = {**part, "componentType": over.component}
        parts.append(_accessor(part, kind, count, components, views, f"{place}.{name}"))
    return parts[0], parts[1]


def _meshes(
    root: Mapping[str, Any], accessors: Sequence[Accessor], warnings: list[str]
) -> Iterator[tuple[Primitive, ...]]:
    """Each mesh's primitives; raises BrokenModel, and warns of positions without bounds.

    各网格的图元。
    """
    unbounded = 0
    for index, mesh in enumerate(entries(root, "meshes")):
        primitives = entries(mesh, "primitives")
        if not primitives:
            raise BrokenModel(f"meshes[{index}] has no primitives")
        made = tuple(
            _primitive(item, accessors, f"meshes[{index}].primitives[{number}]")
            for number, item in enumerate(primitives)
        )
        found = [accessors[p.attributes["POSITION"]] for p in made if p.vertices]
        unbounded += sum(position.low is None or position.high is None for position in found)
        yield made
    if unbounded:
        warnings.append(f"{unbounded} primitives declare no min and max of their POSITION")


def _primitive(item: Mapping[str, Any], accessors: Sequence[Accessor], place: str) -> Primitive:
    """A primitive whose attributes are of one length; raises BrokenModel.

    检查一个图元。
    """
    attributes = as_object(item.get("attributes"), f"{place}.attributes")
    attributes = {name: int(value) for name, value in attributes.items()}
    counts = {accessors[index].count for index in attributes.values()}
    if len(counts) > 1:
        raise BrokenModel(f"{place} has attributes of different lengths: {sorted(counts)}")
    vertices = 0
    if "POSITION" in attributes:
        position = accessors[attributes["POSITION"]]
        if position.kind != "VEC3":
            raise BrokenModel(f"{place} has a POSITION that is {position.kind}, not VEC3")
        vertices = position.count
    elements, indices = vertices, None
    if "indices" in item:
        indices = int(item["indices"])
        found = accessors[indices]
        if found.kind != "SCALAR" or found.component not in _INDEX_COMPONENTS:
            raise BrokenModel(f"{place} has indices that are not unsigned whole numbers")
        elements = found.count if vertices else 0
    return Primitive(
        mode=as_whole(item.get("mode", TRIANGLES), f"{place}.mode", high=FAN),
        attributes=attributes,
        indices=indices,
        material=None if "material" not in item else int(item["material"]),
        compressed=_extension(item, (DRACO,), place) is not None,
        vertices=vertices,
        elements=elements,
        targets=tuple(_targets(item, accessors, vertices, place)),
    )


def _targets(
    item: Mapping[str, Any], accessors: Sequence[Accessor], vertices: int, place: str
) -> Iterator[Mapping[str, int]]:
    """The attributes of each morph target, as long as the primitive's own; raises BrokenModel.

    变形目标。
    """
    for number, target in enumerate(item.get("targets", ())):
        for name, index in target.items():
            found = accessors[int(index)]
            if name in ("POSITION", "NORMAL") and (found.kind, found.count) != ("VEC3", vertices):
                raise BrokenModel(
                    f"{place}.targets[{number}] has a {name} of {found.count} {found.kind},"
                    f" not {vertices} VEC3"
                )
        yield {name: int(index) for name, index in target.items()}


def _weights(item: Mapping[str, Any], place: str) -> tuple[float, ...] | None:
    """The default weights of morph targets that a mesh or a node names; None where it names none.

    默认的变形权重。
    """
    if "weights" not in item:
        return None
    count = len(item["weights"]) if isinstance(item["weights"], list) else 0
    return as_numbers(item["weights"], f"{place}.weights", count)


def _nodes(root: Mapping[str, Any]) -> Iterator[Node]:
    """The nodes as they are written down; raises BrokenModel.

    读取各个节点。
    """
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
            weights=_weights(item, place),
            instances=_instances(item, place),
        )


def _instances(item: Mapping[str, Any], place: str) -> Mapping[str, int]:
    found = _extension(item, (INSTANCING,), place) or {}
    return {name: int(index) for name, index in found.get("attributes", {}).items()}


def _check_skins(root: Mapping[str, Any], accessors: Sequence[Accessor]) -> None:
    """Raise BrokenModel for a skin without joints, or with too few matrices for them.

    检查蒙皮。
    """
    for index, skin in enumerate(entries(root, "skins")):
        if not skin.get("joints"):
            raise BrokenModel(f"skins[{index}] has no joints")
        if "inverseBindMatrices" not in skin:
            continue
        found, needed = accessors[int(skin["inverseBindMatrices"])], len(skin["joints"])
        if found.kind != "MAT4" or found.component != FLOAT or found.count < needed:
            raise BrokenModel(
                f"skins[{index}] needs a float matrix for each of its {needed} joints"
            )


def _roots(root: Mapping[str, Any], nodes: Sequence[Node]) -> tuple[int, ...]:
    """The nodes of the shown scene, once it is sure that the nodes are trees.

    场景的根节点。
    """
    parents: dict[int, int] = {}
    for index, node in enumerate(nodes):
        for child in node.children:
            if child in parents:
                raise BrokenModel(f"nodes[{child}] is the child of more than one node")
            parents[child] = index
    tops = [index for index in range(len(nodes)) if index not in parents]
    reached = list(tops)
    for index in reached:
        reached.extend(nodes[index].children)
    if len(reached) < len(nodes):
        lost = min(set(range(len(nodes))) - set(reached))
        raise BrokenModel(f"nodes[{lost}] is its own ancestor")
    scenes = entries(root, "scenes")
    if not scenes:
        return tuple(tops)
    return tuple(dict.fromkeys(int(n) for n in scenes[int(root.get("scene", 0))].get("nodes", ())))
