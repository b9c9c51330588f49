"""What a surface looks like: texture look-ups against a slow reference, and materials as read.

这个文件测试贴图取样和材质读取。
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.artifacts.gltf.container import BytesReader, check_container
from shared.artifacts.render import materials
from shared.artifacts.render.decoding import Allowance, read_texture
from shared.artifacts.render.materials import Shelf, Surface
from shared.artifacts.render.preview import draw_preview, render
from shared.artifacts.render.textures import CLAMP, MIRROR, REPEAT, Texture
from tests.models import ModelBuilder, box
from tests.pictures import png

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


def texture_of(pixels: Any, **more: Any) -> Texture:
    """A texture of 8-bit pixels that were a PNG."""
    data = png(pixels, {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]])
    return Texture(read_texture(data, 1024, True, Allowance(10**9)), **more)


def sampled(texture: Texture, places: Any, footprint: Any = 0.0) -> Any:
    """Colours (n, 4) at (n, 2) UVs."""
    places = np.asarray(places, np.float32)
    return texture.sample(places[:, 0], places[:, 1], footprint).T


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
    texture = texture_of(pixels, wraps=wraps)
    found = sampled(texture, np.array([uv], np.float32))[0]
    assert found.tolist() == pytest.approx(looked_up(pixels, uv, wraps), abs=2e-3)


def test_a_texture_that_is_seen_small_is_averaged_as_light() -> None:
    checks = np.indices((64, 64)).sum(axis=0)[..., None] % 2 * np.full(3, 255)
    texture = texture_of(checks.astype(np.uint8))
    places = np.random.default_rng(1).random((50, 2)).astype(np.float32)
    assert np.ptp(sampled(texture, places)[:, 0]) > 0.5
    small = sampled(texture, places, 1 / 16)
    assert small[:, :3].min() == pytest.approx(0.5, abs=1e-3)
    assert small[:, :3].max() == pytest.approx(0.5, abs=1e-3)
    mixed = sampled(texture, places, np.where(np.arange(50) < 25, 0, 10).astype(np.float32))
    assert np.array_equal(mixed[:25], sampled(texture, places)[:25])
    assert mixed[25:, :3].max() == pytest.approx(0.5, abs=1e-3)


def test_places_that_are_none_are_the_origin() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    texture = texture_of(pixels)
    odd = np.array([[np.nan, np.inf], [1e30, -np.inf], [0, 0]], np.float32)
    found = sampled(texture, odd)
    assert np.array_equal(found, np.repeat(found[2:], 3, axis=0))


def surface_of(builder: ModelBuilder, index: int = 0) -> Surface:
    shelf = Shelf(check_container(BytesReader(builder.glb())), 1)
    surface = shelf.surface(index)
    assert shelf.warnings == ()
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


def encoded(pixels: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, kind, **options)
    return out.getvalue()


def textured(*pictures: bytes, **texture: Any) -> ModelBuilder:
    """A material whose base colour is a texture of these images, the first by default."""
    builder = ModelBuilder()
    for picture in pictures:
        builder.add_image(picture)
    builder.document["textures"] = [texture or {"source": 0}]
    builder.add_material(0)
    return builder


def colours_of(builder: ModelBuilder, *places: tuple[float, float]) -> list[list[int]]:
    """The base colour's texture at some UVs, as sRGB bytes."""
    texture = surface_of(builder).texture
    assert texture is not None
    found = sampled(texture, np.array(places, np.float32))
    coded = np.where(
        found <= 0.0031308, found * 12.92, 1.055 * np.maximum(found, 1e-9) ** (1 / 2.4) - 0.055
    )
    coded[:, 3] = found[:, 3]
    return [[round(255 * float(part)) for part in row] for row in coded]


GRADIENT = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
RED, GREEN = square([255, 0, 0], 16), square([0, 255, 0], 16)
NOISE = np.random.default_rng(5).integers(0, 256, (64, 64, 3), dtype=np.uint8)
CLEAR_RED = Image.fromarray(RED).convert("P")
CLEAR_RED.info["transparency"] = bytes([0] * 256)


@pytest.mark.parametrize(
    "picture",
    [
        png(GRADIENT[..., None], 0),
        png(np.dstack([GRADIENT, GRADIENT]), 4),
        png(GRADIENT[..., None].repeat(3, axis=2), 2),
        png(np.dstack([GRADIENT] * 4), 6),
    ],
    ids=["grey", "grey and alpha", "colour", "colour and alpha"],
)
def test_a_texture_of_sixteen_bits_is_a_gradient(picture: bytes) -> None:
    places = [(column / 64 + 1 / 128, 0.5) for column in (0, 16, 32, 48, 63)]
    greys = [colour[0] for colour in colours_of(textured(picture), *places)]
    assert greys == pytest.approx([0, 65, 130, 194, 255], abs=2)


