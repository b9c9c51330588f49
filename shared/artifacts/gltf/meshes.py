"""A document's meshes: primitives whose arrays are there, of a usable type and long enough.

What a Draco stream packs becomes accessors and views of its own, so that those who read vertices
need not know of it.

这个模块检查 glTF 文档中的网格。
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.artifacts.gltf.accessors import INDEX_COMPONENTS, usable
from shared.artifacts.gltf.document import (
    DRACO,
    FAN,
    TRIANGLES,
    Accessor,
    BrokenModel,
    Draco,
    Primitive,
    View,
    as_object,
    as_whole,
    entries,
    extension,
)
from shared.artifacts.gltf.oddities import Oddities

_UNSIGNED = 5125
_DRAWN = ("NORMAL", "COLOR_0", "JOINTS_0", "WEIGHTS_0", "TEXCOORD_")
"""Attributes that loaders draw with: shorter than the positions, they leave nothing to draw."""


class MeshReader:
    """Reads meshes; what Draco packs is added to the document's `accessors` and `views`.

    这个类读取网格。
    """

    def __init__(self, accessors: Sequence[Accessor], views: Sequence[View], odd: Oddities) -> None:
        self.accessors, self.views = list(accessors), list(views)
        self._odd = odd
        self._unbounded = 0

    def warn(self) -> None:
        """Say in one sentence how many positions have no bounds.

        这个方法汇总缺少范围的顶点数据。
        """
        if self._unbounded:
            self._odd.add(f"{self._unbounded} primitives declare no min and max of their POSITION")

    def mesh(self, item: Mapping[str, Any], place: str) -> tuple[Primitive, ...]:
        """A mesh's primitives; raises BrokenModel.

        这个方法读取一个网格的图元。
        """
        primitives = entries(item, "primitives")
        if not primitives:
            self._odd.add(f"{place} has no primitives")
        made = tuple(
            self._primitive(primitive, f"{place}.primitives[{number}]")
            for number, primitive in enumerate(primitives)
        )
        found = [self.accessors[part.attributes["POSITION"]] for part in made if part.vertices]
        self._unbounded += sum(position.low is None or position.high is None for position in found)
        return made

    def _primitive(self, item: Mapping[str, Any], place: str) -> Primitive:
        """One primitive, its arrays long enough and of a usable type; raises BrokenModel.

        检查一个图元。
        """
        attributes = as_object(item.get("attributes"), f"{place}.attributes")
        attributes = {name: int(value) for name, value in attributes.items()}
        indices = None if "indices" not in item else int(item["indices"])
        draco = extension(item, (DRACO,), place)
        if draco is not None:
            attributes, indices = self._unpacked(draco, attributes, indices, place)
        vertices = self._vertices(attributes, place)
        elements = vertices
        if indices is not None:
            found = usable(self.accessors, indices)
            if found.kind != "SCALAR" or found.component not in INDEX_COMPONENTS:
                raise BrokenModel(f"{place} has indices that are not unsigned whole numbers")
            elements = found.count if vertices else 0
        return Primitive(
            mode=as_whole(item.get("mode", TRIANGLES), f"{place}.mode", high=FAN),
            attributes=attributes,
            indices=indices,
            material=None if "material" not in item else int(item["material"]),
            vertices=vertices,
            elements=elements,
            targets=tuple(_targets(item, self.accessors, vertices, place)),
        )

    def _vertices(self, attributes: dict[str, int], place: str) -> int:
        """How many vertices the attributes are of; those that cannot be used are taken out.

        顶点数量；不能用的属性被去掉。
        """
        if "POSITION" not in attributes:
            return 0
        position = usable(self.accessors, attributes["POSITION"])
        if position.kind != "VEC3":
            raise BrokenModel(f"{place} has a POSITION that is {position.kind}, not VEC3")
        for name, index in tuple(attributes.items()):
            drawn = name.startswith(_DRAWN)
            found = usable(self.accessors, index) if drawn else self.accessors[index]
            if found.count == position.count and found.fault is None:
                continue
            if drawn and found.count < position.count:
                raise BrokenModel(
                    f"{place} has attributes of different lengths: {found.count} {name} for"
                    f" {position.count} POSITION"
                )
            if found.fault is not None:
                self._odd.add(f"{place} has a {name} that nothing draws with, and {found.fault}")
            else:
                self._odd.add(f"{place} has {found.count} {name} for {position.count} POSITION")
            if not drawn:
                del attributes[name]
        return position.count

    def _unpacked(
        self, draco: Mapping[str, Any], attributes: dict[str, int], indices: int | None, place: str
    ) -> tuple[dict[str, int], int | None]:
        """The accessors of a primitive with those that its Draco stream holds in their place.

        Draco 压缩的属性与索引。
        """
        place = f"{place}.extensions.{DRACO}"
        if "bufferView" not in draco:
            raise BrokenModel(f"{place} has no bufferView")
        stream = int(draco["bufferView"])
        if (fault := self.views[stream].fault) is not None:
            raise BrokenModel(fault)
        ids = as_object(draco.get("attributes"), f"{place}.attributes")
        if "POSITION" not in ids or "POSITION" not in attributes:
            raise BrokenModel(f"{place} holds no POSITION")
        vertices = self.accessors[attributes["POSITION"]].count
        corners = vertices if indices is None else self.accessors[indices].count
        made = dict(attributes)
        for name, index in attributes.items():
            if name in ids:
                identity = as_whole(ids[name], f"{place}.attributes.{name[:40]}", high=2**32)
                made[name] = self._part(self.accessors[index], stream, identity, vertices)
        # A stream holds indices even for a primitive that names none.
        plain = Accessor(None, 0, _UNSIGNED, "SCALAR", 1, corners)
        declared = plain if indices is None else self.accessors[indices]
        return made, self._part(declared, stream, None, corners)

    def _part(self, declared: Accessor, stream: int, attribute: int | None, count: int) -> int:
        """A new accessor for what another declares, read from a Draco stream."""
        packing = Draco(stream, attribute, count, declared.component, declared.width)
        self.views.append(View(0, count * declared.row_bytes, 0, packing=packing))
        made = dataclasses.replace(
            declared, view=len(self.views) - 1, offset=0, count=count, sparse=None, fault=None
        )
        self.accessors.append(made)
        return len(self.accessors) - 1


def _targets(
    item: Mapping[str, Any], accessors: Sequence[Accessor], vertices: int, place: str
) -> Iterator[Mapping[str, int]]:
    """The attributes of each morph target, as long as the primitive's own; raises BrokenModel.

    变形目标。
    """
    for number, target in enumerate(item.get("targets") or ()):
        for name, index in target.items():
            found = usable(accessors, int(index))
            if name in ("POSITION", "NORMAL") and (found.kind, found.count) != ("VEC3", vertices):
                raise BrokenModel(
                    f"{place}.targets[{number}] has a {name} of {found.count} {found.kind},"
                    f" not {vertices} VEC3"
                )
        yield {name: int(index) for name, index in target.items()}
