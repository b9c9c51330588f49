"""What every bucket behind a network must do besides: big bodies in parts, and a storage's faults.

网络存储共同的要求：分段写入，以及服务出错时的表现。
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import SSLError

from infra.paths import ROOT
from infra.tencent.cos_emulator import APPID
from shared.aws import clients
from shared.buckets import cos as cos_bucket
from shared.buckets import s3 as s3_bucket
from shared.buckets.base import Bucket, BucketUnavailable, ObjectInfo, ObjectMissing
from shared.buckets.cos import CosBucket
from shared.buckets.names import content_disposition
from shared.buckets.s3 import S3Bucket
from shared.tencent.cos import client as cos_client
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
DENIED = b"<Error><Code>AccessDenied</Code></Error>"
INSIDE = b"<Error><Code>InternalError</Code><Message>We tried.</Message></Error>"
"""An error that comes after its answer has begun, with a 200."""


@dataclass(frozen=True)
class S3:
    """A bucket in the emulated S3. `variable` is where its clients read whom to ask, `part` the
    size of its parts here."""

    name: str = field(default_factory=lambda: f"s3-{uuid4().hex}")
    variable = "AWS_ENDPOINT_URL"
    adapter = f"{S3Bucket.__module__} import S3Bucket as Adapter"
    checks = ("Put", "Get")
    module: Any = s3_bucket
    part = 8 << 20
    unsaid = ("acl", "encryption", "grant")  # the bucket's own rules say it
    tampered = ({"X-Amz-Expires": "600"}, {"X-Amz-Signature": "0" * 64})

    def create(self) -> None:
        clients.client("s3").create_bucket(Bucket=self.name)

    def bucket(self, **more: Any) -> Bucket:
        return S3Bucket(self.name, **more)

    def begin(self, key: str) -> str:
        begun = clients.client("s3").create_multipart_upload(Bucket=self.name, Key=key)
        return str(begun["UploadId"])

    def uploads(self) -> list[str]:
        found = clients.client("s3").list_multipart_uploads(Bucket=self.name)
        return [one["Key"] for one in found.get("Uploads", [])]

    def put(self, key: str, media_type: str) -> None:
        clients.client("s3").put_object(
            Bucket=self.name, Key=key, Body=b"x", ContentType=media_type
        )

    def media_type(self, key: str) -> str:
        return str(clients.client("s3").head_object(Bucket=self.name, Key=key)["ContentType"])

    def repoint(self) -> None:
        clients.forget()

    def an_hour_ago(self, monkeypatch: pytest.MonkeyPatch) -> None:
        past = datetime.now(timezone.utc) - timedelta(hours=1)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: past)


@dataclass(frozen=True)
class Cos:
    """A bucket in the emulated COS."""

    name: str = field(default_factory=lambda: f"cos-{uuid4().hex}-{APPID}")
    variable = "COS_ENDPOINT"
    adapter = f"{CosBucket.__module__} import CosBucket as Adapter"
    checks = ("Put", "Get", "Get")
    module: Any = cos_bucket
    part = 1 << 20  # the least that COS takes
    unsaid = ("acl", "grant")
    tampered = (
        {"q-sign-time": "0;4000000000", "q-key-time": "0;4000000000"},
        {"q-key-time": "0;4000000000"},
        {"q-signature": "0" * 40},
        {"q-ak": "another-id"},
        {"q-url-param-list": ""},
        {"q-header-list": ""},
    )

    @property
    def _client(self) -> Any:
        return cos_client(self.name, seconds=5.0)

    def create(self) -> None:
        self._client.create_bucket(self.name)

    def bucket(self, **more: Any) -> Bucket:
        return CosBucket(self.name, **more)

    def begin(self, key: str) -> str:
        return str(self._client.create_multipart_upload(self.name, key)["UploadId"])

    def uploads(self) -> list[str]:
        return [
            one["Key"] for one in self._client.list_multipart_uploads(self.name).get("Upload", [])
        ]

    def put(self, key: str, media_type: str) -> None:
        self._client.put_object(self.name, b"x", key, ContentType=media_type)

    def media_type(self, key: str) -> str:
        found = self._client.head_object(self.name, key)
        return str({name.lower(): value for name, value in found.items()}["content-type"])

    def repoint(self) -> None:
        pass  # it asks anew each time

    def an_hour_ago(self, monkeypatch: pytest.MonkeyPatch) -> None:
        past = time.time() - 3600
        monkeypatch.setattr("qcloud_cos.cos_auth.time", SimpleNamespace(time=lambda: past))


Remote = S3 | Cos


@pytest.fixture(params=[S3, Cos], ids=["s3", "cos"])
def remote(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Remote:
    request.getfixturevalue({S3: "aws", Cos: "cos"}[request.param])
    made: Remote = request.param()
    made.create()
    assert made.module.PART == 8 << 20
    monkeypatch.setattr(made.module, "PART", made.part)
    return made


@pytest.fixture
def big(remote: Remote) -> bytes:
    """A body of three parts."""
    return noise(2 * remote.part + 12345)


@pytest.fixture
def bucket(remote: Remote) -> Bucket:
    return remote.bucket()


@pytest.fixture
def between(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Between]:
    """A proxy before the emulator, which all clients of this test talk to."""
    emulator = request.getfixturevalue({"AWS_ENDPOINT_URL": "aws"}.get(remote.variable, "cos"))
    with Between(emulator.url) as proxy:
        monkeypatch.setenv(remote.variable, proxy.url)
        remote.repoint()
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


def operation(request: Request) -> str:
    """The request's name in the storages' words."""
    query = request.query
    if request.method == "POST":
        return "Create" if "uploads" in query else "Complete"
    if "uploadId" in query:
        return "Part" if request.method == "PUT" else "Abort"
    copied = any(name.endswith("-copy-source") for name in request.headers)
    return "Copy" if copied else request.method.capitalize()


def is_a(*names: str) -> Callable[[Request], bool]:
    return lambda request: operation(request) in names


def part(number: int) -> Callable[[Request], bool]:
    return lambda request: request.query.get("partNumber") == str(number)


def operations(between: Between) -> list[str]:
    return [operation(request) for request in between.requests]


# Bodies of one part and of more


@pytest.mark.parametrize(
    ("parts", "more"), [(0, 0), (0, 1), (1, -1), (1, 0), (1, 1), (2, 0), (2, 1)]
)
def test_a_body_is_whole_whatever_its_number_of_parts(
    bucket: Bucket, remote: Remote, between: Between, parts: int, more: int
) -> None:
    size = parts * remote.part + more
    body = noise(size)
    assert bucket.put_stream(KEY, pieces(body), media_type=GLB) == ObjectInfo(KEY, size, GLB)
    told = ["Create", *["Part"] * -(-size // remote.part), "Complete"]
    assert operations(between) == (["Put"] if size <= remote.part else told)
    assert content(bucket, KEY) == body
    assert remote.media_type(KEY) == GLB
    assert remote.uploads() == []


def test_a_chunk_may_be_larger_than_a_part(bucket: Bucket, big: bytes) -> None:
    bucket.put_stream(KEY, [b"x", big, b"y"], media_type=GLB)
    assert content(bucket, KEY) == b"x" + big + b"y"


def test_every_body_goes_out_with_its_length_and_checksum(
    bucket: Bucket, remote: Remote, between: Between, big: bytes
) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    bucket.put_stream(KEY, pieces(big), media_type=GLB)
    sent = [one for one in between.requests if operation(one) in ("Put", "Part")]
    assert [int(one.headers["content-length"]) for one in sent] == [1, *[remote.part] * 2, 12345]
    assert all({"x-amz-checksum-crc32", "content-md5"} & set(one.headers) for one in sent)


def test_a_body_that_changes_on_its_way_is_not_stored(bucket: Bucket, between: Between) -> None:
    def falsify(handler: Any, request: Request) -> None:
        changed = Request(request.method, request.path, request.headers, b"wrong")
        handler.give(request, between.forward(changed))

    between.fault(falsify, is_a("Put"), times=3)
    with pytest.raises(BucketUnavailable):
        bucket.put_stream(KEY, [b"right"], media_type=GLB)
    assert bucket.head(KEY) is None


def test_a_big_object_is_not_to_be_seen_before_it_is_whole(bucket: Bucket, remote: Remote) -> None:
    seen = []

    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            yield bytes(remote.part)
            seen.append(bucket.head(KEY))

    bucket.put_stream(KEY, chunks(), media_type=GLB)
    assert seen == [None, None, None]


def test_a_big_object_being_read_is_not_changed_by_its_successor(
    bucket: Bucket, big: bytes
) -> None:
    bucket.put_stream(KEY, [big], media_type=GLB)
    with bucket.open(KEY) as reader:
        start = reader.read(1000)
        bucket.put_stream(KEY, [bytes(len(big))], media_type=GLB)
        assert start + reader.read() == big


def test_any_part_of_an_object_is_what_a_slice_would_be(bucket: Bucket) -> None:
    body = noise(1000)
    bucket.put_stream(KEY, [body], media_type=GLB)
    bucket.put_stream(OTHER, [], media_type=GLB)

    @settings(max_examples=25)
    @given(st.integers(0, 1100), st.none() | st.integers(0, 1100), st.integers(1, 700))
    def attempt(start: int, length: int | None, size: int) -> None:
        end = None if length is None else start + length
        with bucket.open(KEY, start, length) as reader:
            assert b"".join(iter(lambda: reader.read(size), b"")) == body[start:end]
        assert content(bucket, OTHER, start, length) == b""

    attempt()


@pytest.mark.parametrize(("start", "length"), [(0, 0), (5, 0), (99, None), (0, 7)])
def test_an_absent_object_has_no_parts(bucket: Bucket, start: int, length: int | None) -> None:
    with pytest.raises(ObjectMissing), bucket.open(KEY, start, length):
        pass


# Chunks that fail


@pytest.mark.parametrize(
    "error",
    [
        ValueError("of the chunks"),
        InterruptedError(4, "EINTR"),
        BucketUnavailable("another bucket"),
        KeyboardInterrupt(),
        SystemExit(1),
    ],
)
@pytest.mark.parametrize(("parts", "more"), [(0, 0), (1, 0), (1, 1)])
def test_when_the_chunks_fail_their_error_goes_on_and_nothing_is_left(
    bucket: Bucket, remote: Remote, error: BaseException, parts: int, more: int
) -> None:
    bucket.put_stream(OTHER, [b"old"], media_type=GLB)

    def chunks() -> Iterator[bytes]:
        yield bytes(parts * remote.part + more)
        raise error

    for key in (KEY, OTHER):
        with pytest.raises(type(error)) as raised:
            bucket.put_stream(key, chunks(), media_type=GLB)
        assert raised.value is error
    assert remote.uploads() == []
    assert bucket.head(KEY) is None
    assert content(bucket, OTHER) == b"old"


KILLED = """
import os, sys
from {adapter}

