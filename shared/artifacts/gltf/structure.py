"""Does a glTF document keep its promises: every range within its buffer, every number usable.

Nothing here touches vertex data: the whole check costs one pass over the JSON. The rules are those
that a loader trips over, and for what the scenes use; what every loader opens is a warning instead,
because a model that draws has been paid for.

这个模块检查 glTF 文档的结构，并把它变成带类型的值。
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.artifacts.gltf.accessors import read_accessors, usable
from shared.artifacts.gltf.buffers import read_buffers, read_views
from shared.artifacts.gltf.document import (
    Accessor,
    BrokenModel,
    Document,
    as_object,
    entries,
    quoted,
)
from shared.artifacts.gltf.meshes import MeshReader
from shared.artifacts.gltf.nodes import adopted, check_skin, read_nodes, read_roots, read_weights
from shared.artifacts.gltf.oddities import Oddities
from shared.artifacts.gltf.references import Reached, follow_references, tracks_of


def check_document(raw: object, bin_length: int | None, odd: Oddities | None = None) -> Document:
    """Check a parsed glTF JSON value against a BIN chunk of `bin_length` bytes (None: no chunk).

    Raises BrokenModel at the first fault; what is `odd` adds to what was found before.

    这个函数检查 glTF 文档，并把它变成带类型的值。
    """
    odd = odd or Oddities()
    root = as_object(raw, "the JSON")
    _check_version(root, odd)
    reached = follow_references(root, odd)
    buffers = read_buffers(root, bin_length, odd)
    views = read_views(root, buffers, reached["bufferViews"], odd)
    accessors = read_accessors(root, views, reached["accessors"], odd)
    nodes = read_nodes(root, reached["nodes"])
    roots = read_roots(root, nodes, odd)
    reader = MeshReader(accessors, views, odd)
    meshes, weights = [], []
    for index, item in enumerate(entries(root, "meshes")):
        used, place = index in reached["meshes"], f"meshes[{index}]"
        meshes.append(reader.mesh(item, place) if used else ())
        weights.append(read_weights(item, place) or () if used else ())
    reader.warn()
    tracks = _tracks(root, accessors, reached)
    for index, item in enumerate(entries(root, "skins")):
        if index in reached["skins"]:
            check_skin(item, f"skins[{index}]", accessors, odd)
            tracks += [int(item[name]) for name in ("inverseBindMatrices",) if name in item]
    nodes = adopted(nodes, odd)
    return Document(
        raw=root,
        buffers=buffers,
        views=tuple(reader.views),
        accessors=tuple(reader.accessors),
        meshes=tuple(meshes),
        nodes=nodes,
        roots=roots,
        warnings=odd.warnings(),
        weights=tuple(weights),
        tracks=tuple(tracks),
    )


def _check_version(root: Mapping[str, Any], odd: Oddities) -> None:
    """Raise BrokenModel for a document that is not glTF 2."""
    version = as_object(root.get("asset"), "asset").get("version")
    if isinstance(version, (int, float)) and 2 <= version < 3:
        odd.add("asset.version is a number, not a text")
    elif not isinstance(version, str) or not (version.startswith("2.") or version == "2"):
        raise BrokenModel(f"asset.version is {quoted(version)}, expected 2.x")
    required = root.get("extensionsRequired") or []
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise BrokenModel("extensionsRequired is not a list of names")


def _tracks(root: Mapping[str, Any], accessors: Sequence[Accessor], reached: Reached) -> list[int]:
    """The accessors of all animations; raises BrokenModel for one that cannot be read.

    Loaders read all of them, whether they are shown or not.

    动画用到的访问器。
    """
    tracks = {index for item in entries(root, "animations") for index in tracks_of(item)}
    found = sorted(tracks & reached["accessors"])
    for index in found:
        usable(accessors, index)
    return found
