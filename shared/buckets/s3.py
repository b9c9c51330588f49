"""The bucket on Amazon S3: an object is an S3 object at its key.

A bucket's default encryption, its public access block and its rules are the operator's: nothing
here sends an ACL or asks for an encryption.

用 Amazon S3 实现的对象存储。
"""

from __future__ import annotations

import logging
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import chain
from typing import Any

from shared.aws.clients import client
from shared.buckets.base import (
    BucketUnavailable,
    ObjectInfo,
    ObjectMissing,
    PresignedPut,
    Reader,
)
from shared.buckets.names import (
    CHECKSUM,
    MOST_KEYS,
    check_key,
    check_listing,
    check_media_type,
    content_disposition,
    media_type_of,
    put_headers,
)
from shared.buckets.parts import in_parts

PART = 8 << 20
"""Bytes kept in memory per object being written. S3 takes 10,000 parts, so 78 GiB; a copy, 5 GiB
("Amazon S3 multipart upload limits", "CopyObject")."""

_COPY_PATIENCE = 3
"""So many times longer may a copy be silent: S3 answers when gigabytes are copied."""
_BRIEF: dict[str, Any] = {"seconds": 3.0, "tries": 2}
"""For what is not worth waiting for: a health check, tidying up after a failure."""
_PROBE = "check/maquette.txt"
"""What `check` writes; outside `incoming/`, whose objects make events."""

_log = logging.getLogger("maquette.buckets")


