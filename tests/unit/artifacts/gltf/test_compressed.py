"""Compressed geometry is looked into: unpacked exactly, within bounds, and refused if it is none.

The fixtures were packed by meshoptimizer and by Google's Draco encoder, through glTF-Transform and
gltfpack; the streams hold the hash of what meshoptimizer's own decoder makes of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.artifacts.gltf import draco, meshopt, unpacking
from shared.artifacts.gltf.container import BrokenModel, BytesReader, check_container
from shared.artifacts.gltf.document import Meshopt, Undecodable
from shared.artifacts.gltf.instances import drawn, placed_points
from shared.artifacts.gltf.measure import Inspection, inspect_model
from shared.artifacts.gltf.mesh import read_attribute, read_triangles
from shared.artifacts.render.preview import render
from tests.models import pack

BIG = 1 << 40
FIXTURES = Path(__file__).parents[3] / "fixtures"
STREAMS = json.loads((FIXTURES / "meshopt" / "streams.json").read_text())
COMPRESSED = {
    "torus-draco": "torus",
    "torus-meshopt": "torus",
    "torus-khr-meshopt": "torus",
    "torus-gltfpack": "torus",
    "torus-fallback": "torus",
    "torus-skinned-draco": "torus-skinned",
    "torus-skinned-meshopt": "torus-skinned",
}


def model(name: str) -> bytes:
    return (FIXTURES / "models" / f"{name}.glb").read_bytes()


def inspect(glb: bytes, measure_below: int = BIG) -> Inspection:
    return inspect_model(BytesReader(glb), measure_below=measure_below)


def opened(glb: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack_from("<I", glb, 12)[0]
    return json.loads(glb[20 : 20 + length]), glb[28 + length :]


def packing_of(stream: dict[str, Any]) -> tuple[bytes, Meshopt]:
    packed = base64.b64decode(stream["packed"])
    names = ("mode", "filter", "count", "stride")
    return packed, Meshopt(0, 0, len(packed), *(stream[name] for name in names))


# -- what is packed comes out


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: f"{s['mode']}-{s['filter']}-{s['count']}")
def test_a_meshopt_stream_unpacks_to_the_very_bytes(stream: dict[str, Any]) -> None:
    plain = meshopt.unpack(*packing_of(stream))
    assert plain.nbytes == stream["count"] * stream["stride"]
    assert hashlib.sha256(plain.tobytes()).hexdigest() == stream["sha256"]


def test_many_triangles_are_unpacked_portion_by_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meshopt, "_FLUSH", 6)
    (stream, *_) = (stream for stream in STREAMS if stream["mode"] == "TRIANGLES")
    plain = meshopt.unpack(*packing_of(stream))
    assert hashlib.sha256(plain.tobytes()).hexdigest() == stream["sha256"]


@pytest.mark.parametrize(("name", "plain"), COMPRESSED.items())
def test_a_compressed_model_has_the_facts_of_the_plain_one(name: str, plain: str) -> None:
    found, expected = inspect(model(name)), inspect(model(plain))
    assert found.warnings == ()
    for fact in ("triangles", "vertices", "watertight", "verified", "nodes"):
        assert found.facts[fact] == expected.facts[fact]
    assert np.allclose(found.facts["bounds"], expected.facts["bounds"], atol=2e-3)


@pytest.mark.parametrize(("name", "plain"), COMPRESSED.items())
def test_a_compressed_model_is_drawn_as_the_plain_one(name: str, plain: str) -> None:
    one, other = render(model(name), 64), render(model(plain), 64)
    assert (one.mask & other.mask).sum() / (one.mask | other.mask).sum() > 0.97
    both = one.mask & other.mask
    assert np.abs(one.rgba[both].astype(int) - other.rgba[both]).mean() < 3


def surface(glb: bytes, name: str, width: int) -> dict[tuple[float, ...], Any]:
    """An attribute by the place of its vertex, which names it whatever its number is."""
    container = check_container(BytesReader(glb))
    (part,) = drawn(container)
    places = np.concatenate(list(placed_points(container, part)))
    values = read_attribute(container, part.primitive, name, width)
    corners = read_triangles(container, part.primitive).reshape(-1)
    return {tuple(np.round(places[i], 2) + 0.0): values[i] for i in corners}


@pytest.mark.parametrize("name", ["torus-skinned-draco", "torus-skinned-meshopt"])
@pytest.mark.parametrize(("attribute", "width"), [("NORMAL", 3), ("COLOR_0", 4)])
def test_every_attribute_comes_out(name: str, attribute: str, width: int) -> None:
    found = surface(model(name), attribute, width)
    expected = surface(model("torus-skinned"), attribute, width)
    shared = found.keys() & expected.keys()
    assert len(shared) > 40
    away = [np.abs(found[place] - expected[place]).max() for place in shared]
    assert float(np.median(away)) < 0.03


def test_instances_may_be_compressed_as_well() -> None:
    facts = inspect(model("torus-instanced-meshopt")).facts
    assert (facts["triangles"], facts["nodes"]) == (2560, 1)
    assert np.allclose(facts["bounds"], [[-1.4, -1.4, -1.4], [21.4, 1.4, 1.4]], atol=0.01)


def test_draco_is_imported_only_for_what_it_packed() -> None:
    code = (
        "import sys; from shared.artifacts.gltf.container import FileReader;"
        "from shared.artifacts.gltf.measure import inspect_model;"
        "f = FileReader(sys.argv[1]); inspect_model(f, measure_below=1 << 40);"
        "print([m for m in ('DracoPy', 'trimesh') if m in sys.modules])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code, str(FIXTURES / "models" / name)],
            cwd=FIXTURES.parents[1],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for name in ("torus.glb", "torus-draco.glb")
    ]
    assert said == ["[]", "['DracoPy']"]


def test_what_was_unpacked_to_be_measured_is_drawn_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = inspect(model("torus-draco"))
    monkeypatch.setattr(draco, "unpack", lambda *_: pytest.fail("it was unpacked again"))
    assert found.container is not None
    assert render(found.container, 32).mask.any()


# -- what is too much stays packed


@pytest.mark.parametrize("name", ["torus-draco", "torus-meshopt"])
def test_a_file_too_large_to_unpack_is_measured_by_its_declarations(name: str) -> None:
    found = inspect(model(name), measure_below=100)
    assert found.facts["verified"] == "declarations"
    assert found.facts["triangles"] == 320
    assert np.allclose(found.facts["bounds"][1], [1.4, 0.38, 1.4], atol=2e-3)


@pytest.mark.parametrize("name", ["torus-draco", "torus-meshopt"])
def test_what_declares_too_much_is_not_unpacked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_UNPACKED", 1000)
    for module in (draco, meshopt):
        monkeypatch.setattr(module, "unpack", lambda *_: pytest.fail("it was unpacked"))
    found = inspect(model(name))
    assert found.facts["verified"] == "declarations"
    assert any("unpacks to more than" in warning for warning in found.warnings)


# -- what is no stream is unusable


def test_a_meshopt_stream_of_zeros_is_unusable() -> None:
    document, data = opened(model("torus-meshopt"))
    with pytest.raises(Undecodable, match="does not start as meshopt"):
        inspect(pack(document, bytes(len(data))))


@pytest.mark.parametrize("number", range(4))
def test_one_meshopt_stream_of_zeros_costs_the_whole_model_as_it_costs_loaders(number: int) -> None:
    document, data = opened(model("torus-meshopt"))
    views = [view["extensions"]["EXT_meshopt_compression"] for view in document["bufferViews"]]
    start = views[number].get("byteOffset", 0)
    end = start + views[number]["byteLength"]
    with pytest.raises(Undecodable):
        inspect(pack(document, data[:start] + bytes(end - start) + data[end:]))


@pytest.mark.parametrize("name", ["torus-draco", "torus-meshopt"])
def test_a_stream_cut_short_is_unusable(name: str) -> None:
    document, data = opened(model(name))
    for view in document["bufferViews"]:
        held = view.get("extensions", {}).get("EXT_meshopt_compression", view)
        held["byteLength"] = held["byteLength"] // 2
    with pytest.raises(BrokenModel):
        inspect(pack(document, data))


@pytest.mark.parametrize("indexed", [True, False])
def test_a_draco_stream_says_how_much_it_holds_and_not_its_accessors(indexed: bool) -> None:
    document, data = opened(model("torus-draco"))
    primitive = document["meshes"][0]["primitives"][0]
    document["accessors"][primitive["indices"]]["count"] = 6
    for index in primitive["attributes"].values():
        document["accessors"][index]["count"] = 10**9
    if not indexed:
        del primitive["indices"]
    glb = pack(document, data)
    found, expected = inspect(glb), inspect(model("torus-draco"))
    assert found.facts == expected.facts
    assert len(found.warnings) == 1
    assert "accessors declare another count than their Draco streams have" in found.warnings[0]
    assert (render(glb, 32).rgba == render(model("torus-draco"), 32).rgba).all()


def test_a_draco_stream_of_more_triangles_than_its_bytes_can_hold_is_not_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(draco, "declared_faces", lambda _: 10**6)
    with pytest.raises(Undecodable, match="bytes for 1000000 triangles"):
        inspect(model("torus-draco"))


def test_meshopt_streams_too_short_for_what_they_declare_cost_nothing() -> None:
    for mode, header in (("ATTRIBUTES", 0xA1), ("TRIANGLES", 0xE1), ("INDICES", 0xD1)):
        packed = bytes([header]) + bytes(200)
        with pytest.raises(Undecodable, match="the meshopt stream is too short"):
            meshopt.unpack(packed, Meshopt(0, 0, len(packed), mode, "NONE", 3 * 10**7, 4))


SOME = [stream for stream in STREAMS if stream["count"]]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    stream=st.sampled_from(SOME),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 10**6) | st.none(),
    count=st.integers(0, 3000) | st.none(),
    stride=st.sampled_from([1, 2, 4, 8, 12, 256]) | st.none(),
    how=st.sampled_from(["NONE", "OCTAHEDRAL", "QUATERNION", "EXPONENTIAL", "COLOR"]) | st.none(),
)
def test_a_hostile_meshopt_stream_is_refused_or_has_the_declared_size(
    stream: dict[str, Any],
    changes: list[tuple[int, int]],
    cut: int | None,
    count: int | None,
    stride: int | None,
    how: str | None,
) -> None:
    packed, packing = packing_of(stream)
    data = bytearray(packed)
    for place, value in changes:
        data[place % len(data)] = value
    data = data[: len(data) if cut is None else cut % len(data)]
    packing = replace(packing, length=len(data))
    if count is not None:
        packing = replace(packing, count=count)
    if stride is not None:
        packing = replace(packing, stride=stride)
    if how is not None:
        packing = replace(packing, filter=how)
    try:
        assert meshopt.unpack(bytes(data), packing).nbytes == packing.count * packing.stride
    except Undecodable as fault:
        said = fault.reason
    else:
        return
    assert 5 < len(said) < 200


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(["torus-draco", "torus-skinned-draco", "torus-meshopt"]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_a_model_with_a_hostile_stream_is_refused_or_measured(
    name: str, changes: list[tuple[int, int]]
) -> None:
    document, data = opened(model(name))
    spoilt = bytearray(data)
    for place, value in changes:
        spoilt[place % len(spoilt)] = value
    try:
        json.dumps(inspect(pack(document, bytes(spoilt))).facts, allow_nan=False)
    except BrokenModel as fault:
        said = fault.reason
    else:
        return
    assert 5 < len(said) < 400
