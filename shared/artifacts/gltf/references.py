"""Do a glTF document's references lead anywhere: one table of who names whom, and one walk.

Loaders follow references from the scenes and the animations on: one that leads nowhere matters
there, and is merely odd in what nothing uses.

这个模块检查 glTF 文档中的引用，并找出场景用到的部分。
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.artifacts.gltf.document import (
    DRACO,
    INSTANCING,
    MESHOPT,
    BrokenModel,
    as_object,
    as_whole,
    entries,
)
from shared.artifacts.gltf.oddities import Oddities

_SPECULAR = "extensions/KHR_materials_pbrSpecularGlossiness"
_WRITTEN: dict[str, tuple[tuple[str, str], ...]] = {
    "scenes": (("nodes/[]", "nodes"),),
    "nodes": (
        ("children/[]", "nodes"),
        ("mesh", "meshes"),
        ("skin", "skins"),
        ("camera", "cameras"),
        (f"extensions/{INSTANCING}/attributes/{{}}", "accessors"),
    ),
    "meshes": (
        ("primitives/[]/attributes/{}", "accessors"),
        ("primitives/[]/targets/[]/{}", "accessors"),
        ("primitives/[]/indices", "accessors"),
        ("primitives/[]/material", "materials"),
        (f"primitives/[]/extensions/{DRACO}/bufferView", "bufferViews"),
    ),
    "materials": (
        ("pbrMetallicRoughness/baseColorTexture/index", "textures"),
        ("pbrMetallicRoughness/metallicRoughnessTexture/index", "textures"),
        ("normalTexture/index", "textures"),
        ("occlusionTexture/index", "textures"),
        ("emissiveTexture/index", "textures"),
        (f"{_SPECULAR}/diffuseTexture/index", "textures"),
    ),
    "textures": (
        ("source", "images"),
        ("sampler", "samplers"),
        ("extensions/EXT_texture_webp/source", "images"),
        ("extensions/KHR_texture_basisu/source", "images"),
    ),
    "images": (("bufferView", "bufferViews"),),
    "skins": (
        ("joints/[]", "nodes"),
        ("skeleton", "nodes"),
        ("inverseBindMatrices", "accessors"),
    ),
    "animations": (("channels/[]/target/node", "nodes"),),
    "accessors": (
        ("bufferView", "bufferViews"),
        ("sparse/indices/bufferView", "bufferViews"),
        ("sparse/values/bufferView", "bufferViews"),
    ),
    "bufferViews": (
        ("buffer", "buffers"),
        *((f"extensions/{name}/buffer", "buffers") for name in MESHOPT),
    ),
}

_REFERENCES = {
    name: [(pattern.split("/"), target) for pattern, target in pairs]
    for name, pairs in _WRITTEN.items()
}
_Lists = Mapping[str, list[dict[str, Any]]]

Reached = Mapping[str, set[int]]
"""By collection, the numbers of what the scenes and animations use."""


def follow_references(root: Mapping[str, Any], odd: Oddities) -> Reached:
    """What the document's scenes and animations use, directly or through others.

    Raises BrokenModel for the first reference among these that leads nowhere; one elsewhere is odd.

    这个函数沿引用找出用到的对象，并检查引用是否有效。
    """
    names = {target for pairs in _REFERENCES.values() for _, target in pairs} | {*_REFERENCES}
    lists = {name: entries(root, name) for name in sorted(names)}
    if "scene" in root:
        _number(root["scene"], "scene", "scenes", lists)
    reached: dict[str, set[int]] = {name: set() for name in names}
    waiting: list[tuple[str, int]] = []
    for name in ("animations", "scenes" if lists["scenes"] else "nodes"):
        reached[name].update(range(len(lists[name])))
        waiting += [(name, index) for index in reached[name]]
    while waiting:
        for target, index in _named(lists, *waiting.pop()):
            if index not in reached[target]:
                reached[target].add(index)
                if target in _REFERENCES:
                    waiting.append((target, index))
    for index, skin in enumerate(lists["skins"]):  # their joints are marked before all else
        for place, value in _spots(skin, ["joints", "[]"], f"skins[{index}]"):
            _number(value, place, "nodes", lists)
    for name in _REFERENCES:
        for index in range(len(lists[name])):
            if index not in reached[name]:
                try:
                    for _ in _named(lists, name, index):
                        pass
                except BrokenModel as fault:
                    odd.add(f"nothing uses {name}[{index}], where {fault.reason}")
    return reached


def tracks_of(animation: Mapping[str, Any]) -> list[int]:
    """The accessors of an animation's samplers, of those alone that move a node of the document.

    Raises BrokenModel for what has no such form.

    这个函数列出动画用到的访问器。
    """
    samplers, found = entries(animation, "samplers"), []
    for number, channel in enumerate(entries(animation, "channels")):
        if "node" in as_object(channel.get("target"), f"the target of channel {number}"):
            index = as_whole(channel.get("sampler"), f"the sampler of channel {number}")
            if index >= len(samplers):
                raise BrokenModel(f"channel {number} of an animation has no sampler {index}")
            for name in ("input", "output"):
                found.append(as_whole(samplers[index].get(name), f"the {name} of sampler {index}"))
    return found


def _named(lists: _Lists, name: str, index: int) -> Iterator[tuple[str, int]]:
    """The (collection, number) pairs that one object names; raises BrokenModel.

    一个对象引用的其他对象。
    """
    item, here = lists[name][index], f"{name}[{index}]"
    for pattern, target in _REFERENCES[name]:
        if pattern[0] in item:
            for place, value in _spots(item, pattern, here):
                yield target, _number(value, place, target, lists)
    if name == "animations":
        for value in tracks_of(item):
            yield "accessors", _number(value, f"a sampler of {here}", "accessors", lists)
    if name != "materials" or "extensions" not in item:
        return
    for place, value in _spots(item, ["extensions", "{}", "{}"], here):
        if place.endswith("Texture") and isinstance(value, dict) and "index" in value:
            yield "textures", _number(value["index"], place, "textures", lists)


def _number(value: object, place: str, target: str, lists: _Lists) -> int:
    number, there = as_whole(value, place), len(lists[target])
    if number >= there:
        raise BrokenModel(f"{place} refers to {target}[{number}], there are {there}")
    return number


def _spots(value: object, parts: Sequence[str], place: str) -> Iterator[tuple[str, object]]:
    """Every (place, value) that a pattern finds: `[]` walks a list, `{}` an object's values.

    按路径模式找到各个值。
    """
    if not parts:
        yield place, value
    elif parts[0] == "[]":
        if value is None:
            return
        if not isinstance(value, list):
            raise BrokenModel(f"{place} is not a list")
        for index, item in enumerate(value):
            yield from _spots(item, parts[1:], f"{place}[{index}]")
    elif parts[0] == "{}":
        for key, item in as_object(value, place).items():
            yield from _spots(item, parts[1:], f"{place}.{key[:40]}")
    elif parts[0] in (found := as_object(value, place)):
        if parts[0] == "extensions" and found["extensions"] is None:
            return
        yield from _spots(found[parts[0]], parts[1:], f"{place}.{parts[0]}")
