"""Waking functions on AWS: one short asynchronous invocation, and never oneself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.stub import Stubber

from shared import events, wiring
from shared.aws import clients, wake
from shared.aws.wake import LambdaWake


class Invoked:
    """What is sent to Lambda, checked against the service's own description of itself."""

    def __init__(self) -> None:
        self.stub = Stubber(clients.client("lambda", seconds=wake._SECONDS, tries=1))
        self.stub.activate()

    def expect(self, function: str, event: Any) -> None:
        sent = {
            "FunctionName": function,
            "InvocationType": "Event",
            "Payload": json.dumps(event).encode(),
        }
        self.stub.add_response("invoke", {"StatusCode": 202}, sent)

    def all_came(self) -> None:
        self.stub.assert_no_pending_responses()


@pytest.fixture
def invoked(monkeypatch: pytest.MonkeyPatch) -> Invoked:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    clients.forget()
    made = Invoked()
    yield made
    clients.forget()


def test_a_function_is_woken_under_its_deployed_name(invoked: Invoked) -> None:
    for name in ("poll", "postprocess", "callback"):
        invoked.expect(f"maquette-dev-{name}", dict(events.WAKE))
        LambdaWake("maquette-dev").wake(name)
    invoked.all_came()


def test_no_function_wakes_itself(invoked: Invoked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "maquette-dev-poll")
    waker = LambdaWake("maquette-dev")
    waker.wake("poll")
    invoked.expect("maquette-dev-callback", dict(events.WAKE))
    waker.wake("callback")
    invoked.all_came()


def test_help_is_asked_of_a_further_poll(invoked: Invoked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "maquette-dev-poll")
    invoked.expect("maquette-dev-poll", events.help_event(2))
    LambdaWake("maquette-dev").help(2)
    invoked.all_came()


def test_a_wake_that_fails_costs_nothing(invoked: Invoked) -> None:
    invoked.stub.add_client_error("invoke", "TooManyRequestsException")
    bundle_wake = wiring._harmless(LambdaWake("maquette-dev").wake)
    bundle_wake("poll")
    invoked.all_came()


def test_one_try_and_three_seconds_are_all_that_a_wake_may_cost(invoked: Invoked) -> None:
    config = clients.client("lambda", seconds=wake._SECONDS, tries=1).meta.config
    assert (config.connect_timeout, config.read_timeout) == (2, 3.0)
    assert config.retries["total_max_attempts"] == 1


def test_one_process_has_one_client_of_a_kind(invoked: Invoked) -> None:
    assert clients.client("sqs") is clients.client("sqs")
    assert clients.client("sqs") is not clients.client("sqs", tries=1)
    before = clients.client("sqs")
    clients.forget()
    assert clients.client("sqs") is not before
