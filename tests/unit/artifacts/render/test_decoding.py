"""Pictures of every kind become textures, as a browser reads them; what is hostile stays cheap."""

from __future__ import annotations

import base64
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
from shared.artifacts.render.materials import Shelf
from shared.artifacts.render.textures import CLAMP, Texture
from tests.pictures import png
from tests.textures import (
    GREEN,
    NOISE,
    RED,
    colours_of,
    encoded,
    linear,
    sampled,
    square,
    textured,
)

GRADIENT = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
DAMAGED = {kind: encoded(NOISE, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "AVIF")}
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


def test_warnings_of_many_broken_images_are_few() -> None:
    builder = textured(*[KTX2 + bytes([number]) for number in range(50)])
    builder.document["textures"] = [{"source": number} for number in range(50)]
    for number in range(1, 50):
        builder.add_material(number)
    shelf = Shelf(check_container(BytesReader(builder.glb())), 50)
    for number in range(50):
        shelf.surface(number)
    assert 10 < len(shelf.warnings) < 30


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "AVIF"]),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=6),
    st.integers(0, 6000),
)
def test_a_damaged_picture_is_read_or_said_to_be_unread(
    kind: str, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(DAMAGED[kind])
    for place, value in changes:
        data[place % len(data)] = value
    builder = textured(bytes(data[: max(length, 1)]))
    shelf = Shelf(check_container(BytesReader(builder.glb())), 1)
    texture = shelf.surface(0).texture
    assert (texture is None) == (len(shelf.warnings) == 1)


def test_a_picture_may_lie_in_a_data_uri() -> None:
    plain = base64.b64encode(encoded(RED, "PNG")).decode()
    assert plain.endswith("=")
    for uri in (f"data:image/png;base64,{plain}", f" DATA:;base64,{plain.rstrip('=')}"):
        builder = textured(encoded(GREEN, "PNG"))
        builder.document["images"] = [{"uri": uri}]
        assert colours_of(builder, (0.5, 0.5)) == [[255, 0, 0, 255]]


@pytest.mark.parametrize(
    ("uri", "reason"),
    [("bricks.png", "outside the file"), ("data:image/png;base64,?", "cannot be decoded")],
)
def test_a_picture_that_is_not_in_the_file_is_named(uri: str, reason: str) -> None:
    builder = textured(encoded(RED, "PNG"))
    builder.document["images"] = [{"uri": uri}]
    shelf = Shelf(check_container(BytesReader(builder.glb())), 1)
    assert shelf.surface(0).texture is None
    (warning,) = shelf.warnings
    assert reason in warning
    assert uri not in warning
