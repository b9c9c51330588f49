"""What a compiled library asks of the system's C and C++ libraries, read from the library itself.

The platform may have the C library of CentOS 7 (glibc 2.17). A library that asks for more is not
loaded there, and that shows only when it is imported: so each one is looked at before it is packed.
Source: System V ABI, "Dynamic Linking"; Linux Standard Base 5.0, "Symbol Versioning"; the limits
are those of PEP 599 (manylinux2014).

读取编译库对系统库版本的要求。
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"\x7fELF"
MACHINES = {62: "x86_64", 183: "aarch64"}
MOST = {
    "GLIBC": (2, 17),
    "GLIBCXX": (3, 4, 19),
    "CXXABI": (1, 3, 7),
    "GCC": (4, 8, 0),
}
"""The newest version of each that CentOS 7 has."""

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<QQ")
_NEED = struct.Struct("<HHIII")
_AUX = struct.Struct("<IHHII")
_LOAD, _DYN = 1, 2
_STRTAB, _VERNEED = 5, 0x6FFFFFFE
_VERSION = re.compile(r"([A-Z]+)_([0-9.]+)")


class NotElf(ValueError):
    """Not a library of 64 bits, little-endian, or one that is damaged.

    不是可识别的编译库。
    """


@dataclass(frozen=True)
class Library:
    """What a library says: the processor, and each version that it needs with the file it is of.

    一个编译库的要求。
    """

    machine: str
    needs: tuple[tuple[str, str], ...]

    def beyond(self) -> list[str]:
        """The versions that CentOS 7 has not, `GLIBC_2.28` say.

        超出限制的版本。
        """
        return [version for _, version in self.needs if _is_beyond(version)]


def read(data: bytes) -> Library:
    """What the library in these bytes asks for; raises `NotElf`.

    解析编译库。
    """
    try:
        return _Reader(data).library()
    except NotElf:
        raise
    except (struct.error, ValueError):
        raise NotElf("damaged") from None


def _is_beyond(version: str) -> bool:
    match = _VERSION.fullmatch(version)
    if match is None or match[1] not in MOST:
        # Private parts of the C library change with each version; others' are bundled.
        return version == "GLIBC_PRIVATE"
    return tuple(int(part) for part in match[2].split(".")) > MOST[match[1]]


class _Reader:
    """Finds its way as the loader does: by the segments, not by the sections, which may be gone."""

    def __init__(self, data: bytes) -> None:
        if data[:6] != MAGIC + b"\x02\x01":
            raise NotElf("no library of 64 bits, little-endian")
        self._data = data
        head = _HEADER.unpack_from(data)
        self._machine = MACHINES.get(head[2], str(head[2]))
        self._segments = [
            _SEGMENT.unpack_from(data, head[5] + number * head[9]) for number in range(head[10])
        ]

    def library(self) -> Library:
        """What the library says.

        读出要求。
        """
        tags = dict(self._dynamic())
        if _VERNEED not in tags:
            return Library(self._machine, ())
        names = self._place(tags[_STRTAB])
        return Library(self._machine, tuple(self._needs(self._place(tags[_VERNEED]), names)))

    def _dynamic(self) -> Iterator[tuple[int, int]]:
        for kind, _, offset, _, _, size, *_ in self._segments:
            if kind == _DYN:
                if offset + size > len(self._data):
                    raise NotElf("damaged")
                yield from _DYNAMIC.iter_unpack(self._data[offset : offset + size])

    def _place(self, address: int) -> int:
        """Where in the file an address of memory lies."""
        for kind, _, offset, start, _, size, *_ in self._segments:
            if kind == _LOAD and start <= address < start + size:
                return int(offset + address - start)
        raise NotElf("an address is in no segment")

    def _needs(self, place: int, names: int) -> Iterator[tuple[str, str]]:
        """Each file that is needed, with each version of it.

        逐个读出所需的版本。
        """
        while True:
            _, count, file, aux, following = _NEED.unpack_from(self._data, place)
            at = place + aux
            for _ in range(count):
                *_, name, step = _AUX.unpack_from(self._data, at)
                yield self._text(names + file), self._text(names + name)
                at += step
            if not following:
                return
            place += following

    def _text(self, place: int) -> str:
        return self._data[place : self._data.index(b"\0", place)].decode("ascii")
