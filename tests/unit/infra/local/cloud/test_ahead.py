"""Files too large for a request go ahead of it.

较大文件先上传的测试。
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.local.cloud import ahead
from infra.local.cloud.ahead import FORM_BYTES, NotTaken, parted, upload
from infra.local.cloud.files import BucketFiles
from shared.buckets.folder import FolderBucket
from shared.limits import LAMBDA, Door
from tests.fakes import FakeClock

KEY = "uploads/01JABC/file.png"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(5_000_000)


@pytest.fixture
def bucket(tmp_path: Path) -> FolderBucket:
    return FolderBucket(tmp_path, base_url="http://here:1", secret=b"s" * 32, clock=FakeClock())


@pytest.fixture
def files(bucket: FolderBucket) -> Iterator[BucketFiles]:
    made = BucketFiles(bucket)
    yield made
    made.close()


def test_what_fits_into_a_form_goes_in_it() -> None:
    assert LAMBDA.bytes[Door.FORM] > FORM_BYTES
    small = {"front": bytes(FORM_BYTES - 10), "left": bytes(10)}
    assert parted(small) == (small, {})
    assert parted({}) == ({}, {})


def test_the_largest_go_ahead_until_the_rest_fit() -> None:
    files = {"front": bytes(2_500_000), "left": bytes(3_000_000), "back": bytes(1_400_000)}
    within, large = parted(files)
    assert (set(within), set(large)) == ({"front", "back"}, {"left"})
    _, large = parted(dict.fromkeys(("front", "left"), bytes(FORM_BYTES + 1)))
    assert set(large) == {"front", "left"}


class Api:
    """Answers an announcement as the API would, for a file of these bytes."""

    def __init__(self, bucket: FolderBucket, expected: bytes) -> None:
        self._bucket, self._expected = bucket, expected
        self.asked: list[tuple[str, str, Any]] = []

    def __call__(self, method: str, path: str, body: bytes) -> Mapping[str, Any]:
        self.asked.append((method, path, json.loads(body)))
        put = self._bucket.presign_put(
            KEY,
            seconds=60,
            media_type="image/png",
            size=len(self._expected),
            sha256=hashlib.sha256(self._expected).hexdigest(),
        )
        return {"id": "01JABC", "method": "PUT", "url": put.url, "headers": put.headers}


def test_a_picture_is_announced_and_put_where_the_answer_says(
    bucket: FolderBucket, files: BucketFiles
) -> None:
    api = Api(bucket, PNG)
    assert upload(PNG, api, lambda: files) == "01JABC"
    announced = {
        "media_type": "image/png",
        "bytes": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
    }
    assert api.asked == [("POST", "/api/v1/uploads", announced)]
    assert bucket.path(KEY).read_bytes() == PNG


def test_a_file_that_the_bucket_refuses_is_told(bucket: FolderBucket, files: BucketFiles) -> None:
    with pytest.raises(NotTaken, match=r"403.*SignatureDoesNotMatch"):
        upload(PNG, Api(bucket, PNG + b"x"), lambda: files)
    with pytest.raises(NotTaken, match=r"400.*BadDigest"):
        upload(PNG, Api(bucket, PNG[:-1] + b"x"), lambda: files)
    assert bucket.head(KEY) is None


def test_a_bucket_that_does_not_answer_is_told(
    bucket: FolderBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_SECONDS", 1.0)
    unreachable = FolderBucket(
        bucket.path("a").parent, base_url="http://127.0.0.1:9", secret=b"s", clock=FakeClock()
    )
    with pytest.raises(NotTaken, match="does not answer"):
        upload(PNG, Api(unreachable, PNG), lambda: None)