def chunks():
    yield bytes(16 << 20)
    os._exit(9)

Adapter(sys.argv[1]).put_stream(sys.argv[2], chunks(), media_type="model/gltf-binary")
"""


def test_a_process_killed_while_writing_leaves_the_older_object(
    bucket: Bucket, remote: Remote
) -> None:
    bucket.put_stream(KEY, [b"old"], media_type=GLB)
    code = KILLED.format(adapter=remote.adapter)
    command = [sys.executable, "-c", code, remote.name, KEY]
    child = subprocess.run(command, cwd=ROOT, check=False, timeout=60)
    assert child.returncode == 9
    assert content(bucket, KEY) == b"old"
    assert remote.uploads() == [KEY], "for the lifecycle rule to clear"


# The storage's own faults


def test_a_part_that_is_refused_ends_the_upload_at_once(
    bucket: Bucket, remote: Remote, between: Between
) -> None:
    bucket.put_stream(KEY, [b"old"], media_type=GLB)
    between.fault(refuse(403, DENIED), part(1))
    taken = []

    def chunks() -> Iterator[bytes]:
        for number in range(100):
            taken.append(number)
            yield bytes(remote.part)

    with pytest.raises(BucketUnavailable, match="upload_part: AccessDenied"):
        bucket.put_stream(KEY, chunks(), media_type=GLB)
    assert taken == [0, 1], "the rest is not even asked for"
    assert remote.uploads() == []
    assert content(bucket, KEY) == b"old"


@pytest.mark.parametrize("fault", [refuse(503, SLOW_DOWN), drop, lose_the_answer])
def test_a_part_that_goes_wrong_once_is_sent_again(
    bucket: Bucket, between: Between, fault: Any, big: bytes
) -> None:
    between.fault(fault, part(1))
    between.fault(fault, part(3))
    bucket.put_stream(KEY, pieces(big), media_type=GLB)
    assert operations(between).count("Part") == 5
    assert content(bucket, KEY) == big


def test_a_completion_that_fails_aborts_the_upload(
    bucket: Bucket, remote: Remote, between: Between, big: bytes
) -> None:
    between.fault(refuse(200, INSIDE), is_a("Complete"), times=3)
    with pytest.raises(BucketUnavailable, match="complete_multipart_upload: InternalError"):
        bucket.put_stream(KEY, pieces(big), media_type=GLB)
    assert operations(between).count("Complete") == 3
    assert remote.uploads() == []
    assert bucket.head(KEY) is None


def test_old_uploads_are_found_behind_pages_of_young_ones(
    bucket: Bucket, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        remote.begin(f"a/{number}")
    monkeypatch.setattr(remote.module, "MOST_KEYS", 2)
    assert bucket.clear_uploads(0) == 0
    assert len(remote.uploads()) == 5
    assert bucket.clear_uploads(4_000_000_000_000) == 5
    assert remote.uploads() == []


def test_an_upload_that_ends_while_it_is_given_up_is_no_error(
    bucket: Bucket, remote: Remote, between: Between, big: bytes, log_records: list[Any]
) -> None:
    for number in range(2):
        remote.begin(f"a/{number}")
    between.fault(refuse(404, b"<Error><Code>NoSuchUpload</Code></Error>"), is_a("Abort"))
    assert bucket.clear_uploads(4_000_000_000_000) == 1

    def chunks() -> Iterator[bytes]:
        yield big
        bucket.clear_uploads(4_000_000_000_000)
        raise ValueError("of the chunks")

    with pytest.raises(ValueError, match="of the chunks"):
        bucket.put_stream(KEY, chunks(), media_type=GLB)
    assert remote.uploads() == []
    assert log_records == [], "nothing stays, so nothing is told"


def test_an_abort_that_fails_hides_no_error_and_is_logged(
    bucket: Bucket, remote: Remote, between: Between, big: bytes, log_records: list[Any]
) -> None:
    error = ValueError("of the chunks")

    def chunks() -> Iterator[bytes]:
        yield big
        raise error

    between.fault(refuse(403, DENIED), is_a("Abort"))
    with pytest.raises(ValueError, match="of the chunks"):
        bucket.put_stream(KEY, chunks(), media_type=GLB)
    assert len(remote.uploads()) == 1
    (record,) = log_records
    assert KEY in record.getMessage()
    assert "AccessDenied" in record.getMessage()


@pytest.mark.parametrize("fault", [cut_short, stall])
@pytest.mark.parametrize("size", [-1, 1 << 16])
def test_a_body_that_ends_early_is_an_error_and_not_the_end(
    bucket: Bucket, remote: Remote, between: Between, fault: Any, size: int
) -> None:
    body = noise(1_000_000)
    bucket.put_stream(KEY, [body], media_type=GLB)
    between.fault(fault, is_a("Get"))
    got: list[bytes] = []
    with remote.bucket(seconds=1.5).open(KEY) as reader:
        with pytest.raises(BucketUnavailable, match="get_object"):
            got.extend(iter(lambda: reader.read(size), b""))
        with pytest.raises(BucketUnavailable, match="get_object"):
            reader.read(size)
    assert body.startswith(b"".join(got))
    assert content(bucket, KEY) == body, "the next reader gets a sound connection"


def test_a_tls_record_that_is_broken_is_an_error(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)

    def broken(*_: Any, **__: Any) -> bytes:
        raise SSLError("bad record mac")

    with bucket.open(KEY) as reader:
        monkeypatch.setattr("urllib3.response.HTTPResponse.read", broken)
        with pytest.raises(BucketUnavailable, match="get_object: SSLError"):
            reader.read()


def test_a_busy_storage_is_asked_three_times_and_then_unavailable(
    bucket: Bucket, between: Between
) -> None:
    between.fault(refuse(503, SLOW_DOWN), is_a("Put"), times=2)
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    between.fault(refuse(503, SLOW_DOWN), is_a("Get"), times=3)
    with pytest.raises(BucketUnavailable, match=r"^(S3|COS) refuses get_object: SlowDown$"):
        content(bucket, KEY)
    assert operations(between) == ["Put"] * 3 + ["Get"] * 3
    assert content(bucket, KEY) == b"x"


def test_a_storage_that_hangs_up_is_given_up_after_three_tries(
    bucket: Bucket, between: Between
) -> None:
    between.fault(drop, lambda _: True, times=99)
    calls: list[Callable[[], Any]] = [
        lambda: bucket.head(KEY),
        lambda: content(bucket, KEY),
        lambda: bucket.put_stream(KEY, [b"x"], media_type=GLB),
        lambda: bucket.copy(KEY, OTHER),
        lambda: bucket.delete(KEY),
    ]
    for call in calls:
        with pytest.raises(BucketUnavailable):
            call()
    assert len(between.requests) == 3 * len(calls)


def test_a_silent_storage_is_unavailable(remote: Remote, between: Between) -> None:
    between.fault(stay_silent, lambda _: True, times=99)
    with pytest.raises(BucketUnavailable):
        remote.bucket(seconds=0.1).head(KEY)


def test_a_copy_that_fails_after_its_200_is_an_error(bucket: Bucket, between: Between) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    between.fault(refuse(200, INSIDE), is_a("Copy"), times=3)
    with pytest.raises(BucketUnavailable, match="copy_object: InternalError"):
        bucket.copy(KEY, OTHER)
    assert bucket.head(OTHER) is None


def test_a_refused_head_is_no_absent_object(bucket: Bucket, between: Between) -> None:
    between.fault(refuse(403), is_a("Head"), times=2)
    with pytest.raises(BucketUnavailable, match="head_object: 403"):
        bucket.head(KEY)
    with pytest.raises(BucketUnavailable, match="head_object: 403"), bucket.open(KEY, 0, 0):
        pass


def test_a_bucket_that_does_not_exist_is_unavailable(remote: Remote, big: bytes) -> None:
    bucket = type(remote)().bucket()
    calls: list[Callable[[], Any]] = [
        lambda: bucket.put_stream(KEY, [b"x"], media_type=GLB),
        lambda: bucket.put_stream(KEY, pieces(big), media_type=GLB),
        lambda: content(bucket, KEY),
        lambda: bucket.copy(KEY, OTHER),
        lambda: bucket.delete(KEY),
        lambda: bucket.check(),
    ]
    for call in calls:
        with pytest.raises(BucketUnavailable, match="NoSuchBucket"):
            call()


# Requests


def test_each_call_makes_as_few_requests_as_it_can(
    bucket: Bucket, remote: Remote, between: Between
) -> None:
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
    assert made_by(lambda: bucket.check()) == [*remote.checks]


def test_nothing_is_made_public(
    bucket: Bucket, remote: Remote, between: Between, big: bytes
) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    bucket.put_stream(KEY, pieces(big), media_type=GLB)
    bucket.copy(KEY, OTHER)
    assert {"Put", "Create", "Part", "Complete", "Copy"} <= set(operations(between))
    for request in between.requests:
        named = [*request.headers, *request.query]
        assert not [one for one in named if any(word in one for word in remote.unsaid)]


def test_one_bucket_s_end_is_not_another_s(bucket: Bucket, remote: Remote) -> None:
    other = remote.bucket()
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    with other.open(KEY) as reader:
        bucket.close()
        bucket.close()
        assert reader.read() == b"x"
    assert other.head(KEY) == ObjectInfo(KEY, 1, GLB)


@pytest.mark.parametrize(("adapter", "sdk"), [(S3.adapter, "boto"), (Cos.adapter, "qcloud_cos")])
def test_importing_it_imports_no_sdk(adapter: str, sdk: str) -> None:
    code = f"import sys; from {adapter}; print([m for m in sys.modules if {sdk!r} in m])"
    command = [sys.executable, "-c", code]
    child = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert child.stdout.strip() == "[]"


def test_an_object_put_there_by_hand_has_the_type_of_its_name(
    bucket: Bucket, remote: Remote
) -> None:
    remote.put(KEY, "text/html")
    assert bucket.head(KEY) == ObjectInfo(KEY, 1, GLB)
    bucket.copy(KEY, OTHER)
    assert remote.media_type(OTHER) == GLB


# Links


def test_a_get_link_gives_the_object_under_its_type(bucket: Bucket) -> None:
    bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
    answer = httpx.get(bucket.presign_get(KEY, seconds=60))
    assert (answer.status_code, answer.content) == (200, b"bytes")
    assert answer.headers["content-type"] == GLB
    assert "content-disposition" not in answer.headers


@pytest.mark.parametrize(
    "filename", ["model.glb", "a b+c.glb", "裙子 100%.glb", 'a"; x="b\r\nSet-Cookie: x']
)
def test_a_get_link_names_the_download(bucket: Bucket, filename: str) -> None:
    bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
    answer = httpx.get(bucket.presign_get(KEY, seconds=60, filename=filename))
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == content_disposition(filename)
    assert "set-cookie" not in answer.headers


def test_a_put_link_stores_the_object(bucket: Bucket, remote: Remote) -> None:
    put = bucket.presign_put(KEY, seconds=60, media_type=GLB, size=3)
    assert httpx.put(put.url, content=b"put", headers=put.headers).status_code == 200
    assert content(bucket, KEY) == b"put"
    assert remote.media_type(KEY) == GLB


def test_an_expired_link_is_refused(
    bucket: Bucket, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
    with monkeypatch.context() as earlier:
        remote.an_hour_ago(earlier)
        good, ended = (bucket.presign_get(KEY, seconds=seconds) for seconds in (3700, 3500))
        put = bucket.presign_put(OTHER, seconds=3500, media_type=GLB, size=1)
    assert httpx.get(good).status_code == 200
    assert httpx.get(ended).status_code == 403
    assert httpx.put(put.url, content=b"x", headers=put.headers).status_code == 403


def test_a_link_is_good_for_its_key_and_method_only(bucket: Bucket) -> None:
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


def test_a_link_changed_in_any_way_is_refused(bucket: Bucket, remote: Remote) -> None:
    bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
    url = httpx.URL(bucket.presign_get(KEY, seconds=60, filename="model.glb"))
    assert httpx.get(url).status_code == 200
    for changed in (
        *remote.tampered,
        {"response-content-type": "text/html"},
        {"response-content-disposition": "inline"},
    ):
        assert httpx.get(url.copy_merge_params(changed)).status_code == 403
    assert httpx.get(url.copy_remove_param("response-content-type")).status_code == 403
    assert httpx.get(url.copy_add_param("response-content-type", "text/html")).status_code == 403
