"""Keys for Tencent Cloud: read from the environment at every use, never mixed, never shown."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from shared.tencent.credentials import (
    ROLE,
    Credentials,
    CredentialsMissing,
    credentials,
    replace,
)

PLATFORM = {
    "TENCENTCLOUD_SECRETID": "AKID-role",
    "TENCENTCLOUD_SECRETKEY": "key-of-the-role",
    "TENCENTCLOUD_SESSIONTOKEN": "token-of-the-role",
}
SDK = {"TENCENTCLOUD_SECRET_ID": "AKID-mine", "TENCENTCLOUD_SECRET_KEY": "key-of-mine"}


def test_a_function_signs_with_its_roles_temporary_keys() -> None:
    assert credentials(PLATFORM) == Credentials("AKID-role", "key-of-the-role", "token-of-the-role")


@pytest.mark.parametrize("name", ["TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"])
def test_the_spelling_of_the_command_lines_is_read_as_well(name: str) -> None:
    assert credentials(SDK) == Credentials("AKID-mine", "key-of-mine", None)
    assert credentials({**SDK, name: "t"}).token == "t"


def test_the_parts_of_two_spellings_are_never_mixed() -> None:
    assert credentials({**SDK, **PLATFORM, "TENCENTCLOUD_TOKEN": "of mine"}) == credentials(
        PLATFORM
    )
    lasting = {name: PLATFORM[name] for name in list(PLATFORM)[:2]}
    assert credentials({**lasting, **SDK, "TENCENTCLOUD_TOKEN": "of mine"}).token is None
    for half in ("TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY"):
        with pytest.raises(CredentialsMissing, match="is not set, though TENCENTCLOUD_SECRET"):
            credentials({**SDK, half: "x"})


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_value_is_no_value_and_blanks_around_one_do_not_count(value: str) -> None:
    for name in (*PLATFORM, *SDK):
        with pytest.raises(CredentialsMissing):
            credentials({name: value})
    assert credentials({**PLATFORM, "TENCENTCLOUD_SESSIONTOKEN": value}).token is None
    assert credentials({**SDK, "TENCENTCLOUD_SECRET_KEY": f"key{value}"}).secret_key == "key"


def test_missing_keys_are_told_by_the_names_to_set() -> None:
    with pytest.raises(CredentialsMissing) as raised:
        credentials({})
    for name in ("TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"):
        assert name in str(raised.value)


def test_no_secret_is_in_what_is_printed() -> None:
    shown = f"{credentials(PLATFORM)!r} {credentials(PLATFORM)}"
    assert "AKID-role" in shown
    assert "key-of-the-role" not in shown
    assert "token-of-the-role" not in shown


def test_this_processs_environment_is_read_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for generation in ("one", "two"):
        for name in PLATFORM:
            monkeypatch.setenv(name, f"{name} {generation}")
        assert credentials().secret_id == f"TENCENTCLOUD_SECRETID {generation}"


def test_whoever_reads_while_keys_are_replaced_gets_no_mixture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Credentials] = []
    reader = threading.Thread(target=lambda: seen.append(credentials()))

    class Halfway(dict[str, str]):
        def update(self, *given: Any, **_: Any) -> None:
            ((name, value), *rest) = dict(*given).items()
            self[name] = value
            reader.start()
            reader.join(0.1)  # as long as it takes, where nothing holds it
            super().update(rest)

    monkeypatch.setattr(os, "environ", Halfway(PLATFORM))
    new = {name: f"new {name}" for name in ROLE}
    replace(new)
    reader.join(10)
    assert seen == [Credentials(*(new[name] for name in ROLE))]
