"""What a body may have, on each platform and by each door.

请求正文上限的测试。
"""

from __future__ import annotations

import base64
import json

import pytest

from infra.local.cloud import payloads
from infra.local.cloud.payloads import HttpRequest
from shared.limits import LAMBDA, LAMBDA_EVENT_BYTES, SCF, SERVER, Door, platform_of

ROOM = 24 * 2**20
HEADERS = tuple((f"x-header-{number}", "v" * 500) for number in range(20))
"""As many as API Gateway lets through: 10,240 bytes."""


def event_bytes(media_type: str, body: bytes) -> int:
    headers = (*HEADERS, ("content-type", media_type))
    return payloads.size(payloads.http_event(HttpRequest("POST", "/api", "", headers, body), "", 0))


def test_a_form_of_the_largest_size_makes_an_event_that_lambda_takes() -> None:
    most = LAMBDA.most(Door.FORM, ROOM)
    largest = event_bytes("multipart/form-data; boundary=b", bytes(most))
    # Nothing is given away but room for a path, headers and the platform's own.
    assert 0 <= LAMBDA_EVENT_BYTES - largest < 64 * 2**10


def test_json_of_the_largest_size_makes_an_event_that_lambda_takes() -> None:
    most = LAMBDA.most(Door.JSON, ROOM)
    empty = json.dumps({"image": ""}).encode()
    picture = base64.b64encode(bytes((most - len(empty)) // 4 * 3)).decode()
    body = json.dumps({"image": picture}).encode()
    assert most - 4 < len(body) <= most
    assert 0 <= LAMBDA_EVENT_BYTES - event_bytes("application/json", body) < 64 * 2**10


@pytest.mark.parametrize("door", Door)
def test_the_setting_goes_first_where_it_is_less(door: Door) -> None:
    for platform in (LAMBDA, SCF, SERVER):
        assert platform.most(door, 1000) == 1000
    assert SERVER.most(door, ROOM) == ROOM
    assert SCF.most(door, ROOM) < 6_000_000


def test_a_platform_is_known_by_how_its_requests_come() -> None:
    assert platform_of(by_event=True, environ={}) is LAMBDA
    assert platform_of(by_event=False, environ={"TENCENTCLOUD_RUNENV": "SCF"}) is SCF
    assert platform_of(by_event=False, environ={}) is SERVER
