"""A presigned PUT takes exactly what it was signed for: the local front refuses as S3 does.

限时上传：本机与 S3 一样，只接受与签名完全相符的请求。
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from infra.local.cloud import files
from infra.tencent.cos_emulator import APPID
from shared.aws.clients import client
from shared.buckets.base import Bucket, PresignedPut
from shared.buckets.cos import CosBucket
from shared.buckets.s3 import S3Bucket
from shared.tencent.cos import client as cos_client
from tests.fronts import served_folder

SOON = 20.0
PNG = "image/png"
KEY = "uploads/01JABC/file.png"
DATA = os.urandom(700_000)
CHECKSUM = "x-amz-checksum-sha256"


@contextmanager
def folder(root: Path) -> Iterator[Bucket]:
    """A folder behind the local front, over a real socket."""
    with served_folder(root) as bucket:
        yield bucket


@contextmanager
def s3(_root: Path) -> Iterator[Bucket]:
    name = f"put-{uuid4().hex}"
    client("s3").create_bucket(Bucket=name)
    yield S3Bucket(name)


@contextmanager
def cos(_root: Path) -> Iterator[Bucket]:
    name = f"put-{uuid4().hex}-{APPID}"
    cos_client(name, seconds=5.0).create_bucket(name)
    yield CosBucket(name)


@pytest.fixture(params=[folder, s3, cos], ids=lambda made: made.__name__)
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bucket]:
    if request.param is not folder:
        request.getfixturevalue({s3: "aws", cos: "cos"}[request.param])
    with request.param(tmp_path) as made:
        yield made


def signed(bucket: Bucket, data: bytes = DATA, *, announced: bool = True) -> PresignedPut:
    sha256 = hashlib.sha256(data).hexdigest() if announced else None
    return bucket.presign_put(KEY, seconds=60, media_type=PNG, size=len(data), sha256=sha256)


def sent(
    put: PresignedPut, data: Any = DATA, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Status and code of the answer to a PUT."""
    answer = httpx.put(put.url, content=data, headers=put.headers if headers is None else headers)
    code = answer.text.partition("<Code>")[2].partition("</Code>")[0]
    return answer.status_code, code


def holds_bytes(put: PresignedPut) -> bool:
    return CHECKSUM in put.headers


def stored(bucket: Bucket) -> bytes | None:
    if bucket.head(KEY) is None:
        return None
    with bucket.open(KEY) as reader:
        return reader.read()


@pytest.mark.parametrize("announced", [True, False])
def test_what_was_signed_is_taken_and_may_be_sent_again(bucket: Bucket, announced: bool) -> None:
    put = signed(bucket, announced=announced)
    assert sent(put) == (200, "")
    assert stored(bucket) == DATA
    assert sent(put) == (200, "")
    if not announced:
        other = bytes(len(DATA))
        assert sent(put, other) == (200, "")
        assert stored(bucket) == other


def test_another_size_type_or_checksum_is_refused(bucket: Bucket) -> None:
    put = signed(bucket)
    named = {name: value for name, value in put.headers.items() if name != "Content-Length"}
    wrong = base64.b64encode(bytes(32)).decode()
    tries: list[tuple[Any, Mapping[str, str]]] = [
        (DATA + b"x", named),
        (DATA[:-1], named),
        (b"", named),
        (iter([DATA]), named),  # in chunks: nobody knows how much will come
        (DATA, {**named, "Content-Type": "image/jpeg"}),
        (DATA, {name: value for name, value in named.items() if name != "Content-Type"}),
        (DATA, {"Content-Type": PNG}),
    ]
    if holds_bytes(put):
        tries.append((DATA, {**named, CHECKSUM: wrong}))
    for data, headers in tries:
        assert sent(put, data, headers) == (403, "SignatureDoesNotMatch"), headers
    assert stored(bucket) is None


def test_other_bytes_than_those_announced_are_refused_where_the_storage_can(
    bucket: Bucket,
) -> None:
    put = signed(bucket)
    other = DATA[:-1] + bytes([DATA[-1] ^ 1])
    if not holds_bytes(put):  # then whoever uses the object compares it: see `InputKeeper`
        assert isinstance(bucket, CosBucket), "COS alone knows no SHA-256"
        assert sent(put, other) == (200, "")
        assert stored(bucket) == other
        return
    assert sent(put, other) == (400, "BadDigest")
    assert stored(bucket) is None
    assert sent(put) == (200, "")
    assert sent(put, other) == (400, "BadDigest")
    assert stored(bucket) == DATA, "a refused body replaces nothing"


def test_a_client_that_stops_sending_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of a server whose patience is known: that of S3 is some twenty seconds.
    monkeypatch.setattr(files, "_IDLE_SECONDS", 0.5)
    monkeypatch.setattr(files, "_DRAIN_SECONDS", 0.1)
    with folder(tmp_path) as bucket:
        bucket.put_stream("a/b.png", [DATA], media_type=PNG)
        put = signed(bucket, announced=False)
        parts = urlsplit(put.url)
        stalled = []
        for _ in range(2 * files._THREADS):
            connection = http.client.HTTPConnection(parts.netloc, timeout=SOON)
            connection.putrequest("PUT", f"{parts.path}?{parts.query}")
            for name, value in put.headers.items():
                connection.putheader(name, value)
            connection.endheaders(DATA[:1000])
            stalled.append(connection)
        assert httpx.get(bucket.presign_get("a/b.png", seconds=60)).content == DATA
        answers = [connection.getresponse() for connection in stalled]
        assert {answer.status for answer in answers} == {400}
        assert all(b"RequestTimeout" in answer.read() for answer in answers)
        assert stored(bucket) is None
        for connection in stalled:
            connection.close()


def test_a_body_that_breaks_off_stores_nothing(bucket: Bucket) -> None:
    put = signed(bucket, announced=False)
    parts = urlsplit(put.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=SOON)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    for name, value in put.headers.items():
        connection.putheader(name, value)
    connection.endheaders(DATA[: len(DATA) // 2])
    assert isinstance(connection.sock, socket.socket)
    connection.sock.shutdown(socket.SHUT_WR)
    while connection.sock.recv(1000):  # until the server is done with it
        pass
    connection.close()
    assert stored(bucket) is None
