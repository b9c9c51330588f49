"""A function URL's events, and the responses that results stand for.

函数 URL 的事件与应答。
"""

from __future__ import annotations

import json

import pytest

from infra.tencent.emulator.url_events import event_of, response_of
from infra.tencent.emulator.web import Request, Response


def test_a_request_is_the_event_that_the_document_shows() -> None:
    headers = (("host", "a.example"), ("accept", "a/b"), ("accept", "c/d"))
    request = Request(
        "POST", "/a%20b", "x=1&y=%2B&x=2&z=", headers, '{"词": 1}'.encode(), "10.0.0.1"
    )
    assert event_of(request) == {
        "body": '{"词": 1}',
        "headers": {"host": "a.example", "accept": "a/b,c/d", "x-scf-remote-addr": "10.0.0.1"},
        "httpMethod": "POST",
        "path": "/a%20b",
        "queryString": {"x": ["1", "2"], "y": "+", "z": ""},
    }


@pytest.mark.parametrize(
    ("result", "response"),
    [
        (
            {"statusCode": 201, "headers": {"A": "b", "Set-Cookie": ["c", "d"]}, "body": "词"},
            Response(201, (("a", "b"), ("set-cookie", "c"), ("set-cookie", "d")), "词".encode()),
        ),
        (
            {"statusCode": 200, "body": "AP8=", "isBase64Encoded": True},
            Response(200, (), b"\x00\xff"),
        ),
        ({"statusCode": 204, "body": None}, Response(204)),
        ("words", Response(200, (("content-type", "application/json"),), b'"words"')),
    ],
)
def test_a_result_is_the_response_that_it_says(result: object, response: Response) -> None:
    assert response_of(json.dumps(result)) == response


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": 200, "body": 1},
        {"statusCode": 200, "headers": [1]},
        {"statusCode": 200, "body": "A", "isBase64Encoded": True},
        {"statusCode": "x"},
    ],
)
def test_a_result_that_is_no_response_is_told_so(result: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        response_of(json.dumps(result))
