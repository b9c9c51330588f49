"""Waking functions on SCF: one short asynchronous invocation, and never oneself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from infra.tencent.emulator.tc3 import Key
from shared import events, wiring
from shared.tencent import clients, wake
from shared.tencent.credentials import ROLE
from shared.tencent.runtime import entry
from shared.tencent.wake import ScfWake
from tests.receivers import give, hang
from tests.unit.tencent.api import Api, set_up

TAKEN = give(
    b'{"Response": {"Result": {"FunctionRequestId": "x"}, "RequestId": "x"}}',
    content_type="application/json",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    set_up(monkeypatch)
    clients.forget()
    yield monkeypatch
    clients.forget()


def test_a_function_is_woken_under_its_deployed_name() -> None:
    with Api(TAKEN) as api:
        for name in ("poll", "postprocess", "callback"):
            ScfWake.at("scf://maquette-dev").wake(name)
    assert [(one.service, one.action) for one in api.callers()] == [("scf", "Invoke")] * 3
    assert [one["FunctionName"] for one in api.asked()] == [
        "maquette-dev-poll",
        "maquette-dev-postprocess",
        "maquette-dev-callback",
    ]
    asked = api.asked()[0]
    assert (asked["InvocationType"], asked["Namespace"]) == ("Event", "default")
    # The event is what the function is given: a wake-up, as it reads one.
    assert json.loads(asked["ClientContext"]) == dict(events.WAKE)
    assert events.parse(json.loads(asked["ClientContext"])) == events.Wake()


def test_another_namespace_is_named_in_the_address() -> None:
    with Api(TAKEN) as api:
        ScfWake.at("scf://maquette-dev?namespace=shop").wake("poll")
    assert api.asked()[0]["Namespace"] == "shop"


def test_no_function_wakes_itself(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SCF_FUNCTIONNAME", "maquette-dev-poll")
    waker = ScfWake("maquette-dev")
    with Api(TAKEN) as api:
        waker.wake("poll")
        waker.wake("callback")
    assert [one["FunctionName"] for one in api.asked()] == ["maquette-dev-callback"]


def test_help_is_asked_of_a_further_poll(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SCF_FUNCTIONNAME", "maquette-dev-poll")
    with Api(TAKEN) as api:
        ScfWake("maquette-dev").help("tripo")
    assert api.asked()[0]["FunctionName"] == "maquette-dev-poll"
    assert json.loads(api.asked()[0]["ClientContext"]) == events.help_event("tripo")


def test_a_wake_that_is_not_taken_costs_one_try_and_nothing_else(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setattr(wake, "_SECONDS", 0.1)
    with Api(hang) as api:
        wiring._harmless(ScfWake("maquette-dev").wake)("poll")
        assert api.wait_for(1)
    assert len(api.requests) == 1


def test_the_address_of_the_settings_makes_the_waker() -> None:
    class Settings:
        wake_url = "scf://maquette-dev?namespace=shop"

    with Api(TAKEN) as api:
        wiring.WAKERS["scf"](Settings()).wake("poll")  # type: ignore[arg-type]
    assert api.asked()[0]["Namespace"] == "shop"


def test_two_invocations_of_one_process_sign_with_the_keys_that_each_of_them_came_with() -> None:
    waker = ScfWake("maquette-dev")
    main_handler = entry(lambda event, _: waker.wake(event["wake"]))

    def context(**keys: str) -> dict[str, str]:
        return {"request_id": "1", "time_limit_in_ms": "3000", "environment": json.dumps(keys)}

    first = ("first-id", "first-key", "first-token")
    second = ("next-id", "next-key", "next-token")
    with Api(TAKEN) as api:
        for keys in (first, second):
            main_handler({"wake": "poll"}, context(**dict(zip(ROLE, keys, strict=True))))
    known = {one[0]: Key(one[1], one[2]) for one in (first, second)}
    assert [one.secret_id for one in api.callers(known)] == ["first-id", "next-id"]
