"""Events as AWS sends them: an HTTP API, a Function URL, EventBridge Scheduler, S3.

AWS 各触发源发送的事件。
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus

SCHEDULE: Mapping[str, Any] = {
    "version": "0",
    "id": "d4a1f0c2-6f0e-4a5e-9c39-0c1a3c6f1f0e",
    "detail-type": "Scheduled Event",
    "source": "aws.scheduler",
    "account": "123456789012",
    "time": "2026-11-21T21:00:00Z",
    "region": "us-east-1",
    "resources": ["arn:aws:scheduler:us-east-1:123456789012:schedule/default/maquette-dev-poll"],
    "detail": "{}",
}
"""What a schedule without an input of its own sends."""

HttpEvent = Callable[..., dict[str, Any]]


def http_api(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> dict[str, Any]:
    """A request by way of an API Gateway HTTP API, payload format 2.0.

    HTTP API 的请求事件。
    """
    host = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"
    event = _request(method, path, headers, body, host)
    event["headers"]["x-amzn-trace-id"] = "Root=1-6740a1b2-0123456789abcdef01234567"
    event["requestContext"] |= {"accountId": "123456789012", "requestId": "JKJaXmPLvHcESHA="}
    return event


def function_url(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> dict[str, Any]:
    """The same by way of a Function URL without IAM authorisation.

    函数 URL 的请求事件。
    """
    host = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws"
    event = _request(method, path, headers, body, host)
    event["headers"]["x-amzn-tls-version"] = "TLSv1.3"
    event["requestContext"] |= {
        "accountId": "anonymous",
        "authentication": None,
        "authorizer": None,
        "requestId": "e1506fd5-9e7b-434f-bd42-4f8fa224b599",
    }
    return event | {"pathParameters": None, "stageVariables": None}


def _request(
    method: str, path: str, headers: Mapping[str, str] | None, body: bytes | None, host: str
) -> dict[str, Any]:
    api = host.partition(".")[0]
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "host": host,
            "user-agent": "curl/8.10.1",
            "x-forwarded-for": "203.0.113.9",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            **{name.lower(): value for name, value in (headers or {}).items()},
        },
        "requestContext": {
            "apiId": api,
            "domainName": host,
            "domainPrefix": api,
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.9",
                "userAgent": "curl/8.10.1",
            },
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:21:00:00 +0000",
            "timeEpoch": 1795294800000,
        },
        "isBase64Encoded": False,
    }
    if body is not None:
        event["body"] = base64.b64encode(body).decode()
        event["isBase64Encoded"] = True
        event["headers"]["content-length"] = str(len(body))
    return event


def objects_created(bucket: str, *keys: str) -> dict[str, Any]:
    """S3's notification of new objects; it writes keys as forms do: a space becomes a plus.

    对象创建事件。
    """
    return {"Records": [_created(bucket, key) for key in keys]}


def _created(bucket: str, key: str) -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-21T21:00:00.000Z",
        "eventName": "ObjectCreated:CompleteMultipartUpload",
        "userIdentity": {"principalId": "AWS:AROAEXAMPLE:maquette-dev-poll"},
        "requestParameters": {"sourceIPAddress": "203.0.113.10"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "incoming",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": 1024,
                "eTag": "d41d8cd98f00b204e9800998ecf8427e-1",
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }
