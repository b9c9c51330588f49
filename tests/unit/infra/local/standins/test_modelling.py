"""The stand-ins' models: closed, textured, the same for the same input, made of what was asked.

验证替身建模的结果。
"""

import io
import json
import struct

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from infra.local.standins import glb, glyphs, modelling
from infra.local.standins.modelling import Options


def load(data: bytes) -> trimesh.Trimesh:
    scene = trimesh.load_scene(io.BytesIO(data), file_type="glb")
    (mesh,) = scene.geometry.values()
    return mesh


def document(data: bytes) -> dict:
    return json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])


def photo(wide: int = 320, high: int = 240, mode: str = "RGB", kind: str = "JPEG", **more) -> bytes:
    ramp = np.linspace(0, 255, wide, dtype=np.uint8)[None, :].repeat(high, 0)
    # Ever redder and brighter from left to right.
    picture = Image.fromarray(np.stack([ramp, ramp // 2, 255 - ramp], -1))
    out = io.BytesIO()
    picture.convert(mode).save(out, kind, **more)
    return out.getvalue()


def assert_closed(mesh: trimesh.Trimesh) -> None:
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert mesh.body_count == 1


@pytest.mark.parametrize(
    "prompt",
    ["a red cat", "一只戴着宇航员头盔的橘色小猫,坐在月球上", "8 B & % @ 龘 囍 回", "word " * 200],
)
def test_lettering_is_one_closed_body_below_60k_triangles(prompt: str) -> None:
    mesh = load(modelling.lettering(prompt, Options()))
    assert_closed(mesh)
    assert 100 < len(mesh.faces) < 60_000
    assert mesh.extents.max() == pytest.approx(1)
    assert mesh.extents.argmin() == 2, "it stands upright and faces +z"


@settings(max_examples=12, deadline=None)
@given(st.text(max_size=1024))
def test_any_prompt_makes_a_closed_model(prompt: str) -> None:
    assert_closed(load(modelling.lettering(prompt, Options(face_limit=3000))))


@pytest.mark.parametrize(
    "prompt", ["\ud800", "\x00\x1b[31m", "\u202eabc", "👩‍👩‍👧🏽", " ", "x" * 900]
)
def test_odd_prompts_make_closed_models(prompt: str) -> None:
    assert_closed(load(modelling.lettering(prompt, Options(face_limit=3000))))


def test_the_letters_really_are_the_prompt() -> None:
    """The raised parts, seen from the front, cover what the font draws."""
    coverage, _ = glyphs.coverage("猫", modelling.CELLS)
    mesh = load(modelling.lettering("猫", Options()))
    areas = mesh.area_faces
    top = np.isclose(mesh.triangles_center[:, 2], mesh.bounds[1, 2])
    front = mesh.face_normals[:, 2] > 0.99
    assert areas[top].sum() / areas[front].sum() == pytest.approx(coverage.mean(), rel=0.05)


def test_chinese_characters_are_letters_and_unknown_ones_boxes() -> None:
    def drawn(text: str) -> bytes:
        return bytes(glyphs.font(48).getmask(text))

    box = drawn("\U0001f3a9")
    for each in "一只橘色的小猫榫卯蜻蜓龙红木玉机器人,。":
        assert drawn(each) != box, each
    assert drawn("\u0628") == box


def test_lines_are_few_even_and_end_in_an_ellipsis_when_cut() -> None:
    assert glyphs.lines("a red cat") == ["a red cat"]
    rows = glyphs.lines("一只戴着宇航员头盔的橘色小猫,坐在月球上")
    assert 2 <= len(rows) <= 5
    assert not any(row.startswith(",") for row in rows)
    assert min(map(glyphs.width, rows)) > 0.5 * max(map(glyphs.width, rows))
    cut = glyphs.lines("word " * 200)
    assert len(cut) == glyphs.MAX_LINES
    assert cut[-1].endswith("…")


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200))
def test_lines_never_overflow(text: str) -> None:
    rows = glyphs.lines(text)
    assert 1 <= len(rows) <= glyphs.MAX_LINES
    assert all(glyphs.width(row) <= glyphs.LONGEST_LINE for row in rows)


@pytest.mark.parametrize(
    ("prompt", "color"),
    [
        ("a wooden chair", "8a5a2b"),
        ("红木椅子", "c62828"),
        ("a blue car with red wheels", "2456c8"),
        ("金属机器人", "8d9299"),
        ("a Golden cup", "d4a017"),
        ("scared altered", None),
    ],
)
def test_the_colour_follows_the_words(prompt: str, color: str | None) -> None:
    chosen = modelling.surface(prompt, 0).color
    assert chosen == color or (color is None and chosen in modelling.PALETTE)


def test_a_photo_becomes_a_closed_textured_relief() -> None:
    mesh = load(modelling.relief(photo(), None, Options()))
    assert_closed(mesh)
    texture = mesh.visual.material.baseColorTexture
    assert texture.size == (320, 240)
    assert texture.format == "JPEG"
    assert mesh.extents[0] / mesh.extents[1] == pytest.approx(4 / 3, rel=0.01)
    assert np.allclose(np.linalg.norm(mesh.vertex_normals, axis=1), 1, atol=1e-4)


def test_bright_parts_stand_out() -> None:
    mesh = load(modelling.relief(photo(mode="L"), None, Options()))
    front = mesh.vertices[mesh.vertices[:, 2] > mesh.bounds[0, 2] + 0.02]
    left, right = front[front[:, 0] < -0.3], front[front[:, 0] > 0.3]
    assert right[:, 2].max() > left[:, 2].max() + 0.05


def test_the_texture_lies_the_right_way_up_and_round() -> None:
    """Red grows to the right in the photo; +x is right, and glTF's v runs downward."""
    data = modelling.relief(photo(), None, Options())
    mesh = load(data)
    right = mesh.visual.uv[mesh.vertices[:, 0].argmax()]
    top = mesh.visual.uv[mesh.vertices[:, 1].argmax()]
    assert right[0] == pytest.approx(1)
    assert top[1] == pytest.approx(1), "trimesh's v runs upward"


def test_the_back_photo_shapes_and_colours_the_back() -> None:
    back = photo(200, 300, mode="L")
    one, two = (load(modelling.relief(photo(), each, Options())) for each in (None, back))
    assert_closed(two)
    assert two.extents[2] > one.extents[2] + 0.05
    assert two.visual.material.baseColorTexture.size == (640, 240)
    behind = two.visual.uv[two.vertex_normals[:, 2] < -0.5]
    assert behind[:, 0].min() >= 0.5
    # The photo is brightest on its right, and seen from behind -x is right.
    deepest = two.vertices[:, 2].argmin()
    assert two.visual.uv[deepest][0] > 0.9
    assert two.vertices[deepest][0] < -0.4


def test_face_limit_and_texture_are_heeded() -> None:
    mesh = load(modelling.relief(photo(), None, Options(texture=False, face_limit=2000)))
    assert_closed(mesh)
    assert len(mesh.faces) <= 2000
    assert mesh.visual.material.baseColorTexture is None
    assert len(load(modelling.lettering("a red cat", Options(face_limit=9000))).faces) <= 9000


def test_the_same_request_makes_the_same_bytes_and_another_seed_others() -> None:
    assert modelling.lettering("a cat", Options()) == modelling.lettering("a cat", Options())
    first, same, other = (modelling.relief(photo(), None, Options(seed)) for seed in (1, 1, 2))
    assert first == same
    assert first != other


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "LA", "1", "I;16"])
def test_every_kind_of_png_is_taken(mode: str) -> None:
    data = photo(60, 40, "RGB" if mode == "I;16" else mode, "PNG")
    if mode == "I;16":
        out = io.BytesIO()
        Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27).save(out, "PNG")
        data = out.getvalue()
    assert modelling.is_readable(data, "png")
    assert_closed(load(modelling.relief(data, None, Options(face_limit=1000))))


