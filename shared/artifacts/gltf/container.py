"""Is a GLB file whole? The container, its JSON and everything the JSON promises, by ranged reads.

A check reads the 20-byte header and the JSON chunk (one or two range requests, whatever the file's
size), so a model can be judged where it lies, in a bucket. Layout: Khronos glTF 2.0.1, section 4.

这个模块检查 GLB 文件是否完整，只读取需要的字节范围。
"""

from __future__ import annotations

import codecs
import json
import os
import struct
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from shared.artifacts.gltf.document import BrokenModel, Document, as_object
from shared.artifacts.gltf.oddities import Oddities
from shared.artifacts.gltf.structure import check_document

__all__ = ["BrokenModel", "Container", "RangeReader", "check_container", "has_container"]

_MAGIC = 0x46546C67
_JSON = 0x4E4F534A
_BIN = 0x004E4942

MAX_JSON_BYTES = 16 * 2**20
"""A generator's JSON has a few kB; CAD scenes with ten thousand parts a few MB."""

MAX_JSON_VALUES = 2_000_000
"""Bounds what parsing may cost: an empty list is three bytes of text but 64 bytes of memory."""

MAX_CHUNKS = 16
"""The format knows two; others are skipped, but not without end."""

_FIRST_READ = 64 * 1024


class RangeReader(Protocol):
    """A file that can be read by ranges, wherever it lies; `size` is its whole size in bytes.

    这个协议表示可以按字节范围读取的文件。
    """

    @property
    def size(self) -> int:
        """The whole size in bytes.

        这个属性给出文件的总字节数。
        """
        ...

    def read(self, start: int, length: int) -> bytes:
        """`length` bytes from byte `start` on; the caller never asks beyond `size`.

        这个方法读取指定的一段字节。
        """
        ...


class BytesReader:
    """Ranged reads over bytes in memory.

    这个类让内存中的字节可以按范围读取。
    """

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, start: int, length: int) -> bytes:
        """`length` bytes from byte `start` on.

        这个方法读取指定的一段字节。
        """
        return self._data[start : start + length]


class FileReader(AbstractContextManager["FileReader"]):
    """Ranged reads over a local file, held open until the end of a `with`.

    这个类让本地文件可以按范围读取。
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115 - closed by __exit__
        self.size = os.fstat(self._file.fileno()).st_size

    def read(self, start: int, length: int) -> bytes:
        """`length` bytes from byte `start` on.

        这个方法读取指定的一段字节。
        """
        self._file.seek(start)
        return self._file.read(length)

    def __exit__(self, *_error: object) -> None:
        self._file.close()


@dataclass(frozen=True)
class Container:
    """A checked GLB: where it is read, at which byte its BIN data starts, and its document.

    `unpacked` keeps what was compressed, once somebody has asked for it.

    这个类表示一个通过检查的 GLB 文件。
    """

    reader: RangeReader
    bin_start: int
    document: Document
    unpacked: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)


def read_exactly(reader: RangeReader, start: int, length: int) -> bytes:
    """Read a range, and raise OSError where the source gives less than it has.

    A source that stops short is a fault of the connection, not of the model: it may be tried again.

    这个函数读取一段字节，读不满就报输入输出错误。
    """
    data = reader.read(start, length)
    if len(data) != length:
        raise OSError(f"asked for {length} bytes at {start}, got {len(data)}")
    return data


def check_container(reader: RangeReader) -> Container:
    """Check the container, its JSON and all that the JSON says about itself; no vertex is read.

    Raises BrokenModel with the first fault, and OSError where the source itself fails. What is odd
    about a file that loaders open is in the document's warnings.

    这个函数检查 GLB 的容器和结构，不读取顶点数据。
    """
    odd = Oddities()
    chunks = _read_chunks(reader, odd)
    try:
        document = check_document(_parse(chunks.text, odd), chunks.bin_length, odd)
    except RecursionError:
        raise BrokenModel("the JSON is nested too deeply") from None
    return Container(reader, chunks.bin_start, document)


def has_container(reader: RangeReader) -> bool:
    """Whether a file is a whole GLB container with JSON in it, whatever that says.

    这个函数判断文件是否有完整的 GLB 容器。
    """
    try:
        as_object(_parse(_read_chunks(reader, Oddities()).text, Oddities()), "the JSON")
    except (BrokenModel, RecursionError):
        return False
    return True


@dataclass(frozen=True)
class _Chunks:
    """The JSON's bytes, where the BIN data starts, and its length, None where there is none."""

    text: bytes
    bin_start: int
    bin_length: int | None


