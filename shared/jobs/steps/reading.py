"""How `postprocess` reads a stored file: hashed on the way, from memory, a copy, or by ranges.

后处理读取已保存文件的方式。
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from shared.artifacts.gltf.container import BytesReader, FileReader, RangeReader
from shared.buckets.base import Bucket, ObjectInfo
from shared.buckets.ranges import BucketReader
from shared.clock import Deadline
from shared.jobs.ports import Ports

_CHUNK = 1 << 20
_IN_MEMORY = 4 << 20
"""Bytes up to which a model is copied into memory; a larger one has a file of its own."""


class BrokenFile(ValueError):
    """A stored file is not what was received, or not what it was said to be.

    存储的文件与收到的不符。
    """


@contextmanager
def open_model(
    ports: Ports, info: ObjectInfo, sha256: str | None, deadline: Deadline
) -> Iterator[RangeReader]:
    """A model as it is read: from memory, from a local copy, or by ranges, by its size.

    这个函数按大小选择读取模型的方式。
    """
    if info.bytes <= min(_IN_MEMORY, ports.measure_below):
        copy = io.BytesIO()
        copy_checked(ports.bucket, info, copy, sha256, deadline)
        yield BytesReader(copy.getvalue())
    elif info.bytes <= ports.measure_below:
        with TemporaryDirectory(prefix="maquette-") as folder:
            path = Path(folder) / "file"
            with path.open("wb") as file:
                copy_checked(ports.bucket, info, file, sha256, deadline)
            with FileReader(path) as reader:
                yield reader
    else:
        yield BucketReader(ports.bucket, info.key, info.bytes)


def copy_checked(
    bucket: Bucket, info: ObjectInfo, copy: IO[bytes], sha256: str | None, deadline: Deadline
) -> None:
    """Copy an object, hashed on the way; raises BrokenFile if it is not what was stored.

    这个函数复制并校验文件。
    """
    digest = hashlib.sha256()
    with bucket.open(info.key) as reader:
        while chunk := reader.read(_CHUNK):
            deadline.check()
            digest.update(chunk)
            copy.write(chunk)
    if digest.hexdigest() != sha256:
        raise BrokenFile("what lies in the bucket is not what was received: the hashes differ")
