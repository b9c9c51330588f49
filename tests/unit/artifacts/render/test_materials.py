"""What a surface looks like: texture look-ups against a slow reference, and materials as read.

这个文件测试贴图取样和材质读取。
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.artifacts.gltf.container import BytesReader, check_container
from shared.artifacts.render.materials import Shelf, Surface
from shared.artifacts.render.textures import CLAMP, MIRROR, REPEAT, Mipmaps, Texture
from tests.models import ModelBuilder

WRAPS = (REPEAT, CLAMP, MIRROR)


def linear(value: int) -> float:
    """An 8-bit sRGB value as light."""
    part = value / 255
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def wrapped(column: int, size: int, wrap: int) -> int:
    """Which texel stands at a whole number that may lie outside, as OpenGL defines it."""
    if wrap == CLAMP:
        return min(max(column, 0), size - 1)
    if wrap == MIRROR:
        column %= 2 * size
        return column if column < size else 2 * size - 1 - column
    return column % size


def looked_up(pixels: Any, uv: tuple[float, float], wraps: tuple[int, int]) -> list[float]:
    """Linear red, green, blue and alpha by one texel after another."""
    high, wide = pixels.shape[:2]
    x, y = uv[0] * wide - 0.5, uv[1] * high - 0.5
    total = [0.0] * 4
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            share = (1 - abs(x - column)) * (1 - abs(y - row))
            texel = pixels[wrapped(row, high, wraps[1]), wrapped(column, wide, wraps[0])]
            parts = [*(linear(int(part)) for part in texel[:3]), int(texel[3]) / 255]
            total = [sum_ + share * part for sum_, part in zip(total, parts, strict=True)]
    return total


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    uv=st.tuples(*[st.floats(-3, 3, width=32)] * 2),
    wraps=st.tuples(st.sampled_from(WRAPS), st.sampled_from(WRAPS)),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_look_up_is_that_of_a_slow_reference(
    shape: tuple[int, int], uv: tuple[float, float], wraps: tuple[int, int], seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 4), dtype=np.uint8)
    texture = Texture(Mipmaps.of(pixels), wraps)
    found = texture.sample(np.array([uv], np.float32))[0]
    assert found.tolist() == pytest.approx(looked_up(pixels, uv, wraps), abs=2e-3)


def test_a_texture_that_is_seen_small_is_averaged_as_light() -> None:
    checks = np.indices((64, 64)).sum(axis=0)[..., None] % 2 * np.full(3, 255)
    texture = Texture(Mipmaps.of(checks.astype(np.uint8)))
    places = np.random.default_rng(1).random((50, 2)).astype(np.float32)
    assert np.ptp(texture.sample(places)[:, 0]) > 0.5
    small = texture.sample(places, 1 / 16)
    assert small[:, :3].min() == pytest.approx(0.5, abs=1e-3)
    assert small[:, :3].max() == pytest.approx(0.5, abs=1e-3)
    mixed = texture.sample(places, np.where(np.arange(50) < 25, 0, 10).astype(np.float32))
    assert np.array_equal(mixed[:25], texture.sample(places)[:25])
    assert mixed[25:, :3].max() == pytest.approx(0.5, abs=1e-3)


def test_places_that_are_none_are_the_origin() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    texture = Texture(Mipmaps.of(pixels))
    odd = np.array([[np.nan, np.inf], [1e30, -np.inf], [0, 0]], np.float32)
    found = texture.sample(odd)
    assert np.array_equal(found, np.repeat(found[2:], 3, axis=0))


def surface_of(builder: ModelBuilder, index: int = 0) -> Surface:
    shelf = Shelf(check_container(BytesReader(builder.glb())), 1)
    surface = shelf.surface(index)
    assert shelf.warnings == []
    return surface


def square(colour: list[int], side: int = 2) -> Any:
    return np.full((side, side, len(colour)), colour, np.uint8)


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
    assert surface.emission_texture.sample(np.zeros((1, 2)))[0].tolist() == [1, 0, 0, 1]


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
    assert np.allclose(found.matrix @ [1, 0, 1], [0.5, -3.75], atol=1e-6)
    assert np.allclose(found.matrix @ [0, 1, 1], [2.5, 0.25], atol=1e-6)
