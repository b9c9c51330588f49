"""What `./scripts/run` makes of an API that cannot answer for a while.

测试 run 命令在接口暂时不可用时的行为。
"""

from __future__ import annotations

import json
from concurrent.futures import Future
from typing import Any

import pytest

from infra.local.cli.run import _looked_at
from infra.local.cloud.door import Door, Refused
from infra.local.cloud.payloads import HttpAnswer, HttpRequest
from shared import config

SETTINGS = config.load(
    {},
    store_url="sqlite://",
    bucket_url="file:///bucket",
    link_secret="l" * 32,
    webhook_secrets="whsec_d2ViaG9vay1zZWNyZXQtb2YtMzItY2hhcmFjdGVycyE=",
)


class Answering:
    """A gateway that gives the same answer to everything."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self._answer = HttpAnswer(status, body=json.dumps(body).encode())

    def request(self, request: HttpRequest) -> Future[HttpAnswer]:
        future: Future[HttpAnswer] = Future()
        future.set_result(self._answer)
        return future


def looked_at(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return _looked_at(Door(Answering(status, body), SETTINGS), {"id": "J", "status": "running"})


def test_a_job_that_cannot_be_read_for_a_while_stands_as_it_stood() -> None:
    locked = {"error": {"message": "ask again", "code": "store_unavailable"}, "retryable": True}
    assert looked_at(503, locked) == {"id": "J", "status": "running"}
    assert looked_at(200, {"id": "J", "status": "succeeded"})["status"] == "succeeded"


def test_what_will_never_be_answered_is_told() -> None:
    gone = {"error": {"message": "there is no job", "code": "job_not_found"}, "retryable": False}
    with pytest.raises(Refused, match="there is no job"):
        looked_at(404, gone)
