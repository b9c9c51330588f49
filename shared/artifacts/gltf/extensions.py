"""Which extensions the shown scene needs that nobody looks into here.

What a file merely lists as required is no matter; what the drawn parts use is.

这个模块找出场景实际用到但未支持的扩展。
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.document import DRACO, INSTANCING, MESHOPT, entries
from shared.artifacts.gltf.instances import Drawn

UNDERSTOOD = {
    DRACO,
    INSTANCING,
    *MESHOPT,
    "EXT_texture_avif",
    "EXT_texture_webp",
    "KHR_materials_emissive_strength",
    "KHR_materials_pbrSpecularGlossiness",
    "KHR_materials_transmission",
    "KHR_materials_unlit",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
}
"""Extensions that a file may require and that are measured and drawn like the rest."""


def unknown_extensions(container: Container, parts: Sequence[Drawn]) -> list[str]:
    """A warning for each extension that is required, that a drawn part uses, and not known here.

    这个函数列出需要警告的扩展。
    """
    raw = container.document.raw
    required = set(raw.get("extensionsRequired") or ()) - UNDERSTOOD
    if not required:
        return []
    used: dict[str, None] = {}
    for item in _drawn_with(raw, parts):
        used.update((name, None) for name in _names(item) if name in required)
    return [f"the model requires {name[:60]}, which is not looked into" for name in used]


def _drawn_with(raw: Mapping[str, Any], parts: Sequence[Drawn]) -> Iterator[object]:
    """What the parts are drawn with: nodes, primitives, materials, textures and images.

    部件绘制时用到的对象。
    """
    meshes, materials = entries(raw, "meshes"), entries(raw, "materials")
    drawn = {part.mesh for part in parts}
    yield from (node for node in entries(raw, "nodes") if node.get("mesh") in drawn)
    yield from (meshes[index] for index in sorted(drawn))
    named = {part.primitive.material for part in parts if part.primitive.material is not None}
    surfaces = [materials[index] for index in sorted(named)]
    yield from surfaces
    textures, images = entries(raw, "textures"), entries(raw, "images")
    for index in sorted({i for item in surfaces for i in _textures(item) if i < len(textures)}):
        yield textures[index]
        source = textures[index].get("source")
        if isinstance(source, int) and 0 <= source < len(images):
            yield images[source]


def _textures(material: Mapping[str, Any]) -> list[int]:
    """The numbers of the textures that a material names, whatever for.

    材质引用的贴图编号。
    """
    waiting: list[tuple[str, object]] = [("", material)]
    found = []
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            index = value.get("index")
            if key.endswith("Texture") and isinstance(index, int) and index >= 0:
                found.append(index)
            waiting += value.items()
    return found


def _names(value: object) -> Iterable[str]:
    """The extensions of an object and of all that is in it.

    对象中出现的扩展名。
    """
    waiting, found = [value], []
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(item.get("extensions"), dict):
                found += list(item["extensions"])
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return found
