"""Materials of every kind as they are read, and what they look like."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.artifacts.gltf.container import BrokenModel, BytesReader, check_container
from shared.artifacts.render import materials
from shared.artifacts.render.materials import Shelf
from shared.artifacts.render.preview import draw_preview, render
from tests.models import ModelBuilder, box
from tests.textures import (
    RED,
    encoded,
    sampled,
    square,
    surface_of,
    textured,
)


def test_emission_has_a_factor_a_strength_and_a_texture() -> None:
    builder = ModelBuilder()
    texture = builder.add_texture(square([255, 0, 0]))
    builder.add_material(
        emissiveFactor=[1, 0.5, 0],
        emissiveTexture={"index": texture},
        extensions={"KHR_materials_emissive_strength": {"emissiveStrength": 4}},
    )
    surface = surface_of(builder)
    assert surface.emission.tolist() == [4, 2, 0]
    assert surface.emission_texture is not None
    assert sampled(surface.emission_texture, np.zeros((1, 2)))[0].tolist() == [1, 0, 0, 1]


def test_an_unlit_material_sends_out_nothing() -> None:
    builder = ModelBuilder()
    builder.add_material(emissiveFactor=[1, 1, 1], extensions={"KHR_materials_unlit": {}})
    surface = surface_of(builder)
    assert surface.unlit
    assert not surface.emission.any()


def test_specular_glossiness_is_taken_by_its_diffuse_part() -> None:
    builder = ModelBuilder()
    glossy = {
        "diffuseFactor": [0.5, 1, 1, 0.25],
        "diffuseTexture": {"index": builder.add_texture(square([255, 255, 255]))},
        "glossinessFactor": 0.75,
    }
    builder.add_material(extensions={"KHR_materials_pbrSpecularGlossiness": glossy})
    surface = surface_of(builder)
    assert surface.colour.tolist() == [0.5, 1, 1, 0.25]
    assert (surface.metallic, surface.roughness) == (0, 0.25)
    assert surface.texture is not None


def test_a_texture_transform_turns_scales_and_moves() -> None:
    builder = ModelBuilder()
    texture = builder.add_texture(square([255, 0, 0]))
    move = {"offset": [0.5, 0.25], "rotation": math.pi / 2, "scale": [2, 4], "texCoord": 3}
    material = builder.add_material(texture)
    raw = builder.document["materials"][material]["pbrMetallicRoughness"]["baseColorTexture"]
    raw.update(texCoord=1, extensions={"KHR_texture_transform": move})
    found = surface_of(builder).texture
    assert found is not None
    assert found.coordinates == 3
    assert found.matrix is not None
    # A quarter turn: along u, twice as fast, runs up the picture, along v to the right.
    assert np.allclose(found.matrix @ [1, 0, 1], [0.5, 0.25 - 2], atol=1e-6)
    assert np.allclose(found.matrix @ [0, 1, 1], [0.5 + 4, 0.25], atol=1e-6)


def test_numbers_that_are_none_leave_the_defaults() -> None:
    builder = textured(encoded(RED, "PNG"))
    raw = builder.document["materials"][0]
    raw.update(alphaMode="GLASS", alphaCutoff="x", emissiveFactor=[1], doubleSided="yes")
    raw["pbrMetallicRoughness"].update(
        baseColorFactor=[2, "red", 0, 1], metallicFactor=None, roughnessFactor=-4
    )
    info = raw["pbrMetallicRoughness"]["baseColorTexture"]
    info.update(texCoord=-1, extensions={"KHR_texture_transform": {"offset": 3, "scale": [1e39]}})
    surface = surface_of(builder)
    assert surface.colour.tolist() == [1, 1, 1, 1]
    assert (surface.metallic, surface.roughness, surface.cutoff) == (1, 0, 0.5)
    assert (surface.mode, surface.double_sided) == ("OPAQUE", False)
    assert surface.texture is not None
    assert surface.texture.coordinates == 0
    assert np.isfinite(sampled(surface.texture, np.ones((3, 2)))).all()


def wall_and_pane(pane: dict[str, Any], colours: Any = None) -> Any:
    """A picture from in front of a white, unlit wall and, before its right half, a pane."""
    builder = ModelBuilder()
    unlit = builder.add_material(extensions={"KHR_materials_unlit": {}})
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    faces, normals = [0, 1, 2, 0, 2, 3], [[0, 0, 1]] * 4
    builder.add_node(builder.add_mesh(corners, faces, material=unlit))
    front = builder.add_material(**pane)
    mesh = builder.add_mesh(
        corners * [0.4, 1, 1] + [0.5, 0, 0.1], faces, normals=normals, colours=colours,
        material=front,
    )  # fmt: skip
    builder.add_node(mesh)
    picture = render(builder.glb(), 64, 0, 0)
    left, right = picture.rgba[32, 20], picture.rgba[32, 44]
    assert left.tolist() == [255, 255, 255, 255]
    return right.astype(int), picture.warnings


def test_transmission_shows_what_is_behind_in_the_colour_of_the_glass() -> None:
    glass = {"KHR_materials_transmission": {"transmissionFactor": 1}}
    pbr = {"baseColorFactor": [1, 0.2140, 0, 1], "metallicFactor": 0}
    through, warnings = wall_and_pane({"pbr": pbr, "extensions": glass})
    assert through[:3] == pytest.approx([255, 128, 0], abs=2)
    assert warnings == ()
    metal, _ = wall_and_pane({"pbr": {**pbr, "metallicFactor": 1}, "extensions": glass})
    assert metal[0] < 250, "metal lets no light through"


def test_a_volume_takes_light_away_and_says_that_it_bends_it() -> None:
    volume = {"thicknessFactor": 2, "attenuationDistance": 1, "attenuationColor": [1, 0.5, 0.25]}
    glass = {"transmissionFactor": 1}
    through, warnings = wall_and_pane(
        {
            "pbr": {"metallicFactor": 0},
            "extensions": {
                "KHR_materials_transmission": glass,
                "KHR_materials_volume": volume,
            },
        }
    )
    assert through[:3] == pytest.approx([255, 137, 71], abs=2)
    assert warnings == ("materials[1] bends light, which the preview does not show",)


def test_vertex_colours_alone_may_be_see_through() -> None:
    pane = {"alphaMode": "BLEND", "extensions": {"KHR_materials_unlit": {}}}
    through, _ = wall_and_pane(pane, [[1, 0, 0, 0.5]] * 4)
    assert through == pytest.approx([255, 128, 128, 255], abs=2)


def test_occlusion_takes_light_by_its_red_and_its_strength() -> None:
    seen = []
    for strength in (0, 0.5, 1):
        builder = textured(encoded(square([128, 0, 255]), "PNG"))
        builder.add_material(
            pbr={"metallicFactor": 0}, occlusionTexture={"index": 0, "strength": strength}
        )
        builder.add_node(builder.add_mesh(*box(), material=1))
        seen.append(int(render(builder.glb(), 32, 0, 0).rgba[16, 16, 0]))
    assert seen[0] - seen[1] > 10
    assert seen[1] - seen[2] > 10


def test_metal_and_roughness_are_read_where_there_is_metal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materials, "MAX_SIDE", 64)
    read = []
    for factor in (1, 0):
        builder = ModelBuilder()
        texture = builder.add_texture(square([9, 64, 128], 64))
        builder.add_material(
            pbr={"metallicFactor": factor, "metallicRoughnessTexture": {"index": texture}}
        )
        read.append(surface_of(builder).metallic_roughness_texture)
    metal, plain = read
    assert plain is None
    assert metal is not None
    assert int(metal.image.widths[0]) == 16
    assert sampled(metal, [[0.5, 0.5]])[0, 1:3] == pytest.approx([64 / 255, 128 / 255], abs=1e-4)


def test_a_preview_says_what_it_does_not_show() -> None:
    builder = textured(b"\xabKTX 20\xbb\r\n\x1a\n")
    builder.add_node(builder.add_mesh(*box(), material=0))
    warnings = ["odd"]
    draw_preview(builder.glb(), 32, warnings)
    assert warnings == [
        "odd",
        "images[0] is not in the preview: it is a KTX2 texture, which is not read here",
    ]


NONSENSE = [
    None, True, -1, 1e38, -1e38, 1e39, "x", [], {}, [1e38] * 2, [-1e38] * 3, [1e38] * 4,
    [None] * 3, [[]] * 2, {"index": 0}, {"index": -1}, {"a": {"b": 0}},
]  # fmt: skip
PLACES = [
    "alphaMode", "alphaCutoff", "doubleSided", "emissiveFactor", "extensions", "occlusionTexture",
    "pbrMetallicRoughness", "pbrMetallicRoughness/baseColorFactor",
    "pbrMetallicRoughness/metallicFactor", "pbrMetallicRoughness/baseColorTexture/texCoord",
    "pbrMetallicRoughness/baseColorTexture/extensions/KHR_texture_transform",
    "pbrMetallicRoughness/baseColorTexture/extensions/KHR_texture_transform/scale",
    "pbrMetallicRoughness/baseColorTexture/extensions/KHR_texture_transform/rotation",
    "extensions/KHR_materials_emissive_strength/emissiveStrength",
    "extensions/KHR_materials_pbrSpecularGlossiness/diffuseFactor",
    "extensions/KHR_materials_transmission/transmissionFactor",
    "extensions/KHR_materials_volume/thicknessFactor",
    "extensions/KHR_materials_volume/attenuationColor",
]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(NONSENSE)), min_size=1, max_size=4)
)
def test_nonsense_in_a_material_leaves_a_surface_with_usable_numbers(
    spots: list[tuple[str, Any]],
) -> None:
    builder = textured(encoded(RED, "PNG"))
    for place, value in spots:
        *above, name = place.split("/")
        item = builder.document["materials"][0]
        for key in above:
            item = item.setdefault(key, {}) if isinstance(item, dict) else {}
        if isinstance(item, dict):
            item[name] = copy.deepcopy(value)
    try:
        container = check_container(BytesReader(builder.glb()))
    except BrokenModel:
        return
    surface = Shelf(container, 1).surface(0)
    numbers = [*surface.colour, *surface.emission, *surface.attenuation, surface.cutoff]
    assert np.isfinite([*numbers, surface.metallic, surface.roughness, surface.transmission]).all()
    for texture in surface.textures:
        with np.errstate(all="ignore"):
            found = sampled(texture, [[0.3, 1e9], [np.nan, 2]], np.array([1e9, 0], np.float32))
        assert np.isfinite(found).all()
