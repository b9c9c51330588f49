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
    """An input picture that was found whole: its upright bytes and what is known of them.

    已检查过的输入图片。
    """

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int

    @property
    def sha256(self) -> str:
        """The hash of the bytes, in hex.

        内容的哈希值。
        """
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class InputFile:
    """One input picture, kept in the bucket under `key`; `bytes` is its size.

    一张保存好的输入图片。
    """

    key: str
    media_type: str
    bytes: int
    sha256: str
    width: int
    height: int
    extra: Mapping[str, Any] = field(default_factory=dict)
