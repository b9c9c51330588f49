"""Do a glTF document's references lead anywhere: one table of who names whom, and one walk.

这个模块检查 glTF 文档中所有的引用是否有效。
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.artifacts.gltf import (
    DRACO,
    FLOAT,
    Accessor,
    BrokenModel,
    as_object,
    as_whole,
    entries,
)

_REFERENCES = (
    ("scene", "scenes"),
    ("scenes/[]/nodes/[]", "nodes"),
    ("nodes/[]/children/[]", "nodes"),
    ("nodes/[]/mesh", "meshes"),
    ("nodes/[]/skin", "skins"),
    ("nodes/[]/camera", "cameras"),
    ("meshes/[]/primitives/[]/attributes/{}", "accessors"),
    ("meshes/[]/primitives/[]/targets/[]/{}", "accessors"),
    ("meshes/[]/primitives/[]/indices", "accessors"),
    ("meshes/[]/primitives/[]/material", "materials"),
    (f"meshes/[]/primitives/[]/extensions/{DRACO}/bufferView", "bufferViews"),
    ("materials/[]/pbrMetallicRoughness/baseColorTexture/index", "textures"),
    ("materials/[]/pbrMetallicRoughness/metallicRoughnessTexture/index", "textures"),
    ("materials/[]/normalTexture/index", "textures"),
    ("materials/[]/occlusionTexture/index", "textures"),
    ("materials/[]/emissiveTexture/index", "textures"),
    ("textures/[]/source", "images"),
    ("textures/[]/sampler", "samplers"),
    ("textures/[]/extensions/EXT_texture_webp/source", "images"),
    ("textures/[]/extensions/KHR_texture_basisu/source", "images"),
    ("images/[]/bufferView", "bufferViews"),
    ("skins/[]/joints/[]", "nodes"),
    ("skins/[]/skeleton", "nodes"),
    ("skins/[]/inverseBindMatrices", "accessors"),
    ("animations/[]/channels/[]/target/node", "nodes"),
    ("animations/[]/samplers/[]/input", "accessors"),
    ("animations/[]/samplers/[]/output", "accessors"),
)


def check_references(root: Mapping[str, Any]) -> None:
    """Raise BrokenModel for the first reference to something that is not there.

    这个函数找出指向不存在对象的引用。
    """
    sizes: dict[str, int] = {}
    for pattern, target in _REFERENCES:
        if target not in sizes:
            sizes[target] = len(entries(root, target))
        for place, value in _spots(root, pattern.split("/"), ""):
            if as_whole(value, place) >= sizes[target]:
                raise BrokenModel(f"{place} refers to {target}[{value}], there are {sizes[target]}")
    textures = len(entries(root, "textures"))
    for place, value in _spots(root, ["materials", "[]", "extensions", "{}", "{}"], ""):
        if not (place.endswith("Texture") and isinstance(value, dict) and "index" in value):
            continue
        if as_whole(value["index"], f"{place}.index") >= textures:
            raise BrokenModel(f"{place} refers to textures[{value['index']}], there are {textures}")


def _spots(value: object, parts: Sequence[str], place: str) -> Iterator[tuple[str, object]]:
    """Every (place, value) that a pattern finds: `[]` walks a list, `{}` an object's values."""
    if not parts:
        yield place, value
    elif parts[0] == "[]":
        if not isinstance(value, list):
            raise BrokenModel(f"{place} is not a list")
        for index, item in enumerate(value):
            yield from _spots(item, parts[1:], f"{place}[{index}]")
    elif parts[0] == "{}":
        for key, item in as_object(value, place).items():
            yield from _spots(item, parts[1:], f"{place}.{key[:40]}")
    elif parts[0] in as_object(value, place or "the JSON"):
        assert isinstance(value, dict)
        where = f"{place}.{parts[0]}" if place else parts[0]
        yield from _spots(value[parts[0]], parts[1:], where)


def check_skins(root: Mapping[str, Any], accessors: Sequence[Accessor]) -> None:
    """Raise BrokenModel for a skin without joints or with too few matrices.

    这个函数检查骨骼蒙皮的数据是否足够。
    """
    for index, skin in enumerate(entries(root, "skins")):
        joints = skin.get("joints")
        if not isinstance(joints, list) or not joints:
            raise BrokenModel(f"skins[{index}] has no joints")
        if "inverseBindMatrices" not in skin:
            continue
        found = accessors[int(skin["inverseBindMatrices"])]
        if found.kind != "MAT4" or found.component != FLOAT or found.count < len(joints):
            raise BrokenModel(
                f"skins[{index}] needs a float matrix for each of its {len(joints)} joints"
            )


def check_animations(root: Mapping[str, Any]) -> None:
    """Raise BrokenModel for an animation channel whose sampler is not there.

    这个函数检查动画通道引用的采样器。
    """
    for index, animation in enumerate(entries(root, "animations")):
        samplers = len(entries(animation, "samplers"))
        for number, channel in enumerate(entries(animation, "channels")):
            place = f"animations[{index}].channels[{number}].sampler"
            if as_whole(channel.get("sampler"), place) >= samplers:
                raise BrokenModel(f"{place} refers to a sampler that is not there")
