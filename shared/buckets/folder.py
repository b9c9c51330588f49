"""The bucket as a folder of one machine: an object is a plain file at its key.

An object appears whole or not at all: it is written aside, synced and renamed into place. Its
media type is what its file extension says; where that is not so, a small text file beside the
tree says it, named after the key and the object's own time stamp, so that it can never speak of
an older or newer object of that key.

用本机文件夹实现的对象存储。
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlencode
from uuid import uuid4

from shared.buckets.base import BucketUnavailable, ObjectInfo, ObjectMissing
from shared.clock import Clock

CHUNK = 1 << 20  # bytes read at a time where this file reads
_KEY = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_KEY_LENGTH = 512
_PART_LENGTH = 255  # what file systems allow a name
# "~" occurs in no key: no object can lie in these folders.
_ASIDE = ".~aside"
_TYPES = ".~types"
_STALE_SECONDS = 3600
_RENAMES = 10  # tries, while deletes beside us take the folder away
_MEDIA_TYPE_LENGTH = 255
_FILENAME_LENGTH = 80  # file systems allow 255 bytes, and a Chinese character is three
_UNSAFE = re.compile(r'[/\\:*?"<>|;]')
_FALLBACK = "application/octet-stream"
_MEDIA_TYPES = {
    ".3mf": "model/3mf",
    ".bin": _FALLBACK,
    ".fbx": _FALLBACK,
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".obj": "model/obj",
    ".png": "image/png",
    ".stl": "model/stl",
    ".txt": "text/plain",
    ".usdz": "model/vnd.usdz+zip",
    ".webp": "image/webp",
    ".zip": "application/zip",
}

_log = logging.getLogger(__name__)


class FolderBucket:
    """`Bucket` in a folder; threads and processes may share the folder.

    `base_url` is where the local server answers, without a slash at the end; `secret` signs its
    links; `on_created` is told of every object once it can be read, as a cloud's bucket would
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
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._secret = secret
        self._clock = clock
        self._on_created = on_created
        with _answering():
            root.mkdir(parents=True, exist_ok=True)
            self._root = root.resolve()
            self._aside = self._root / _ASIDE
            self._types = self._root / _TYPES
            self._aside.mkdir(exist_ok=True)
            self._clear_aside()

    def path(self, key: str) -> Path:
        """The file of that key, whether it exists or not; `ValueError` for what is no key.

        键对应的本地文件路径。
        """
        _check_key(key)
        path = self._root / key
        if os.path.realpath(path) != str(path):
            raise ValueError(f"key {key!r} leads through a symbolic link")
        return path

    def put_stream(self, key: str, chunks: Iterable[bytes], *, media_type: str) -> ObjectInfo:
        """Store what `chunks` yields, in constant memory, replacing an older object at once.

        流式写入一个对象。
        """
        self.path(key)
        _check_media_type(media_type)
        with self._temporary() as aside:
            with _answering():
                file = aside.open("xb", buffering=0)
            with file:
                for chunk in chunks:
                    with _answering():
                        _write_all(file, chunk)
                with _answering():
                    os.fsync(file.fileno())
            with _answering():
                # The kernel's own stamps are milliseconds apart; two objects must not share one.
                os.utime(aside, ns=(stamp := time.time_ns(), stamp))
            return self._publish(aside, key, media_type)

    @contextmanager
    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[Slice]:
        """Read an object, or `length` bytes of it from `start` (past its end: nothing).

        打开一个对象（或其中一段）。
        """
        if start < 0 or (length is not None and length < 0):
            raise ValueError("start and length are not negative")
        with self._found(key) as (file, _):
            file.seek(start)
            yield Slice(file, length)

    def head(self, key: str) -> ObjectInfo | None:
        """Size and media type, or None if there is no such object.

        查询对象信息。
        """
        try:
            with self._found(key) as (_, found):
                return self._info(key, found)
        except ObjectMissing:
            return None

    def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy within the bucket: a second name for the same bytes, for nobody changes them.

        在存储内部复制。
        """
        self.path(target)
        with self._temporary() as aside:
            try:
                os.link(self.path(source), aside)
            except FileNotFoundError:
                raise ObjectMissing(source) from None
            except OSError:  # a file system without hard links, or no more of them for this file
                return self._copy_bytes(source, target)
            with _answering():
                media_type = self._media_type(source, aside.stat())
            return self._publish(aside, target, media_type)

    def delete(self, key: str) -> None:
        """Remove an object, and its folder if nothing else is in it; no object is no error.

        删除一个对象。
        """
        path = self.path(key)
        with _answering():
            try:
                found = path.stat()
                path.unlink()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return
            _sync_folder(path.parent)
            self._forget_type(key, found)
            _prune(path.parent)

    def presign_get(self, key: str, *, seconds: int, filename: str | None = None) -> str:
        """A URL that anyone may GET for `seconds`; `filename` names the download.

        生成限时下载链接。
        """
        named = {} if filename is None else {"filename": clean_filename(filename)}
        return self._presign("GET", key, seconds, named)

    def presign_put(self, key: str, *, seconds: int, media_type: str) -> str:
        """A URL that anyone may PUT this media type to for `seconds`.

        生成限时上传链接。
        """
        _check_media_type(media_type)
        return self._presign("PUT", key, seconds, {"media_type": media_type})

    def verify(self, method: str, key: str, query: Mapping[str, str]) -> bool:
        """Whether a request's query is one that this bucket signed for it, and still holds.

        The server must also hold a PUT to `query["media_type"]`, and send
        `content_disposition(query["filename"])` if that is there.

        校验链接签名。
        """
        signed = {name: value for name, value in query.items() if name != "signature"}
        right = hmac.compare_digest(
            self._signature(key, signed).encode(),
            query.get("signature", "").encode("utf-8", "replace"),
        )
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

    def _clear_aside(self) -> None:
        """What a killed process left; a file being written has a younger change time."""
        oldest = self._clock.now() / 1000 - _STALE_SECONDS
        for left in self._aside.iterdir():
            with suppress(FileNotFoundError):
                if left.stat().st_ctime < oldest:
                    left.unlink()

    @contextmanager
    def _found(self, key: str) -> Iterator[tuple[BinaryIO, os.stat_result]]:
        """The object's file, open, with what is known of that very file."""
        path = self.path(key)
        with _answering():
            try:
                file = path.open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise ObjectMissing(key) from None
        with file:
            yield file, os.fstat(file.fileno())

    def _publish(self, aside: Path, key: str, media_type: str) -> ObjectInfo:
        path = self.path(key)
        with _answering():
            found = aside.stat()
            self._keep_type(key, found, media_type)
            _rename(aside, path)
        info = ObjectInfo(key, found.st_size, media_type)
        self._tell(info)
        return info

    def _tell(self, info: ObjectInfo) -> None:
        if self._on_created is None:
            return
        try:
            self._on_created(info)
        except Exception:
            _log.exception("on_created failed for %s", info.key)

    def _copy_bytes(self, source: str, target: str) -> ObjectInfo:
        with self._found(source) as (file, found):
            chunks = iter(partial(file.read, CHUNK), b"")
            return self.put_stream(target, chunks, media_type=self._media_type(source, found))

    def _info(self, key: str, found: os.stat_result) -> ObjectInfo:
        return ObjectInfo(key, found.st_size, self._media_type(key, found))

    def _type_file(self, key: str, found: os.stat_result) -> Path:
        return self._types / key / f"@{found.st_mtime_ns}"

    def _media_type(self, key: str, found: os.stat_result) -> str:
        try:
            return self._type_file(key, found).read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return _usual_type(key)

    def _keep_type(self, key: str, found: os.stat_result, media_type: str) -> None:
        if media_type == _usual_type(key):
            return
        with self._temporary() as aside:
            with aside.open("xb") as file:
                file.write(media_type.encode())
                file.flush()
                os.fsync(file.fileno())
            _rename(aside, self._type_file(key, found))

    def _forget_type(self, key: str, found: os.stat_result) -> None:
        file = self._type_file(key, found)
        with suppress(FileNotFoundError, NotADirectoryError):
            file.unlink()
            _prune(file.parent)

    def _presign(self, method: str, key: str, seconds: int, more: dict[str, str]) -> str:
        _check_key(key)
        expires = -(-self._clock.now() // 1000) + seconds
        query = {"method": method, "expires": str(expires), **more}
        query["signature"] = self._signature(key, query)
        return f"{self._base_url}/_bucket/{quote(key)}?{urlencode(query)}"

    def _signature(self, key: str, query: Mapping[str, str]) -> str:
        text = json.dumps(["maquette-bucket", key, sorted(query.items())])
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


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


def clean_filename(filename: str) -> str:
    """A name that any file system takes and that breaks out of no header; never empty.

    清理下载文件名。
    """
    kept = "".join(c for c in filename if not unicodedata.category(c).startswith("C"))
    return _UNSAFE.sub("_", kept).strip(" .")[:_FILENAME_LENGTH].rstrip(" .") or "download"


def content_disposition(filename: str) -> str:
    """The `Content-Disposition` that makes a browser save under this name (RFC 6266).

    生成下载文件名的响应头。
    """
    name = clean_filename(filename)
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


@contextmanager
def _answering() -> Iterator[None]:
    """Turns what the file system refuses into `BucketUnavailable`."""
    try:
        yield
    except OSError as error:
        raise BucketUnavailable(f"the folder does not answer: {error.strerror}") from error


def _check_key(key: str) -> None:
    parts = key.split("/")
    if (
        len(key) > _KEY_LENGTH
        or not _KEY.fullmatch(key)
        or any(part in (".", "..") or len(part) > _PART_LENGTH for part in parts)
    ):
        raise ValueError(f"not a key: {key[:_KEY_LENGTH]!r}")


def _check_media_type(media_type: str) -> None:
    """It ends up in a header of the answer: one printable line."""
    if not media_type.isprintable() or not 0 < len(media_type) <= _MEDIA_TYPE_LENGTH:
        raise ValueError(f"not a media type: {media_type[:_MEDIA_TYPE_LENGTH]!r}")


def _usual_type(key: str) -> str:
    return _MEDIA_TYPES.get(os.path.splitext(key)[1].lower(), _FALLBACK)


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