def test_cmyk_jpeg_and_webp_are_taken() -> None:
    for data in (photo(mode="CMYK"), photo(kind="WEBP"), photo(1, 1), photo(3, 500)):
        assert_closed(load(modelling.relief(data, None, Options(face_limit=1000))))


def test_transparent_parts_become_white() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(out, "PNG")
    assert modelling.open_photo(out.getvalue(), 64).getpixel((4, 4)) == (255, 255, 255)


def test_a_photo_taken_sideways_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: 320 x 240 in the file, 240 x 320 to look at
    picture = modelling.open_photo(photo(exif=exif), 1024)
    assert picture.size == (240, 320)
    assert picture.getpixel((120, 310))[0] > picture.getpixel((120, 10))[0]


def test_a_12_megapixel_photo_is_decoded_small() -> None:
    data = photo(4000, 3000)
    mesh = load(modelling.relief(data, None, Options()))
    assert_closed(mesh)
    assert max(mesh.visual.material.baseColorTexture.size) == 1024


@pytest.mark.parametrize("data", [photo()[:900], b"\xff\xd8\xff garbage", b"", b"glTF\2\0\0\0"])
def test_broken_files_are_told(data: bytes) -> None:
    assert not modelling.is_readable(data, modelling.sniff(data) or "jpg")


def test_kinds_are_told_by_their_first_bytes() -> None:
    assert [modelling.sniff(photo(kind=kind)) for kind in ("JPEG", "PNG", "WEBP", "GIF")] == [
        "jpg",
        "png",
        "webp",
        None,
    ]


@pytest.mark.parametrize("kind", ["gltf", "obj", "stl"])
def test_conversions_keep_the_shape(kind: str) -> None:
    data = modelling.relief(photo(), None, Options(face_limit=1000))
    converted = modelling.convert(data, kind)
    again = trimesh.load_scene(io.BytesIO(converted), file_type=kind).to_mesh()
    again.merge_vertices(merge_tex=True, merge_norm=True)
    assert again.is_watertight
    assert again.volume == pytest.approx(load(data).volume, rel=1e-3)


def test_the_file_says_what_it_is_and_is_laid_out_by_the_rules() -> None:
    for data in (
        modelling.lettering("a cat", Options()),
        modelling.relief(photo(), photo(), Options()),
    ):
        contents = document(data)
        assert contents["asset"]["generator"] == glb.GENERATOR
        assert struct.unpack_from("<I", data, 8)[0] == len(data)
        assert all(view["byteOffset"] % 4 == 0 for view in contents["bufferViews"])
        places = contents["accessors"][0]
        mesh = load(data)
        assert np.allclose(places["min"], mesh.bounds[0])
        assert np.allclose(places["max"], mesh.bounds[1])


def test_the_picture_shows_the_photo_or_the_prompt() -> None:
    for data in (
        modelling.picture("红色的猫", None),
        modelling.picture(None, photo()),
        modelling.picture("", None),
    ):
        picture = Image.open(io.BytesIO(data))
        assert (picture.format, picture.size) == ("WEBP", (512, 512))
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 10
