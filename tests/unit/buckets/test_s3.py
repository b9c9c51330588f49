"""What only the S3 bucket does: its links, events, requests, big bodies, and S3's own faults."""

from __future__ import annotations

import datetime
import json
import logging
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import SSLError

from infra.aws.emulator import Emulator
from infra.paths import ROOT
from shared.aws import clients
from shared.buckets import s3 as s3_bucket
from shared.buckets.base import Bucket, BucketUnavailable, ObjectInfo, ObjectMissing
from shared.buckets.names import content_disposition
from shared.buckets.s3 import PART, S3Bucket
from shared.events import ObjectsCreated, Wake, parse
from tests.between import (
    SLOW_DOWN,
    Between,
    Request,
    cut_short,
    drop,
    lose_the_answer,
    refuse,
    stall,
    stay_silent,
)

GLB = "model/gltf-binary"
KEY = "incoming/01JABC/1-model.glb"
OTHER = "artifacts/01JABC/model.glb"
BIG = 2 * PART + 12345


@pytest.fixture
def name(aws: Emulator) -> str:
    made = f"s3-{uuid4().hex}"
    clients.client("s3").create_bucket(Bucket=made)
    return made


@pytest.fixture
def bucket(name: str) -> S3Bucket:
    return S3Bucket(name)


