"""Is a GLB whole, what is in it: every fault named, every count as others count it."""

from __future__ import annotations

import copy
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.artifacts.gltf import container as glb_module
from shared.artifacts.gltf import measure as measure_module
from shared.artifacts.gltf.container import (
    BrokenModel,
    BytesReader,
    FileReader,
    check_container,
)
from shared.artifacts.gltf.measure import Inspection, inspect_model
from shared.artifacts.gltf.mesh import check_indices
from shared.artifacts.render.preview import PreviewError, render
from tests.models import ModelBuilder, box, box_model, crane_model, grid_sphere, pack

BIG = 1 << 40
Change = Callable[[dict[str, Any]], None]


class CountingReader(BytesReader):
    """A reader that remembers what was asked of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.asked: list[tuple[int, int]] = []

    def read(self, start: int, length: int) -> bytes:
        assert start >= 0
        assert length >= 0
        assert start + length <= self.size
        self.asked.append((start, length))
        return super().read(start, length)


def inspect(glb: bytes, measure_below: int = BIG) -> Inspection:
    return inspect_model(BytesReader(glb), measure_below=measure_below)


def reason(glb: bytes) -> str:
    """Why a file is refused."""
    with pytest.raises(BrokenModel) as refusal:
        inspect(glb)
    assert str(refusal.value) == refusal.value.reason
    return refusal.value.reason


def changed(change: Change, builder: ModelBuilder | None = None) -> bytes:
    """A box model whose JSON was changed after it was built."""
    glb = (builder.glb() if builder else box_model()) if builder else box_model()
    length = struct.unpack_from("<I", glb, 12)[0]
    document = json.loads(glb[20 : 20 + length])
    change(document)
    return pack(document, glb[28 + length :])


def setting(path: str, value: Any) -> Change:
    """Set one place of the JSON, e.g. "accessors.0.count"."""

    def change(document: dict[str, Any]) -> None:
        *way, last = path.split(".")
        here: Any = document
        for step in way:
            here = here[int(step)] if isinstance(here, list) else here.setdefault(step, {})
        if isinstance(here, list):
            here[int(last)] = value
        else:
            here[last] = value

    return change


# -- the container


def test_a_whole_model_is_whole() -> None:
    container = check_container(BytesReader(box_model()))
    assert container.document.warnings == ()
    assert container.document.meshes[0][0].triangles == 12


def test_a_check_reads_the_head_and_not_the_vertices() -> None:
    points, faces, _ = grid_sphere(200, 150)
    builder = ModelBuilder()
    builder.add_node(builder.add_mesh(points, faces))
    reader = CountingReader(builder.glb())
    check_container(reader)
    assert sum(length for _, length in reader.asked) < 70_000 < reader.size


def test_a_truncated_file_is_refused_with_both_sizes() -> None:
    glb = box_model()
    assert reason(glb[:-8]) == (
        f"the header declares {len(glb)} bytes but the file has {len(glb) - 8}"
    )


@pytest.mark.parametrize(
    ("start", "value", "words"),
    [
        (0, b"fTlg", "does not start with glTF"),
        (4, struct.pack("<I", 1), "version is 1"),
        (12, struct.pack("<I", 2**31), "JSON chunk has 2147483648 bytes"),
        (12, struct.pack("<I", 7), "the chunk at byte 27 ends at byte"),
        (8, struct.pack("<I", 12), "the header declares 12 bytes"),
        (16, b"BIN\0", "first chunk is not JSON"),
        (20, b"\xff", "cannot be parsed"),
        (20, b"[", "cannot be parsed"),
    ],
)
def test_a_damaged_head_is_refused_by_name(start: int, value: bytes, words: str) -> None:
    glb = bytearray(box_model())
    glb[start : start + len(value)] = value
    assert words in reason(bytes(glb))


def test_an_empty_or_tiny_file_is_refused() -> None:
    assert "too few" in reason(b"")
    assert "too few" in reason(b"glTF\2\0\0\0")


def test_a_second_json_chunk_is_out_of_order() -> None:
    glb = box_model()
    extra = struct.pack("<2I", 4, 0x4E4F534A) + b"{}  "
    glb = glb[:8] + struct.pack("<I", len(glb) + len(extra)) + glb[12:] + extra
    assert "out of order" in reason(glb)


def test_an_unknown_chunk_at_the_end_is_passed_over() -> None:
    glb = box_model()
    extra = struct.pack("<2I", 4, 0x58585858) + b"????"
    glb = glb[:8] + struct.pack("<I", len(glb) + len(extra)) + glb[12:] + extra
    assert inspect(glb).facts["triangles"] == 12


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[]", "not an object"),
        (b'{"asset":{"version":"2.0"},"x":NaN}', "NaN"),
        (b'{"asset":{"version":"1.0"}}', "asset.version"),
        (b'{"asset":{"version":["2.0"]}}', "asset.version"),
        (b"[" * 60_000 + b"]" * 60_000, "nested too deeply"),
        (b'{"asset":{"version":' + b"[" * 600 + b"]" * 600 + b"}}", "asset.version"),
        (b'{"a":[' + b"[]," * 1_000_000 + b"[]]}", "more than 2000000 values"),
        (b'{"asset":{"version":"2.0"},"buffers":7}', "buffers is not a list"),
        (b'{"asset":{"version":"2.0"},"nodes":[7]}', "nodes[0] is not an object"),
    ],
)
def test_hostile_json_is_refused_by_name(text: bytes, words: str) -> None:
    assert words in reason(pack(None, text=text))


def test_a_source_that_stops_short_is_a_fault_of_the_source() -> None:
    class Short(BytesReader):
        def read(self, start: int, length: int) -> bytes:
            return super().read(start, length)[:-1]

    with pytest.raises(OSError, match="asked for"):
        check_container(Short(box_model()))


# -- the document

FAULTS: list[tuple[str, Any, str]] = [
    ("buffers.0.byteLength", True, "not a whole number"),
    ("buffers.0.uri", "https://example.com/a.bin", "lies outside the file"),
    ("bufferViews.0.byteLength", 90, "ends at byte 96 but bufferViews[0] has 90 bytes"),
    ("bufferViews.0.byteOffset", -4, "out of range"),
    ("bufferViews.0.buffer", 3, "refers to buffers[3], there are 1"),
    ("bufferViews.0.byteStride", 4, "byteStride is too small"),
    ("accessors.0.count", 9, "accessors[0] ends at byte 108 but bufferViews[0] has 96 bytes"),
    ("accessors.0.count", 10**30, "is huge, out of range"),
    ("accessors.0.count", 0, "draws nothing"),
    ("accessors.0.count", 8.5, "not a whole number"),
    ("accessors.0.byteOffset", 2, "accessors[0] ends at byte 98"),
    ("accessors.1.byteOffset", 2, "ends at byte 146"),
    ("accessors.0.componentType", 5124, "componentType is 5124"),
    ("accessors.0.type", "VEC5", "not a glTF type"),
    ("accessors.0.bufferView", 7, "refers to bufferViews[7]"),
    ("accessors.0.sparse", {"count": 9}, "sparse.count"),
    ("meshes.0.primitives.0.attributes.POSITION", 9, "refers to accessors[9], there are 2"),
    ("meshes.0.primitives.0.attributes.POSITION", 1, "POSITION that is SCALAR"),
    ("meshes.0.primitives.0.indices", 0, "not unsigned whole numbers"),
    ("meshes.0.primitives.0.material", 0, "refers to materials[0], there are 0"),
    ("meshes.0.primitives.0.mode", 9, "mode is 9"),
    ("meshes.0.primitives", [], "draws nothing"),
    ("nodes.0.mesh", 1, "nodes[0].mesh refers to meshes[1], there are 1"),
    ("nodes.0.mesh", -1, "out of range"),
    ("nodes.0.children", [0], "nodes[0] is its own ancestor"),
    ("nodes.0.children", 4, "is not a list"),
    ("nodes.0.rotation", [0, 0, 1], "not a list of 4 numbers"),
    ("nodes.0.scale", [True, 1, 1], "not a number"),
    ("nodes.0.skin", 0, "refers to skins[0]"),
    ("scene", 3, "scene refers to scenes[3], there are 1"),
    ("scenes.0.nodes", [5], "refers to nodes[5]"),
    ("scenes.0.nodes", [], "draws nothing"),
    ("extensionsRequired", 5, "not a list of names"),
]


@pytest.mark.parametrize(("path", "value", "words"), FAULTS)
def test_every_fault_of_the_document_is_named(path: str, value: Any, words: str) -> None:
    assert words in reason(changed(setting(path, value)))


def test_an_unaligned_accessor_is_refused() -> None:
    def change(document: dict[str, Any]) -> None:
        document["accessors"][0].update(byteOffset=2, count=7)

    assert "accessors[0] is not aligned" in reason(changed(change))


SURFACE_FAULTS: list[tuple[dict[str, Any], str]] = [
    (
        {"materials": [{"normalTexture": {"index": 0}}]},
        "materials[0].normalTexture.index refers to textures[0], there are 0",
    ),
    (
        {
            "materials": [
                {"extensions": {"KHR_materials_sheen": {"sheenColorTexture": {"index": 2}}}}
            ]
        },
        "sheenColorTexture refers to textures[2]",
    ),
    (
        {"materials": [{"normalTexture": {"index": 0}}], "textures": [{"source": 0}]},
        "textures[0].source refers to images[0]",
    ),
    (
        {"materials": [{"normalTexture": {"index": 0}}], "textures": [{"sampler": 0}]},
        "textures[0].sampler refers to samplers[0]",
    ),
    (
        {
            "materials": [{"normalTexture": {"index": 0}}],
            "textures": [{"source": 0}],
            "images": [{"bufferView": 9}],
        },
        "images[0].bufferView refers to bufferViews[9]",
    ),
    ({"skins": [{}]}, "skins[0] has no joints"),
    ({"skins": [{"joints": [0], "inverseBindMatrices": 0}]}, "needs a float matrix"),
]


@pytest.mark.parametrize(("parts", "words"), SURFACE_FAULTS)
@pytest.mark.parametrize("used", [True, False])
def test_a_fault_of_what_a_shown_mesh_wears_matters_only_if_it_is_worn(
    parts: dict[str, Any], words: str, used: bool
) -> None:
    def change(document: dict[str, Any]) -> None:
        document.update(copy.deepcopy(parts))
        if used and "skins" in parts:
            document["nodes"][0]["skin"] = 0
        elif used:
            document["meshes"][0]["primitives"][0]["material"] = 0

    if used:
        assert words in reason(changed(change))
    else:
        assert inspect(changed(change)).facts["triangles"] == 12


def test_a_long_chain_of_nodes_is_no_danger() -> None:
    nodes = [{"children": [index + 1]} for index in range(20_000)] + [{"mesh": 0}]
    assert inspect(changed(setting("nodes", nodes))).facts["nodes"] == 20_001


def test_an_index_beyond_the_vertices_is_refused_with_its_row() -> None:
    builder = ModelBuilder()
    points, faces = box()
    faces[5, 1] = 8
    builder.add_node(builder.add_mesh(points, faces, index_type="u2"))
    assert reason(builder.glb()) == (
        "meshes[0].primitives[0] has index 8 at row 16 of its indices but only 8 vertices"
    )


def test_overlapping_indices_cannot_ask_for_endless_reading() -> None:
    points, faces, _ = grid_sphere(100, 60)
    builder = ModelBuilder()
    mesh = builder.add_mesh(points, faces)
    primitive = builder.document["meshes"][mesh]["primitives"][0]
    for _ in range(2000):
        builder.document["accessors"].append(builder.document["accessors"][1])
        index = len(builder.document["accessors"]) - 1
        builder.document["meshes"][mesh]["primitives"].append({**primitive, "indices": index})
    builder.add_node(mesh)
    assert "overlap" in reason(builder.glb())


def test_nodes_times_primitives_cannot_explode() -> None:
    def change(document: dict[str, Any]) -> None:
        document["meshes"][0]["primitives"] *= 3000
        document["nodes"] = [{"mesh": 0} for _ in range(3000)]
        document["scenes"] = [{"nodes": list(range(3000))}]

    assert "9000000 parts" in reason(changed(change))


def test_instances_of_a_large_mesh_are_not_read_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure_module, "MAX_POINTS", 1000)
    turned = {"rotation": [0, 0.382683, 0, 0.92388]}

    def change(document: dict[str, Any]) -> None:
        document["nodes"] = [{"mesh": 0, **turned} for _ in range(3000)]
        document["scenes"] = [{"nodes": list(range(3000))}]

    found = inspect(changed(change))
    assert found.facts["triangles"] == 36_000
    assert any("more than 1000 vertices" in warning for warning in found.warnings)


def test_nothing_heavy_is_imported_with_the_check() -> None:
    code = (
        "import sys, shared.artifacts.gltf.container, shared.artifacts.images.image;"
        "import shared.artifacts.gltf.measure;"
        "print([m for m in ('numpy', 'trimesh', 'PIL') if m in sys.modules])"
    )
    root = Path(glb_module.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# -- the facts


def test_a_box_has_the_facts_of_a_box() -> None:
    assert inspect(box_model(translation=[10, 0, 0])).facts == {
        "triangles": 12,
        "lines": 0,
        "points": 0,
        "vertices": 8,
        "bounds": [[9.5, -1, -1.5], [10.5, 1, 1.5]],
        "materials": 0,
        "textures": 0,
        "largest_texture_side": None,
        "animations": 0,
        "meshes": 1,
        "nodes": 1,
        "generator": None,
        "verified": "vertices",
        "watertight": True,
    }


@pytest.mark.parametrize("make", [box_model, crane_model])
def test_the_facts_are_those_of_trimesh(make: Callable[[], bytes], tmp_path: Path) -> None:
    path = tmp_path / "model.glb"
    path.write_bytes(make())
    with FileReader(path) as reader:
        facts = inspect_model(reader, measure_below=BIG).facts
    whole = trimesh.load_scene(path, process=False).to_geometry()
    assert facts["triangles"] == len(whole.faces)
    assert facts["vertices"] == len(whole.vertices)
    assert np.allclose(facts["bounds"], whole.bounds, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("make", [box_model, crane_model])
def test_declared_and_measured_facts_agree(make: Callable[[], bytes]) -> None:
    glb = make()
    measured, declared = inspect(glb), inspect(glb, measure_below=0)
    for name in ("triangles", "vertices", "materials", "textures", "meshes", "nodes"):
        assert declared.facts[name] == measured.facts[name]
    assert "watertight" not in declared.facts
    # Around a turned part the declared box is larger than the part, and never smaller.
    wide, tight = np.array(declared.facts["bounds"]), np.array(measured.facts["bounds"])
    assert (wide[0] <= tight[0] + 1e-5).all()
    assert (wide[1] >= tight[1] - 1e-5).all()
    assert (wide[1] - wide[0] <= 2 * (tight[1] - tight[0])).all()
    assert measured.warnings == ()
    assert declared.warnings == ("measured from the file's own declarations: larger than 0 MB",)


def test_a_large_file_is_measured_without_reading_its_points() -> None:
    points, faces, _ = grid_sphere(300, 200)
    builder = ModelBuilder()
    builder.add_node(builder.add_mesh(points, faces), scale=[1, 2, -3], rotation=[0, 1, 0, 0])
    reader = CountingReader(builder.glb())
    found = inspect_model(reader, measure_below=1000)
    assert found.facts["bounds"] == inspect(builder.glb()).facts["bounds"]
    read = sum(length for _, length in reader.asked)
    assert read < faces.size * 4 + 70_000


@pytest.mark.parametrize(
    ("mode", "count", "triangles"),
    [
        (0, 9, 0),
        (1, 9, 0),
        (2, 9, 0),
        (3, 9, 0),
        (4, 9, 3),
        (4, 8, 2),
        (5, 9, 7),
        (6, 9, 7),
        (5, 1, 0),
    ],
)
def test_every_mode_counts_its_own_triangles(mode: int, count: int, triangles: int) -> None:
    builder = ModelBuilder()
    builder.add_node(builder.add_mesh(np.random.default_rng(1).random((count, 3)), mode=mode))
    found = inspect(builder.glb())
    assert found.facts["triangles"] == triangles
    assert found.facts["vertices"] == count
    assert bool(found.warnings) == (triangles == 0)


def test_a_mesh_drawn_twice_counts_twice_and_an_unseen_one_not_at_all() -> None:
    builder = ModelBuilder()
    mesh = builder.add_mesh(*box())
    builder.add_node(mesh)
    builder.add_node(mesh, translation=[5, 0, 0])
    builder.add_node(mesh, root=False, translation=[99, 0, 0])
    facts = inspect(builder.glb()).facts
    assert facts["triangles"] == 24
    assert facts["bounds"] == [[-0.5, -0.5, -0.5], [5.5, 0.5, 0.5]]


def test_an_open_box_is_not_watertight_and_a_seam_does_not_matter() -> None:
    points, faces = box()
    closed, opened = ModelBuilder(), ModelBuilder()
    closed.add_node(closed.add_mesh(points[faces].reshape(-1, 3)))
    opened.add_node(opened.add_mesh(points, faces[1:]))
    assert inspect(closed.glb()).facts["watertight"] is True
    assert inspect(opened.glb()).facts["watertight"] is False


def test_quantised_positions_are_read_as_fractions() -> None:
    builder = ModelBuilder()
    mesh = builder.add_mesh(*box())
    points = np.pad(np.rint(box()[0] * 2 * 32767), ((0, 0), (0, 1)))
    view = builder.add_view(points.astype("<i2").tobytes(), byteStride=8)
    builder.document["accessors"][0] = {
        "bufferView": view,
        "componentType": 5122,
        "normalized": True,
        "count": 8,
        "type": "VEC3",
        "min": [-32767] * 3,
        "max": [32767] * 3,
    }
    builder.add_node(mesh, scale=[2, 2, 2])
    for limit in (BIG, 0):
        assert inspect(builder.glb(), limit).facts["bounds"] == [[-2, -2, -2], [2, 2, 2]]


def test_sparse_positions_replace_those_beneath() -> None:
    builder = ModelBuilder()
    mesh = builder.add_mesh(*box())
    sparse = {
        "count": 1,
        "indices": {"bufferView": builder.add_view(b"\x07"), "componentType": 5121},
        "values": {"bufferView": builder.add_view(np.array([9, 9, 9], "<f4").tobytes())},
    }
    builder.document["accessors"][0].update(sparse=sparse, max=[9, 9, 9])
    builder.add_node(mesh)
    assert inspect(builder.glb()).facts["bounds"][1] == [9, 9, 9]


def test_positions_that_are_no_numbers_are_counted_and_left_out() -> None:
    builder = ModelBuilder()
    points, faces = box()
    mesh = builder.add_mesh(np.concatenate([points, [[np.nan, 0, 0]]]), faces)
    del builder.document["accessors"][0]["min"], builder.document["accessors"][0]["max"]
    builder.add_node(mesh)
    found = inspect(builder.glb())
    assert found.facts["bounds"] == [[-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]]
    assert any("1 vertices lie nowhere" in warning for warning in found.warnings)


def test_the_facts_are_json() -> None:
    facts = inspect(crane_model()).facts
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_a_skinned_part_follows_its_joints_and_not_its_node() -> None:
    builder = ModelBuilder()
    points, faces = box()
    mesh = builder.add_mesh(points, faces)
    top = points[:, 1] > 0
    attributes = builder.document["meshes"][mesh]["primitives"][0]["attributes"]
    joints = np.stack([top, top * 0, top * 0, top * 0], axis=1)
    attributes["JOINTS_0"] = builder.add_accessor(joints, "u1")
    attributes["WEIGHTS_0"] = builder.add_accessor(np.tile([1, 0, 0, 0], (8, 1)))
    still = builder.add_node(translation=[1, 0, 0])
    raised = builder.add_node(translation=[1, 5, 0])
    builder.document["skins"] = [{"joints": [still, raised]}]
    builder.add_node(mesh, skin=0, translation=[100, 100, 100])
    for limit in (BIG, 0):
        assert inspect(builder.glb(), limit).facts["bounds"] == [[0.5, -0.5, -0.5], [1.5, 5.5, 0.5]]


def test_a_skeleton_in_its_rest_pose_moves_nothing_and_its_matrices_may_be_shared() -> None:
    builder = ModelBuilder()
    mesh = builder.add_mesh(*box())
    attributes = builder.document["meshes"][mesh]["primitives"][0]["attributes"]
    attributes["JOINTS_0"] = builder.add_accessor(np.tile([0, 1, 0, 0], (8, 1)), "u1")
    attributes["WEIGHTS_0"] = builder.add_accessor(np.tile([0.5, 0.5, 0, 0], (8, 1)))
    joints = [builder.add_node(translation=[x, 0, 0]) for x in (3, 7)]
    bound = np.tile(np.eye(4), (3, 1, 1))
    bound[:, 3, 0] = [-3, -7, 99]  # by columns, as the format has it; the third is nobody's
    matrices = builder.add_accessor(bound.reshape(3, 16))
    builder.document["skins"] = [{"joints": joints, "inverseBindMatrices": matrices}] * 2
    builder.add_node(mesh, skin=0, translation=[100, 0, 0])
    builder.add_node(mesh, skin=1)
    for limit in (BIG, 0):
        assert inspect(builder.glb(), limit).facts["bounds"] == [[-0.5] * 3, [0.5] * 3]
    assert render(builder.glb(), 32).mask.any()


# -- hostile files


def survives(glb: bytes) -> None:
    """Either a clear refusal or facts; a preview, or a clear reason for having none."""
    try:
        check_indices(check_container(BytesReader(glb)))
        for limit in (BIG, 0):
            json.dumps(inspect(glb, limit).facts, allow_nan=False)
        render(glb, 16)
    except (BrokenModel, PreviewError) as refusal:
        words = refusal.reason
    else:
        return
    assert 5 < len(words) < 400


def rich_model() -> bytes:
    builder = ModelBuilder()
    points, faces, uvs = grid_sphere(6, 4)
    texture = builder.add_texture(np.full((8, 8, 4), 128, np.uint8), wrapS=33648)
    material = builder.add_material(texture, alphaMode="BLEND")
    mesh = builder.add_mesh(points, faces, uvs=uvs, normals=points, material=material)
    child = builder.add_node(mesh, root=False, scale=[1, 2, 3])
    builder.add_node(children=[child], matrix=np.eye(4).reshape(-1).tolist())
    return builder.glb()


HOSTILE = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
ODD_VALUES = st.one_of(
    st.sampled_from(
        [None, True, -1, 0, 1, 3, 2**31, 2**53, 10**40, 1.5, 1e38, "x", [], {}, [0], ""]
    ),
    st.integers(-5, 300),
    st.lists(st.integers(-3, 9), max_size=5),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=4),
)
RICH = rich_model()
FIXTURES = Path(__file__).parents[3] / "fixtures" / "models"
NAMES = ("torus-skinned", "torus-skinned-draco", "torus-instanced-meshopt", "morph-weights")
OPENED = [
    (json.loads(glb[20 : 20 + length]), glb[28 + length :])
    for glb in (RICH, *((FIXTURES / f"{name}.glb").read_bytes() for name in NAMES))
    for length in struct.unpack_from("<I", glb, 12)
]


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [way] if way else []
    if isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            found += places(item, (*way, key))
    return found


@HOSTILE
@given(
    st.integers(0, len(OPENED) - 1),
    st.lists(st.tuples(st.integers(0, 10**6), ODD_VALUES), min_size=1, max_size=3),
)
def test_any_change_of_the_document_is_refused_or_measured(
    number: int, changes: list[tuple[int, Any]]
) -> None:
    original, data = OPENED[number]
    document, ways = copy.deepcopy(original), places(original)
    for place, value in changes:
        way, here = ways[place % len(ways)], document
        try:
            for step in way[:-1]:
                here = here[step]
            here[way[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    survives(pack(document, data))


@HOSTILE
@given(st.lists(st.tuples(st.integers(0, len(RICH) - 1), st.integers(0, 255)), max_size=12))
def test_any_changed_bytes_are_refused_or_measured(changes: list[tuple[int, int]]) -> None:
    glb = bytearray(RICH)
    for place, value in changes:
        glb[place] = value
    survives(bytes(glb))


@HOSTILE
@given(st.integers(0, len(RICH) - 1), st.booleans())
def test_any_truncation_is_refused_even_with_the_length_put_right(
    length: int, put_right: bool
) -> None:
    glb = RICH[:length]
    if put_right and length >= 12:
        glb = glb[:8] + struct.pack("<I", length) + glb[12:]
    with pytest.raises(BrokenModel):
        inspect(glb)
