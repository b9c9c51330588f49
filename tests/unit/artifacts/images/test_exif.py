"""A photograph is turned by its one tag, whatever else its EXIF holds."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.artifacts.images.exif import orientation, tiff_orientation
from shared.artifacts.images.image import ImageLimits, inspect_image, upright
from tests.pictures import thumbnail_of

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}

Entry = tuple[int, int, int, bytes]
"""Tag, type, count, and the four bytes of the value or of its offset."""


def plain_picture(kind: str) -> bytes:
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:16, :24] = [255, 0, 0]
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


PLAIN = {kind: plain_picture(kind) for kind in MEDIA_TYPES}


def directory(entries: list[Entry], order: str = "<", rest: bytes = b"", more: int = 0) -> bytes:
    """A TIFF header and one directory, which claims `more` entries than it has."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    body = mark + struct.pack(order + "IH", 8, len(entries) + more)
    for tag, kind, count, value in entries:
        body += struct.pack(order + "2HI", tag, kind, count) + value
    return body + bytes(4) + rest


def turned_by(value: int, order: str = "<") -> Entry:
    return 0x0112, 3, 1, struct.pack(order + "2H", value, 0)


def with_exif(kind: str, block: bytes) -> bytes:
    """A picture of 48 x 32 with these bytes as its EXIF, put there without a library."""
    data = PLAIN[kind]
    if kind == "JPEG":
        body = b"Exif\0\0" + block
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    if kind == "PNG":
        chunk = b"eXIf" + block
        chunk = struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        return data[:33] + chunk + data[33:]
    extended = b"VP8X" + struct.pack("<I", 10) + bytes([8, 0, 0, 0])
    extended += (47).to_bytes(3, "little") + (31).to_bytes(3, "little")
    chunk = b"EXIF" + struct.pack("<I", len(block)) + block + bytes(len(block) % 2)
    inside = b"WEBP" + extended + data[12:] + chunk
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def assert_turned(data: bytes) -> None:
    """It is stored as 48 x 32 and taken, shown and sent on as 32 x 48."""
    info = inspect_image(data, ImageLimits())
    assert (info.width, info.height) == (32, 48)
    straight = upright(data)
    assert straight is not None
    assert size_of(straight) == (32, 48)
    assert upright(straight) is None
    assert thumbnail_of(data, 16)[1:] == (11, 16)


ODD = {
    "a zero denominator": (0x011A, 5, 1, struct.pack("<I", 38)),
    "GPS of a wrong type": (0x8825, 2, 4, b"GPS\0"),
    "GPS that leads nowhere": (0x8825, 4, 1, b"\xff\xff\xff\x7f"),
    "a count of four thousand million": (0x010F, 2, 2**32 - 1, bytes(4)),
    "a directory that leads to itself": (0x8769, 4, 1, struct.pack("<I", 8)),
    "a type that does not exist": (0x0131, 99, 1, bytes(4)),
    "a time that is no time": (0x0132, 12, 3, b"\0\0\0\xff"),
}


@pytest.mark.parametrize("kind", MEDIA_TYPES)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("oddity", ODD)
def test_odd_exif_does_not_keep_a_photograph_from_being_turned(
    kind: str, order: str, oddity: str
) -> None:
    tag, shape, count, value = ODD[oddity]
    value = value if order == "<" else value[::-1]
    odd = tag, shape, count, value
    block = directory([odd, turned_by(6, order), odd], order, struct.pack(order + "2I", 72, 0))
    assert_turned(with_exif(kind, block))


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_a_directory_that_claims_more_entries_than_it_has_is_read_to_its_end(kind: str) -> None:
    assert_turned(with_exif(kind, directory([turned_by(8)], more=60_000)))


def test_the_directory_of_a_thumbnail_inside_does_not_count() -> None:
    small = directory([turned_by(6)])[8:]
    block = directory([(0x0100, 4, 1, struct.pack("<I", 48))])[:-4] + struct.pack("<I", 26) + small
    assert tiff_orientation(block) is None


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_a_turn_that_does_not_exist_is_none(value: int) -> None:
    assert tiff_orientation(directory([turned_by(value)])) is None


def test_what_is_no_exif_has_no_orientation() -> None:
    for block in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"Exif\0\0", b"MM\0*\0\0\0\x08\xff\xff"):
        assert tiff_orientation(block) is None
    assert orientation(b"\xff\xd8\xff", "image/jpeg") is None
    assert orientation(b"GIF89a", "image/gif") is None


def test_a_png_may_say_it_after_its_pixels() -> None:
    data = with_exif("PNG", directory([turned_by(6)]))
    length = 12 + struct.unpack_from(">I", data, 33)[0]
    late = data[:33] + data[33 + length : -12] + data[33 : 33 + length] + data[-12:]
    assert_turned(late)


def test_a_second_block_is_asked_where_the_first_does_not_say() -> None:
    data = with_exif("JPEG", directory([turned_by(6)]))
    silent = b"Exif\0\0" + directory([(0x010F, 2, 1, bytes(4))])
    first = b"\xff\xe1" + struct.pack(">H", len(silent) + 2) + silent
    assert_turned(data[:2] + first + data[2:])


entries = st.tuples(
    st.integers(0, 65535).filter(lambda tag: tag != 0x0112),
    st.integers(0, 20),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=4, max_size=4),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(sorted(MEDIA_TYPES)),
    order=st.sampled_from("<>"),
    before=st.lists(entries, max_size=4),
    after=st.lists(entries, max_size=3),
    more=st.integers(0, 100),
    rest=st.binary(max_size=60),
)
def test_whatever_lies_around_the_tag_the_photograph_is_turned(
    kind: str, order: str, before: list[Entry], after: list[Entry], more: int, rest: bytes
) -> None:
    block = directory([*before, turned_by(5, order), *after], order, rest, more)
    data = with_exif(kind, block)
    info = inspect_image(data, ImageLimits())
    assert (info.width, info.height) == (32, 48)
    straight = upright(data)
    assert straight is not None
    assert size_of(straight) == (32, 48)
