"""Which of the formats an input model is, and whether it is whole.

输入模型格式识别的测试。
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from shared.inputs.models import OBJ, UnusableModel, inspect_model_bytes, recognise, scanned
from tests.functions.pictures import SVG, picture
from tests.model_files import WHOLE, binary_fbx, binary_stl, obj, text_fbx, text_stl
from tests.providers import triangle


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_model_is_told_by_its_content(name: str) -> None:
    media_type, data = WHOLE[name]
    assert inspect_model_bytes(data) == media_type


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("glb", "model/gltf-binary"),
        ("obj", "model/obj"),
        ("stl", "model/stl"),
        ("stl_ascii", "model/stl"),
    ],
)
def test_what_another_library_writes_is_taken(kind: str, media_type: str) -> None:
    data = trimesh.creation.icosphere(subdivisions=3).export(file_type=kind)
    assert inspect_model_bytes(data if isinstance(data, bytes) else data.encode()) == media_type


def fault(data: bytes) -> UnusableModel:
    with pytest.raises(UnusableModel) as caught:
        inspect_model_bytes(data)
    return caught.value


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (b" \n\n ", "not a model that is known"),
        (picture("JPEG"), "a JPEG"),
        (picture("PNG"), "a PNG"),
        (SVG, "an SVG"),
        (b"PK\x03\x04" + bytes(60), "a ZIP archive"),
        (b"<!DOCTYPE html><p>not found", "a web page"),
        (b'{"asset": {"version": "2.0"}}', "not a model that is known"),
        (b"ply\nformat ascii 1.0\n", "not a model that is known"),
        (b"v-shaped words are no vertex\n", "not a model that is known"),
        (bytes(500), "not a model that is known"),
        (bytes(84), "not a model that is known"),
        (binary_stl(0), "not a model that is known"),
        (binary_stl(3)[:-1], "not a model that is known"),
        (binary_stl(2) + bytes(2000), "not a model that is known"),
    ],
)
def test_anything_else_is_named_and_refused(data: bytes, words: str) -> None:
    found = fault(data)
    assert found.code == "model_format_unsupported"
    assert words in found.reason


def nan_stl() -> bytes:
    return binary_stl()[:84] + struct.pack("<12fH", *[float("nan")] * 12, 0) * 2


def test_a_count_that_fits_by_chance_makes_no_stl() -> None:
    assert fault(nan_stl()).code == "model_format_unsupported"


def test_a_normal_may_be_nonsense() -> None:
    facet = struct.pack("<12fH", *[float("nan")] * 3, *[0.5] * 9, 0)
    assert inspect_model_bytes(binary_stl()[:84] + facet * 2) == "model/stl"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (triangle()[:-4], "model_broken"),
        (b"glTF" + bytes(40), "model_broken"),
        (binary_fbx()[:-40], "model_truncated"),
        (binary_fbx()[:30], "model_truncated"),
        (binary_fbx()[:27], "model_truncated"),
        (binary_fbx()[:20], "model_broken"),
        (binary_fbx(records=()), "model_broken"),
        (binary_fbx()[:27] + struct.pack("<IIIB", 5, 0, 0, 0) + bytes(40), "model_broken"),
        (text_fbx()[:-4], "model_truncated"),
        (b"; FBX 7.3.0 project file\n}", "model_broken"),
        (text_stl()[:-20], "model_truncated"),
        (b"solid part\nendsolid part\n", "model_broken"),
        (b"# nothing\n", "model_broken"),
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "model_broken"),
        (b"o part\nf 1 2 3\n", "model_broken"),
        (obj() + b"\n" * 70_000 + b"\0", "model_broken"),
    ],
)
def test_a_cut_or_empty_model_is_refused(data: bytes, code: str) -> None:
    assert fault(data).code == code


def test_an_endless_chain_of_records_is_given_up() -> None:
    records = [(b"", b"")] * 5000
    assert fault(binary_fbx(records=records)).code == "model_broken"


@given(st.lists(st.integers(1, 30), max_size=8))
def test_an_objs_words_are_found_however_its_bytes_are_cut(sizes: list[int]) -> None:
    data = b"o part\n" + b"v 0 0 0\n" * 3 + b"f 1 2 3\n"

    def chunks() -> Iterator[bytes]:
        rest = io.BytesIO(data)
        for size in sizes:
            yield rest.read(size)
        yield rest.read()

    assert b"".join(scanned(OBJ, chunks())) == data


class Counting:
    """A reader that counts what is asked of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.read_bytes = 0

    def read(self, start: int, length: int) -> bytes:
        self.read_bytes += length
        return self.data[start : start + length]


@pytest.mark.parametrize(
    "data",
    [
        binary_stl(100_000),
        binary_fbx(records=[(b"Objects", bytes(5_000_000))]),
        obj() * 50_000,
        text_stl().replace(b"endsolid part\n", b"") * 20_000 + b"endsolid part\n",
    ],
    ids=["STL", "FBX", "OBJ", "STL in words"],
)
def test_a_large_model_is_recognised_by_a_few_kilobytes(data: bytes) -> None:
    reader = Counting(data)
    recognise(reader)
    assert reader.read_bytes < 100_000


@given(st.binary(max_size=300))
def test_no_bytes_make_more_than_a_fault(data: bytes) -> None:
    for start in (b"", b"glTF", b"Kaydara FBX Binary  \x00\x1a\x00", b"solid ", b"v 1 1 1\n"):
        with suppress(UnusableModel):
            inspect_model_bytes(start + data)


@given(st.integers(0, 2**32 - 1))
def test_a_count_of_triangles_is_no_reason_to_read_or_make_more(count: int) -> None:
    data = bytes(80) + struct.pack("<I", count) + np.zeros(200, np.uint8).tobytes()
    if count == 4:
        assert inspect_model_bytes(data) == "model/stl"
    elif count not in range(1, 4):
        assert fault(data).code == "model_format_unsupported"