class S3Bucket:
    """`Bucket` in S3. Threads may share it; `seconds` is how long S3 may keep silent.

    It needs `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject` and `s3:AbortMultipartUpload` on the
    objects, `s3:ListBucket` on the bucket (S3 answers 403 instead of 404 for an absent object
    to those who may not list), and `s3:ListBucketMultipartUploads` for `clear_uploads`.

    Amazon S3 存储。
    """

    def __init__(self, name: str, *, seconds: float = 20.0) -> None:
        self._name = name
        self._seconds = seconds

    def put_stream(self, key: str, chunks: Iterable[bytes], *, media_type: str) -> ObjectInfo:
        """Store what `chunks` yields, in constant memory, replacing an older object at once.

        流式写入一个对象。
        """
        check_key(key)
        stored = check_media_type(key, media_type)
        # Not boto3's upload_fileobj: after a part that S3 refuses it reads all the rest of
        # `chunks` (from a provider, gigabytes), and it takes half as much memory again.
        parts = in_parts(chunks, PART)
        first, is_last = next(parts)
        if is_last:
            self._call("put_object", key, ContentType=stored, **_whole(first))
            return ObjectInfo(key, len(first), stored)
        size = self._upload(key, stored, chain([first], (part for part, _ in parts)))
        return ObjectInfo(key, size, stored)

    @contextmanager
    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[Reader]:
        """Read an object, or `length` bytes of it from `start` (past its end: nothing).

        打开一个对象（或其中一段）。
        """
        check_key(key)
        if start < 0 or (length is not None and length < 0):
            raise ValueError("start and length are not negative")
        body = self._body(key, start, length)
        try:
            yield body
        finally:
            body.close()

    def head(self, key: str) -> ObjectInfo | None:
        """Size and media type, or None if there is no such object.

        查询对象信息。
        """
        check_key(key)
        try:
            found = self._call("head_object", key)
        except _Refused as error:
            if error.code == "404":  # an answer to HEAD has no body that could say more
                return None
            raise
        return ObjectInfo(key, found["ContentLength"], media_type_of(key))

    def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy within the bucket, up to 5 GiB, without passing the bytes through here.

        在存储内部复制。
        """
        check_key(source)
        check_key(target)
        stored = check_media_type(target, media_type_of(source))
        if source != target:  # S3 refuses what changes nothing
            try:
                self._call(
                    "copy_object",
                    target,
                    seconds=self._seconds * _COPY_PATIENCE,
                    CopySource={"Bucket": self._name, "Key": source},
                    ContentType=stored,
                    MetadataDirective="REPLACE",
                )
            except _Refused as error:
                if error.code == "NoSuchKey":
                    raise ObjectMissing(source) from None
                raise
        info = self.head(target)
        if info is None:
            raise ObjectMissing(target)
        return info

    def delete(self, key: str) -> None:
        """Remove an object; no object is no error.

        删除一个对象。
        """
        check_key(key)
        self._call("delete_object", key)

    def keys(
        self, prefix: str, *, after: str | None = None, limit: int = MOST_KEYS
    ) -> tuple[str, ...]:
        """The keys that begin with `prefix`, by code point: those past `after`, at most `limit`;
        one request.

        按前缀列出键。
        """
        check_listing(prefix, limit)
        more: dict[str, Any] = {} if after is None else {"StartAfter": after}
        found = self._ask("list_objects_v2", Prefix=prefix, MaxKeys=limit, **more)
        return tuple(item["Key"] for item in found.get("Contents", ()))

    def clear_uploads(self, before: int, *, limit: int = MOST_KEYS) -> int:
        """Abort multipart uploads begun before a time (ms); a request a thousand, and one each.

        清除中断的上传。
        """
        count, place = 0, dict[str, Any]()
        while count < limit:
            page = self._ask("list_multipart_uploads", MaxUploads=MOST_KEYS, **place)
            for upload in page.get("Uploads", ()):
                if count < limit and upload["Initiated"].timestamp() * 1000 < before:
                    count += self._give_up(upload["Key"], upload["UploadId"])
            if not page.get("IsTruncated"):
                break
            place = {
                "KeyMarker": page["NextKeyMarker"],
                "UploadIdMarker": page["NextUploadIdMarker"],
            }
        return count

    def presign_get(self, key: str, *, seconds: int, filename: str | None = None) -> str:
        """A URL that anyone may GET for `seconds`; `filename` names the download.

        It ends earlier where the credentials it is signed with do: a function's last some hours.

        生成限时下载链接。
        """
        check_key(key)
        more = {"ResponseContentType": media_type_of(key)}
        if filename is not None:
            more["ResponseContentDisposition"] = content_disposition(filename)
        return self._presign("get_object", key, seconds, more)

    def presign_put(
        self, key: str, *, seconds: int, media_type: str, size: int, sha256: str | None = None
    ) -> PresignedPut:
        """A request by which anyone may put exactly this for `seconds`: size, type and checksum are
        among the headers that its signature holds. It may end earlier, as `presign_get` may.

        生成限时上传请求。
        """
        check_key(key)
        headers = put_headers(check_media_type(key, media_type), size, sha256)
        more: dict[str, Any] = {"ContentType": headers["Content-Type"], "ContentLength": size}
        if sha256 is not None:
            more["ChecksumSHA256"] = headers[CHECKSUM]
        return PresignedPut(self._presign("put_object", key, seconds, more), headers)

    def check(self) -> None:
        """Raise `BucketUnavailable` unless objects can be written and read: two small requests.

        检查是否可用。
        """
        self._call("put_object", _PROBE, **_BRIEF, Body=b"ok", ContentType="text/plain")
        if _Body(self._call("get_object", _PROBE, **_BRIEF)["Body"]).read() != b"ok":
            raise BucketUnavailable("S3 does not give back what was written")

    def close(self) -> None:
        """The connections belong to the process's clients; calling it twice is harmless.

        无需释放资源。
        """

    def _upload(self, key: str, media_type: str, parts: Iterable[bytearray]) -> int:
        """Stores a body of several parts; gives its size.

        分段上传。
        """
        upload = self._call(
            "create_multipart_upload", key, ContentType=media_type, ChecksumAlgorithm="CRC32"
        )["UploadId"]
        size, done = 0, []
        try:
            for number, part in enumerate(parts, 1):
                sent = _whole(part)
                tag = self._call("upload_part", key, UploadId=upload, PartNumber=number, **sent)
                size += len(part)
                named = {"ETag": tag["ETag"], "ChecksumCRC32": sent["ChecksumCRC32"]}
                done.append({"PartNumber": number, **named})
            self._call(
                "complete_multipart_upload",
                key,
                UploadId=upload,
                MultipartUpload={"Parts": done},
            )
        except BaseException:
            self._abort(key, upload)
            raise
        return size

    def _give_up(self, key: str, upload: str, **how: Any) -> bool:
        """Aborts an upload; whether it was there still."""
        try:
            self._call("abort_multipart_upload", key, **how, UploadId=upload)
        except _Refused as error:
            if error.code != "NoSuchUpload":  # ended meanwhile, by its writer or by another sweep
                raise
            return False
        return True

    def _abort(self, key: str, upload: str) -> None:
        try:
            self._give_up(key, upload, **_BRIEF)
        except BucketUnavailable as error:  # the bucket's lifecycle rule clears what is left
            _log.warning("an unfinished upload of %s stays for now: %s", key, error)

    def _body(self, key: str, start: int, length: int | None) -> _Body:
        """An object's bytes from `start` on, as a stream; raises ObjectMissing.

        打开对象的一段内容。
        """
        if length == 0:  # a range cannot say this
            if self.head(key) is None:
                raise ObjectMissing(key)
            return _Body(BytesIO())
        end = "" if length is None else start + length - 1
        part: dict[str, Any] = {"Range": f"bytes={start}-{end}"} if start or length else {}
        try:
            return _Body(self._call("get_object", key, **part)["Body"])
        except _Refused as error:
            if error.code == "NoSuchKey":
                raise ObjectMissing(key) from None
            if error.code == "InvalidRange":  # it starts past the end
                return _Body(BytesIO())
            raise

    def _presign(self, operation: str, key: str, seconds: int, more: dict[str, Any]) -> str:
        parameters = {"Bucket": self._name, "Key": key, **more}
        with _answering("presign"):
            s3 = client("s3", seconds=self._seconds)
            url: str = s3.generate_presigned_url(operation, Params=parameters, ExpiresIn=seconds)
        return url

    def _call(
        self, operation: str, key: str, *, seconds: float = 0.0, tries: int = 3, **parameters: Any
    ) -> Any:
        return self._ask(operation, seconds=seconds, tries=tries, Key=key, **parameters)

    def _ask(
        self, operation: str, *, seconds: float = 0.0, tries: int = 3, **parameters: Any
    ) -> Any:
        with _answering(operation):
            s3 = client("s3", seconds=seconds or self._seconds, tries=tries)
            return getattr(s3, operation)(Bucket=self._name, **parameters)


def _whole(body: bytearray) -> dict[str, Any]:
    """A body and its checksum, which S3 verifies.

    Over TLS botocore would copy a body to send its own checksum after it.
    """
    checksum = zlib.crc32(body).to_bytes(4, "big")
    return {"Body": body, "ChecksumCRC32": b64encode(checksum).decode()}


class _Body:
    """A `Reader` of an answer's body. One that is cut short raises: botocore counts the bytes."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int = -1, /) -> bytes:
        with _answering("get_object"):
            found: bytes = self._body.read(None if size < 0 else size)
        return found

    def close(self) -> None:
        self._body.close()


class _Refused(BucketUnavailable):
    """S3's own refusal, with its code."""

    def __init__(self, operation: str, code: str) -> None:
        super().__init__(f"S3 refuses {operation}: {code}")
        self.code = code


@contextmanager
def _answering(operation: str) -> Iterator[None]:
    """Turns what botocore raises into `BucketUnavailable`, with codes and names only: a message of
    S3 may quote what was sent.

    统一 S3 的错误。
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        raise _Refused(operation, error.response["Error"]["Code"]) from error
    except (BotoCoreError, HTTPError) as error:
        raise BucketUnavailable(
            f"S3 does not answer {operation}: {type(error).__name__}"
        ) from error
