"""The emulated Secrets Manager: names, versions, states and errors as its API describes them."""

from __future__ import annotations

from typing import Any

import pytest

from infra.tencent.emulator.errors import ApiError
from infra.tencent.emulator.ssm import LARGEST_BYTES, Ssm

NAME = "maquette-dev"


class Clock:
    seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ssm(clock: Clock) -> Ssm:
    made = Ssm(clock)
    made.answer("CreateSecret", {"SecretName": NAME, "SecretString": "{}"})
    return made


def code(ssm: Ssm, action: str, **parameters: Any) -> str:
    with pytest.raises(ApiError) as raised:
        ssm.answer(action, parameters)
    return raised.value.code


def value(ssm: Ssm, version: str = "SSM_Current") -> str:
    answer = ssm.answer("GetSecretValue", {"SecretName": NAME, "VersionId": version})
    return str(answer["SecretString"])


def test_a_secret_is_read_by_its_name_and_version(ssm: Ssm) -> None:
    assert ssm.answer("GetSecretValue", {"SecretName": NAME, "VersionId": "SSM_Current"}) == {
        "SecretName": NAME,
        "VersionId": "SSM_Current",
        "SecretString": "{}",
        "SecretBinary": "",
    }
    not_exist = "ResourceNotFound.SecretNotExist"
    assert code(ssm, "GetSecretValue", SecretName=NAME) == "MissingParameter"
    assert code(ssm, "GetSecretValue", SecretName=NAME, VersionId="v2") == "ResourceNotFound"
    assert code(ssm, "GetSecretValue", SecretName="nobody", VersionId="v2") == not_exist


def test_the_first_of_two_who_make_a_secret_wins(ssm: Ssm) -> None:
    exists = "ResourceInUse.SecretExists"
    assert code(ssm, "CreateSecret", SecretName=NAME, SecretString="other") == exists
    assert value(ssm) == "{}"


def test_a_version_is_replaced_by_an_update_and_another_one_put_beside_it(ssm: Ssm) -> None:
    named = {"SecretName": NAME, "VersionId": "SSM_Current"}
    ssm.answer("UpdateSecret", {**named, "SecretString": "new"})
    ssm.answer("PutSecretValue", {**named, "VersionId": "v2", "SecretString": "newer"})
    assert (value(ssm), value(ssm, "v2")) == ("new", "newer")
    versions = ssm.answer("ListSecretVersionIds", {"SecretName": NAME})["Versions"]
    assert [one["VersionId"] for one in versions] == ["SSM_Current", "v2"]
    again = {"SecretName": NAME, "VersionId": "v2", "SecretString": "x"}
    assert code(ssm, "PutSecretValue", **again) == "ResourceInUse.VersionIdExists"
    for number in range(3, 11):
        ssm.answer("PutSecretValue", {**again, "VersionId": f"v{number}"})
    assert code(ssm, "PutSecretValue", **{**again, "VersionId": "v11"}) == "LimitExceeded"
    ssm.answer("DeleteSecretVersion", {"SecretName": NAME, "VersionId": "v2"})
    assert code(ssm, "GetSecretValue", SecretName=NAME, VersionId="v2") == "ResourceNotFound"


def test_a_disabled_secret_is_not_given_out_until_it_is_enabled(ssm: Ssm) -> None:
    ssm.answer("DisableSecret", {"SecretName": NAME})
    disabled = "ResourceUnavailable.ResourceDisabled"
    assert code(ssm, "GetSecretValue", SecretName=NAME, VersionId="SSM_Current") == disabled
    ssm.answer("EnableSecret", {"SecretName": NAME})
    assert value(ssm) == "{}"


def test_a_secret_that_is_to_be_deleted_is_kept_for_the_days_said(ssm: Ssm, clock: Clock) -> None:
    delete = {"SecretName": NAME, "RecoveryWindowInDays": 2}
    ssm.answer("DeleteSecret", delete)
    pending = "ResourceUnavailable.ResourcePendingDeleted"
    assert code(ssm, "GetSecretValue", SecretName=NAME, VersionId="SSM_Current") == pending
    assert code(ssm, "CreateSecret", SecretName=NAME, SecretString="x") == (
        "ResourceInUse.SecretExists"
    )
    ssm.answer("RestoreSecret", {"SecretName": NAME})
    ssm.answer("EnableSecret", {"SecretName": NAME})
    assert value(ssm) == "{}"
    ssm.answer("DeleteSecret", delete)
    clock.seconds += 2 * 24 * 3600
    assert code(ssm, "DescribeSecret", SecretName=NAME) == "ResourceNotFound.SecretNotExist"
    ssm.answer("CreateSecret", {"SecretName": NAME, "SecretString": "x"})
    ssm.answer("DeleteSecret", {"SecretName": NAME})
    assert ssm.secrets == {}


def test_secrets_are_listed_in_pages_the_newest_first(ssm: Ssm, clock: Clock) -> None:
    for number in range(3):
        clock.seconds += 1
        ssm.answer("CreateSecret", {"SecretName": f"other-{number}", "SecretString": "x"})
    page = ssm.answer("ListSecrets", {"Limit": 2, "Offset": 1})
    assert page["TotalCount"] == 4
    assert [one["SecretName"] for one in page["SecretMetadatas"]] == ["other-1", "other-0"]
    found = ssm.answer("ListSecrets", {"SearchSecretName": "maquette"})
    assert [one["Status"] for one in found["SecretMetadatas"]] == ["Enabled"]
    assert "SecretString" not in str(found)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "InvalidParameter"),
        ({"SecretString": ""}, "InvalidParameter"),
        ({"SecretString": "x", "SecretBinary": "eA=="}, "InvalidParameter"),
        ({"SecretString": "x" * (LARGEST_BYTES + 1)}, "InvalidParameterValue"),
        ({"SecretString": "木" * (LARGEST_BYTES // 3 + 1)}, "InvalidParameterValue"),
        ({"SecretString": {"a": 1}}, "InvalidParameter"),
        ({"SecretString": "x", "Tag": 1}, "UnknownParameter"),
        ({"SecretString": "x", "SecretName": "a/b"}, "InvalidParameterValue"),
        ({"SecretString": "x", "SecretName": "-a"}, "InvalidParameterValue"),
        ({"SecretString": "x", "SecretName": "a" * 129}, "InvalidParameterValue"),
        ({"SecretString": "x", "SecretName": ""}, "MissingParameter"),
    ],
)
def test_what_the_api_does_not_take_is_refused_by_its_code(
    ssm: Ssm, given: dict[str, Any], expected: str
) -> None:
    assert code(ssm, "CreateSecret", **{"SecretName": "another", **given}) == expected
    assert list(ssm.secrets) == [NAME]


def test_an_action_that_is_none_is_an_error(ssm: Ssm) -> None:
    assert code(ssm, "GetSecret", SecretName=NAME) == "InvalidAction"
