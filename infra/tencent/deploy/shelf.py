"""Where large zips lie for SCF to fetch: the files' own bucket, under `code/`.

大代码包的中转存储。
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from infra.tencent.deploy.errors import DeployError
from infra.tencent.service import Service

BUCKET_URL = "MAQUETTE_BUCKET_URL"
_PIECE = 1 << 20


class CosShelf:
    """A shelf in a bucket of COS, of which nothing is asked until a zip is too large for a request.

    COS 中转存储。
    """

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket

    def put(self, key: str, path: Path) -> None:
        """Lay a file there; raises `DeployError`.

        上传文件。
        """
        from shared.buckets.base import BucketUnavailable
        from shared.buckets.cos import CosBucket

        if not self.bucket:
            raise DeployError(f"{path.name} is too large for a request: name a bucket, --artifacts")
        try:
            CosBucket(self.bucket).put_stream(key, _pieces(path), media_type="application/zip")
        except BucketUnavailable as error:
            raise DeployError(
                f"{path.name} could not be laid into {self.bucket}: {error}"
            ) from None

    def remove(self, key: str) -> None:
        """Take it away, if that can be done; the bucket's rules do it otherwise.

        删除文件。
        """
        from shared.buckets.base import BucketUnavailable
        from shared.buckets.cos import CosBucket

        try:
            CosBucket(self.bucket).delete(key)
        except BucketUnavailable as error:
            raise DeployError(f"{key} is left behind in {self.bucket}: {error}") from None


def bucket_of(service: Service) -> str:
    """The bucket of a service's files, by its full name; empty where it has none in COS.

    服务所用的存储桶。
    """
    for function in service.functions.values():
        url = urlsplit(function.environment.get(BUCKET_URL, ""))
        if url.scheme == "cos":
            return url.netloc
    return ""


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
