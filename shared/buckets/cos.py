"""The bucket on Tencent Cloud's COS: an object is a COS object at its key.

Who may read is the bucket's own access list to say: objects are given none, of which an account may
have a thousand. Everything written here is encrypted by COS, and so is what others put by a link.

用腾讯云 COS 实现的对象存储。
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from itertools import chain
from typing import Any

from shared.buckets.base import BucketUnavailable, ObjectInfo, ObjectMissing, PresignedPut, Reader
from shared.buckets.cos_calls import Refused, answering, ask, goes_on, member
from shared.buckets.names import (
    MOST_KEYS,
    check_key,
    check_listing,
    check_media_type,
    content_disposition,
    media_type_of,
    put_headers,
)
from shared.buckets.parts import in_parts
from shared.tencent import cos
from shared.tencent.credentials import credentials

PART = 8 << 20
"""Bytes kept in memory per object being written. COS takes 10,000 parts, so 78 GiB; a copy, 5 GiB
(documents 436/14112, 436/10881)."""

_COPY_PATIENCE = 3
"""So many times longer may a copy be silent: COS answers when gigabytes are copied."""
_BRIEF: dict[str, Any] = {"seconds": 3.0, "tries": 2}
"""For what is not worth waiting for: a health check, tidying up after a failure."""
_PROBE = "check/maquette.txt"
"""What `check` writes; outside `incoming/`, whose objects make events."""
_TOKEN = "x-cos-security-token"
_ENCRYPTION = "x-cos-server-side-encryption"
_EVERYBODY = ("AllUsers", "AuthenticatedUsers", "anyone")
"""How an access list names those who need no permission of ours (document 436/30752)."""

_log = logging.getLogger("maquette.buckets")


class CosBucket:
    """`Bucket` in COS. Threads may share it; `seconds` is how long COS may keep silent, and for how
    long a call that fails is tried again.

    `acl` is what the bucket's access list may allow everybody: nothing ("private"), or to read
    ("public-read"). `encryption` is "AES256" (keys of COS), "cos/kms" (keys of KMS) or "off" (what
    the bucket says).

    It needs `cos:PutObject`, `cos:GetObject`, `cos:HeadObject`, `cos:DeleteObject` and the actions
    of multipart uploads on the objects, `cos:GetBucket`, `cos:ListMultipartUploads` and, for
    `check`, `cos:GetBucketACL` on the bucket.

    腾讯云 COS 存储。
    """

    def __init__(
        self,
        name: str,
        *,
        acl: str = "private",
        encryption: str = "AES256",
        seconds: float = 20.0,
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._acl = acl
        self._encrypted = {} if encryption == "off" else {_ENCRYPTION: encryption}

    def put_stream(self, key: str, chunks: Iterable[bytes], *, media_type: str) -> ObjectInfo:
        """Store what `chunks` yields, in constant memory, replacing an older object at once.

        流式写入一个对象。
        """
        check_key(key)
        stored = check_media_type(key, media_type)
        # Not the SDK's upload_file_from_buffer: it leaves the parts of what fails behind.
        parts = in_parts(chunks, PART)
        first, is_last = next(parts)
        if is_last:
            self._ask("put_object", Key=key, Body=first, **self._headers(stored))
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
            found = self._ask("head_object", Key=key)
        except Refused as error:
            if error.status == 404:  # an answer to HEAD has no body that could say more
                return None
            raise
        return ObjectInfo(key, int(member(found, "Content-Length")), media_type_of(key))

    def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy within the bucket, up to 5 GiB, without passing the bytes through here.

        在存储内部复制。
        """
        check_key(source)
        check_key(target)
        stored = check_media_type(target, media_type_of(source))
        if source != target:
            try:
                self._ask(
                    "copy_object",
                    seconds=self._seconds * _COPY_PATIENCE,
                    Key=target,
                    source=source,
                    CopyStatus="Replaced",
                    **self._headers(stored),
                )
            except Refused as error:
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
        try:
            self._ask("delete_object", Key=key)
        except Refused as error:
            if error.code != "NoSuchKey":
                raise

    def keys(
        self, prefix: str, *, after: str | None = None, limit: int = MOST_KEYS
    ) -> tuple[str, ...]:
        """The keys that begin with `prefix`, by code point: those past `after`, at most `limit`;
        one request, and one more where COS gives a page that is short and not the last.

        按前缀列出键。
        """
        check_listing(prefix, limit)
        found: list[str] = []
        marker = after or ""
        while True:
            asked = limit - len(found)
            page = self._ask("list_objects", Prefix=prefix, Marker=marker, MaxKeys=asked)
            keys = [item["Key"] for item in page.get("Contents", ())]
            found += keys
            if len(found) >= limit or not goes_on(page):
                return tuple(found)
            marker = keys[-1] if keys else member(page, "NextMarker")

    def clear_uploads(self, before: int, *, limit: int = MOST_KEYS) -> int:
        """Abort multipart uploads begun before a time (ms); a request a thousand, and one each.

        清除中断的上传。
        """
        count, place = 0, dict[str, Any]()
        while count < limit:
            page = self._ask("list_multipart_uploads", MaxUploads=MOST_KEYS, **place)
            for upload in page.get("Upload", ()):
                if count < limit and _milliseconds(member(upload, "Initiated")) < before:
                    key, begun = member(upload, "Key"), member(upload, "UploadId")
                    count += self._give_up(key, begun)
            if not goes_on(page):
                break
            place = {
                "KeyMarker": member(page, "NextKeyMarker"),
                "UploadIdMarker": page.get("NextUploadIdMarker") or "",
            }
        return count

    def presign_get(self, key: str, *, seconds: int, filename: str | None = None) -> str:
        """A URL that anyone may GET for `seconds`; `filename` names the download.

        It ends earlier where the credentials it is signed with do: a function's last some hours.

        生成限时下载链接。
        """
        check_key(key)
        parameters = {"response-content-type": media_type_of(key)}
        if filename is not None:
            parameters["response-content-disposition"] = content_disposition(filename)
        return self._presign("GET", key, seconds, parameters, {})

    def presign_put(
        self, key: str, *, seconds: int, media_type: str, size: int, sha256: str | None = None
    ) -> PresignedPut:
        """A request by which anyone may put this for `seconds`: type and size are among the headers
        that its signature holds. COS knows no SHA-256, so whoever uses the object compares it.
        It may end earlier, as `presign_get` may.

        生成限时上传请求。
        """
        check_key(key)
        headers = {**put_headers(check_media_type(key, media_type), size, None), **self._encrypted}
        return PresignedPut(self._presign("PUT", key, seconds, {}, headers), headers)

    def check(self) -> None:
        """Raise `BucketUnavailable` unless objects can be written and read, and nobody else may do
        what `acl` does not say: three small requests.

        检查是否可用。
        """
        self._ask("put_object", **_BRIEF, Key=_PROBE, Body=b"ok", **self._headers("text/plain"))
        found = _Body(self._ask("get_object", **_BRIEF, Key=_PROBE)["Body"].get_raw_stream())
        if found.read() != b"ok":
            raise BucketUnavailable("COS does not give back what was written")
        allowed = allowed_to_all(self._ask("get_bucket_acl", **_BRIEF))
        if allowed - ({"READ"} if self._acl == "public-read" else set()):
            raise BucketUnavailable(
                f"the bucket's access list allows everybody {', '.join(sorted(allowed))}, and "
                f"MAQUETTE_COS_ACL says {self._acl}; ./scripts/manage bucket sets it"
            )

    def close(self) -> None:
        """The connections belong to the process; calling it twice is harmless.

        无需释放资源。
        """

    def _headers(self, media_type: str) -> dict[str, Any]:
        """What an object is written with, by the SDK's names."""
        given = {"ContentType": media_type}
        if self._encrypted:
            given["ServerSideEncryption"] = self._encrypted[_ENCRYPTION]
        return given

    def _upload(self, key: str, media_type: str, parts: Iterable[bytearray]) -> int:
        """Stores a body of several parts; gives its size.

        分段上传。
        """
        begun = self._ask("create_multipart_upload", Key=key, **self._headers(media_type))
        upload = member(begun, "UploadId")
        size, done = 0, []
        try:
            for number, part in enumerate(parts, 1):
                sent = self._ask(
                    "upload_part", Key=key, UploadId=upload, PartNumber=number, Body=part
                )
                size += len(part)
                done.append({"PartNumber": number, "ETag": member(sent, "ETag")})
            self._ask(
                "complete_multipart_upload",
                Key=key,
                UploadId=upload,
                MultipartUpload={"Part": done},
            )
        except BaseException:
            self._abort(key, upload)
            raise
        return size

    def _give_up(self, key: str, upload: str, **how: Any) -> bool:
        """Aborts an upload; whether it was there still."""
        try:
            self._ask("abort_multipart_upload", **how, Key=key, UploadId=upload)
        except Refused as error:
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
            return _Body(self._ask("get_object", Key=key, **part)["Body"].get_raw_stream())
        except Refused as error:
            if error.code == "NoSuchKey":
                raise ObjectMissing(key) from None
            if error.status == 416:  # it starts past the end
                return _Body(BytesIO())
            raise

    def _presign(
        self,
        method: str,
        key: str,
        seconds: int,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> str:
        """A link; a temporary key's token has to be in it, and the SDK does not put it there.

        生成限时链接。
        """
        with answering("presign"):
            keys = credentials()
            token = {_TOKEN: keys.token} if keys.token else {}
            sender = cos.client(self._name, seconds=self._seconds, keys=keys)
            url: str = sender.get_presigned_url(
                self._name,
                key,
                method,
                Expired=seconds,
                Params={**parameters, **token},
                Headers=dict(headers),
            )
        return url.replace("+", "%20")  # a plus is a space in forms only (RFC 3986)

    def _ask(
        self, operation: str, *, seconds: float = 0.0, tries: int = 3, **parameters: Any
    ) -> Any:
        return ask(self._name, operation, parameters, seconds or self._seconds, tries)


class _Body:
    """A `Reader` of an answer's body. One that is cut short raises: urllib3 counts the bytes, but
    says so once."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._fault: BucketUnavailable | None = None

    def read(self, size: int = -1, /) -> bytes:
        if self._fault is not None:
            raise self._fault
        try:
            with answering("get_object"):
                found: bytes = self._body.read(None if size < 0 else size)
        except BucketUnavailable as fault:
            self._fault = fault
            raise
        return found

    def close(self) -> None:
        self._body.close()


def allowed_to_all(told: Mapping[str, Any]) -> set[str]:
    """What a bucket's access list allows everybody ("READ").

    存储桶对所有人开放的权限。
    """
    grants = (told.get("AccessControlList") or {}).get("Grant") or []
    return {
        grant["Permission"]
        for grant in grants
        if str(grant["Grantee"].get("URI") or grant["Grantee"].get("ID", "")).endswith(_EVERYBODY)
    }


def _milliseconds(written: str) -> int:
    """A time as COS writes it, `2026-11-28T17:00:00.000Z`, in milliseconds since 1970."""
    return round(datetime.fromisoformat(written.replace("Z", "+00:00")).timestamp() * 1000)
