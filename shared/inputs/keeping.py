"""The one way from a file, wherever it lies, to an input that is kept with its job.

What is kept is a copy of the job's own under `inputs/<job>/`, and the copy is what is checked: a
file that changes or goes while or after it is used changes nothing. A picture is read once, and the
very bytes that were read are checked and kept; a model is copied within the bucket and then looked
at, so that its size costs no memory.

把输入文件保存为任务自己的副本。
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from shared.buckets.base import Bucket, BucketUnavailable, ObjectMissing
from shared.buckets.names import extension, media_type_of
from shared.buckets.ranges import BucketReader
from shared.errors import InvalidInput, UnsupportedFormat
from shared.inputs.content import (
    ContentRules,
    check_size,
    check_together,
    checked,
    model_fault,
)
from shared.inputs.files import InputFile, NewFile
from shared.inputs.media import MEDIA_TYPES, Media, media_of

CHUNK = 1 << 20


@dataclass(frozen=True)
class Source:
    """Where a reference leads: an object of the bucket, and what the job shows of where its input
    came from. `sha256` is what its bytes must hash to, as far as that was said; `verified` tells
    that they were checked when they were stored, and that nobody can change them since.

    引用所指的文件。
    """

    key: str
    shown: Mapping[str, Any]
    sha256: str | None = None
    verified: bool = False


class InputKeeper:
    """Keeps inputs in the bucket by a deployment's rules. Methods raise `InvalidInput` and its kin
    naming the role, and what the bucket raises.

    负责检查并保存输入文件。
    """

    def __init__(self, bucket: Bucket, rules: ContentRules) -> None:
        self._bucket = bucket
        self.rules = rules

    def keep(self, job_id: str, file: NewFile, shown: Mapping[str, Any] | None = None) -> InputFile:
        """A checked file in memory, kept; `shown` tells where it came from.

        保存一个已检查的文件。
        """
        digest = file.sha256
        key = f"inputs/{job_id}/{digest}{extension(file.media_type)}"
        self._bucket.put_stream(key, [file.data], media_type=file.media_type)
        return InputFile(
            key,
            file.media_type,
            len(file.data),
            digest,
            file.width,
            file.height,
            dict(shown) if shown is not None else None,
        )

    def keep_source(self, job_id: str, role: str, media: Media, source: Source) -> InputFile:
        """What lies in the bucket, checked and kept as a copy of the job's own; raises
        `ObjectMissing` where it does not lie there any more.

        检查并保存存储中的一个文件。
        """
        said = media_type_of(source.key)
        if media_of(said) not in (media, None):
            accepted = ", ".join(MEDIA_TYPES[media])
            raise UnsupportedFormat(
                f"{role} takes a {media.value} ({accepted}), and this is {said}.", param=role
            )
        info = self._bucket.head(source.key)
        if info is None:
            raise ObjectMissing(source.key)
        check_size(role, info.bytes, media, self.rules)
        if media is Media.PICTURE:
            return self._keep_picture(job_id, role, source)
        if media_of(said) is None:
            return self._keep_unnamed_model(job_id, role, source, info.bytes)
        return self._keep_model(job_id, role, source)

    def check_together(self, files: Mapping[str, InputFile]) -> None:
        """Raise `InvalidInput` for inputs that do not go together.

        检查各输入之间的搭配。
        """
        check_together(files)

    def forget(self, key: str) -> None:
        """Delete what was kept for a job that there will not be; what cannot be deleted now is
        left to the sweep.

        删除不再需要的输入。
        """
        with suppress(BucketUnavailable):
            self._bucket.delete(key)

    def _keep_picture(self, job_id: str, role: str, source: Source) -> InputFile:
        """A picture, read once into memory, by one byte more than it may have at most."""
        most = self.rules.most_bytes(Media.PICTURE)
        data = b"".join(_chunks(self._bucket, source.key, most + 1))
        if source.sha256 is not None:
            _check_hash(role, hashlib.sha256(data).hexdigest(), source.sha256)
        new = checked(role, data, Media.PICTURE, self.rules)
        del data  # a turned picture has bytes of its own
        return self.keep(job_id, new, source.shown)

    def _keep_model(self, job_id: str, role: str, source: Source) -> InputFile:
        """A model, copied within the bucket; the copy is checked, and goes if it is not usable.

        保存模型的副本并检查。
        """
        from shared.inputs import models

        said = media_type_of(source.key)
        key = f"inputs/{job_id}/{role}{extension(said)}"
        info = self._bucket.copy(source.key, key)
        try:
            check_size(role, info.bytes, Media.MODEL, self.rules)
            try:
                found = models.recognise(BucketReader(self._bucket, key, info.bytes))
                digest = source.sha256 if source.verified else None
                if digest is None:
                    digest = self._hashed(found, key)
            except models.UnusableModel as fault:
                raise model_fault(role, fault) from None
            if found != said:
                name = models.NAMES.get(said, said)
                raise UnsupportedFormat(
                    f"{role}: this is {models.NAMES[found]}, and was said to be {name}.", param=role
                )
            if source.sha256 is not None:
                _check_hash(role, digest, source.sha256)
        except BaseException:
            self.forget(key)
            raise
        return InputFile(key, found, info.bytes, digest, None, None, dict(source.shown))

    def _keep_unnamed_model(self, job_id: str, role: str, source: Source, size: int) -> InputFile:
        """A model whose key does not say what it is: recognised first, and written under a key that
        does, since no copy within the bucket changes its media type.

        识别未注明格式的模型并保存。
        """
        from shared.inputs import models

        digest = hashlib.sha256()

        def hashed(chunks: Iterator[bytes]) -> Iterator[bytes]:
            for chunk in chunks:
                digest.update(chunk)
                yield chunk

        try:
            found = models.recognise(BucketReader(self._bucket, source.key, size))
            key = f"inputs/{job_id}/{role}{extension(found)}"
            chunks = models.scanned(found, _chunks(self._bucket, source.key))
            info = self._bucket.put_stream(key, hashed(chunks), media_type=found)
        except models.UnusableModel as fault:
            raise model_fault(role, fault) from None
        if source.sha256 is not None and digest.hexdigest() != source.sha256:
            self.forget(key)
            _check_hash(role, digest.hexdigest(), source.sha256)
        return InputFile(key, found, info.bytes, digest.hexdigest(), None, None, dict(source.shown))

    def _hashed(self, media_type: str, key: str) -> str:
        from shared.inputs import models

        digest = hashlib.sha256()
        for chunk in models.scanned(media_type, _chunks(self._bucket, key)):
            digest.update(chunk)
        return digest.hexdigest()


def _chunks(bucket: Bucket, key: str, length: int | None = None) -> Iterator[bytes]:
    with bucket.open(key, 0, length) as reader:
        yield from iter(partial(reader.read, CHUNK), b"")


def _check_hash(role: str, found: str, said: str) -> None:
    if found != said:
        raise InvalidInput(
            f"{role}: the file is not the one that was announced: its SHA-256 is {found}.",
            code="checksum_mismatch",
            param=role,
        )
