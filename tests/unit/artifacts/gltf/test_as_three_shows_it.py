"""Scenes of every kind have the facts that three.js's loader gives them.

What three.js says of the scenes built here lies in tests/fixtures/three, with how it was asked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.artifacts.gltf.container import BytesReader
from shared.artifacts.gltf.measure import inspect_model
from tests.models import ModelBuilder, box

SAID = json.loads((Path(__file__).parents[3] / "fixtures" / "three" / "scenes.json").read_text())


def turned(chance: np.random.Generator) -> list[float]:
    turn = chance.normal(size=4)
    return (turn / np.linalg.norm(turn)).tolist()


def transform(chance: np.random.Generator) -> dict[str, Any]:
    """A translation, rotation and scale, each now and then; scales may mirror."""
    found: dict[str, Any] = {}
    if chance.random() < 0.8:
        found["translation"] = chance.normal(size=3).tolist()
    if chance.random() < 0.8:
        found["rotation"] = turned(chance)
    if chance.random() < 0.6:
        found["scale"] = chance.normal(size=3).tolist()
    return found


def add_mesh(builder: ModelBuilder, chance: np.random.Generator) -> dict[str, Any]:
    """A mesh of any mode, with morph targets or without, that may follow two joints."""
    mode = int(chance.choice([4, 4, 4, 5, 6, 1, 0, 3]))
    points, faces = box()
    chance.integers(3)
    if mode == 4:
        mesh = builder.add_mesh(points * chance.random(3), faces)
    else:
        mesh = builder.add_mesh(chance.normal(size=(9, 3)), mode=mode)
    primitive = builder.document["meshes"][mesh]["primitives"][0]
    count = builder.document["accessors"][primitive["attributes"]["POSITION"]]["count"]
    targets = 0
    if chance.random() < 0.5:
        targets = int(chance.integers(1, 4))
        primitive["targets"] = [
            {"POSITION": builder.add_accessor(chance.normal(size=(count, 3)))}
            for _ in range(targets)
        ]
        if chance.random() < 0.7:
            builder.document["meshes"][mesh]["weights"] = chance.normal(size=targets).tolist()
    skinned = chance.random() < 0.4
    if skinned:
        joints = chance.integers(0, 2, size=(count, 4))
        primitive["attributes"]["JOINTS_0"] = builder.add_accessor(joints, "u1")
        weights = chance.random((count, 4))
        weights[0] = 0
        primitive["attributes"]["WEIGHTS_0"] = builder.add_accessor(weights)
    return {"mesh": mesh, "targets": targets, "skinned": skinned}


def instancing(builder: ModelBuilder, chance: np.random.Generator) -> dict[str, Any]:
    count, found = int(chance.integers(1, 5)), {}
    if chance.random() < 0.8:
        found["TRANSLATION"] = builder.add_accessor(chance.normal(size=(count, 3)))
    if chance.random() < 0.5:
        turns = np.rint(np.array([turned(chance) for _ in range(count)]) * 32767)
        found["ROTATION"] = builder.add_accessor(turns, "i2", normalized=True)
    if chance.random() < 0.5:
        found["SCALE"] = builder.add_accessor(chance.random((count, 3)))
    return {"EXT_mesh_gpu_instancing": {"attributes": found}}


def scene(seed: int) -> bytes:
    """Five nodes, some within others, with three meshes, two joints and everything in between."""
    chance, builder = np.random.default_rng(seed), ModelBuilder()
    meshes = [add_mesh(builder, chance) for _ in range(3)]
    nodes: list[int] = []
    for _ in range(5):
        node = transform(chance)
        mesh = meshes[int(chance.choice([0, 1, 2]))]
        if mesh["targets"] and chance.random() < 0.3:
            node["weights"] = chance.normal(size=mesh["targets"]).tolist()
        if mesh["skinned"]:
            node["skin"] = 0
        elif chance.random() < 0.4:
            node["extensions"] = instancing(builder, chance)
        if nodes and chance.random() < 0.6:
            node["children"] = [nodes.pop()]
        nodes.append(builder.add_node(mesh["mesh"], root=False, **node))
    inner = builder.add_node(root=False, **transform(chance))
    outer = builder.add_node(root=False, children=[inner], **transform(chance))
    bound = np.tile(np.eye(4), (2, 1, 1))
    bound[:, 3, :3] = chance.normal(size=(2, 3))
    skin: dict[str, Any] = {"joints": [inner, outer]}
    if chance.random() < 0.7:
        skin["inverseBindMatrices"] = builder.add_accessor(bound.reshape(2, 16))
    builder.document["skins"] = [skin]
    builder.document["extensionsUsed"] = ["EXT_mesh_gpu_instancing"]
    builder.roots = [*nodes, outer]
    return builder.glb()


@pytest.mark.parametrize("seed", range(len(SAID)))
def test_a_scene_has_the_facts_that_three_js_gives_it(seed: int) -> None:
    facts, said = inspect_model(BytesReader(scene(seed)), measure_below=1 << 40).facts, SAID[seed]
    for name in ("triangles", "lines", "points"):
        assert facts[name] == said[name]
    assert np.allclose(facts["bounds"], said["bounds"], atol=2e-3)
