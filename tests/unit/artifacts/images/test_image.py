"""Is a picture whole, what is it, which way up: by its bytes, and cheaply refused if hostile."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from shared.artifacts.images.image import (
    BrokenImage,
    ImageLimits,
    inspect_image,
    sniff,
    upright,
)
from shared.artifacts.images.pixels import plain

LIMITS = ImageLimits(min_side=20, max_side=6000, max_pixels=36_000_000)
FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


def picture(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """A picture whose left, top quarter is red and whose rest is a blue ramp."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 2] = np.linspace(60, 255, width, dtype=np.uint8)
    pixels[: height // 2, : width // 2] = [255, 0, 0]
    return pixels


def encoded(kind: str, pixels: Any = None, **options: Any) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(picture() if pixels is None else pixels)
    image.save(out, kind, **options)
    return out.getvalue()


def turned(kind: str, orientation: int, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(kind, exif=exif, **options)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of the given chunks, checksums right."""
    out = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        checksum = zlib.crc32(kind + body)
        out += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)
    return out


def header(width: int, height: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)


def refused(data: Any, limits: ImageLimits = LIMITS) -> BrokenImage:
    with pytest.raises(BrokenImage) as refusal:
        inspect_image(data, limits)
    return refusal.value


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_picture_is_described(kind: str) -> None:
    data = encoded(kind)
    info = inspect_image(data, LIMITS)
    assert (info.media_type, info.width, info.height) == (FORMATS[kind], 64, 48)


def test_a_format_is_known_by_its_first_bytes() -> None:
    for kind, media_type in FORMATS.items():
        assert sniff(encoded(kind)[:12]) == media_type
    assert sniff(b"RIFF1234WAVE") is None
    assert sniff(b"") is None


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
        (b"GIF89a......", "a GIF"),
        (b"\0\0\0\x18ftypheic....", "a HEIC"),
        (b"\0\0\0\x18ftypmif1....", "a HEIC"),
        (b"\0\0\0\x18ftypavif....", "an AVIF"),
        (b"\0\0\0\x18ftypisom....", "a video"),
        (b"BM......", "a BMP"),
        (b"II*\0....", "a TIFF"),
        (b"%PDF-1.7", "a PDF"),
        (b"glTF\2\0\0\0", "a GLB model"),
        (b"<!DOCTYPE html><p>404", "a web page"),
        (b"", "an empty file"),
        (b"hello", "not a picture that is known here"),
    ],
)
def test_another_format_is_refused_by_its_name(data: bytes, name: str) -> None:
    fault = refused(data)
    assert fault.code == "image_format_unsupported"
    assert fault.reason == f"this is {name}; send JPEG, PNG or WebP"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_picture_is_refused_wherever_it_was_cut(kind: str) -> None:
    data = encoded(kind)
    for length in range(12, len(data), max(1, len(data) // 60)):
        assert refused(data[:length]).code in ("image_truncated", "image_unreadable")
    assert refused(data[:-1]).code == "image_truncated"
    assert refused(data[: len(data) * 3 // 4]).code == "image_truncated"


def test_a_jpeg_of_a_thousand_scans_is_refused_unseen() -> None:
    data = encoded("JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    many = data[:scan] + data[scan:-2] * 1000 + data[-2:]
    assert inspect_image(data, LIMITS).width == 64
    assert refused(many).code == "image_unreadable"


def test_a_damaged_png_is_refused_by_its_checksum() -> None:
    data = bytearray(encoded("PNG"))
    data[data.index(b"IDAT") + 20] ^= 255
    assert refused(bytes(data)).code == "image_unreadable"


def test_what_follows_a_jpegs_end_does_not_matter() -> None:
    data = encoded("JPEG") + b"MotionPhoto\xff\xda\xff\xd8" + bytes(100)
    assert inspect_image(data, LIMITS).width == 64


@pytest.mark.parametrize(
    ("width", "height", "code"),
    [
        (19, 400, "image_too_small"),
        (400, 19, "image_too_small"),
        (6001, 20, "image_too_large"),
        (7000, 7000, "image_too_many_pixels"),
        (60_000, 60_000, "image_too_many_pixels"),
        (2**31 - 1, 2**31 - 1, "image_too_many_pixels"),
    ],
)
def test_sides_and_pixels_are_judged_by_the_header_before_decoding(
    width: int, height: int, code: str
) -> None:
    assert refused(png(header(width, height), (b"IDAT", b""), (b"IEND", b""))).code == code


def test_the_limits_include_their_ends() -> None:
    for side in (20, 6000):
        data = encoded("PNG", np.zeros((20, side, 3), np.uint8))
        assert inspect_image(data, LIMITS).width == side


def test_too_many_bytes_are_refused_whatever_they_are() -> None:
    limits = ImageLimits(max_bytes=100)
    assert refused(bytes(101), limits).code == "image_too_many_bytes"
    assert refused(bytes(100), limits).code == "image_format_unsupported"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused(kind: str) -> None:
    frames = [Image.fromarray(picture() // (step + 1)) for step in range(3)]
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    assert refused(out.getvalue()).code == "image_animated"


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 9)),
        (b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(50_000_000), 9)),
        (b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000), 9)),
    ],
)
def test_a_text_that_unpacks_to_megabytes_is_refused(chunk: tuple[bytes, bytes]) -> None:
    pixels = zlib.compress(bytes((64 * 3 + 1) * 48))
    data = png(header(64, 48), chunk, (b"IDAT", pixels), (b"IEND", b""))
    assert refused(data).code == "image_metadata_too_large"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_measured_and_set_upright(kind: str, orientation: int) -> None:
    data = turned(kind, orientation)
    info = inspect_image(data, LIMITS)
    assert (info.width, info.height) == ((48, 64) if orientation > 4 else (64, 48))
    straight = upright(data)
    if orientation == 1:
        assert straight is None
        return
    assert straight is not None
    assert sniff(straight) == FORMATS[kind]
    with Image.open(io.BytesIO(straight)) as image:
        assert image.size == (info.width, info.height)
        assert not image.getexif()
        found = np.asarray(image.convert("RGB")).astype(int)
    # Where the red quarter of the stored picture lands, by the EXIF standard.
    bottom, right = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    row = found.shape[0] * (3 if bottom else 1) // 4
    column = found.shape[1] * (3 if right else 1) // 4
    assert found[row, column] == pytest.approx([255, 0, 0], abs=12)
    assert upright(straight) is None


@pytest.mark.parametrize("kind", FORMATS)
def test_setting_upright_keeps_the_colour_profile_and_drops_the_rest(kind: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    straight = upright(turned(kind, 6, icc_profile=profile))
    assert straight is not None
    with Image.open(io.BytesIO(straight)) as image:
        assert image.info["icc_profile"] == profile
        assert "exif" not in image.info


def test_transparency_survives_setting_upright() -> None:
    pixels = np.dstack([picture(), np.full((48, 64), 99, np.uint8)])
    exif = Image.Exif()
    exif[0x0112] = 8
    for kind in ("PNG", "WEBP"):
        straight = upright(encoded(kind, pixels, exif=exif))
        assert straight is not None
        with Image.open(io.BytesIO(straight)) as image:
            assert image.mode == "RGBA"
            assert image.getpixel((5, 5))[3] == 99  # type: ignore[index]


SMALL = ImageLimits(max_side=500)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_picture_with_too_long_a_side_is_made_smaller(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    smaller = upright(encoded(kind, picture(1200, 900), exif=exif), SMALL)
    assert smaller is not None
    assert sniff(smaller) == FORMATS[kind]
    with Image.open(io.BytesIO(smaller)) as image:
        assert image.size == ((500, 375) if orientation == 1 else (375, 500))
        corner = (10, 10) if orientation == 1 else (360, 10)
        assert image.convert("RGB").getpixel(corner) == pytest.approx((255, 0, 0), abs=12)
    assert upright(smaller, SMALL) is None


def seen(image: Image.Image) -> NDArray[np.int_]:
    """What is seen of a picture on white: of what is hardly there, colours mean nothing."""
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image.convert("RGBA"))).astype(int)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "I;16"])
@pytest.mark.parametrize("size", [(1333, 1400), (401, 5000)])
def test_bands_of_a_smaller_picture_show_no_seams(mode: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    if mode == "I;16":
        noise = Image.fromarray(rng.integers(0, 65535, size[::-1], np.uint16))
    else:
        grey = Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), np.uint8))
        noise = grey.convert(mode)
    if mode == "RGBA":
        noise.putalpha(Image.fromarray(rng.integers(0, 255, size[::-1], np.uint8)))
    out = io.BytesIO()
    noise.save(out, "PNG")
    smaller = upright(out.getvalue(), ImageLimits(max_side=1000))
    assert smaller is not None
    with Image.open(io.BytesIO(smaller)) as image:
        whole = plain(noise).resize(image.size, Image.Resampling.BICUBIC)
        difference = seen(image) - seen(whole)
    assert np.abs(difference).max() <= 4  # each channel, and transparency, is rounded on the way


def test_a_picture_set_upright_stays_within_its_bytes() -> None:
    noise = np.random.default_rng(4).integers(0, 255, (600, 800, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded("JPEG", noise, quality=80, exif=exif)
    best = upright(data)
    assert best is not None
    assert len(best) > len(data), "quality 95 takes more than 80"
    fitting = upright(data, ImageLimits(max_bytes=len(data)))
    assert fitting is not None
    assert len(fitting) <= len(data)
    with pytest.raises(BrokenImage) as raised:
        upright(data, ImageLimits(max_bytes=1000))
    assert raised.value.code == "image_too_many_bytes"


def test_a_nonsense_orientation_is_upright() -> None:
    for value in (0, 9, 60_000):
        assert upright(turned("JPEG", value)) is None
        assert inspect_image(turned("JPEG", value), LIMITS).width == 64


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(FORMATS)),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
    st.integers(0, 3000),
)
def test_any_damage_is_refused_by_a_code_or_harmless(
    kind: str, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(turned(kind, 6))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        inspect_image(bytes(data[:length]), LIMITS)
        upright(bytes(data[:length]))
    except BrokenImage as refusal:
        code = refusal.code
    else:
        return
    assert code.startswith("image_")
