"""How much a Draco stream really holds, where that is not what its accessors declare.

Loaders take the stream's word: three.js never looks at the counts of what it has unpacked.

这个模块用解码后的实际数量更正 Draco 图元的声明。
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.document import Accessor, Draco, Primitive
from shared.artifacts.gltf.unpacking import Unreadable, draco_stream


def settled(container: Container) -> Container:
    """The same model, with what its Draco streams hold in place of what is declared of them.

    Streams that are not to be read here stay as declared. Raises Undecodable.

    这个函数返回数量正确的模型。
    """
    document = container.document
    views, accessors, wrong = list(document.views), list(document.accessors), 0
    if not any(isinstance(view.packing, Draco) for view in views):
        return container
    for number, accessor in enumerate(accessors):
        packing = views[accessor.view].packing if accessor.view is not None else None
        if accessor.view is None or not isinstance(packing, Draco):
            continue
        try:
            found = draco_stream(container, packing.view)
        except Unreadable:
            continue
        rows = len(next(iter(found.attributes.values())))
        count = rows if packing.attribute is not None else found.triangles.size
        if count != packing.count:
            wrong += 1
            views[accessor.view] = replace(
                views[accessor.view],
                length=count * accessor.row_bytes,
                packing=replace(packing, count=count),
            )
            accessors[number] = replace(accessor, count=count)
    if not wrong:
        return container
    warning = f"{wrong} accessors declare another count than their Draco streams have"
    meshes = tuple(tuple(_recounted(part, accessors) for part in mesh) for mesh in document.meshes)
    document = replace(
        document,
        views=tuple(views),
        accessors=tuple(accessors),
        meshes=meshes,
        warnings=(*document.warnings, warning),
    )
    return replace(container, document=document)


def _recounted(part: Primitive, accessors: Sequence[Accessor]) -> Primitive:
    if "POSITION" not in part.attributes:
        return part
    vertices = accessors[part.attributes["POSITION"]].count
    elements = vertices if part.indices is None else accessors[part.indices].count
    return replace(part, vertices=vertices, elements=elements if vertices else 0)
