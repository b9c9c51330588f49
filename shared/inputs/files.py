"""Input files: as they come with a request, and as they are kept with their job.

输入文件：请求中的与已保存的。
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NewFile:
    """An input file that was found whole: a picture's upright bytes, with its size in pixels, or a
    model's.

    已检查过的输入文件。
    """

    data: bytes = field(repr=False)
    media_type: str
    width: int | None = None
    height: int | None = None

    @property
    def sha256(self) -> str:
        """The hash of the bytes, in hex.

        内容的哈希值。
        """
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class InputFile:
    """One input, kept in the bucket under `key`; `bytes` is its size, `width` and `height` are a
    picture's. `source` is what it came from, as the job shows it; None: the request itself.

    一个保存好的输入文件。
    """

    key: str
    media_type: str
    bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    source: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
