"""Source pictures: what is accepted, and what becomes of orientation, alpha, profiles and shape."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image, ImageCms

from gpu_inference.pictures import (
    PictureRefused,
    Source,
    accept,
    accept_mask,
    cells,
    composed,
    fitted,
    mask_of_alpha,
    natural_size,
    recoded,
)

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def accepted(data: bytes) -> Source:
    return accept(data, max_bytes=2**20, max_pixels=512 * 512)


def pixels(source: Source) -> Image.Image:
    picture = Image.open(io.BytesIO(source.data))
    assert (picture.format, picture.mode, picture.size) == (
        "PNG",
        "RGB",
        (source.width, source.height),
    )
    return picture


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_the_three_formats_become_an_rgb_png(format: str) -> None:
    source = accepted(encoded(Image.new("RGB", (40, 30), RED), format))
    assert (source.width, source.height) == (40, 30)
    red, green, blue = pixels(source).getpixel((5, 5))  # type: ignore[misc]
    assert red > 250
    assert max(green, blue) < 6


def test_a_photo_is_turned_upright() -> None:
    lying = Image.new("RGB", (40, 30), WHITE)
    lying.paste(RED, (0, 0, 40, 5))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show
    upright = pixels(accepted(encoded(lying, "JPEG", exif=exif, quality=95)))
    assert upright.size == (30, 40)
    assert upright.getpixel((28, 20))[1] < 60  # type: ignore[index]
    assert upright.getpixel((2, 20))[1] > 200  # type: ignore[index]
    assert not upright.getexif()


def test_a_photo_with_a_zero_denominator_in_its_exif_is_turned_upright() -> None:
    order = struct.pack("<2HI2H", 0x0112, 3, 1, 6, 0)
    odd = struct.pack("<2H2I", 0x011A, 5, 1, 38)
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + order + odd + bytes(12)
    plain = encoded(Image.new("RGB", (40, 30), RED), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    assert pixels(accepted(plain[:2] + segment + plain[2:])).size == (30, 40)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    options = {}
    if mode == "P":
        clear, options = Image.new("P", (20, 20), 0), {"transparency": 0}
    elif mode == "LA":
        clear = clear.convert("LA")
    assert pixels(accepted(encoded(clear, **options))).getpixel((3, 3)) == WHITE


def test_half_transparent_red_is_pink() -> None:
    half = Image.new("RGBA", (20, 20), (255, 0, 0, 128))
    assert pixels(accepted(encoded(half))).getpixel((3, 3)) == (255, 127, 127)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    grey = Image.new("I;16", (20, 20), 128 * 256)
    assert pixels(accepted(encoded(grey))).getpixel((3, 3)) == (128, 128, 128)


def test_colours_of_another_profile_are_converted_and_a_broken_profile_is_ignored() -> None:
    plain = Image.new("RGB", (20, 20), (200, 100, 50))
    broken = pixels(accepted(encoded(plain, icc_profile=b"nonsense")))
    assert broken.getpixel((3, 3)) == (200, 100, 50)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    kept = pixels(accepted(encoded(plain, icc_profile=srgb)))
    assert kept.getpixel((3, 3)) == (200, 100, 50)
    # The same profile with its red and blue primaries exchanged, each named by four letters.
    swapped = srgb.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    changed = pixels(accepted(encoded(plain, icc_profile=swapped)))
    assert changed.getpixel((3, 3)) != (200, 100, 50)
    assert "icc_profile" not in changed.info


def refused(data: bytes, **limits: int) -> str:
    with pytest.raises(PictureRefused) as refusal:
        accept(data, **{"max_bytes": 2**20, "max_pixels": 512 * 512, **limits})
    return refusal.value.code


def test_what_is_not_a_whole_picture_within_the_bounds_is_refused_by_its_reason() -> None:
    whole = encoded(Image.effect_noise((64, 64), 50))
    assert refused(b"") == "format_unsupported"
    assert refused(b"<svg/>") == "format_unsupported"
    assert refused(encoded(Image.new("RGB", (20, 20)), "GIF")) == "format_unsupported"
    assert refused(whole[: len(whole) // 2]) == "image_invalid"
    assert refused(whole, max_bytes=100) == "too_large"
    assert refused(whole, max_pixels=64 * 63) == "too_large"
    assert refused(encoded(Image.new("RGB", (15, 300)))) == "image_invalid"
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    moving = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    assert refused(moving) == "format_unsupported"


def test_a_picture_is_cut_equally_at_both_sides_and_never_stretched() -> None:
    wide = Image.new("RGB", (300, 100), WHITE)
    wide.paste(RED, (100, 0, 200, 100))
    square = fitted(encoded(wide), 64, 64)
    assert square.size == (64, 64)
    assert all(square.getpixel((x, 32))[1] < 8 for x in (2, 32, 61))  # type: ignore[index]


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
def test_a_finished_picture_is_written_smaller_with_less_quality(kind: str) -> None:
    whole = Image.effect_noise((64, 64), 50).convert("RGB")
    files = [recoded(encoded(whole), f"image/{kind}", quality) for quality in (100, 50, 0)]
    sizes = [len(file) for file in files]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    assert {Image.open(io.BytesIO(file)).format for file in files} == {kind.upper()}


def test_the_natural_size_keeps_the_shape_within_the_pixels() -> None:
    assert natural_size(1000, 1000, pixels=1024 * 1024) == (1024, 1024)
    assert natural_size(4000, 3000, pixels=1024 * 1024) == (1184, 880)
    for width, height in ((3, 2000), (2000, 3), (1, 1), (1921, 1080)):
        for step in (16, 32):
            wide, high = natural_size(width, height, pixels=512 * 512, step=step)
            assert wide % step == high % step == 0
            assert 0 < wide * high <= 512 * 512


def test_a_narrow_source_gets_the_nearest_size_within_the_bounds() -> None:
    assert natural_size(4000, 100, pixels=256 * 256, least=128) == (512, 128)
    assert natural_size(100, 4000, pixels=256 * 256, least=128, most=384) == (128, 384)
    assert natural_size(1, 9999, pixels=64 * 64, least=40) == (48, 80)


def a_mask(
    size: tuple[int, int] = (64, 64), white: tuple[int, int, int, int] = (20, 20, 41, 41)
) -> Any:
    mask = Image.new("L", size, 0)
    mask.paste(255, white)
    return mask


def mask_accepted(data: bytes) -> Image.Image:
    mask = accept_mask(data, max_bytes=2**20, max_pixels=512 * 512)
    picture = Image.open(io.BytesIO(mask.data))
    assert (picture.format, picture.mode) == ("PNG", "L")
    return picture


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_mask_is_black_where_it_keeps_whatever_its_format(format: str, mode: str) -> None:
    mask = mask_accepted(encoded(a_mask().convert(mode), format, quality=80))
    assert mask.getpixel((4, 4)) == 0
    assert mask.getpixel((30, 30)) == 255


def test_what_is_transparent_in_a_mask_is_kept_and_colours_count_by_their_lightness() -> None:
    strokes = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    strokes.paste((255, 255, 255, 255), (0, 0, 32, 64))
    strokes.paste((0, 255, 0, 255), (0, 0, 32, 32))
    mask = mask_accepted(encoded(strokes))
    assert [mask.getpixel(at) for at in ((8, 50), (50, 8), (50, 50))] == [255, 0, 0]
    assert mask.getpixel((8, 8)) == 150
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([255, 255, 255])
    assert mask_accepted(encoded(palette)).getpixel((3, 3)) == 255
    sixteen = Image.new("I;16", (20, 20), 128 * 256)
    assert mask_accepted(encoded(sixteen)).getpixel((3, 3)) == 128


def test_a_mask_that_paints_nothing_or_is_none_is_refused() -> None:
    black = Image.new("L", (64, 64), 15)
    for data, code in ((encoded(black), "image_invalid"), (b"<svg/>", "format_unsupported")):
        with pytest.raises(PictureRefused) as refusal:
            accept_mask(data, max_bytes=2**20, max_pixels=512 * 512)
        assert refusal.value.code == code


def test_openai_s_mask_paints_where_it_is_transparent() -> None:
    hole = Image.new("RGBA", (64, 64), (9, 9, 9, 255))
    hole.paste((9, 9, 9, 0), (0, 0, 32, 64))
    bounds = {"max_bytes": 2**20, "max_pixels": 512 * 512}
    mask = mask_accepted(mask_of_alpha(encoded(hole), **bounds))
    assert [mask.getpixel(at) for at in ((8, 8), (50, 8))] == [255, 0]
    with pytest.raises(PictureRefused, match="no transparency"):
        mask_of_alpha(encoded(Image.new("RGB", (64, 64))), **bounds)


def test_every_square_that_a_mask_touches_is_painted_whole() -> None:
    # A hairline between the points that a coarser grid would be read at.
    touched = cells(a_mask(white=(21, 3, 22, 4)))
    assert touched.getbbox() == (16, 0, 24, 8)
    assert touched.getextrema() == (0, 255)
    assert cells(a_mask()).getbbox() == (16, 16, 48, 48)


def test_a_composed_picture_is_its_source_to_the_last_bit_where_the_mask_is_black() -> None:
    source, painted = (
        Image.effect_noise((64, 64), 90).convert("RGB"),
        Image.new("RGB", (64, 64), RED),
    )
    mask = a_mask()
    whole = composed(source, painted, mask)
    for x in range(64):
        for y in range(64):
            if mask.getpixel((x, y)) == 0:
                assert whole.getpixel((x, y)) == source.getpixel((x, y))
    # Inside, what was painted; beside the edge, both.
    assert whole.crop((22, 22, 39, 39)).getcolors() == [(17 * 17, RED)]
    assert whole.getpixel((20, 30)) not in (RED, source.getpixel((20, 30)))


def test_a_grey_mask_mixes() -> None:
    source, painted = Image.new("RGB", (32, 32), "black"), Image.new("RGB", (32, 32), "white")
    assert composed(source, painted, Image.new("L", (32, 32), 64)).getpixel((9, 9)) == (64, 64, 64)


def test_a_mask_comes_to_size_as_its_source_does() -> None:
    wide = a_mask((300, 100), (100, 0, 200, 100))
    square = fitted(encoded(wide), 64, 64)
    assert square.mode == "L"
    assert min(square.getpixel((x, 32)) for x in (2, 32, 61)) == 255  # type: ignore[type-var]
    assert fitted(encoded(wide), 96, 32).getpixel((3, 16)) == 0