def _read_chunks(reader: RangeReader, odd: Oddities) -> _Chunks:
    """The chunks of a GLB; raises BrokenModel.

    读取 GLB 的数据块。
    """
    size = reader.size
    if size < 20:
        raise BrokenModel(f"the file has {size} bytes, too few for a GLB")
    head = read_exactly(reader, 0, min(size, _FIRST_READ))
    magic, version, length, json_length, json_kind = struct.unpack_from("<5I", head)
    if magic != _MAGIC:
        raise BrokenModel("the file does not start with glTF: it is not a GLB")
    if version != 2:
        raise BrokenModel(f"the GLB version is {version}, expected 2")
    if length > size:
        raise BrokenModel(f"the header declares {length} bytes but the file has {size}")
    if length < 20:
        raise BrokenModel(f"the header declares {length} bytes, too few for a GLB")
    if json_kind != _JSON:
        raise BrokenModel("the first chunk is not JSON")
    if json_length > MAX_JSON_BYTES:
        raise BrokenModel(f"the JSON chunk has {json_length} bytes, more than {MAX_JSON_BYTES}")
    _check_chunk(12, json_length, size, odd)
    json_end = 20 + json_length
    if json_end > len(head):
        head += read_exactly(reader, len(head), json_end - len(head))
    bin_start, bin_length, end = _find_bin(reader, json_end, length, odd)
    if end > length:
        odd.add(f"the header declares {length} bytes but the chunks end at byte {end}")
    if size > max(end, length):
        odd.add(f"{size - max(end, length)} bytes follow the declared end of the file")
    return _Chunks(head[20:json_end], bin_start, bin_length)


def _check_chunk(start: int, length: int, size: int, odd: Oddities) -> None:
    if start + 8 + length > size:
        raise BrokenModel(
            f"the chunk at byte {start} ends at byte {start + 8 + length} but the file has {size}"
        )
    if length % 4:
        odd.add(f"the chunk at byte {start} has {length} bytes, not a multiple of 4")


def _find_bin(
    reader: RangeReader, start: int, end: int, odd: Oddities
) -> tuple[int, int | None, int]:
    """Where the BIN data starts, its length, and where the chunks that start before `end` end.

    找到 BIN 数据块。
    """
    first, bin_start, bin_length = start, 0, None
    for _ in range(MAX_CHUNKS):
        if start >= end:
            return bin_start, bin_length, start
        if start + 8 > reader.size:
            raise BrokenModel(f"the chunk at byte {start} has no whole header")
        length, kind = struct.unpack("<2I", read_exactly(reader, start, 8))
        _check_chunk(start, length, reader.size, odd)
        if kind == _JSON or (kind == _BIN and bin_length is not None):
            raise BrokenModel(f"the chunk at byte {start} is out of order")
        if kind == _BIN:
            bin_start, bin_length = start + 8, length
            if start != first:
                odd.add("the BIN chunk does not come right after the JSON")
        start += 8 + length
    odd.add(f"the file has more than {MAX_CHUNKS} chunks, of which the rest is not looked at")
    return bin_start, bin_length, start


def _parse(text: bytes, odd: Oddities) -> Any:
    """Read the JSON chunk, within a bound on its values; raises BrokenModel.

    解析 JSON 块。
    """
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > MAX_JSON_VALUES:
        raise BrokenModel(f"the JSON holds more than {MAX_JSON_VALUES} values")

    def refuse(name: str) -> None:
        raise BrokenModel(f"the JSON cannot be parsed: {name} is not a number")

    if text.startswith(codecs.BOM_UTF8):
        odd.add("the JSON starts with a byte order mark")
        text = text[len(codecs.BOM_UTF8) :]
    try:
        words = text.decode("utf-8")
    except UnicodeDecodeError as error:
        odd.add(f"the JSON is not UTF-8 at byte {20 + error.start}")
        words = text.decode("utf-8", "replace")
    try:
        return json.loads(words, parse_constant=refuse)
    except json.JSONDecodeError as error:
        # Only what was wrong and where: a data: URI is no part of a message.
        said = f"{error.msg[:80]} at character {error.pos}"
        raise BrokenModel(f"the JSON cannot be parsed: {said}") from None
    except BrokenModel:
        raise
    except ValueError:  # a whole number of thousands of digits, which JSON allows
        return json.loads(words, parse_constant=refuse, parse_int=float)
