"""The bucket as a folder of one machine: an object is a plain file at its key.

An object appears whole or not at all: it is written aside, synced and renamed into place. Its
media type is what its ending says.

用本机文件夹实现的对象存储。
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlencode
from uuid import uuid4

from shared.buckets.base import BucketUnavailable, ObjectInfo, ObjectMissing, PresignedPut
from shared.buckets.names import (
    MOST_KEYS,
    check_key,
    check_listing,
    check_media_type,
    clean_filename,
    media_type_of,
    put_headers,
)
from shared.clock import Clock

CHUNK = 1 << 20  # bytes read at a time where this file reads
_ASIDE = ".~aside"  # "~" occurs in no key: no object can lie in this folder
_STALE_SECONDS = 3600
"""Age of what a killed process left at which a new one clears it: no write takes that long."""
_RENAMES = 10  # tries, while deletes beside us take the folder away

_log = logging.getLogger(__name__)


class FolderBucket:
    """`Bucket` in a folder; threads and processes may share the folder.

    `base_url` is where the local server answers, without a slash at the end; `secret` signs its
    links, those of an `older` one still open; `on_created` is told of every object once it can be
    read, as a cloud's bucket would
    (what it raises is logged).

    文件夹存储。
    """

    def __init__(
        self,
        root: Path,
        *,
        base_url: str,
        secret: bytes,
        clock: Clock,
        on_created: Callable[[ObjectInfo], None] | None = None,
        older: Sequence[bytes] = (),
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._secrets = (secret, *older)
        self._clock = clock
        self._on_created = on_created
        with _answering():
            root.mkdir(parents=True, exist_ok=True)
            self._root = root.resolve()
            self._aside = self._root / _ASIDE
            self._aside.mkdir(exist_ok=True)
        self.clear_uploads(clock.now() - _STALE_SECONDS * 1000)

    def path(self, key: str) -> Path:
        """The file of that key, whether it exists or not; `ValueError` for what is no key.

        键对应的本地文件路径。
        """
        check_key(key)
        path = str(self._root)
        for part in key.split("/"):  # the root itself is no link any more
            path = f"{path}/{part}"
            if os.path.islink(path):
                raise ValueError(f"key {key!r} leads through a symbolic link")
        return Path(path)

    def put_stream(self, key: str, chunks: Iterable[bytes], *, media_type: str) -> ObjectInfo:
        """Store what `chunks` yields, in constant memory, replacing an older object at once.

        流式写入一个对象。
        """
        path = self.path(key)
        check_media_type(key, media_type)
        with self._temporary() as aside:
            with _answering():
                file = aside.open("xb", buffering=0)
            with file:
                for chunk in chunks:
                    with _answering():
                        _write_all(file, chunk)
                with _answering():
                    os.fsync(file.fileno())
            return self._publish(aside, key, path)

    @contextmanager
    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[Slice]:
        """Read an object, or `length` bytes of it from `start` (past its end: nothing).

        打开一个对象（或其中一段）。
        """
        if start < 0 or (length is not None and length < 0):
            raise ValueError("start and length are not negative")
        with self._found(key) as file:
            file.seek(start)
            yield Slice(file, length)

    def head(self, key: str) -> ObjectInfo | None:
        """Size and media type, or None if there is no such object.

        查询对象信息。
        """
        try:
            with self._found(key) as file:
                return _info(key, os.fstat(file.fileno()))
        except ObjectMissing:
            return None

    def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy within the bucket: a second name for the same bytes, for nobody changes them.

        在存储内部复制。
        """
        original = self.path(source)
        path = self.path(target)
        check_media_type(target, media_type_of(source))
        with self._temporary() as aside:
            try:
                os.link(original, aside)
            except FileNotFoundError:
                raise ObjectMissing(source) from None
            except OSError:  # a file system without hard links, or no more of them for this file
                return self._copy_bytes(source, target)
            return self._publish(aside, target, path)

    def delete(self, key: str) -> None:
        """Remove an object, and its folder if nothing else is in it; no object is no error.

        删除一个对象。
        """
        path = self.path(key)
        with _answering():
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return
            _sync_folder(path.parent)
            _prune(path.parent)

    def keys(
        self, prefix: str, *, after: str | None = None, limit: int = MOST_KEYS
    ) -> tuple[str, ...]:
        """The keys that begin with `prefix`, by code point: those past `after`, at most `limit`.

        按前缀列出键。
        """
        check_listing(prefix, limit)
        with _answering():
            found = _files_under(self._root, "", prefix, after or "")
            return tuple(islice(found, limit))

    def clear_uploads(self, before: int, *, limit: int = MOST_KEYS) -> int:
        """Remove what was being written and has not changed since before a time (ms).

        清除中断的上传。
        """
        count = 0
        with _answering():
            for left in self._aside.iterdir():
                if count == limit:
                    break
                with suppress(FileNotFoundError):
                    # A file being written has a younger change time.
                    if left.stat().st_ctime * 1000 < before:
                        left.unlink()
                        count += 1
        return count

    def presign_get(self, key: str, *, seconds: int, filename: str | None = None) -> str:
        """A URL that anyone may GET for `seconds`; `filename` names the download.

        生成限时下载链接。
        """
        named = {} if filename is None else {"filename": clean_filename(filename)}
        return self._presign("GET", key, seconds, named)

    def presign_put(
        self, key: str, *, seconds: int, media_type: str, size: int, sha256: str | None = None
    ) -> PresignedPut:
        """A request by which anyone may put exactly this for `seconds`: the headers that it must
        come with are in its query, signed.

        生成限时上传请求。
        """
        headers = put_headers(check_media_type(key, media_type), size, sha256)
        held = {name.lower(): value for name, value in headers.items()}
        return PresignedPut(self._presign("PUT", key, seconds, held), headers)

    def verify(self, method: str, key: str, query: Mapping[str, str]) -> bool:
        """Whether a request's query is one that this bucket signed for it, and still holds.

        The server must also hold a PUT to `held_headers(query)`, and send
        `content_disposition(query["filename"])` if that is there.

        校验链接签名。
        """
        signed = {name: value for name, value in query.items() if name != "signature"}
        given = query.get("signature", "").encode("utf-8", "replace")
        # All are compared, whichever it is.
        found = [
            hmac.compare_digest(_signature(secret, key, signed).encode(), given)
            for secret in self._secrets
        ]
        right = any(found)
        if not right or signed.get("method") != method:
            return False
        return self._clock.now() < int(signed["expires"]) * 1000

    def check(self) -> None:
        """Raise `BucketUnavailable` unless files can be written and read.

        检查是否可用。
        """
        with _answering(), self._temporary() as aside:
            aside.write_bytes(b"ok")
            if aside.read_bytes() != b"ok":
                raise BucketUnavailable("the folder does not give back what was written")

    def close(self) -> None:
        """Nothing is held open; calling it twice is harmless.

        无需释放资源。
        """

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        aside = self._aside / uuid4().hex
        try:
            yield aside
        finally:
            # Also after a rename: between two names of one file, rename(2) does nothing.
            with suppress(OSError):
                aside.unlink()

    @contextmanager
    def _found(self, key: str) -> Iterator[BinaryIO]:
        """The object's file, open."""
        path = self.path(key)
        with _answering():
            try:
                file = path.open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise ObjectMissing(key) from None
        with file:
            yield file

    def _publish(self, aside: Path, key: str, path: Path) -> ObjectInfo:
        """Move a written file to its place, the path of the key, and tell of it.

        把写好的文件放到位。
        """
        with _answering():
            info = _info(key, aside.stat())
            _rename(aside, path)
        if self._on_created is not None:
            try:
                self._on_created(info)
            except Exception:
                _log.exception("on_created failed for %s", key)
        return info

    def _copy_bytes(self, source: str, target: str) -> ObjectInfo:
        with self._found(source) as file:
            chunks = iter(partial(file.read, CHUNK), b"")
            return self.put_stream(target, chunks, media_type=media_type_of(source))

    def _presign(self, method: str, key: str, seconds: int, more: dict[str, str]) -> str:
        check_key(key)
        expires = -(-self._clock.now() // 1000) + seconds
        query = {"method": method, "expires": str(expires), **more}
        query["signature"] = _signature(self._secrets[0], key, query)
        return f"{self._base_url}/_bucket/{quote(key)}?{urlencode(query)}"


def held_headers(query: Mapping[str, str]) -> dict[str, str]:
    """The headers, in lower case, that a signed PUT must come with, by its query.

    签名的上传请求必须携带的请求头。
    """
    return {name: value for name, value in query.items() if name in _HELD}


_HELD = frozenset(name.lower() for name in put_headers("", 0, "00"))


def _signature(secret: bytes, key: str, query: Mapping[str, str]) -> str:
    text = json.dumps(["maquette-bucket", key, sorted(query.items())])
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


class Slice:
    """A `Reader` of at most `length` bytes of an open file; None reads to its end.

    文件片段的读取器。
    """

    def __init__(self, file: BinaryIO, length: int | None) -> None:
        self._file = file
        self._left = length

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, b"" at the end; -1 reads the rest.

        读取若干字节。
        """
        if self._left is not None:
            size = self._left if size < 0 else min(size, self._left)
        with _answering():
            found = self._file.read(size)
        if self._left is not None:
            self._left -= len(found)
        return found


@contextmanager
def _answering() -> Iterator[None]:
    """Turns what the file system refuses into `BucketUnavailable`."""
    try:
        yield
    except OSError as error:
        raise BucketUnavailable(f"the folder does not answer: {error.strerror}") from error


def _files_under(folder: Path, above: str, prefix: str, after: str) -> Iterator[str]:
    """The keys in a folder, whose own ends with "/", in the order of whole keys.

    按键的顺序列出文件。
    """
    try:
        entries = [
            entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
            for entry in os.scandir(folder)
            if entry.name != _ASIDE and not entry.is_symlink()
        ]
    except (FileNotFoundError, NotADirectoryError):  # a delete took the empty folder away
        return
    for name in sorted(entries):
        key = above + name
        if not name.endswith("/"):
            if key.startswith(prefix) and key > after:
                yield key
        elif (key.startswith(prefix) or prefix.startswith(key)) and (
            key > after or after.startswith(key)
        ):
            yield from _files_under(folder / name, key, prefix, after)


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, found.st_size, media_type_of(key))


def _write_all(file: FileIO, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]


def _rename(aside: Path, path: Path) -> None:
    """Puts a file in its place for good, making the folders it needs."""
    for _ in range(_RENAMES):
        try:
            _make_folder(path.parent)
            os.replace(aside, path)
        except FileNotFoundError:  # a delete took the empty folder away again
            continue
        _sync_folder(path.parent)
        return
    raise BucketUnavailable("the folder does not answer: it vanishes as soon as it is made")


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """A name is safe from a power cut only when its folder is on the disk."""
    # Gone already: then so is the name. Windows does not let a folder be opened.
    with suppress(FileNotFoundError, PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _prune(folder: Path) -> None:
    """Removes a folder, and those above it, while nothing is in them."""
    with suppress(OSError):
        os.removedirs(folder)
