"""Odd but whole, or unusable: what validators warn of and loaders open is published and named."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.artifacts.gltf import instances as instances_module
from shared.artifacts.gltf.container import BrokenModel, BytesReader, has_container
from shared.artifacts.gltf.document import Undecodable
from shared.artifacts.gltf.measure import Inspection, inspect_model
from shared.artifacts.render.preview import render
from tests.models import ModelBuilder, box, box_model, pack

BIG = 1 << 40
MODELS = Path(__file__).parents[3] / "fixtures" / "models"
CUBE = {"triangles": 12, "vertices": 24, "bounds": [[-1, -1, -1], [1, 1, 1]], "watertight": True}

VERDICTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "bin-padding": (CUBE, "buffers[0] declares 1024 bytes but its data has 1028"),
    "trailing-bytes": (CUBE, "1 bytes follow the declared end of the file"),
    "data-uri-buffer": (CUBE, "buffers[0] lies in a data: URI, not in the BIN chunk"),
    "meshopt-plain-dummy-buffer": (CUBE, "only compressed views use it"),
    "texture-transform": ({**CUBE, "largest_texture_side": 64}, None),
    "quantised-uv": ({**CUBE, "textures": 1}, None),
    "second-uv": ({**CUBE, "materials": 1}, None),
    "emissive-only": (CUBE, None),
    "specular-glossiness": (CUBE, None),
    "gpu-instancing": ({"triangles": 36, "bounds": [[-5, -1, -1], [5, 2, 1]]}, None),
    "morph-weights": ({"triangles": 12, "bounds": [[-1, -1, -1], [1, 4, 1]]}, None),
    "inverted-hull": ({"triangles": 24, "materials": 2}, None),
    "grey16-texture": ({**CUBE, "largest_texture_side": 64}, None),
    "lines-beside": ({"triangles": 12, "lines": 18, "bounds": [[-3, -1, -1], [3, 1, 1]]}, None),
}


def inspect(glb: bytes, measure_below: int = BIG) -> Inspection:
    return inspect_model(BytesReader(glb), measure_below=measure_below)


def opened(glb: bytes) -> tuple[dict[str, Any], bytes]:
    """The document of a GLB and its BIN data."""
    length = struct.unpack_from("<I", glb, 12)[0]
    return json.loads(glb[20 : 20 + length]), glb[28 + length :]


@pytest.mark.parametrize("name", VERDICTS)
def test_what_loaders_open_is_whole_and_its_oddity_is_named(name: str) -> None:
    facts, oddity = VERDICTS[name]
    found = inspect((MODELS / f"{name}.glb").read_bytes())
    assert {key: found.facts[key] for key in facts} == facts
    assert (found.facts["verified"], found.facts["generator"]) == ("vertices", "hunt")
    assert all(len(warning) < 200 for warning in found.warnings)
    if oddity is None:
        assert found.warnings == ()
    else:
        assert [warning for warning in found.warnings if oddity in warning] == [*found.warnings]


def test_a_compressed_stream_of_zeros_is_unusable() -> None:
    with pytest.raises(Undecodable, match="not a Draco mesh"):
        inspect((MODELS / "compressed-zeroed.glb").read_bytes())


# -- the container


def unaligned_as_old_trimesh_wrote_it() -> bytes:
    document, data = opened(box_model())
    text = json.dumps(document).encode()
    text += b" " * (-(len(text) + 1) % 4)
    chunks = struct.pack("<2I", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<2I", len(data), 0x004E4942) + data
    return struct.pack("<3I", 0x46546C67, 2, 12 + len(chunks)) + chunks


def with_chunk_between() -> bytes:
    document, data = opened(box_model())
    glb = pack(document)
    glb += struct.pack("<2I", 4, 0x58585858) + b"????"
    glb += struct.pack("<2I", len(data), 0x004E4942) + data
    return glb[:8] + struct.pack("<I", len(glb)) + glb[12:]


def with_many_chunks() -> bytes:
    glb = box_model() + bytes(400)
    return glb[:8] + struct.pack("<I", len(glb)) + glb[12:]


def with_text(change: Callable[[bytes], bytes]) -> bytes:
    document, data = opened(box_model())
    return pack(None, data, text=change(json.dumps(document).encode()))


def declaring(length: int) -> bytes:
    glb = box_model()
    return glb[:8] + struct.pack("<I", length) + glb[12:]


CONTAINERS: list[tuple[bytes, str]] = [
    (unaligned_as_old_trimesh_wrote_it(), "bytes, not a multiple of 4"),
    (with_chunk_between(), "the BIN chunk does not come right after the JSON"),
    (with_text(lambda text: b"\xef\xbb\xbf" + text), "starts with a byte order mark"),
    (with_text(lambda text: text[:-1] + b', "extras": "\xb0\xa1"}'), "is not UTF-8 at byte"),
    (with_many_chunks(), "more than 16 chunks, of which the rest is not looked at"),
    (box_model() + b"<html>", "6 bytes follow the declared end"),
    (declaring(len(box_model()) - 8), "but the chunks end at byte"),
]


@pytest.mark.parametrize(("glb", "oddity"), CONTAINERS)
def test_an_odd_container_is_opened_as_loaders_do(glb: bytes, oddity: str) -> None:
    found = inspect(glb)
    assert found.facts["triangles"] == 12
    assert len(found.warnings) == 1
    assert oddity in found.warnings[0]
    assert render(glb, 16).mask.any()


# -- the document


def box_document(change: Callable[[dict[str, Any]], object]) -> bytes:
    document, data = opened(box_model())
    change(document)
    return pack(document, data)


def with_data_uri(uri: Callable[[str], str]) -> bytes:
    document, data = opened(box_model())
    document["buffers"][0]["uri"] = uri(base64.b64encode(data).decode())
    return pack(document, None)


def put(path: str, value: Any) -> bytes:
    def change(document: dict[str, Any]) -> None:
        *way, last = path.split(".")
        here: Any = document
        for step in way:
            here = here[int(step)] if isinstance(here, list) else here.setdefault(step, {})
        here[last] = value

    return box_document(change)


def _append(key: str, value: Any) -> bytes:
    return box_document(lambda document: document.setdefault(key, []).append(value))


def _unused_attribute(document: dict[str, Any]) -> None:
    short = {"componentType": 5126, "count": 2, "type": "VEC2", "bufferView": 0}
    document["accessors"].append(short)
    document["meshes"][0]["primitives"][0]["attributes"]["_WEAR"] = 2


def _two_parents(document: dict[str, Any]) -> None:
    document["nodes"] = [{"children": [2]}, {"children": [2]}, {"mesh": 0}]
    document["scenes"] = [{"nodes": [0, 1]}]


def _root_and_child(document: dict[str, Any]) -> None:
    document["nodes"] = [{"children": [1], "translation": [9, 0, 0]}, {"mesh": 0}]
    document["scenes"] = [{"nodes": [0, 1]}]


def moving(times: int, places: int) -> dict[str, Any]:
    """An animation that moves the only node along."""
    return {
        "samplers": [{"input": times, "output": places}],
        "channels": [{"sampler": 0, "target": {"node": 0, "path": "translation"}}],
    }


DOCUMENTS: list[tuple[bytes, str]] = [
    (put("buffers.0.byteLength", 10), "declares 10 bytes but its data has 240"),
    (put("buffers.0.byteLength", 10**6), "declares 1000000 bytes but has only 240"),
    (put("buffers.0.byteLength", 0), "declares 0 bytes but its data has 240"),
    (put("bufferViews.0.byteLength", 10**6), "bufferViews[0] ends at byte 1000000"),
    (put("accessors.1.min", [0, 0]), "accessors[1].min is not a list of 1 numbers"),
    (put("accessors.1.max", [None]), "accessors[1].max is not a list of 1 numbers"),
    (put("accessors.1.max", [1e300]), "accessors[1].max is not a list of 1 numbers"),
    (put("accessors.0.min", None), "1 primitives declare no min and max of their POSITION"),
    (put("asset.version", 2.0), "asset.version is a number"),
    (put("meshes.0.primitives.0.attributes.NORMAL", 1), "has 36 NORMAL for 8 POSITION"),
    (box_document(_unused_attribute), "has 2 _WEAR for 8 POSITION"),
    (box_document(_two_parents), "nodes[2] is the child of more than one node"),
    (_append("buffers", {"byteLength": 8}), "nothing reads it"),
    (_append("buffers", {"byteLength": 8, "uri": "spare.bin"}), "lies outside the file"),
    (_append("bufferViews", {"buffer": 7}), "nothing uses bufferViews[2], where"),
    (_append("accessors", {"bufferView": 0}), "nothing uses accessors[2], where"),
    (_append("meshes", {"primitives": [{"attributes": {"POSITION": 99}}]}), "nothing uses meshes"),
    (_append("materials", {"normalTexture": {"index": 3}}), "nothing uses materials[0]"),
    (_append("skins", {"joints": [], "skeleton": 5}), "nothing uses skins[0]"),
    (put("nodes.0.children", None), ""),
    (put("accessors.1.byteOffset", None), ""),
    (put("animations", [{"samplers": [{"input": 9}], "channels": []}]), ""),
    (with_text(lambda text: text[:-1] + b', "extras": ' + b"9" * 5000 + b"}"), ""),
    (_append("meshes", {}), ""),
    (put("bufferViews.1.byteStride", 0), ""),
    (put("nodes.0.extensions", None), ""),
    (put("materials", None), ""),
    (put("extras", "data:application/octet-stream;base64,AAAA"), ""),
    (with_data_uri(lambda text: f"data:application/octet-stream;base64,{text}"), "data: URI"),
    (with_data_uri(lambda text: f" data:;base64,{text.rstrip('=')[:60]} {text[60:]}"), "data: URI"),
    (with_data_uri(lambda text: f"DATA:x/y;BASE64,{text.replace('/', '%2F')}"), "data: URI"),
]


@pytest.mark.parametrize(("glb", "oddity"), DOCUMENTS)
def test_an_odd_document_is_measured_and_its_oddity_named(glb: bytes, oddity: str) -> None:
    found = inspect(glb)
    assert found.facts["triangles"] == 12
    assert found.facts["bounds"] == [[-0.5, -1, -1.5], [0.5, 1, 1.5]]
    if oddity:
        assert len(found.warnings) == 1
        assert oddity in found.warnings[0]
    else:
        assert found.warnings == ()
    assert render(glb, 16).mask.any()


def test_every_odd_part_of_many_is_not_told_apart() -> None:
    def change(document: dict[str, Any]) -> None:
        document["bufferViews"] += [{"buffer": 9}] * 500

    warnings = inspect(box_document(change)).warnings
    assert len(warnings) == 21
    assert warnings[-1] == "480 more oddities of this kind"


def test_views_need_not_be_aligned_but_what_is_in_them() -> None:
    builder = ModelBuilder()
    builder.add_view(b"x")
    builder.data += b"y"
    points = np.asarray(box()[0], "<f4").tobytes()
    builder.document["bufferViews"].append(
        {"buffer": 0, "byteOffset": len(builder.data), "byteLength": len(points)}
    )
    builder.data += points
    mesh = builder.add_mesh(*box())
    builder.document["accessors"][0]["bufferView"] = 1
    builder.add_node(mesh)
    found = inspect(builder.glb())
    assert found.facts["bounds"] == [[-0.5] * 3, [0.5] * 3]
    assert found.warnings == ("accessors[0] is not aligned to its 4-byte components in its buffer",)
    assert render(builder.glb(), 16).mask.any()


def test_a_stride_beyond_the_format_s_is_read_as_it_is() -> None:
    builder = ModelBuilder()
    points, faces = box()
    spread = np.zeros((8, 75), "<f4")
    spread[:, :3] = points
    mesh = builder.add_mesh(points, faces)
    view = builder.add_view(spread.tobytes(), byteStride=300)
    builder.document["accessors"][0]["bufferView"] = view
    builder.add_node(mesh)
    found = inspect(builder.glb())
    assert found.facts["bounds"] == [[-0.5] * 3, [0.5] * 3]
    assert found.warnings == ("bufferViews[2].byteStride is more than 252",)


def test_a_root_that_is_a_child_as_well_stands_at_both_places_as_in_three_js() -> None:
    facts = inspect(box_document(_root_and_child)).facts
    assert (facts["triangles"], facts["bounds"][1][0]) == (24, 9.5)


def test_roots_that_hold_one_another_cannot_explode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances_module, "MAX_PLACED", 100)

    def change(document: dict[str, Any]) -> None:
        document["nodes"] = [{"children": [index + 1]} for index in range(50)] + [{"mesh": 0}]
        document["scenes"] = [{"nodes": list(range(51))}]

    with pytest.raises(BrokenModel, match="more than 100 nodes"):
        inspect(box_document(change))


UNUSABLE: list[tuple[bytes, str]] = [
    (box_model()[:-8], "the header declares"),
    (with_text(lambda text: text + b"\0"), "cannot be parsed"),
    (with_text(lambda text: text.replace(b'"scene": 0', b'"scene": NaN')), "NaN"),
    (with_data_uri(lambda text: f"data:;base64,{text[:-8]}"), "ends at byte"),
    (with_data_uri(lambda text: "data:;base64,!!!!"), "cannot be decoded"),
    (with_data_uri(lambda text: f"https://example.com/{text[:20]}"), "lies outside the file"),
    (put("bufferViews.0.buffer", 1), "refers to buffers[1]"),
    (put("animations", [moving(0, 9)]), "a sampler of animations[0] refers to accessors[9]"),
    (put("animations", [{"channels": [{"sampler": 3, "target": {"node": 0}}]}]), "no sampler 3"),
    (_append("skins", {"joints": [77]}), "skins[0].joints[0] refers to nodes[77], there are 1"),
]


@pytest.mark.parametrize(("glb", "words"), UNUSABLE)
def test_what_loaders_fail_on_is_unusable(glb: bytes, words: str) -> None:
    with pytest.raises(BrokenModel) as refusal:
        inspect(glb)
    assert words in refusal.value.reason
    assert len(refusal.value.reason) < 200


@pytest.mark.parametrize("drawn", [True, False])
def test_a_message_can_be_written_down_whatever_names_a_file_has(drawn: bool) -> None:
    name = ("NORMAL" if drawn else "") + "\ud800" + "x" * 10_000

    def change(document: dict[str, Any]) -> None:
        document["accessors"].append({"componentType": 5126, "count": 2, "type": "VEC3"})
        document["meshes"][0]["primitives"][0]["attributes"][name] = 2
        document["asset"]["generator"] = name
        document["extensionsRequired"] = [name]
        document["nodes"][0]["extensions"] = {name: {}}

    try:
        found = inspect(box_document(change))
        said = [*found.warnings, found.facts["generator"]]
        assert len(said) == 3
    except BrokenModel as fault:
        said = [fault.reason, str(fault)]
    assert all(len(words.encode()) <= 900 for words in said)


def test_a_deeply_nested_material_is_no_danger() -> None:
    nested: Any = {"index": 0}
    for _ in range(900):
        nested = {"x": nested}

    def change(document: dict[str, Any]) -> None:
        document["extensionsRequired"] = ["VENDOR_odd"]
        document["materials"] = [{"extras": nested}]
        document["meshes"][0]["primitives"][0]["material"] = 0

    assert inspect(box_document(change)).warnings == ()


def test_nodes_that_ask_for_no_instance_of_many_parts_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(instances_module, "MAX_DRAWN", 1000)

    def change(document: dict[str, Any]) -> None:
        document["accessors"].append({"componentType": 5126, "count": 0, "type": "VEC3"})
        extension = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": 2}}}
        document["meshes"][0]["primitives"] *= 50
        document["nodes"] = [{"mesh": 0, "extensions": extension} for _ in range(50)]
        document["scenes"] = [{"nodes": list(range(50))}]

    with pytest.raises(BrokenModel, match="2500 parts"):
        inspect(box_document(change))


def test_the_base64_of_a_model_is_in_no_message() -> None:
    secret = base64.b64encode(b"a secret within a model" * 9).decode()
    for uri in (f"data:;base64,{secret}", f"\n data:,{secret}", f"data:;base64,{secret}*"):
        for place in ("buffers.0.uri", "images", "asset.version", "accessors.0.type", "asset"):
            value = [{"uri": uri, "bufferView": 99}] if place == "images" else uri
            try:
                said = [str(inspect(put(place, value)).warnings)]
            except BrokenModel as fault:
                said = [fault.reason]
            assert secret[:16] not in said[0]


@pytest.mark.parametrize(
    ("glb", "whole"),
    [
        (box_model(), True),
        (put("accessors.0.count", 10**6), True),
        (put("asset", 5), True),
        (unaligned_as_old_trimesh_wrote_it(), True),
        (box_model()[:-4], False),
        (b"<html>" * 99, False),
        (pack(None, text=b"[" * 60_000), False),
        (pack(None, text=b"{"), False),
    ],
)
def test_a_container_is_told_from_none(glb: bytes, whole: bool) -> None:
    assert has_container(BytesReader(glb)) is whole


# -- warnings of extensions


def test_only_what_drawn_parts_use_is_warned_of() -> None:
    def change(document: dict[str, Any]) -> None:
        document["extensionsRequired"] = ["KHR_texture_basisu", "VENDOR_odd", "EXT_unused"]
        document["meshes"][0]["primitives"][0]["material"] = 0
        document["materials"] = [
            {"normalTexture": {"index": 0}},
            {"extensions": {"EXT_unused": {}}},
        ]
        document["textures"] = [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]
        document["images"] = [{"uri": "x.ktx2"}]
        document["nodes"][0]["extensions"] = {"VENDOR_odd": {}}

    assert list(inspect(box_document(change)).warnings) == [
        "the model requires VENDOR_odd, which is not looked into",
        "the model requires KHR_texture_basisu, which is not looked into",
    ]
