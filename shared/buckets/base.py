"""The bucket's protocol: whole files by key, streamed both ways.

对象存储的接口：按键存取整个文件，双向流式。
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol


class BucketUnavailable(Exception):
    """The bucket does not answer, or refuses us.

    对象存储不可用。
    """


class ObjectMissing(Exception):
    """There is no object under that key.

    该键下没有对象。
    """


@dataclass(frozen=True)
class ObjectInfo:
    """What is known of a stored object without reading it. `bytes` is its size.

    对象的基本信息。
    """

    key: str
    bytes: int
    media_type: str


@dataclass(frozen=True)
class PresignedPut:
    """A PUT that anyone may send: its URL, which is a secret while it lasts, and the headers that
    must go with it exactly as they are.

    一个限时的上传请求：地址与必须原样发送的请求头。
    """

    url: str = field(repr=False)
    headers: Mapping[str, str]


class Reader(Protocol):
    """Part of an object, read forward.

    对象内容的读取器。
    """

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, b"" at the end; -1 reads the rest.

        读取若干字节。
        """


class Bucket(Protocol):
    """Object storage. Every method may raise `BucketUnavailable`.

    Keys are relative paths of `[A-Za-z0-9._/-]`, at most 512 characters, without `.`, `..`, empty
    parts or parts over 255; every method raises `ValueError` for others. Part of a key names
    nothing: `a/b` is no object because `a/b/c` is one. An object's media type is that of its key's
    ending (see `shared.buckets.names`), `application/octet-stream` under any other.

    对象存储。
    """

    def put_stream(self, key: str, chunks: Iterable[bytes], *, media_type: str) -> ObjectInfo:
        """Store what `chunks` yields, in constant memory, replacing an older object at once.

        Nobody sees an object before it is whole, and who has the older one open reads on in it. If
        `chunks` raises, nothing is stored or replaced, and the exception goes on as it is. Raises
        `ValueError` where the key's ending says another media type.

        流式写入一个对象。
        """

    def open(
        self, key: str, start: int = 0, length: int | None = None
    ) -> AbstractContextManager[Reader]:
        """Read an object, or `length` bytes of it from `start`; raises `ObjectMissing`.

        A part is what a slice would be: past the end it is shorter or empty. A negative `start` or
        `length` raises `ValueError`.

        打开一个对象（或其中一段）。
        """

    def head(self, key: str) -> ObjectInfo | None:
        """Size and media type, or None if there is no such object.

        查询对象信息。
        """

    def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy within the bucket without passing the bytes through here, replacing at once.

        The copy lives on when its source is replaced or deleted; copying an object onto itself
        changes nothing. Raises `ObjectMissing`, and `ValueError` where the two endings stand for
        different media types.

        在存储内部复制。
        """

    def delete(self, key: str) -> None:
        """Remove an object; no object is no error.

        删除一个对象。
        """

    def keys(self, prefix: str, *, after: str | None = None, limit: int = 1000) -> tuple[str, ...]:
        """The keys that begin with `prefix`, by code point: those past `after`, at most `limit`.

        Fewer than `limit` are all that follow. Of objects that come or go meanwhile, a page may
        or may not tell. Raises `ValueError` for a limit under 1 or over 1000 and for a `prefix`
        that no key begins with.

        按前缀列出键。
        """

    def clear_uploads(self, before: int, *, limit: int = 1000) -> int:
        """Give up writes that were begun before a time (ms) and never ended, a dead process's;
        at most `limit`; how many. Whoever still writes one gets `BucketUnavailable`.

        清除中断的上传。
        """

    def presign_get(self, key: str, *, seconds: int, filename: str | None = None) -> str:
        """A URL that anyone may GET for `seconds`; `filename`, made harmless, names the download.

        生成限时下载链接。
        """

    def presign_put(
        self, key: str, *, seconds: int, media_type: str, size: int, sha256: str | None = None
    ) -> PresignedPut:
        """A request by which anyone may put an object of this media type and of exactly `size`
        bytes for `seconds`; with `sha256` (hex) of exactly these bytes, where the storage compares
        them (COS cannot, so whoever uses the object does). It may be sent again while it lasts, and
        replaces what it put before. `ValueError` as `put_stream`.

        生成限时上传请求：类型、大小（及哈希）必须完全相符。
        """

    def check(self) -> None:
        """Raise `BucketUnavailable` unless objects can be written and read.

        检查是否可用。
        """

    def close(self) -> None:
        """Let go of connections; calling it twice is harmless.

        关闭连接。
        """
