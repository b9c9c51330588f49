"""A document's accessors: typed arrays, each with the reason why it cannot be read, if it cannot.

Where loaders cut a view out of its buffer first, as three.js does, only the place within the view
has to be aligned.

这个模块读取并检查 glTF 的访问器。
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from shared.artifacts.gltf.document import (
    COMPONENT_BYTES,
    Accessor,
    BrokenModel,
    View,
    as_object,
    as_whole,
    entries,
    is_number,
    optional_whole,
    quoted,
)
from shared.artifacts.gltf.oddities import Oddities

INDEX_COMPONENTS = (5121, 5123, 5125)
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_MOST_STRIDE = 252
"""The longest stride that the format allows (glTF 2.0.1, 3.6.2.4); loaders do not care."""


def read_accessors(
    root: Mapping[str, Any], views: Sequence[View], used: set[int], odd: Oddities
) -> tuple[Accessor, ...]:
    """The accessors; raises BrokenModel for a used one that is no array at all.

    One whose data is not where it says has a `fault` instead.

    这个函数读取所有访问器。
    """
    accessors = []
    for index, item in enumerate(entries(root, "accessors")):
        place = f"accessors[{index}]"
        try:
            accessors.append(_declared(item, views, place, odd))
        except BrokenModel as fault:
            if index in used:
                raise
            odd.add(f"nothing uses {place}, where {fault.reason}")
            accessors.append(Accessor(None, 0, 5121, "SCALAR", 1, 0, fault=fault.reason))
    return tuple(accessors)


def usable(accessors: Sequence[Accessor], index: int) -> Accessor:
    """An accessor whose data is where it says; raises BrokenModel with why it is not.

    这个函数取出可以读取的访问器。
    """
    accessor = accessors[index]
    if accessor.fault is not None:
        raise BrokenModel(accessor.fault)
    return accessor


def _declared(
    item: Mapping[str, Any], views: Sequence[View], place: str, odd: Oddities
) -> Accessor:
    """One accessor with all that it declares; raises BrokenModel.

    读取一个访问器。
    """
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in _WIDTHS:
        raise BrokenModel(f"{place}.type is {quoted(kind)}, not a glTF type")
    count = as_whole(item.get("count"), f"{place}.count", high=2**32)
    if not count:
        odd.add(f"{place} has no rows")
    accessor = _accessor(item, kind, count, tuple(COMPONENT_BYTES), views, place)
    _warn_of_place(accessor, views, place, odd)
    sparse, fault = None, accessor.fault
    if item.get("sparse") is not None:
        sparse = _sparse(item, accessor, views, place)
        fault = fault or sparse[0].fault or sparse[1].fault
    return dataclasses.replace(
        accessor,
        normalized=item.get("normalized") is True,
        low=_extreme(item, "min", place, accessor.width, odd),
        high=_extreme(item, "max", place, accessor.width, odd),
        sparse=sparse,
        fault=fault,
    )


def _accessor(
    item: Mapping[str, Any],
    kind: str,
    count: int,
    components: Sequence[int],
    views: Sequence[View],
    place: str,
) -> Accessor:
    """An array, and why it cannot be read, if it cannot; raises BrokenModel for its form.

    读取一个数组的位置和类型。
    """
    component = as_whole(item.get("componentType"), f"{place}.componentType")
    if component not in components:
        raise BrokenModel(f"{place}.componentType is {component}, not one of {list(components)}")
    index = None if "bufferView" not in item else as_whole(item["bufferView"], place)
    offset = optional_whole(item, "byteOffset", place)
    accessor = Accessor(index, offset, component, kind, _WIDTHS[kind], count)
    if index is None:
        return accessor
    if index >= len(views):
        raise BrokenModel(f"{place}.bufferView refers to bufferViews[{index}]")
    return dataclasses.replace(accessor, fault=_fault(accessor, views[index], index, place))


def _fault(accessor: Accessor, view: View, index: int, place: str) -> str | None:
    """Why an array does not lie in its view, aligned; None where it does.

    数组无法读取的原因。
    """
    size, row = COMPONENT_BYTES[accessor.component], accessor.row_bytes
    if view.fault is not None:
        return view.fault
    if 0 < view.stride < row:
        return f"bufferViews[{index}].byteStride is too small: {place}"
    end = accessor.offset + (view.stride or row) * (accessor.count - 1) + row
    if accessor.count and end > view.length:
        return f"{place} ends at byte {end} but bufferViews[{index}] has {view.length} bytes"
    if accessor.offset % size or view.stride % size:
        return f"{place} is not aligned to its {size}-byte components"
    return None


def _warn_of_place(accessor: Accessor, views: Sequence[View], place: str, odd: Oddities) -> None:
    """Name what the format forbids of where an array lies, and loaders do not mind."""
    if accessor.view is None:
        return
    view, size = views[accessor.view], COMPONENT_BYTES[accessor.component]
    if view.stride > _MOST_STRIDE:
        odd.add(f"bufferViews[{accessor.view}].byteStride is more than {_MOST_STRIDE}")
    if view.packing is None and accessor.offset % size == 0 and view.offset % size:
        odd.add(f"{place} is not aligned to its {size}-byte components in its buffer")


def _extreme(
    item: Mapping[str, Any], key: str, place: str, width: int, odd: Oddities
) -> tuple[float, ...] | None:
    """The declared extremes of an array; None where they are none, or no numbers."""
    value = item.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != width or not all(map(is_number, value)):
        odd.add(f"{place}.{key} is not a list of {width} numbers")
        return None
    return tuple(map(float, value))


def _sparse(
    item: Mapping[str, Any], over: Accessor, views: Sequence[View], place: str
) -> tuple[Accessor, Accessor]:
    """The rows and the values of a sparse accessor, each as an accessor; raises BrokenModel.

    稀疏访问器的行与值。
    """
    place = f"{place}.sparse"
    sparse = as_object(item["sparse"], place)
    count = as_whole(sparse.get("count"), f"{place}.count", high=over.count)
    parts = []
    for name, kind, components in (
        ("indices", "SCALAR", INDEX_COMPONENTS),
        ("values", over.kind, (over.component,)),
    ):
        part = as_object(sparse.get(name), f"{place}.{name}")
        if "bufferView" not in part:
            raise BrokenModel(f"{place}.{name} has no bufferView")
        if name == "values":
            part = {**part, "componentType": over.component}
        parts.append(_accessor(part, kind, count, components, views, f"{place}.{name}"))
    return parts[0], parts[1]
