"""A stream cut into parts of one size, as storages take large objects.

把数据流切成固定大小的分段。
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def in_parts(chunks: Iterable[bytes], size: int) -> Iterator[tuple[bytearray, bool]]:
    """The chunks as parts of `size` bytes, the last (marked so) shorter or empty.

    A part is good until the next is asked for: each would else be in memory beside the next.

    把数据切成分段。
    """
    part = bytearray()
    for chunk in chunks:
        left = memoryview(chunk)
        while left:
            if len(part) == size:
                yield part, False
                part.clear()
            taken = left[: size - len(part)]
            part += taken
            left = left[len(taken) :]
    yield part, True
