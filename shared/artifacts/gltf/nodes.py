"""A document's nodes and skins, and which nodes the shown scene starts from.

这个模块读取 glTF 文档中的节点和场景。
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from shared.artifacts.gltf.accessors import usable
from shared.artifacts.gltf.document import (
    FLOAT,
    INSTANCING,
    Accessor,
    BrokenModel,
    Node,
    as_numbers,
    entries,
    extension,
)
from shared.artifacts.gltf.oddities import Oddities

_NOBODY = Node(None, None, (), None, (0, 0, 0), (0, 0, 0, 1), (1, 1, 1))
"""What stands for a node that nothing uses."""


def read_weights(item: Mapping[str, Any], place: str) -> tuple[float, ...] | None:
    """The default weights of morph targets that a mesh or a node names; None where it names none.

    这个函数读取默认的变形权重。
    """
    weights = item.get("weights")
    if weights is None:
        return None
    count = len(weights) if isinstance(weights, list) else 0
    return as_numbers(weights, f"{place}.weights", count)


def read_nodes(root: Mapping[str, Any], used: set[int]) -> tuple[Node, ...]:
    """The nodes as they are written down; raises BrokenModel for one that is used.

    这个函数读取各个节点。
    """
    return tuple(
        _node(item, f"nodes[{index}]") if index in used else _NOBODY
        for index, item in enumerate(entries(root, "nodes"))
    )


def _node(item: Mapping[str, Any], place: str) -> Node:
    """One node; raises BrokenModel.

    读取一个节点。
    """

    def numbers(key: str, *default: float) -> tuple[float, ...]:
        return as_numbers(item[key], f"{place}.{key}", len(default)) if key in item else default

    return Node(
        mesh=None if "mesh" not in item else int(item["mesh"]),
        skin=None if "skin" not in item else int(item["skin"]),
        children=tuple(int(child) for child in item.get("children") or ()),
        matrix=numbers("matrix", *[0.0] * 16) if "matrix" in item else None,
        translation=numbers("translation", 0.0, 0.0, 0.0),
        rotation=numbers("rotation", 0.0, 0.0, 0.0, 1.0),
        scale=numbers("scale", 1.0, 1.0, 1.0),
        weights=read_weights(item, place),
        instances=_instances(item, place),
    )


def _instances(item: Mapping[str, Any], place: str) -> Mapping[str, int]:
    found = extension(item, (INSTANCING,), place) or {}
    return {name: int(index) for name, index in (found.get("attributes") or {}).items()}


def check_skin(
    skin: Mapping[str, Any], place: str, accessors: Sequence[Accessor], odd: Oddities
) -> None:
    """Raise BrokenModel for a skin with too few matrices for its joints; one without joints is odd.

    这个函数检查一个蒙皮。
    """
    if skin.get("joints") is None:
        raise BrokenModel(f"{place} has no joints")
    if not skin["joints"]:
        odd.add(f"{place} has no joints")
    if "inverseBindMatrices" not in skin:
        return
    found, needed = usable(accessors, int(skin["inverseBindMatrices"])), len(skin["joints"])
    if found.kind != "MAT4" or found.component != FLOAT or found.count < needed:
        raise BrokenModel(f"{place} needs a float matrix for each of its {needed} joints")


def read_roots(root: Mapping[str, Any], nodes: Sequence[Node], odd: Oddities) -> tuple[int, ...]:
    """The nodes of the shown scene, once it is sure that no node is its own ancestor.

    这个函数给出场景的根节点。
    """
    inner = {child for node in nodes for child in node.children}
    _check_cycles(nodes)
    scenes = entries(root, "scenes")
    if not scenes:
        return tuple(index for index in range(len(nodes)) if index not in inner)
    shown = scenes[int(root.get("scene", 0))].get("nodes") or ()
    roots = tuple(int(index) for index in shown)
    for index in roots:
        if index in inner:
            odd.add(f"nodes[{index}] is a root of the scene and the child of a node")
    if len(set(roots)) < len(roots):
        odd.add("the scene names a node more than once")
    return roots


def _check_cycles(nodes: Sequence[Node]) -> None:
    """Raise BrokenModel for a node that is its own ancestor: leaves are taken away until none is.

    检查节点是否成环。
    """
    parents: dict[int, list[int]] = {}
    left = [len(set(node.children)) for node in nodes]
    for index, node in enumerate(nodes):
        for child in set(node.children):
            parents.setdefault(child, []).append(index)
    free = [index for index, count in enumerate(left) if not count]
    for index in free:
        for parent in parents.get(index, ()):
            left[parent] -= 1
            if not left[parent]:
                free.append(parent)
    if len(free) < len(nodes):
        lost = min(index for index, count in enumerate(left) if count)
        raise BrokenModel(f"nodes[{lost}] is its own ancestor, or that of one that is")


def adopted(nodes: Sequence[Node], odd: Oddities) -> tuple[Node, ...]:
    """The nodes, each the child of one at most: the last that names it.

    That is what is left where loaders hang nodes in one after the other, as three.js does.

    这个函数让每个节点最多只有一个父节点。
    """
    parent: dict[int, int] = {}
    for index, node in enumerate(nodes):
        for child in node.children:
            if parent.setdefault(child, index) != index:
                odd.add(f"nodes[{child}] is the child of more than one node")
                parent[child] = index
    return tuple(
        node
        if all(parent.get(child) == index for child in node.children)
        else dataclasses.replace(
            node, children=tuple(child for child in node.children if parent.get(child) == index)
        )
        for index, node in enumerate(nodes)
    )
