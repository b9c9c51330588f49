"""What only the S3 bucket does: its links, events, requests, big bodies, and S3's own faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest

from infra.aws.emulator import Emulator
from shared.aws import clients
from shared.buckets.base import Bucket, BucketUnavailable
from shared.buckets.s3 import PART, S3Bucket
from shared.events import ObjectsCreated, Wake, parse
from tests.between import (
    Between,
    Request,
    drop,
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


# S3's own faults


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


# Links


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
