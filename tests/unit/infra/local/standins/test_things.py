"""The stand-in's things: known by their names, closed, told apart by a look, of what was asked.

验证替身搭建的物体。
"""

import io
import itertools

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.standins import modelling, words
from infra.local.standins.modelling import Options
from infra.local.standins.things import THINGS
from shared.artifacts.gltf.container import BytesReader
from shared.artifacts.gltf.measure import inspect_model
from shared.artifacts.render.preview import render

NAMES = {name: thing.words for name, thing in THINGS.items()}


def load(data: bytes) -> trimesh.Trimesh:
    return trimesh.load_scene(io.BytesIO(data), file_type="glb").to_mesh()


def colors(data: bytes) -> dict[str, list[float]]:
    scene = trimesh.load_scene(io.BytesIO(data), file_type="glb")
    looks = [geometry.visual.material for geometry in scene.geometry.values()]
    return {look.name: [round(each / 255, 2) for each in look.baseColorFactor] for look in looks}


def test_every_thing_is_closed_whole_and_within_its_limit_of_faces() -> None:
    for name, thing in THINGS.items():
        fine = modelling.model(thing.words[0], Options())
        coarse = modelling.model(thing.words[-1], Options(face_limit=1500))
        for data, most in ((fine, 30_000), (coarse, 1500)):
            found = inspect_model(BytesReader(data), measure_below=2**30)
            assert found.warnings == (), name
            assert found.facts["watertight"] is True, name
            assert found.facts["triangles"] <= most, name
            low, high = np.array(found.facts["bounds"])
            assert (high - low).max() == pytest.approx(1), name
        mesh = load(coarse)
        assert mesh.is_watertight, name
        assert mesh.is_winding_consistent, name
        assert mesh.volume > 0, name


def test_no_two_things_look_alike() -> None:
    masks = {
        name: render(modelling.model(thing.words[0], Options(face_limit=3000)), 64).mask
        for name, thing in THINGS.items()
    }
    for (one, first), (two, second) in itertools.combinations(masks.items(), 2):
        alike = np.logical_and(first, second).sum() / np.logical_or(first, second).sum()
        assert alike < 0.97, (one, two)


@pytest.mark.parametrize(
    ("prompt", "thing"),
    [
        ("a small red toy robot", "robot"),
        ("Three Wooden CHAIRS", "chair"),
        ("an apple tree", "tree"),
        ("a table lamp", "lamp"),
        ("a heart-shaped box", "cube"),
        ("a teapot shaped like a house", "teapot"),
        ("a cat on a wooden table", "cat"),
        ("红木椅子", "chair"),
        ("一只戴着宇航员头盔的橘色小猫,坐在月球上", "cat"),
        ("桌上的杯子", "cup"),
        ("机器人形状的灯", "lamp"),
        ("树屋", "house"),
        ("火车", "train"),
        ("a dragon", None),
        ("cardiac carpet", None),
        ("a hot dog", None),
        ("熊猫", None),
        ("猫头鹰", None),
        ("", None),
    ],
)
def test_the_thing_named_is_the_thing_built(prompt: str, thing: str | None) -> None:
    assert words.read(prompt, NAMES).thing == thing


def test_every_word_names_its_own_thing() -> None:
    for name, thing in THINGS.items():
        for word in thing.words:
            assert words.read(f"a {word}", NAMES).thing == name, word
    every = [word for thing in THINGS.values() for word in thing.words]
    assert len(every) == len(set(every))


def test_colours_and_materials_go_where_they_are_said() -> None:
    car = colors(modelling.model("a blue car with red wheels", Options()))
    assert car["body"] == pytest.approx(modelling.linear("2456c8"), abs=0.01)
    assert car["wheels"] == pytest.approx(modelling.linear("c62828"), abs=0.01)
    house = colors(modelling.model("红色屋顶的白色房子", Options()))
    assert house["roof"] == pytest.approx(modelling.linear("c62828"), abs=0.01)
    assert house["body"] == pytest.approx(modelling.linear("f0f0ee"), abs=0.01)
    named = words.read("a red metal robot on a wooden table", NAMES).main
    assert named.over(words.Surface("000000")) == words.Surface("c62828", 0.6, 0.45)


def test_what_is_not_known_becomes_lettering() -> None:
    dragon = modelling.model("a dragon", Options())
    assert dragon == modelling.lettering("a dragon", Options())


def test_the_same_seed_makes_the_same_thing_and_another_one_another() -> None:
    one, same, other = (
        modelling.model("a vase", Options(seed=seed, face_limit=2000)) for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other
    assert load(modelling.model("a tall vase", Options(seed=1))).extents[0] < load(one).extents[0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([*"的 - 上,", "red", "红", "wooden", "shaped", "wheels", "tall", "a"])
        | st.sampled_from([word for thing in THINGS.values() for word in thing.words])
        | st.text(max_size=5),
        max_size=12,
    ).map(" ".join)
)
def test_any_words_are_read(prompt: str) -> None:
    reading = words.read(prompt, NAMES)
    assert reading.thing is None or reading.thing in THINGS
    assert set(reading.parts) <= set(words.PARTS)
    assert all(0.5 <= factor <= 2 for factor in reading.size)
