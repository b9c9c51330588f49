"""Pictures of every depth and mode are shown as they are, not clipped."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from shared.artifacts.images.pixels import plain
from tests.pictures import png, thumbnail_of

Array = NDArray[Any]

RAMP = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
GREY = np.rint(RAMP / 257).astype(int)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("colour_type", "pixels"),
    [
        (0, RAMP[..., None]),
        (4, np.dstack([RAMP, RAMP[:, ::-1]])),
        (2, np.dstack([RAMP, RAMP, RAMP])),
        (6, np.dstack([RAMP, RAMP, RAMP, RAMP[:, ::-1]])),
    ],
    ids=["grey", "grey and alpha", "colour", "colour and alpha"],
)
def test_sixteen_bits_are_scaled_to_eight(colour_type: int, pixels: Array) -> None:
    seen = np.asarray(plain(opened(png(pixels, colour_type)))).astype(int)
    assert seen[..., :3] == pytest.approx(GREY[..., None].repeat(3, axis=2), abs=1)
    if colour_type in (4, 6):
        assert seen[..., 3] == pytest.approx(GREY[:, ::-1], abs=1)


@pytest.mark.parametrize(("colour_type", "parts"), [(0, 1), (2, 3)])
def test_the_transparent_colour_of_sixteen_bits_is_transparent(
    colour_type: int, parts: int
) -> None:
    clear = struct.pack(">H", int(RAMP[0, 20])) * parts
    data = png(RAMP[..., None].repeat(parts, axis=2), colour_type, (b"tRNS", clear))
    alpha = np.asarray(plain(opened(data)))[..., 3]
    assert (alpha[:, 20] == 0).all()
    assert (np.delete(alpha, 20, axis=1) == 255).all()


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B", "I;16L"])
def test_grey_of_many_bits_is_a_gradient(mode: str) -> None:
    raw = {"I": "<i4", "I;16B": ">u2"}.get(mode, "<u2")
    image = Image.frombytes(mode, (64, 64), RAMP.astype(raw).tobytes())
    assert np.asarray(plain(image))[..., 0].astype(int) == pytest.approx(GREY, abs=1)


def test_every_other_mode_becomes_plain_colours() -> None:
    colours = Image.new("RGB", (8, 8), (200, 100, 50))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "F"):
        shown = plain(colours.convert(mode))
        assert shown.mode == ("RGBA" if mode in ("LA", "RGBA") else "RGB")
        if mode in ("RGB", "RGBA", "CMYK", "YCbCr"):
            assert shown.getpixel((3, 3))[:3] == pytest.approx((200, 100, 50), abs=2)  # type: ignore[index]


def test_a_palette_keeps_its_transparency() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.info["transparency"] = bytes([255, 7])
    assert plain(image).getpixel((0, 0)) == (40, 50, 60, 7)


def test_the_thumbnail_of_sixteen_bits_is_a_gradient() -> None:
    thumbnail, *_ = thumbnail_of(png(RAMP[..., None], 0), 64)
    seen = np.asarray(opened(thumbnail).convert("L")).astype(int)
    assert seen[32, [4, 20, 40, 60]] == pytest.approx(GREY[32, [4, 20, 40, 60]], abs=8)


def test_a_profile_of_inks_is_not_given_to_a_picture_of_lights() -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert bytes(profile[16:20]) == b"RGB "
    profile[16:20] = b"CMYK"
    out = io.BytesIO()
    Image.new("CMYK", (64, 64), (0, 255, 255, 0)).save(out, "JPEG", icc_profile=bytes(profile))
    thumbnail, *_ = thumbnail_of(out.getvalue(), 64)
    shown = opened(thumbnail)
    assert "icc_profile" not in shown.info
    assert shown.getpixel((30, 30)) == pytest.approx((255, 0, 0), abs=8)
