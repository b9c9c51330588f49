"""Where a document's bytes lie: its buffers, and the views that are ranges of them.

Loaders look at the data and not at what a buffer declares; so do these checks, and what is declared
otherwise is odd.

这个模块读取 glTF 的缓冲区和缓冲视图。
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from shared.artifacts.gltf.document import (
    MESHOPT,
    BrokenModel,
    Buffer,
    Meshopt,
    View,
    as_whole,
    entries,
    extension,
    optional_whole,
    quoted,
)
from shared.artifacts.gltf.oddities import Oddities

_PADDING = 3
"""A BIN chunk may be this much longer than its buffer (glTF 2.0.1, 4.4.3.1)."""

_MODES = ("ATTRIBUTES", "TRIANGLES", "INDICES")
_FILTERS = ("NONE", "OCTAHEDRAL", "QUATERNION", "EXPONENTIAL", "COLOR")


def read_buffers(
    root: Mapping[str, Any], bin_length: int | None, odd: Oddities
) -> tuple[Buffer, ...]:
    """What stands behind each buffer; raises BrokenModel for one that is no buffer at all.

    这个函数找出各缓冲区的数据。
    """
    buffers = []
    for index, item in enumerate(entries(root, "buffers")):
        place = f"buffers[{index}]"
        declared = optional_whole(item, "byteLength", place)
        buffer = _buffer(item, bin_length if index == 0 else None, place, odd)
        if buffer.missing is not None:
            buffer = Buffer(declared, missing=buffer.missing)
        elif buffer.length < declared:
            odd.add(f"{place} declares {declared} bytes but has only {buffer.length}")
        elif buffer.length > declared + (_PADDING if buffer.data is None else 0):
            odd.add(f"{place} declares {declared} bytes but its data has {buffer.length}")
        buffers.append(buffer)
    return tuple(buffers)


def _buffer(item: Mapping[str, Any], bin_length: int | None, place: str, odd: Oddities) -> Buffer:
    """The data of one buffer: of its URI, else of the BIN chunk, else none.

    一个缓冲区的数据。
    """
    uri = item.get("uri")
    if isinstance(uri, str) and is_data_uri(uri):
        odd.add(f"{place} lies in a data: URI, not in the BIN chunk")
        data = decode_data_uri(uri)
        if data is None:
            return Buffer(0, missing=f"{place} has a data: URI that cannot be decoded")
        return Buffer(len(data), data)
    if uri is not None:
        return Buffer(0, missing=f"{place} lies outside the file: {quoted(uri)}")
    if bin_length is not None:
        return Buffer(bin_length)
    if extension(item, MESHOPT, place) is None:
        return Buffer(0, missing=f"{place} has no data: no BIN chunk belongs to it")
    return Buffer(0, missing=f"{place} stands in for compressed data alone")


def is_data_uri(uri: str) -> bool:
    """Whether a URI holds its data itself; browsers overlook white space before it.

    这个函数判断地址是否自带数据。
    """
    return uri.lstrip()[:5].lower() == "data:"


def decode_data_uri(uri: str) -> bytes | None:
    """The bytes of a `data:` URI, decoded as forgivingly as browsers do; None where there are none.

    这个函数解码 data: 地址中的数据。
    """
    head, comma, body = uri.partition(",")
    if not comma:
        return None
    if not re.search(r";\s*base64\s*$", head, re.IGNORECASE):
        return unquote_to_bytes(body)
    if "%" in body:
        body = unquote_to_bytes(body).decode("latin-1")
    plain = re.sub(r"[\t\n\f\r ]", "", body).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def read_views(
    root: Mapping[str, Any], buffers: Sequence[Buffer], used: set[int], odd: Oddities
) -> tuple[View, ...]:
    """The buffer views, each cut to what its buffer has; raises BrokenModel for a used one's form.

    这个函数读取缓冲视图。
    """
    views = []
    for index, item in enumerate(entries(root, "bufferViews")):
        place = f"bufferViews[{index}]"
        try:
            views.append(_view(item, buffers, place, odd))
        except BrokenModel as fault:
            if index in used:
                raise
            odd.add(f"nothing uses {place}, where {fault.reason}")
            views.append(View(0, 0, 0, fault=fault.reason))
    _warn_of_dummies(root, buffers, views, odd)
    return tuple(views)


def _view(item: Mapping[str, Any], buffers: Sequence[Buffer], place: str, odd: Oddities) -> View:
    """A buffer view; one that cannot be read says why. Raises BrokenModel.

    检查一个缓冲视图。
    """
    packed = extension(item, MESHOPT, place)
    if packed is not None:
        item = {"buffer": 0, **item}  # nobody reads the other
    buffer, offset, length = _range(item, place)
    stride = optional_whole(item, "byteStride", place)
    if packed is not None:
        packing, fault = _meshopt(packed, buffers, f"{place}'s compressed data")
        return View(0, packing.count * packing.stride, stride, buffer, packing, fault)
    if buffer >= len(buffers):
        raise BrokenModel(f"{place}.buffer refers to buffers[{buffer}], there are {len(buffers)}")
    if buffers[buffer].missing is not None:
        fault = f"{place} cannot be read: {buffers[buffer].missing}"
        return View(offset, length, stride, buffer, fault=fault)
    there = buffers[buffer].length
    if offset + length > there:
        odd.add(f"{place} ends at byte {offset + length} but buffers[{buffer}] has {there} bytes")
        length = max(0, there - offset)
    return View(offset, length, stride, buffer)


def _range(item: Mapping[str, Any], place: str) -> tuple[int, int, int]:
    return (
        as_whole(item.get("buffer"), f"{place}.buffer"),
        optional_whole(item, "byteOffset", place),
        optional_whole(item, "byteLength", place),
    )


def _meshopt(
    item: Mapping[str, Any], buffers: Sequence[Buffer], place: str
) -> tuple[Meshopt, str | None]:
    """How a view is packed, and why it cannot be read, if it cannot; raises BrokenModel.

    meshopt 压缩的说明。
    """
    buffer, offset, length = _range(item, place)
    if buffer >= len(buffers):
        raise BrokenModel(f"{place}.buffer refers to buffers[{buffer}], there are {len(buffers)}")
    mode, filtered = item.get("mode"), item.get("filter", "NONE")
    if mode not in _MODES or filtered not in _FILTERS:
        raise BrokenModel(f"{place} has the mode {quoted(mode)} and the filter {quoted(filtered)}")
    packing = Meshopt(
        buffer,
        offset,
        length,
        mode,
        filtered,
        count=as_whole(item.get("count"), f"{place}.count", high=2**32),
        stride=as_whole(item.get("byteStride"), f"{place}.byteStride", low=1, high=256),
    )
    there = buffers[buffer]
    fault = None if there.missing is None else f"{place} cannot be read: {there.missing}"
    if fault is None and offset + length > there.length:
        fault = (
            f"{place} ends at byte {offset + length} but buffers[{buffer}] has {there.length} bytes"
        )
    return packing, fault


def _warn_of_dummies(
    root: Mapping[str, Any], buffers: Sequence[Buffer], views: Sequence[View], odd: Oddities
) -> None:
    """Name the buffers without data: those that compressed views declare, and nobody reads.

    指出没有数据的缓冲区。
    """
    packed = {view.buffer for view in views if view.packing is not None}
    for index, (buffer, item) in enumerate(zip(buffers, entries(root, "buffers"), strict=True)):
        place = f"buffers[{index}]"
        if buffer.missing is None or extension(item, MESHOPT, place) is not None:
            continue
        users = "only compressed views use it" if index in packed else "nothing reads it"
        odd.add(f"{buffer.missing}; {users}, and it is not marked as a fallback")