@pytest.mark.parametrize(
    ("picture", "colour"),
    [
        (encoded(RED, "JPEG"), [254, 0, 0, 255]),
        (encoded(Image.fromarray(RED).convert("CMYK"), "JPEG"), [254, 0, 0, 255]),
        (encoded(Image.fromarray(RED[..., 0]), "JPEG"), [255, 255, 255, 255]),
        (encoded(RED, "WEBP", lossless=True), [255, 0, 0, 255]),
        (encoded(RED, "AVIF", quality=100), [255, 0, 0, 255]),
        (encoded(RED, "GIF"), [255, 0, 0, 255]),
        (encoded(CLEAR_RED, "PNG"), [255, 0, 0, 0]),
        (encoded(Image.fromarray(RED[..., 0] > 9), "PNG"), [255, 255, 255, 255]),
    ],
    ids=["JPEG", "inks", "grey", "WebP", "AVIF", "GIF", "palette", "one bit"],
)
def test_every_kind_of_picture_is_read(picture: bytes, colour: list[int]) -> None:
    (found,) = colours_of(textured(picture), (0.5, 0.5))
    assert found == pytest.approx(colour, abs=3)


@pytest.mark.parametrize(("kind", "turned"), [("JPEG", True), ("PNG", True), ("WEBP", False)])
def test_a_turned_photograph_is_turned_where_browsers_do(kind: str, turned: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    half = np.repeat(np.array([[255], [0]], np.uint8), 16, axis=0).repeat(32, axis=1)
    builder = textured(encoded(half[..., None].repeat(3, axis=2), kind, exif=exif))
    top, bottom = (colour[0] for colour in colours_of(builder, (0.5, 0.2), (0.5, 0.8)))
    assert (top < 9, bottom > 246) == (turned, turned)


def test_an_interlaced_png_is_read() -> None:
    # Adam7 by hand: 2 x 2 pixels are one in the first pass, one in the sixth, two in the seventh.
    rows = b"\0\xff\0\0" + b"\0\0\xff\0" + b"\0\0\0\xff\xff\xff\xff"
    plain = png(np.zeros((2, 2, 3), np.uint8), 2)
    header = b"IHDR" + plain[16:28] + b"\x01"
    picture = plain[:12] + header + struct.pack(">I", zlib.crc32(header))
    body = b"IDAT" + zlib.compress(rows)
    picture += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    picture += plain[-12:]
    places = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
    assert colours_of(textured(picture), *places) == [
        [255, 0, 0, 255],
        [0, 255, 0, 255],
        [0, 0, 255, 255],
        [255, 255, 255, 255],
    ]


@pytest.mark.parametrize("extension", ["EXT_texture_webp", "EXT_texture_avif"])
def test_a_better_picture_is_preferred_and_the_plain_one_stands_in(extension: str) -> None:
    kind = extension[-4:].upper()
    texture = {"source": 0, "extensions": {extension: {"source": 1}}}
    both = textured(encoded(RED, "PNG"), encoded(GREEN, kind), **texture)
    assert colours_of(both, (0.5, 0.5))[0] == pytest.approx([0, 255, 0, 255], abs=9)
    broken = textured(encoded(RED, "PNG"), encoded(GREEN, kind)[:40], **texture)
    assert colours_of(broken, (0.5, 0.5)) == [[255, 0, 0, 255]]


KTX2 = b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(80)


def test_ktx2_is_named_where_nothing_stands_in() -> None:
    basis = {"extensions": {"KHR_texture_basisu": {"source": 1}}}
    whole = textured(encoded(RED, "PNG"), KTX2, source=0, **basis)
    assert colours_of(whole, (0.5, 0.5)) == [[255, 0, 0, 255]]
    shelf = Shelf(check_container(BytesReader(textured(RED.tobytes(), KTX2, **basis).glb())), 1)
    assert shelf.surface(0).texture is None
    assert shelf.warnings == (
        "images[1] is not in the preview: it is a KTX2 texture, which is not read here",
    )


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (encoded(RED, "PNG")[:-30], "ends too early"),
        (encoded(RED, "PNG")[:-13] + b"?" + encoded(RED, "PNG")[-12:], "IDAT chunk is damaged"),
        (encoded(NOISE, "JPEG")[:-1500], "truncated"),
        (b"\x89PNG\r\n\x1a\n but no more", "cannot be read"),
        (b"<svg/>", "an SVG"),
        (b"BM" + bytes(60), "a BMP"),
    ],
)
def test_what_cannot_be_read_is_said_once_and_costs_its_colours_only(
    picture: bytes, reason: str
) -> None:
    builder = textured(picture)
    builder.add_material(0)
    shelf = Shelf(check_container(BytesReader(builder.glb())), 2)
    assert [shelf.surface(index).texture for index in (0, 1)] == [None, None]
    (warning,) = shelf.warnings
    assert warning.startswith("images[0] is not in the preview: ")
    assert reason in warning
    assert "0x" not in warning


