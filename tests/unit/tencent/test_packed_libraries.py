"""What compiled libraries ask of the system is read from them, and too much is refused.

编译库对系统的要求。
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from infra.tencent.build import elf, packages

NEED = 0x6FFFFFFE


def library(*versions: str, machine: int = 62, file: str = "libc.so.6") -> bytes:
    """A library of the smallest kind: a header, two segments, and what it needs of one file.

    Everything lies 0x1000 higher in memory than in the file, as it may.
    """
    texts = b"\0" + b"".join(text.encode() + b"\0" for text in (file, *versions))
    places, place = [], 1
    for text in (file, *versions):
        places.append(place)
        place += len(text) + 1
    start = 64 + 2 * 56
    dynamic = start + len(texts)
    needs = dynamic + 3 * 16
    tags = [(5, 0x1000 + start), (NEED, 0x1000 + needs), (0, 0)]
    need = struct.pack("<HHIII", 1, len(versions), places[0], 16, 0)
    for number, where in enumerate(places[1:], 1):
        following = 16 if number < len(versions) else 0
        need += struct.pack("<IHHII", 0, 0, number, where, following)
    whole = needs + len(need)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack("<16sHHIQQQIHHHHHH", ident, 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x1000, 0, whole, whole, 0x1000)
    segments += struct.pack("<IIQQQQQQ", 2, 6, dynamic, 0x1000 + dynamic, 0, 48, 48, 8)
    return head + segments + texts + b"".join(struct.pack("<QQ", *tag) for tag in tags) + need


def test_the_versions_a_library_needs_are_read_with_the_file_they_are_of() -> None:
    read = elf.read(library("GLIBC_2.17", "GLIBC_2.2.5"))
    assert read == elf.Library(
        "x86_64", (("libc.so.6", "GLIBC_2.17"), ("libc.so.6", "GLIBC_2.2.5"))
    )
    assert read.beyond() == []


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("GLIBC_2.17", True),
        ("GLIBC_2.18", False),
        ("GLIBC_2.3.4", True),
        ("GLIBC_2.28", False),
        ("GLIBC_PRIVATE", False),
        ("GLIBCXX_3.4.19", True),
        ("GLIBCXX_3.4.21", False),
        ("CXXABI_1.3.7", True),
        ("CXXABI_1.3.8", False),
        ("GCC_4.8.0", True),
        ("GCC_7.0.0", False),
        ("GFORTRAN_8", True),  # of a library that is packed beside it
    ],
)
def test_what_centos_7_has_not_is_beyond(version: str, fits: bool) -> None:
    assert elf.read(library("GLIBC_2.2.5", version)).beyond() == ([] if fits else [version])


def test_a_library_for_another_processor_says_so() -> None:
    assert elf.read(library("GLIBC_2.17", machine=183)).machine == "aarch64"


@pytest.mark.parametrize("length", [0, 4, 20, 64, 120, 180, 200, 240])
def test_half_a_library_is_told_as_damaged(length: int) -> None:
    with pytest.raises(elf.NotElf):
        elf.read(library("GLIBC_2.17")[:length])


def test_a_folder_s_libraries_are_judged_whatever_their_names_are(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "good.so").write_bytes(library("GLIBC_2.17"))
    (tmp_path / "inner" / "plain").write_bytes(library("GLIBC_2.34", "GLIBC_2.17"))
    (tmp_path / "other.so.1").write_bytes(library("GLIBC_2.17", machine=183))
    (tmp_path / "half.so").write_bytes(library("GLIBC_2.17")[:100])
    (tmp_path / "module.py").write_text("")
    assert list(packages.unfit(tmp_path)) == [
        "half.so: damaged",
        "inner/plain needs GLIBC_2.34",
        "other.so.1 is for aarch64",
    ]
