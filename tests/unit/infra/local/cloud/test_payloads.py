"""The events that the local cloud wakes functions with, spelled out, and their answers.

测试本机环境生成的事件。
"""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.cloud import payloads
from infra.local.cloud.payloads import HttpRequest
from shared import events
from shared.buckets.base import ObjectInfo

NOW = 1_795_294_800_123  # 2026-11-21T21:00:00.123Z


def test_a_request_becomes_api_gateways_event() -> None:
    request = HttpRequest(
        method="POST",
        path="/api/v1/jobs%20x",
        query="a=1&a=2&b=%20",
        headers=(
            ("host", "api.example.com"),
            ("content-type", "application/json"),
            ("accept", "text/plain"),
            ("accept", "application/json"),
            ("cookie", "one=1; two=2"),
            ("user-agent", "test/1"),
        ),
        body='{"prompt":"椅子"}'.encode(),
        address="192.0.2.1",
    )
    assert payloads.http_event(request, "id-1", NOW) == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/api/v1/jobs x",
        "rawQueryString": "a=1&a=2&b=%20",
        "cookies": ["one=1", "two=2"],
        "headers": {
            "host": "api.example.com",
            "content-type": "application/json",
            "accept": "text/plain,application/json",
            "user-agent": "test/1",
        },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": "POST",
                "path": "/api/v1/jobs x",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test/1",
            },
            "requestId": "id-1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:21:00:00 +0000",
            "timeEpoch": NOW,
        },
        "body": '{"prompt":"椅子"}',
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize(
    ("media_type", "body", "as_text"),
    [
        ("text/plain; charset=utf-8", b"words", True),
        ("application/problem+json", b"{}", True),
        ("application/json", b"\xff\xfe", False),
        ("multipart/form-data; boundary=x", b"--x", False),
        ("application/octet-stream", b"\x00\x01", False),
        ("", b"anything", False),
    ],
)
def test_binary_bodies_travel_in_base64(media_type: str, body: bytes, as_text: bool) -> None:
    request = HttpRequest("POST", "/", headers=(("content-type", media_type),), body=body)
    event = payloads.http_event(request, "id", NOW)
    assert event["isBase64Encoded"] is not as_text
    assert event["body"] == (body.decode() if as_text else base64.b64encode(body).decode())


def test_a_timer_brings_the_schedulers_event() -> None:
    event = payloads.timer_event("EveryMinute", "id-2", NOW)
    assert event == {
        "version": "0",
        "id": "id-2",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "000000000000",
        "time": "2026-11-21T21:00:00Z",
        "region": "local",
        "resources": ["arn:aws:scheduler:local:000000000000:schedule/default/EveryMinute"],
        "detail": "{}",
    }
    assert events.parse(event) == events.Timer()


def test_a_new_object_brings_what_s3_tells_eventbridge() -> None:
    info = ObjectInfo("incoming/JOB/0-model one+.glb", 1234, "model/gltf-binary")
    event = payloads.object_event(info, "id-3", NOW)
    assert event == {
        "version": "0",
        "id": "id-3",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "000000000000",
        "time": "2026-11-21T21:00:00Z",
        "region": "local",
        "resources": ["arn:aws:s3:::maquette"],
        "detail": {
            "version": "0",
            "bucket": {"name": "maquette"},
            "object": {
                "key": "incoming/JOB/0-model one+.glb",
                "size": 1234,
                "sequencer": "000001A1FFE8A8FB",
            },
            "request-id": "id-3",
            "requester": "000000000000",
            "source-ip-address": "127.0.0.1",
            "reason": "PutObject",
        },
    }
    assert events.parse(event) == events.ObjectsCreated((info.key,))


def test_answers_come_back_whole() -> None:
    binary = {
        "statusCode": 201,
        "headers": {"Content-Type": "image/webp"},
        "cookies": ["a=1", "b=2"],
        "body": base64.b64encode(b"\x00\xff").decode(),
        "isBase64Encoded": True,
    }
    answer = payloads.http_answer(binary)
    assert (answer.status, answer.body) == (201, b"\x00\xff")
    assert answer.headers == (
        ("content-type", "image/webp"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    )
    assert payloads.http_answer({"ok": True}).body == b'{"ok": true}'


@given(st.dictionaries(st.text(), st.text() | st.integers()))
def test_a_payload_is_as_large_as_its_json(payload: dict[str, object]) -> None:
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    assert payloads.size(payload) == len(text.encode("utf-8", "surrogatepass"))
