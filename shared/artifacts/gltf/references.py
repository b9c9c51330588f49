"""Do a glTF document's references lead anywhere: one table of who names whom, and one walk.

这个模块检查 glTF 文档中所有的引用是否有效。
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

_REFERENCES = (
    ("bufferViews/[]/buffer", "buffers"),
    *((f"bufferViews/[]/extensions/{name}/buffer", "buffers") for name in MESHOPT),
    ("accessors/[]/bufferView", "bufferViews"),
    ("accessors/[]/sparse/indices/bufferView", "bufferViews"),
    ("accessors/[]/sparse/values/bufferView", "bufferViews"),
    ("scene", "scenes"),
    ("scenes/[]/nodes/[]", "nodes"),
    ("nodes/[]/children/[]", "nodes"),
    ("nodes/[]/mesh", "meshes"),
    ("nodes/[]/skin", "skins"),
    ("nodes/[]/camera", "cameras"),
    (f"nodes/[]/extensions/{INSTANCING}/attributes/{{}}", "accessors"),
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
    for place, value in _spots(root, ["materials", "[]", "extensions", "{}", "{}"], ""):
        if not (place.endswith("Texture") and isinstance(value, dict) and "index" in value):
            continue
        if as_whole(value["index"], f"{place}.index") >= sizes["textures"]:
            raise BrokenModel(
                f"{place} refers to textures[{value['index']}], there are {sizes['textures']}"
            )


def _spots(value: object, parts: Sequence[str], place: str) -> Iterator[tuple[str, object]]:
    """Every (place, value) that a pattern finds: `[]` walks a list, `{}` an object's values.

    按路径模式找到各个值。
    """
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
    elif parts[0] in (found := as_object(value, place or "the JSON")):
        where = f"{place}.{parts[0]}" if place else parts[0]
        yield from _spots(found[parts[0]], parts[1:], where)
