"""The facts are those of the scene as loaders show it: instances, morphs, mirrored nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.artifacts.gltf import morphs as morphs_module
from shared.artifacts.gltf.container import BrokenModel, BytesReader, check_container
from shared.artifacts.gltf.instances import drawn, placed_normals, placed_points
from shared.artifacts.gltf.measure import inspect_model
from tests.models import ModelBuilder, box

BIG = 1 << 40
MODELS = Path(__file__).parents[3] / "fixtures" / "models"


def facts(glb: bytes, measure_below: int = BIG) -> Any:
    return inspect_model(BytesReader(glb), measure_below=measure_below).facts


def instanced(count: int = 3, **attributes: tuple[Any, str, bool]) -> bytes:
    """A box drawn at several places by one node, which itself is moved one to the right."""
    builder = ModelBuilder()
    mesh = builder.add_mesh(*box())
    named = {
        name: builder.add_accessor(values, kind, normalized=normalized)
        for name, (values, kind, normalized) in attributes.items()
    }
    extension = {"EXT_mesh_gpu_instancing": {"attributes": named}}
    builder.add_node(mesh, translation=[1, 0, 0], extensions=extension)
    return builder.glb()


def test_three_posts_are_drawn_at_three_places() -> None:
    glb = (MODELS / "gpu-instancing.glb").read_bytes()
    for limit in (BIG, 0):
        found = facts(glb, limit)
        assert found["triangles"] == 36
        assert [end[0] for end in found["bounds"]] == [-5, 5]


def test_instances_are_moved_turned_and_scaled_within_their_node() -> None:
    half = round(0.7071068 * 32767)
    glb = instanced(
        TRANSLATION=([[0, 0, 0], [0, 5, 0]], "f4", False),
        ROTATION=([[0, 0, 0, 32767], [0, 0, half, half]], "i2", True),
        SCALE=([[1, 1, 1], [4, 1, 1]], "f4", False),
    )
    assert np.allclose(facts(glb)["bounds"], [[0.5, -0.5, -0.5], [1.5, 7, 0.5]], atol=1e-3)


def test_a_mesh_with_lines_is_not_instanced_as_in_three_js() -> None:
    builder = ModelBuilder()
    mesh = builder.add_mesh(*box())
    lines = builder.add_mesh([[0, 0, 0], [1, 0, 0]], mode=1)
    primitives = builder.document["meshes"]
    primitives[mesh]["primitives"] += primitives[lines]["primitives"]
    places = builder.add_accessor([[0, 0, 0], [9, 0, 0]])
    extension = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": places}}}
    builder.add_node(mesh, extensions=extension)
    assert facts(builder.glb())["triangles"] == 12


def test_endless_instances_are_refused_before_they_are_made() -> None:
    builder = ModelBuilder()
    mesh = builder.add_mesh(*box())
    builder.document["accessors"].append({"componentType": 5126, "count": 10**9, "type": "VEC3"})
    extension = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": 2}}}
    builder.add_node(mesh, extensions=extension)
    with pytest.raises(BrokenModel, match="1000000000 parts"):
        facts(builder.glb())


def test_instances_by_something_else_than_places_are_refused() -> None:
    with pytest.raises(BrokenModel, match="TRANSLATION is not VEC3"):
        facts(instanced(TRANSLATION=([[0, 0], [1, 1]], "f4", False)))


def test_the_spike_of_default_morph_weights_is_in_the_bounds() -> None:
    assert facts((MODELS / "morph-weights.glb").read_bytes())["bounds"][1][1] == 4


def morphed(mesh_weights: list[float], node_weights: list[float] | None = None) -> ModelBuilder:
    """A box with two targets: one raises its top, the other moves and tilts all of it."""
    builder = ModelBuilder()
    points, faces = box()
    mesh = builder.add_mesh(points, faces, normals=points / np.linalg.norm(points[0]))
    raised = np.zeros((8, 3))
    raised[points[:, 1] > 0, 1] = 2
    primitive = builder.document["meshes"][mesh]["primitives"][0]
    primitive["targets"] = [
        {"POSITION": builder.add_accessor(raised)},
        {
            "POSITION": builder.add_accessor(np.tile([10, 0, 0], (8, 1))),
            "NORMAL": builder.add_accessor(np.tile([0, 100, 0], (8, 1))),
        },
    ]
    builder.document["meshes"][mesh]["weights"] = mesh_weights
    builder.add_node(mesh, **({} if node_weights is None else {"weights": node_weights}))
    return builder


@pytest.mark.parametrize(
    ("mesh", "node", "bounds"),
    [
        ([0, 0], None, [[-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]]),
        ([0.5, 0], None, [[-0.5, -0.5, -0.5], [0.5, 1.5, 0.5]]),
        ([1, 1], [0, 0.5], [[4.5, -0.5, -0.5], [5.5, 0.5, 0.5]]),
        ([1], [], [[-0.5, -0.5, -0.5], [0.5, 2.5, 0.5]]),
        ([1, 1], [0], [[9.5, -0.5, -0.5], [10.5, 0.5, 0.5]]),
    ],
)
def test_a_node_s_morph_weights_come_before_its_mesh_s(
    mesh: list[float], node: list[float] | None, bounds: list[list[float]]
) -> None:
    assert facts(morphed(mesh, node).glb())["bounds"] == bounds


def test_morphs_turn_normals_and_come_before_the_skeleton() -> None:
    builder = morphed([0, 1])
    attributes = builder.document["meshes"][0]["primitives"][0]["attributes"]
    attributes["JOINTS_0"] = builder.add_accessor(np.tile([0, 0, 0, 0], (8, 1)), "u1")
    attributes["WEIGHTS_0"] = builder.add_accessor(np.tile([0, 0, 0, 0], (8, 1)))
    joint = builder.add_node(scale=[2, 2, 2])
    builder.document["skins"] = [{"joints": [joint]}]
    builder.document["nodes"][0]["skin"] = 0
    container = check_container(BytesReader(builder.glb()))
    part = drawn(container)[0]
    assert np.concatenate(list(placed_points(container, part)))[:, 0].min() == 19
    assert (placed_normals(container, part)[:, 1] > 0.99).all()


def test_a_target_shorter_than_its_mesh_is_refused() -> None:
    builder = morphed([1, 0])
    target = builder.document["meshes"][0]["primitives"][0]["targets"][0]
    target["POSITION"] = builder.add_accessor(np.zeros((3, 3)))
    with pytest.raises(BrokenModel, match=r"targets\[0\] has a POSITION of 3 VEC3, not 8 VEC3"):
        facts(builder.glb())


def test_a_target_named_again_and_again_is_not_read_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(morphs_module, "MAX_MORPHED", 100)
    builder = morphed([1] * 40)
    builder.document["meshes"][0]["primitives"][0]["targets"] *= 20
    found = inspect_model(BytesReader(builder.glb()), measure_below=BIG)
    assert any("morph targets" in warning for warning in found.warnings)


@pytest.mark.parametrize(("scale", "mirrored"), [([1, 1, 1], False), ([-1, 1, 1], True)])
def test_a_node_that_turns_triangles_inside_out_says_so(scale: list[int], mirrored: bool) -> None:
    builder = ModelBuilder()
    inner = builder.add_node(builder.add_mesh(*box()), root=False)
    builder.add_node(children=[inner], scale=scale)
    parts = drawn(check_container(BytesReader(builder.glb())))
    assert [part.mirrored for part in parts] == [mirrored]