@pytest.fixture
def between(name: str, aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    """A proxy before the emulator, which all clients of this test talk to; between two tries of a
    request they do not rest."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))
    with Between(aws.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        clients.forget()
        yield proxy


def content(bucket: Bucket, key: str, start: int = 0, length: int | None = None) -> bytes:
    with bucket.open(key, start, length) as reader:
        return reader.read()


def noise(size: int) -> bytes:
    """Bytes of which no two parts are alike."""
    return random.Random(size).randbytes(size)


def pieces(body: bytes, size: int = 1_000_000) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def uploads(name: str) -> list[Any]:
    return clients.client("s3").list_multipart_uploads(Bucket=name).get("Uploads", [])


def operation(request: Request) -> str:
    """The request's name in S3's words."""
    query = request.query
    if request.method == "POST":
        return "Create" if "uploads" in query else "Complete"
    if "uploadId" in query:
        return "Part" if request.method == "PUT" else "Abort"
    copied = "x-amz-copy-source" in request.headers
    return "Copy" if copied else request.method.capitalize()


def is_a(*names: str) -> Callable[[Request], bool]:
    return lambda request: operation(request) in names


def part(number: int) -> Callable[[Request], bool]:
    return lambda request: request.query.get("partNumber") == str(number)


def operations(between: Between) -> list[str]:
    return [operation(request) for request in between.requests]


# Bodies of one part and of more


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1])
def test_a_body_is_whole_whatever_its_number_of_parts(
    bucket: S3Bucket, name: str, between: Between, size: int
) -> None:
    body = noise(size)
    assert bucket.put_stream(KEY, pieces(body), media_type=GLB) == ObjectInfo(KEY, size, GLB)
    parts = -(-size // PART)
    assert operations(between) == (
        ["Put"] if size <= PART else ["Create", *["Part"] * parts, "Complete"]
    )
    assert content(bucket, KEY) == body
    stored = clients.client("s3").head_object(Bucket=name, Key=KEY)
    assert (stored["ContentLength"], stored["ContentType"]) == (size, GLB)
    assert uploads(name) == []


def test_a_chunk_may_be_larger_than_a_part(bucket: S3Bucket) -> None:
    body = noise(BIG)
    bucket.put_stream(KEY, [b"x", body, b"y"], media_type=GLB)
    assert content(bucket, KEY) == b"x" + body + b"y"


def test_every_body_goes_out_with_its_length_and_checksum(
    bucket: S3Bucket, between: Between
) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    bucket.put_stream(KEY, pieces(bytes(BIG)), media_type=GLB)
    sent = [one for one in between.requests if operation(one) in ("Put", "Part")]
    assert [int(one.headers["content-length"]) for one in sent] == [1, PART, PART, BIG - 2 * PART]
    assert all("x-amz-checksum-crc32" in one.headers for one in sent)


def test_a_big_object_is_not_to_be_seen_before_it_is_whole(bucket: S3Bucket) -> None:
    seen = []

    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            yield bytes(PART)
            seen.append(bucket.head(KEY))

    bucket.put_stream(KEY, chunks(), media_type=GLB)
    assert seen == [None, None, None]


def test_a_big_object_being_read_is_not_changed_by_its_successor(bucket: S3Bucket) -> None:
    body = noise(BIG)
    bucket.put_stream(KEY, [body], media_type=GLB)
    with bucket.open(KEY) as reader:
        start = reader.read(1000)
        bucket.put_stream(KEY, [bytes(BIG)], media_type=GLB)
        assert start + reader.read() == body


def test_any_part_of_an_object_is_what_a_slice_would_be(bucket: S3Bucket) -> None:
    body = noise(1000)
    bucket.put_stream(KEY, [body], media_type=GLB)
    bucket.put_stream(OTHER, [], media_type=GLB)

    @settings(max_examples=40)
    @given(st.integers(0, 1100), st.none() | st.integers(0, 1100), st.integers(1, 700))
    def attempt(start: int, length: int | None, size: int) -> None:
        end = None if length is None else start + length
        with bucket.open(KEY, start, length) as reader:
            assert b"".join(iter(lambda: reader.read(size), b"")) == body[start:end]
        assert content(bucket, OTHER, start, length) == b""

    attempt()


@pytest.mark.parametrize(("start", "length"), [(0, 0), (5, 0), (99, None), (0, 7)])
def test_an_absent_object_has_no_parts(bucket: S3Bucket, start: int, length: int | None) -> None:
    with pytest.raises(ObjectMissing), bucket.open(KEY, start, length):
        pass


# Chunks that fail


@pytest.mark.parametrize(
    "error",
    [
        ValueError("of the chunks"),
        InterruptedError(4, "EINTR"),
        EndpointConnectionError(endpoint_url="http://elsewhere"),
        BucketUnavailable("another bucket"),
        KeyboardInterrupt(),
        SystemExit(1),
    ],
)
@pytest.mark.parametrize("before", [0, 1, PART, PART + 1, BIG])
def test_when_the_chunks_fail_their_error_goes_on_and_nothing_is_left(
    bucket: S3Bucket, name: str, error: BaseException, before: int
) -> None:
    bucket.put_stream(OTHER, [b"old"], media_type=GLB)

    def chunks() -> Iterator[bytes]:
        yield bytes(before)
        raise error

    for key in (KEY, OTHER):
        with pytest.raises(type(error)) as raised:
            bucket.put_stream(key, chunks(), media_type=GLB)
        assert raised.value is error
    assert uploads(name) == []
    assert bucket.head(KEY) is None
    assert content(bucket, OTHER) == b"old"


KILLED = """
import os, sys
from shared.buckets.s3 import PART, S3Bucket

def chunks():
    yield bytes(2 * PART)
    os._exit(9)

S3Bucket(sys.argv[1]).put_stream(sys.argv[2], chunks(), media_type="model/gltf-binary")
"""


def test_a_process_killed_while_writing_leaves_the_older_object(
    bucket: S3Bucket, name: str
) -> None:
    bucket.put_stream(KEY, [b"old"], media_type=GLB)
    command = [sys.executable, "-c", KILLED, name, KEY]
    child = subprocess.run(command, cwd=ROOT, check=False, timeout=60)
    assert child.returncode == 9
    assert content(bucket, KEY) == b"old"
    assert [upload["Key"] for upload in uploads(name)] == [KEY], "for the lifecycle rule to clear"


# S3's own faults


def test_a_part_that_is_refused_ends_the_upload_at_once(
    bucket: S3Bucket, name: str, between: Between
) -> None:
    bucket.put_stream(KEY, [b"old"], media_type=GLB)
    between.fault(refuse(403, b"<Error><Code>AccessDenied</Code></Error>"), part(1))
    taken = []

    def chunks() -> Iterator[bytes]:
        for number in range(100):
            taken.append(number)
            yield bytes(PART)

    with pytest.raises(BucketUnavailable, match="upload_part: AccessDenied"):
        bucket.put_stream(KEY, chunks(), media_type=GLB)
    assert taken == [0, 1], "the rest is not even asked for"
    assert uploads(name) == []
    assert content(bucket, KEY) == b"old"


@pytest.mark.parametrize("fault", [refuse(503, SLOW_DOWN), drop, lose_the_answer])
def test_a_part_that_goes_wrong_once_is_sent_again(
    bucket: S3Bucket, between: Between, fault: Any
) -> None:
    body = noise(BIG)
    between.fault(fault, part(1))
    between.fault(fault, part(3))
    bucket.put_stream(KEY, pieces(body), media_type=GLB)
    assert operations(between).count("Part") == 5
    assert content(bucket, KEY) == body


def test_a_completion_that_fails_aborts_the_upload(
    bucket: S3Bucket, name: str, between: Between
) -> None:
    inside = b"<Error><Code>InternalError</Code><Message>We tried.</Message></Error>"
    between.fault(refuse(200, inside), is_a("Complete"), times=3)
    with pytest.raises(BucketUnavailable, match="complete_multipart_upload: InternalError"):
        bucket.put_stream(KEY, pieces(bytes(BIG)), media_type=GLB)
    assert operations(between).count("Complete") == 3
    assert uploads(name) == []
    assert bucket.head(KEY) is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), MemoryError()])
def test_an_interruption_while_a_part_is_sent_aborts_the_upload(
    bucket: S3Bucket, name: str, error: BaseException
) -> None:
    def interrupt(**_: Any) -> None:
        raise error

    # The very client that the bucket uses.
    s3 = clients.client("s3", seconds=20.0)
    s3.meta.events.register("before-call.s3.UploadPart", interrupt)
    with pytest.raises(type(error)) as raised:
        bucket.put_stream(KEY, pieces(bytes(BIG)), media_type=GLB)
    assert raised.value is error
    assert uploads(name) == []


def test_old_uploads_are_found_behind_pages_of_young_ones(
    bucket: S3Bucket, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = clients.client("s3")
    begun = [s3.create_multipart_upload(Bucket=name, Key=f"a/{n}")["UploadId"] for n in range(5)]
    monkeypatch.setattr(s3_bucket, "MOST_KEYS", 2)
    monkeypatch.setattr(bucket, "_call", lambda *_, **more: given_up.append(more["UploadId"]))
    given_up: list[str] = []
    assert bucket.clear_uploads(0) == 0
    assert bucket.clear_uploads(4_000_000_000_000) == 5
    assert given_up == begun


def test_an_abort_that_fails_hides_no_error_and_is_logged(
    bucket: S3Bucket, name: str, between: Between, log_records: list[logging.LogRecord]
) -> None:
    error = ValueError("of the chunks")

    def chunks() -> Iterator[bytes]:
        yield bytes(BIG)
        raise error

    between.fault(refuse(403, b"<Error><Code>AccessDenied</Code></Error>"), is_a("Abort"))
    with pytest.raises(ValueError, match="of the chunks"):
        bucket.put_stream(KEY, chunks(), media_type=GLB)
    assert len(uploads(name)) == 1
    (record,) = log_records
    assert KEY in record.getMessage()
    assert "AccessDenied" in record.getMessage()


@pytest.mark.parametrize("fault", [cut_short, stall])
@pytest.mark.parametrize("size", [-1, 1 << 16])
def test_a_body_that_ends_early_is_an_error_and_not_the_end(
    bucket: S3Bucket, name: str, between: Between, fault: Any, size: int
) -> None:
    body = noise(1_000_000)
    bucket.put_stream(KEY, [body], media_type=GLB)
    between.fault(fault, is_a("Get"))
    got: list[bytes] = []
    with S3Bucket(name, seconds=1.0).open(KEY) as reader:
        with pytest.raises(BucketUnavailable, match="get_object"):
            got.extend(iter(lambda: reader.read(size), b""))
        with pytest.raises(BucketUnavailable, match="get_object"):
            reader.read(size)
    assert body.startswith(b"".join(got))
    assert content(bucket, KEY) == body, "the next reader gets a sound connection"


def test_a_tls_record_that_is_broken_is_an_error(
    bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)

    def broken(*_: Any, **__: Any) -> bytes:
        raise SSLError("bad record mac")

    with bucket.open(KEY) as reader:
        monkeypatch.setattr("urllib3.response.HTTPResponse.read", broken)
        with pytest.raises(BucketUnavailable, match="get_object: SSLError"):
            reader.read()


def test_a_wrong_byte_on_the_way_is_an_error(bucket: S3Bucket, between: Between) -> None:
    bucket.put_stream(KEY, [b"right"], media_type=GLB)

    def falsify(handler: Any, request: Request) -> None:
        answer = between.forward(request)
        assert any(name.lower() == "x-amz-checksum-crc32" for name, _ in answer.headers)
        handler.give(request, type(answer)(answer.status, answer.headers, b"wrong"))

    between.fault(falsify, is_a("Get"))
    with pytest.raises(BucketUnavailable, match="FlexibleChecksumError"):
        content(bucket, KEY)
    assert content(bucket, KEY) == b"right"


def test_a_busy_s3_is_asked_three_times_and_then_unavailable(
    bucket: S3Bucket, between: Between
) -> None:
    between.fault(refuse(503, SLOW_DOWN), is_a("Put"), times=2)
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    between.fault(refuse(503, SLOW_DOWN), is_a("Get"), times=3)
    with pytest.raises(BucketUnavailable, match=r"^S3 refuses get_object: SlowDown$"):
        content(bucket, KEY)
    assert operations(between) == ["Put"] * 3 + ["Get"] * 3
    assert content(bucket, KEY) == b"x"


@pytest.mark.parametrize("fault", [stay_silent, drop])
def test_an_s3_that_does_not_answer_is_given_up(name: str, between: Between, fault: Any) -> None:
    bucket = S3Bucket(name, seconds=0.1)
    between.fault(fault, lambda _: True, times=99)
    calls: list[Callable[[], Any]] = [
        lambda: bucket.head(KEY),
        lambda: content(bucket, KEY),
        lambda: bucket.put_stream(KEY, [b"x"], media_type=GLB),
        lambda: bucket.copy(KEY, OTHER),
        lambda: bucket.delete(KEY),
    ]
    for number, call in enumerate(calls, 1):
        with pytest.raises(BucketUnavailable):
            call()
        assert between.wait_for(3 * number)
    assert len(between.requests) == 3 * len(calls)


def test_a_copy_that_fails_after_its_200_is_an_error(bucket: S3Bucket, between: Between) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    inside = b"<Error><Code>InternalError</Code><Message>We tried.</Message></Error>"
    between.fault(refuse(200, inside), is_a("Copy"), times=3)
    with pytest.raises(BucketUnavailable, match="copy_object: InternalError"):
        bucket.copy(KEY, OTHER)
    assert bucket.head(OTHER) is None


def test_a_refused_head_is_no_absent_object(bucket: S3Bucket, between: Between) -> None:
    between.fault(refuse(403), is_a("Head"), times=2)
    with pytest.raises(BucketUnavailable, match="head_object: 403"):
        bucket.head(KEY)
    with pytest.raises(BucketUnavailable, match="head_object: 403"), bucket.open(KEY, 0, 0):
        pass


def test_a_bucket_that_does_not_exist_is_unavailable(aws: Emulator) -> None:
    bucket = S3Bucket(f"s3-{uuid4().hex}")
    calls: list[Callable[[], Any]] = [
        lambda: bucket.put_stream(KEY, [b"x"], media_type=GLB),
        lambda: bucket.put_stream(KEY, pieces(bytes(BIG)), media_type=GLB),
        lambda: content(bucket, KEY),
        lambda: bucket.copy(KEY, OTHER),
        lambda: bucket.delete(KEY),
        lambda: bucket.check(),
    ]
    for call in calls:
        with pytest.raises(BucketUnavailable, match="NoSuchBucket"):
            call()


def test_without_credentials_it_is_unavailable(
    bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(variable, "/nowhere")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps those it has found
    clients.forget()
    calls: list[Callable[[], Any]] = [
        lambda: bucket.head(KEY),
        lambda: bucket.presign_get(KEY, seconds=1),
    ]
    for call in calls:
        with pytest.raises(BucketUnavailable, match="NoCredentials"):
            call()


# Requests


def test_each_call_makes_as_few_requests_as_it_can(bucket: S3Bucket, between: Between) -> None:
    def made_by(call: Callable[[], Any]) -> list[str]:
        between.requests.clear()
        call()
        return operations(between)

    assert made_by(lambda: bucket.put_stream(KEY, [b"x"], media_type=GLB)) == ["Put"]
    assert made_by(lambda: bucket.head(KEY)) == ["Head"]
    assert made_by(lambda: content(bucket, KEY)) == ["Get"]
    assert made_by(lambda: content(bucket, KEY, 0, 1)) == ["Get"]
    assert made_by(lambda: content(bucket, KEY, 5)) == ["Get"]
    assert made_by(lambda: content(bucket, KEY, 0, 0)) == ["Head"]
    assert made_by(lambda: bucket.copy(KEY, OTHER)) == ["Copy", "Head"]
    assert made_by(lambda: bucket.copy(KEY, KEY)) == ["Head"]
    assert made_by(lambda: bucket.presign_get(KEY, seconds=1)) == []
    assert made_by(lambda: bucket.presign_put(KEY, seconds=1, media_type=GLB, size=1)) == []
    assert made_by(lambda: bucket.delete(KEY)) == ["Delete"]
    assert made_by(lambda: bucket.check()) == ["Put", "Get"]


def test_nothing_is_made_public_and_the_bucket_chooses_the_encryption(
    bucket: S3Bucket, between: Between
) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    bucket.put_stream(KEY, pieces(bytes(BIG)), media_type=GLB)
    bucket.copy(KEY, OTHER)
    assert {"Put", "Create", "Part", "Complete", "Copy"} <= set(operations(between))
    for request in between.requests:
        named = [*request.headers, *request.query]
        assert not [one for one in named if "acl" in one or "encryption" in one or "grant" in one]


@pytest.mark.parametrize("algorithm", ["AES256", "aws:kms"])
def test_objects_are_encrypted_as_the_bucket_says(
    bucket: S3Bucket, name: str, algorithm: str
) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}
    s3 = clients.client("s3")
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    bucket.put_stream("big.glb", pieces(bytes(BIG)), media_type=GLB)
    bucket.copy(KEY, OTHER)
    for key in (KEY, "big.glb", OTHER):
        assert s3.head_object(Bucket=name, Key=key)["ServerSideEncryption"] == algorithm


def test_one_bucket_s_end_is_not_another_s(bucket: S3Bucket, name: str) -> None:
    other = S3Bucket(name)
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    with other.open(KEY) as reader:
        bucket.close()
        bucket.close()
        assert reader.read() == b"x"
    assert other.head(KEY) == ObjectInfo(KEY, 1, GLB)


def test_importing_it_imports_no_sdk() -> None:
    code = "import sys, shared.buckets.s3; print([m for m in sys.modules if 'boto' in m])"
    command = [sys.executable, "-c", code]
    child = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert child.stdout.strip() == "[]"


def test_an_object_put_there_by_hand_has_the_type_of_its_name(bucket: S3Bucket, name: str) -> None:
    s3 = clients.client("s3")
    s3.put_object(Bucket=name, Key=KEY, Body=b"x", ContentType="text/html")
    assert bucket.head(KEY) == ObjectInfo(KEY, 1, GLB)
    answer = httpx.get(bucket.presign_get(KEY, seconds=60))
    assert answer.headers["content-type"] == GLB
    bucket.copy(KEY, OTHER)
    assert s3.head_object(Bucket=name, Key=OTHER)["ContentType"] == GLB


# Links


@pytest.fixture
def an_hour_ago(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def move() -> None:
        past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: past)

    return move


def test_a_get_link_gives_the_object_under_its_type(bucket: S3Bucket) -> None:
    bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
    answer = httpx.get(bucket.presign_get(KEY, seconds=60))
    assert (answer.status_code, answer.content) == (200, b"bytes")
    assert answer.headers["content-type"] == GLB
    assert "content-disposition" not in answer.headers


@pytest.mark.parametrize("filename", ["model.glb", "裙子 100%.glb", 'a"; x="b\r\nSet-Cookie: x'])
def test_a_get_link_names_the_download(bucket: S3Bucket, filename: str) -> None:
    bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
    answer = httpx.get(bucket.presign_get(KEY, seconds=60, filename=filename))
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == content_disposition(filename)
    assert "set-cookie" not in answer.headers


def test_a_put_link_stores_the_object(bucket: S3Bucket, name: str) -> None:
    put = bucket.presign_put(KEY, seconds=60, media_type=GLB, size=3)
    assert httpx.put(put.url, content=b"put", headers=put.headers).status_code == 200
    assert content(bucket, KEY) == b"put"
    assert clients.client("s3").head_object(Bucket=name, Key=KEY)["ContentType"] == GLB


def test_an_expired_link_is_refused(bucket: S3Bucket, an_hour_ago: Callable[[], None]) -> None:
    bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
    an_hour_ago()
    assert httpx.get(bucket.presign_get(KEY, seconds=3700)).status_code == 200
    assert httpx.get(bucket.presign_get(KEY, seconds=3500)).status_code == 403
    put = bucket.presign_put(OTHER, seconds=3500, media_type=GLB, size=1)
    assert httpx.put(put.url, content=b"x", headers=put.headers).status_code == 403


def test_a_link_is_good_for_its_key_and_method_only(bucket: S3Bucket) -> None:
    for key in (KEY, OTHER):
        bucket.put_stream(key, [b"bytes"], media_type=GLB)
    get = bucket.presign_get(KEY, seconds=60)
    put = bucket.presign_put(KEY, seconds=60, media_type=GLB, size=1).url
    head = {"Content-Type": GLB}
    refused = [
        httpx.get(get.replace(KEY, OTHER)),
        httpx.put(get, content=b"x", headers=head),
        httpx.delete(get),
        httpx.put(put.replace(KEY, OTHER), content=b"x", headers=head),
        httpx.get(put, headers=head),
        httpx.delete(put, headers=head),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert content(bucket, KEY) == content(bucket, OTHER) == b"bytes"


def test_a_link_changed_in_any_way_is_refused(bucket: S3Bucket) -> None:
    bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
    url = httpx.URL(bucket.presign_get(KEY, seconds=60, filename="model.glb"))
    assert url.params["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert httpx.get(url).status_code == 200
    for changed in (
        {"X-Amz-Expires": "600"},
        {"X-Amz-Signature": "0" * 64},
        {"response-content-type": "text/html"},
        {"response-content-disposition": "inline"},
    ):
        assert httpx.get(url.copy_merge_params(changed)).status_code == 403
    assert httpx.get(url.copy_remove_param("response-content-type")).status_code == 403


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "models.s3.amazonaws.com"),
        ("ap-southeast-1", "models.s3.ap-southeast-1.amazonaws.com"),
        ("cn-north-1", "models.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_links_lead_to_the_bucket_s_own_region(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch, region: str, host: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    clients.forget()
    url = httpx.URL(S3Bucket("models").presign_get(KEY, seconds=60))
    assert (url.scheme, url.host, url.path) == ("https", host, "/" + KEY)


# Events


def test_notifications_name_the_objects_that_were_created(bucket: S3Bucket, name: str) -> None:
    sqs = clients.client("sqs")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    rule = {
        "QueueArn": arn["Attributes"]["QueueArn"],
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "incoming/"}]}},
    }
    clients.client("s3").put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"QueueConfigurations": [rule]}
    )

    def told() -> list[tuple[str, Any]]:
        """What S3 calls each event, and what it means here."""
        found: list[tuple[str, Any]] = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                event = json.loads(message["Body"])
                for record in event.get("Records", [{}]):
                    found.append((record.get("eventName", ""), parse(event)))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    odd = "incoming/A.b_c-0/1-model.tar..glb"
    assert told() in ([], [("", Wake())]), "S3 tries out the queue"
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    bucket.put_stream(odd, [b"x"], media_type=GLB)
    bucket.put_stream("incoming/big.glb", pieces(bytes(BIG)), media_type=GLB)
    bucket.copy(KEY, "incoming/copy.glb")
    bucket.put_stream(OTHER, [b"x"], media_type=GLB)
    bucket.copy(KEY, "elsewhere.glb")
    bucket.check()
    bucket.delete(KEY)
    assert told() == [
        (f"ObjectCreated:{how}", ObjectsCreated((key,)))
        for how, key in [
            ("Put", KEY),
            ("Put", odd),
            ("CompleteMultipartUpload", "incoming/big.glb"),
            ("Copy", "incoming/copy.glb"),
        ]
    ]
