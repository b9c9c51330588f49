"""Uploads: files that a caller announces and puts into the bucket past the API, to be used by jobs.

Announced are media type and size, and the SHA-256 where the caller knows it; the presigned request
holds the PUT to them. What was put is looked into only when a job uses it, and the job keeps a copy
of its own: the object itself may be put anew until the upload ends.

上传：调用方先登记，再直接写入存储，之后供任务使用。
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shared.buckets.base import Bucket, PresignedPut
from shared.buckets.names import extension
from shared.clock import Clock, first_id, new_id, time_of
from shared.errors import LimitReached, NotFound, Unavailable
from shared.records import Codec, Unreadable
from shared.store.base import Conflict, Record, Store
from shared.store.tables import UPLOADS

FORMAT = 1
"""The newest format of an upload's record that this code can write."""
AREA = "uploads"
"""Where uploads lie in the bucket, each as `uploads/<id>/…`."""
SECONDS = 24 * 3600
"""How long an upload lasts."""
OPEN_AT_ONCE = 200
"""How many a caller may have that have neither ended nor been deleted. An index finds them, so who
asks for many at the same moment may get some more."""


@dataclass(frozen=True)
class Upload:
    """A file that a caller announced. Times are milliseconds since 1970; `sha256` is hex.

    一个上传登记。
    """

    id: str
    caller: str
    media_type: str
    bytes: int
    created_at: int
    expires_at: int
    sha256: str | None = None
    filename: str | None = None
    deleted_at: int | None = None
    format: int = FORMAT
    version: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Where the file lies in the bucket, once it has been put.

        文件在存储中的键。
        """
        return f"{AREA}/{self.id}/file{extension(self.media_type)}"


@dataclass(frozen=True)
class Announced:
    """What a caller says of a file that is to come.

    调用方对待上传文件的说明。
    """

    media_type: str
    bytes: int
    sha256: str | None = None
    filename: str | None = None


_RECORDS = Codec(Upload, "uploads", known=FORMAT, outside=("version",))


class UploadRepository:
    """Reads and writes uploads; raises the errors of `shared.errors`.

    上传记录的读写。
    """

    def __init__(self, store: Store, clock: Clock, open_at_once: int = OPEN_AT_ONCE) -> None:
        self._store = store
        self._clock = clock
        self._most = open_at_once

    def open(self, caller: str, announced: Announced) -> Upload:
        """A new upload; `LimitReached` where the caller has too many open ones.

        登记一个上传。
        """
        now = self._clock.now()
        since = first_id(now - SECONDS * 1000)
        found = self._store.query(
            UPLOADS, "by_caller", {"caller": caller}, low=since, limit=self._most
        )
        if len(found.records) >= self._most:
            message = (
                f"There are {self._most} open uploads already, as many as a caller may have; "
                "delete those that are not needed, or wait until the oldest end."
            )
            raise LimitReached(message, code="uploads_open")
        upload = Upload(
            id=new_id(self._clock),
            caller=caller,
            media_type=announced.media_type,
            bytes=announced.bytes,
            created_at=now,
            expires_at=now + SECONDS * 1000,
            sha256=announced.sha256,
            filename=announced.filename,
        )
        return self._put(upload)

    def get(self, caller: str, upload_id: str, *, param: str | None = None) -> Upload:
        """An upload of this caller that can be used; `NotFound`, with `param`, also for one that is
        another's, has ended or was deleted.

        读取一个可用的上传。
        """
        upload = self._read(upload_id) if time_of(upload_id) is not None else None
        if (
            upload is None
            or upload.caller != caller
            or upload.deleted_at is not None
            or upload.expires_at <= self._clock.now()
        ):
            message = f"There is no upload {upload_id[:64]!r}; one ends a day after it was made."
            raise NotFound(message, code="upload_not_found", param=param)
        return upload

    def delete(self, caller: str, upload_id: str) -> Upload:
        """Give up an upload of this caller, so that it is found no more; jobs that were made of it
        have copies. Its file is the caller's of this method to delete. Raises `NotFound`.

        删除一个上传。
        """
        upload = self.get(caller, upload_id)
        try:
            return self._put(replace(upload, deleted_at=self._clock.now()))
        except Conflict:  # only a delete writes to one
            raise Unavailable("The upload is being deleted by another request.") from None

    def _read(self, upload_id: str) -> Upload | None:
        record = self._store.get(UPLOADS, upload_id)
        try:
            return None if record is None else _RECORDS.load(record, version=record.version)
        except Unreadable as error:
            raise _unavailable(error) from None

    def _put(self, upload: Upload) -> Upload:
        """Write an upload as it is now; `Conflict` where somebody else has.

        写入上传记录。
        """
        try:
            document = _RECORDS.dump(upload)
        except Unreadable as error:
            raise _unavailable(error) from None
        # One that was deleted counts no longer.
        fields = {"caller": upload.caller if upload.deleted_at is None else None}
        record = Record(
            upload.id, document, fields, due_at=upload.expires_at, version=upload.version
        )
        return replace(upload, version=self._store.put(UPLOADS, record).version)


def request_of(upload: Upload, bucket: Bucket, now: int) -> PresignedPut:
    """The request by which the caller puts the file, good until the upload ends.

    上传文件用的限时请求。
    """
    return bucket.presign_put(
        upload.key,
        seconds=max(1, (upload.expires_at - now) // 1000),
        media_type=upload.media_type,
        size=upload.bytes,
        sha256=upload.sha256,
    )


def ended(key: str, now: int, margin_ms: int) -> bool:
    """Whether the upload that an object belongs to is over, for longer than `margin_ms`.

    对象所属的上传是否早已结束。
    """
    area, _, rest = key.partition("/")
    made_at = time_of(rest.partition("/")[0])
    return area == AREA and made_at is not None and now >= made_at + SECONDS * 1000 + margin_ms


def _unavailable(error: Unreadable) -> Unavailable:
    if error.newer:
        message = "A newer version of Maquette keeps this upload; ask again once all is updated."
        return Unavailable(message, code="record_newer")
    return Unavailable("This upload's record cannot be read.", code="record_unreadable")
