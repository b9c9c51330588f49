"""Calls to Tencent Cloud's API: signed with the keys of the moment, bounded, errors in words."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra.tencent.emulator import tc3
from shared import skew
from shared.tencent import clients
from shared.tencent.clients import EndpointWrong, RegionMissing, TencentError, call
from shared.tencent.credentials import CredentialsMissing
from tests.receivers import Behaviour, Receiver, answer, cut_off, give, hang, nonsense, reset
from tests.unit.tencent.api import Api, set_up


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    set_up(monkeypatch)
    monkeypatch.setattr(time, "sleep", lambda seconds: pauses.append(seconds))
    pauses.clear()
    skew.forget()
    clients.forget()
    yield monkeypatch
    clients.forget()
    skew.forget()


pauses: list[float] = []


def said(content_type: str = "application/json", **response: Any) -> Behaviour:
    body = json.dumps({"Response": {"RequestId": "request-1", **response}}).encode()
    return give(body, content_type=content_type)


def failed(code: str, content_type: str = "application/json") -> Behaviour:
    return said(content_type, Error={"Code": code, "Message": "in words"})


def test_a_call_is_signed_and_its_answer_is_what_the_api_said() -> None:
    with Api(said(Result={"Log": "木"})) as api:
        found = call("scf", "Invoke", {"FunctionName": "poll"})
    assert found == {"RequestId": "request-1", "Result": {"Log": "木"}}
    assert api.callers() == [tc3.Caller("test-id", "scf", "Invoke", "2018-04-16", "ap-guangzhou")]
    assert json.loads(api.requests[0].body) == {"FunctionName": "poll"}
    assert "x-tc-token" not in api.requests[0].headers


def test_keys_that_change_between_two_invocations_of_a_process_sign_the_next_call(
    environment: pytest.MonkeyPatch,
) -> None:
    with Api(said()) as api:
        call("scf", "Invoke", {})
        environment.setenv("TENCENTCLOUD_SECRETID", "next-id")
        environment.setenv("TENCENTCLOUD_SECRETKEY", "next-key")
        environment.setenv("TENCENTCLOUD_SESSIONTOKEN", "next-token")
        call("scf", "Invoke", {})
    assert [one.secret_id for one in api.callers()] == ["test-id", "next-id"]
    assert api.requests[1].headers["x-tc-token"] == "next-token"


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_an_error_is_an_error_however_its_content_type_is_spelt(content_type: str) -> None:
    with (
        Api(failed("ResourceNotFound.Function", content_type)),
        pytest.raises(TencentError) as raised,
    ):
        call("scf", "GetFunction", {})
    error = raised.value
    assert (error.code, error.request_id) == ("ResourceNotFound.Function", "request-1")
    assert error.is_a("ResourceNotFound")
    assert not error.is_a("ResourceNotFound.Trigger", "Resource")
    assert not error.may_pass
    assert str(error) == "scf GetFunction: ResourceNotFound.Function: in words"


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(502),
        give(b"<html>", content_type="text/html"),
        give(b"[]", content_type="application/json; charset=utf-8"),
        give(b'{"Response": null}', content_type="text/json"),
        give(b'{"Response": {"Error": "x"}}', content_type="text/json"),
        give(b'{"Response"', content_type="application/json", content_length="400"),
        nonsense,
        reset,
        cut_off,
    ],
)
def test_whatever_else_comes_is_a_failure_that_may_pass(behaviour: Behaviour) -> None:
    with Api(behaviour), pytest.raises(TencentError) as raised:
        call("ssm", "GetSecretValue", {})
    assert raised.value.may_pass
    assert raised.value.code in ("ClientNetworkError", "ServerNetworkError")


def test_a_silent_api_is_given_up_after_the_seconds_said() -> None:
    with Api(hang) as api:
        with pytest.raises(TencentError) as raised:
            call("scf", "Invoke", {}, seconds=0.1)
        assert api.wait_for(1)
    assert raised.value.code == "ClientNetworkError"
    assert len(api.requests) == 1


def test_what_may_pass_is_tried_again_as_often_as_said() -> None:
    limited = failed("RequestLimitExceeded.UinLimitExceeded")
    with Api(limited, answer(500), said(Done=1)) as api:
        assert call("scf", "Invoke", {}, tries=3)["Done"] == 1
    assert len(api.requests) == 3
    assert len(pauses) == 2
    assert 0 < pauses[0] < pauses[1] < 1
    with Api(limited) as api, pytest.raises(TencentError):
        call("scf", "Invoke", {}, tries=2)
    assert len(api.requests) == 2


def test_a_call_goes_out_once_unless_more_is_said_and_what_is_wrong_is_not_repeated() -> None:
    with Api(answer(500)) as api, pytest.raises(TencentError):
        call("scf", "CreateFunction", {})
    assert len(api.requests) == 1
    with Api(failed("InvalidParameterValue")) as api, pytest.raises(TencentError):
        call("scf", "CreateFunction", {}, tries=3)
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AuthFailure.SignatureExpire", "clock"),
        ("AuthFailure.TokenFailure", "session token"),
        ("AuthFailure.SecretIdNotFound", "TENCENTCLOUD_SECRET_ID"),
        ("AuthFailure.UnauthorizedOperation", "scf:InvokeFunction"),
        ("UnauthorizedOperation.CAM", "scf:InvokeFunction"),
        ("UnsupportedRegion", "TENCENTCLOUD_REGION"),
    ],
)
def test_an_error_of_what_was_set_up_says_what_to_do(code: str, words: str) -> None:
    with Api(failed(code)), pytest.raises(TencentError, match=words):
        call("scf", "Invoke", {})


def test_no_secret_is_in_an_error(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TENCENTCLOUD_SESSIONTOKEN", "the-session-token")
    for behaviour in (failed("AuthFailure.SignatureFailure"), answer(500), reset):
        with Api(behaviour), pytest.raises(TencentError) as raised:
            call("scf", "Invoke", {})
        for secret in ("test-key-of-the-emulator", "the-session-token"):
            assert secret not in f"{raised.value!r} {raised.value}"


def test_without_keys_or_a_region_nothing_is_sent(environment: pytest.MonkeyPatch) -> None:
    with Api(said()) as api:
        environment.delenv("TENCENTCLOUD_REGION")
        with pytest.raises(RegionMissing, match="TENCENTCLOUD_REGION"):
            call("scf", "Invoke", {})
        environment.delenv("TENCENTCLOUD_SECRETKEY")
        with pytest.raises(CredentialsMissing, match="TENCENTCLOUD_SECRETKEY"):
            call("scf", "Invoke", {})
    assert api.requests == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://scf.example",
        "scf.example",
        "ftp://127.0.0.1",
        "http://[::1",
        "http://127.0.0.1:port",
        "https://user@scf.example",
        "https://scf.example/path",
        "http://127.0.0.1.example",
    ],
)
def test_plain_http_is_for_this_machine_alone(
    environment: pytest.MonkeyPatch, endpoint: str
) -> None:
    environment.setenv("TENCENT_ENDPOINT", endpoint)
    with pytest.raises(EndpointWrong, match="TENCENT_ENDPOINT"):
        call("scf", "Invoke", {})


def test_without_an_endpoint_the_public_api_is_called_over_tls() -> None:
    made = clients._made("scf", 5.0, "ap-guangzhou", None)
    assert made._get_endpoint() == "scf.tencentcloudapi.com"
    assert made.profile.httpProfile.scheme == "https"


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    environment: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        environment.setenv(name, "http://127.0.0.1:9")
    with Api(said()) as api:
        call("scf", "Invoke", {})
    assert len(api.requests) == 1


def test_one_process_has_one_client_of_a_kind_and_a_child_its_own() -> None:
    with Api(said()):
        assert clients.client("scf", 5.0) is clients.client("scf", 5.0)
        assert clients.client("scf", 5.0) is not clients.client("ssm", 5.0)
        before = clients.client("scf", 5.0)
        clients._after_fork_in_child()
        assert clients.client("scf", 5.0) is not before
        clients._inherited.clear()


def test_a_clock_that_is_off_is_known_from_the_answers() -> None:
    class Now:
        @staticmethod
        def now() -> int:
            return round(time.time() * 1000)

    late = said()

    def behave(receiver: Receiver, request: Any) -> None:
        request.date_time_string = lambda: "Fri, 01 Jan 2100 00:00:00 GMT"
        late(receiver, request)

    with Api(behave):
        call("scf", "Invoke", {})
    assert list(skew.warnings(Now)) == ["clock of cloud's API"]  # type: ignore[arg-type]