def test_an_image_is_decoded_once_however_many_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    real = materials.read_texture

    def counted(data: bytes, *more: Any) -> Any:
        decoded.append(len(data))
        return real(data, *more)

    monkeypatch.setattr(materials, "read_texture", counted)
    builder = textured(encoded(RED, "PNG"))
    builder.document["textures"].append({"source": 0, "sampler": 0})
    builder.document["samplers"] = [{"wrapS": CLAMP}]
    builder.add_material(1, emissiveFactor=[1, 1, 1], emissiveTexture={"index": 0})
    shelf = Shelf(check_container(BytesReader(builder.glb())), 2)
    surfaces = [shelf.surface(0), shelf.surface(1)]
    assert len([texture for one in surfaces for texture in one.textures]) == 3
    assert len(decoded) == 1


def test_what_is_decoded_in_all_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materials, "MAX_ALL_PIXELS", 300)
    builder = textured(encoded(RED, "PNG"), encoded(GREEN, "PNG"))
    builder.document["textures"].append({"source": 1})
    builder.add_material(1)
    shelf = Shelf(check_container(BytesReader(builder.glb())), 2)
    assert shelf.surface(0).texture is not None
    assert shelf.surface(1).texture is None
    assert shelf.warnings == ("images[1] is not in the preview: it has 16 x 16 pixels",)


@pytest.mark.parametrize("alpha", [False, True])
def test_a_large_texture_is_reduced_as_light(alpha: bool) -> None:
    checks = np.indices((96, 96)).sum(axis=0)[..., None] % 2 * np.full(3, 255)
    pixels = np.dstack([checks, np.full((96, 96), 128)]) if alpha else checks
    data = encoded(pixels.astype(np.uint8), "PNG")
    small = read_texture(data, 32, True, Allowance(10**9))
    assert int(small.widths[0]) == 32
    found = sampled(Texture(small), np.random.default_rng(1).random((40, 2)).astype(np.float32))
    # Of nine texels four or five are white.
    assert found[:, 0] == pytest.approx(0.5, abs=0.06)
    assert found[:, 3] == pytest.approx(128 / 255 if alpha else 1, abs=1e-3)


def test_colours_under_full_transparency_survive_a_reduction() -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[..., 0] = 200
    small = read_texture(encoded(pixels, "PNG"), 16, True, Allowance(10**9))
    found = sampled(Texture(small), np.full((1, 2), 0.5, np.float32))[0]
    assert found.tolist() == pytest.approx([linear(200), 0, 0, 0], abs=1e-3)
    assert not small.opaque


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (1025, 7), (1, 1)])
def test_pictures_of_any_shape_have_mipmaps(size: tuple[int, int]) -> None:
    image = read_texture(encoded(Image.new("RGB", size, "red"), "PNG"), 64, True, Allowance(10**9))
    assert max(image.widths[0], image.heights[0]) <= 64
    assert (image.widths[-1], image.heights[-1]) == (1, 1)
    found = sampled(Texture(image), np.random.default_rng(2).random((40, 2)), 1.0)
    assert found[:, 0] == pytest.approx(1)


def test_colours_that_are_numbers_are_not_taken_for_light() -> None:
    data = encoded(square([128, 64, 32]), "PNG")
    found = sampled(Texture(read_texture(data, 64, False, Allowance(99))), np.zeros((1, 2)))[0]
    assert found.tolist() == pytest.approx([128 / 255, 64 / 255, 32 / 255, 1], abs=1e-4)


def test_a_nearest_filter_keeps_the_edges_of_what_is_seen_enlarged() -> None:
    pixels = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    sharp = texture_of(pixels, nearest=True, wraps=(CLAMP, CLAMP))
    across = np.stack([np.linspace(0, 1, 9), np.zeros(9)], axis=1).astype(np.float32)
    assert sampled(sharp, across)[:, 0].tolist() == [0] * 4 + [1] * 5
    assert sampled(sharp, across, 0.01)[:, 0].tolist() == [0] * 4 + [1] * 5
    assert sampled(sharp, across, 4.0)[:, 0] == pytest.approx(0.5, abs=1e-3)


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


def test_where_pictures_are_many_each_is_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materials, "MAX_SIDE", 256)
    monkeypatch.setattr(materials, "MAX_FULL", 2)
    builder = textured(*[encoded(Image.new("RGB", (300, 200)), "PNG")] * 9)
    builder.document["textures"] = [{"source": number} for number in range(9)]
    for number in range(1, 9):
        builder.add_material(number)
    shelf = Shelf(check_container(BytesReader(builder.glb())), 9)
    found = [shelf.surface(number).texture for number in range(9)]
    assert {int(one.image.widths[0]) for one in found if one is not None} == {60}


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
    builder = textured(KTX2)
    builder.add_node(builder.add_mesh(*box(), material=0))
    warnings = ["odd"]
    draw_preview(builder.glb(), 32, warnings)
    assert warnings == [
        "odd",
        "images[0] is not in the preview: it is a KTX2 texture, which is not read here",
    ]


def test_warnings_of_many_broken_images_are_few() -> None:
    builder = textured(*[KTX2 + bytes([number]) for number in range(50)])
    builder.document["textures"] = [{"source": number} for number in range(50)]
    for number in range(1, 50):
        builder.add_material(number)
    shelf = Shelf(check_container(BytesReader(builder.glb())), 50)
    for number in range(50):
        shelf.surface(number)
    assert 10 < len(shelf.warnings) < 30
