"""The handler itself: threads and their loops, odd events, events that are no request.

入口函数的测试。
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from functions.api.handler import handler
from tests.functions.gateway import Context, event, get
from tests.functions.house import House


def test_the_handler_works_in_any_thread(house: House) -> None:
    statuses: list[int] = []

    def send(own_loop: bool) -> None:
        if own_loop:
            asyncio.set_event_loop(asyncio.new_event_loop())
        for _ in range(2):
            statuses.append(handler(event("GET", "/health"), Context())["statusCode"])
        asyncio.get_event_loop().close()

    for own_loop in (True, False):
        thread = threading.Thread(target=send, args=(own_loop,))
        thread.start()
        thread.join()
    assert statuses == [200] * 4


def test_the_handler_makes_a_loop_where_the_old_one_was_closed(house: House) -> None:
    asyncio.get_event_loop_policy().set_event_loop(loop := asyncio.new_event_loop())
    loop.close()
    assert get("/health").status == 200


@pytest.mark.parametrize(
    "change",
    [
        {"headers": {"host": "[::1]:8000"}},
        {"headers": {"host": "a:b:c"}},
        {"headers": {"host": "evil.example/nowhere?"}},
        {"headers": {"x-forwarded-port": "many"}},
        {"headers": {}},
        {"rawQueryString": ""},
        {"cookies": []},
    ],
)
def test_odd_events_are_answered(house: House, change: dict[str, Any]) -> None:
    assert handler({**event("GET", "/health"), **change}, Context())["statusCode"] == 200


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"detail-type": "Scheduled Event"},
        {**event("POST", "/api/v1/models"), "body": "a", "isBase64Encoded": True},
        {**event("POST", "/api/v1/models"), "body": "\ud800"},
        {**event("GET", "/health"), "headers": {"x-a": "\ud800"}},
        {**event("GET", "/health"), "headers": {"x-a": None}},
        {"version": "2.0", "requestContext": {}},
    ],
)
def test_events_that_are_no_request_are_refused(house: House, broken: dict[str, Any]) -> None:
    answer = handler(broken, Context())
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["error"]["code"] == "bad_request"


def test_the_older_event_format_is_answered_too(house: House) -> None:
    older = {
        "version": "1.0",
        "resource": "/{proxy+}",
        "path": "/api/v1/jobs",
        "httpMethod": "GET",
        "headers": {"accept": "*/*"},
        "multiValueHeaders": {"accept": ["*/*"]},
        "queryStringParameters": {"limit": "1"},
        "multiValueQueryStringParameters": {"limit": ["1"]},
        "requestContext": {"identity": {"sourceIp": "203.0.113.9"}},
        "body": None,
        "isBase64Encoded": False,
    }
    assert handler(older, Context())["statusCode"] == 200
