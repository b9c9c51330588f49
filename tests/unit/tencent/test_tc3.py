"""The signature of Tencent Cloud's API: the guide's own example, the SDK's requests, and tampering.

The published example is the guide's for DescribeInstances, whose keys end in EXAMPLE.
"""

from __future__ import annotations

from typing import Any

import pytest
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential

from infra.tencent.emulator import tc3
from infra.tencent.emulator.tc3 import Key, Refused

EXAMPLE_BODY = (
    rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
)
EXAMPLE_ID, EXAMPLE_KEY = (
    "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
    "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
)
EXAMPLE_TIME = 1551113065
EXAMPLE_HEADERS = {
    "Authorization": f"TC3-HMAC-SHA256 Credential={EXAMPLE_ID}/2019-02-25/cvm/tc3_request, "
    "SignedHeaders=content-type;host, "
    "Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
    "Content-Type": "application/json; charset=utf-8",
    "Host": "cvm.tencentcloudapi.com",
    "X-TC-Action": "DescribeInstances",
    "X-TC-Timestamp": str(EXAMPLE_TIME),
    "X-TC-Version": "2017-03-12",
    "X-TC-Region": "ap-guangzhou",
}
KEYS = {"test-id": Key("test-key"), "temporary": Key("temporary-key", "the-token")}


def test_the_guides_example_is_what_the_guide_says() -> None:
    caller = tc3.verify(
        "POST", EXAMPLE_HEADERS, EXAMPLE_BODY, {EXAMPLE_ID: Key(EXAMPLE_KEY)}, now=EXAMPLE_TIME
    )
    assert caller == tc3.Caller(
        EXAMPLE_ID, "cvm", "DescribeInstances", "2017-03-12", "ap-guangzhou"
    )


class Signed:
    """A request as the SDK signs it, kept instead of sent."""

    def __init__(
        self, secret_id: str = "test-id", key: str = "test-key", token: str | None = None
    ) -> None:
        client = CommonClient(
            "scf", "2018-04-16", Credential(secret_id, key, token), "ap-guangzhou"
        )
        client.request = self
        with pytest.raises(_Kept):
            client.call_json("Invoke", {"FunctionName": "木", "Namespace": "default"})

    def send_request(self, request: Any) -> Any:
        self.headers: dict[str, str] = dict(request.header)
        self.body: bytes = request.data.encode()
        self.now = int(self.headers["X-TC-Timestamp"])
        raise _Kept


class _Kept(Exception):
    pass


def verified(signed: Signed, **other: Any) -> tc3.Caller:
    told: dict[str, Any] = {
        "method": "POST",
        "headers": signed.headers,
        "body": signed.body,
        "now": signed.now,
        **other,
    }
    return tc3.verify(told.pop("method"), told.pop("headers"), told.pop("body"), KEYS, **told)


def code_of(signed: Signed, **other: Any) -> str:
    with pytest.raises(Refused) as raised:
        verified(signed, **other)
    for key in KEYS.values():
        assert key.secret_key not in str(raised.value)
    return raised.value.code


@pytest.fixture
def signed() -> Signed:
    return Signed()


def test_what_the_sdk_signs_is_let_in(signed: Signed) -> None:
    caller = verified(signed)
    assert (caller.secret_id, caller.service, caller.action) == ("test-id", "scf", "Invoke")
    assert (caller.version, caller.region) == ("2018-04-16", "ap-guangzhou")
    assert verified(Signed("temporary", "temporary-key", "the-token")).secret_id == "temporary"
    lower = {name.lower(): value for name, value in signed.headers.items()}
    assert verified(signed, headers=lower) == caller


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_request_may_be_five_minutes_old_or_young(signed: Signed, seconds: int) -> None:
    verified(signed, now=signed.now + seconds)
    beyond = signed.now + seconds + (1 if seconds > 0 else -1)
    assert code_of(signed, now=beyond) == "AuthFailure.SignatureExpire"


def test_what_is_changed_on_the_way_is_refused(signed: Signed) -> None:
    failure = "AuthFailure.SignatureFailure"
    assert code_of(signed, body=signed.body.replace(b"default", b"defaulT")) == failure
    assert code_of(signed, body=b"") == failure
    assert code_of(signed, method="PUT") == failure
    assert code_of(signed, query="Action=Invoke") == failure
    for name, value in {"Host": "other.example", "Content-Type": "text/plain"}.items():
        assert code_of(signed, headers={**signed.headers, name: value}) == failure
    later = {**signed.headers, "X-TC-Timestamp": str(signed.now + 1)}
    assert code_of(signed, headers=later) == failure


def test_a_wrong_key_and_an_unknown_one_are_told_apart() -> None:
    assert code_of(Signed(key="another-key")) == "AuthFailure.SignatureFailure"
    assert code_of(Signed("nobody")) == "AuthFailure.SecretIdNotFound"


@pytest.mark.parametrize("token", [None, "an-old-token"])
def test_temporary_keys_are_worth_nothing_without_their_token(token: str | None) -> None:
    assert code_of(Signed("temporary", "temporary-key", token)) == "AuthFailure.TokenFailure"


def test_a_lasting_key_comes_without_a_token() -> None:
    assert code_of(Signed(token="the-token")) == "AuthFailure.TokenFailure"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Authorization", "AuthFailure.InvalidAuthorization"),
        ("Host", "AuthFailure.InvalidAuthorization"),
        ("X-TC-Action", "MissingParameter"),
        ("X-TC-Version", "MissingParameter"),
        ("X-TC-Timestamp", "MissingParameter"),
    ],
)
def test_a_missing_header_is_named_by_the_error(signed: Signed, name: str, code: str) -> None:
    headers = {other: value for other, value in signed.headers.items() if other != name}
    assert code_of(signed, headers=headers) == code


@pytest.mark.parametrize(
    ("part", "instead", "code"),
    [
        ("TC3-HMAC-SHA256", "TC3-HMAC-SHA1", "AuthFailure.InvalidAuthorization"),
        ("content-type;host", "host", "AuthFailure.InvalidAuthorization"),
        ("content-type;host", "host;content-type", "AuthFailure.InvalidAuthorization"),
        ("content-type;host", "content-type;host;host", "AuthFailure.InvalidAuthorization"),
        ("/scf/", "/ssm/", "AuthFailure.SignatureFailure"),
        ("tc3_request", "aws4_request", "AuthFailure.InvalidAuthorization"),
    ],
)
def test_another_authorization_is_refused(
    signed: Signed, part: str, instead: str, code: str
) -> None:
    headers = {**signed.headers}
    headers["Authorization"] = headers["Authorization"].replace(part, instead)
    assert code_of(signed, headers=headers) == code


@pytest.mark.parametrize("timestamp", ["", "soon", "1e9", "-1", "99999999999999999999"])
def test_a_time_that_is_none_is_an_error_and_no_crash(signed: Signed, timestamp: str) -> None:
    headers = {**signed.headers, "X-TC-Timestamp": timestamp}
    assert code_of(signed, headers=headers) in ("InvalidParameter", "MissingParameter")
