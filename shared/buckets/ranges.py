"""An object read by ranges, as checks want it that look at a few places of a large file.

按字节范围读取存储中的对象。
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.buckets.base import Bucket

_CHUNK = 1 << 20


@dataclass(frozen=True)
class BucketReader:
    """An object read by ranges, as the model checks want it.

    按字节范围读取存储中的对象。
    """

    bucket: Bucket
    key: str
    size: int

    def read(self, start: int, length: int) -> bytes:
        """`length` bytes from byte `start` on; `OSError` when the object ends before.

        读取一段字节。
        """
        parts: list[bytes] = []
        with self.bucket.open(self.key, start, length) as reader:
            while length > 0:
                part = reader.read(min(length, _CHUNK))
                if not part:
                    raise OSError(f"{self.key} ends {length} bytes early")
                parts.append(part)
                length -= len(part)
        return b"".join(parts)
