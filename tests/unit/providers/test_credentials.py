"""Credentials: how settings name them, and that no key is ever shown.

测试凭证的命名、解析与保密。
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.providers.base import Unauthorized
from shared.providers.credentials import KeptCredentials, parsed, secret
from tests.credentials import keys

FORM = r"tsk_[!-~]{1,256}"
HIDDEN = "zq7Xhush9Kzq"


def listed(*entries: str) -> list[tuple[str, str, bool]]:
    found = parsed("tripo", entries, FORM)
    return [(one.name, one.secret.get_secret_value(), one.may_create) for one in found]


def test_an_entry_has_a_name_a_key_and_may_be_for_reading_only() -> None:
    assert listed("main:tsk_a", "old:tsk_b:read") == [
        ("main", "tsk_a", True),
        ("old", "tsk_b", False),
    ]


def test_a_key_without_a_name_is_named_by_its_hash_and_stays_so() -> None:
    (plain,) = listed("tsk_a")
    assert plain == ("tripo-11b40912", "tsk_a", True)
    assert listed("x:tsk_b", "tsk_a:read")[1] == ("tripo-11b40912", "tsk_a", False)


def test_a_colon_in_a_key_does_not_make_a_name() -> None:
    ((name, key, _),) = listed("tsk_a:b")
    assert key == "tsk_a:b"
    assert re.fullmatch(r"tripo-[0-9a-f]{8}", name)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["tsk_a", HIDDEN], "the key of entry 2 does not have the form"),
        ([f"main:{HIDDEN}"], "the key of entry 1 does not have the form"),
        ([f"a shop:tsk_{HIDDEN}"], "the key of entry 1 does not have the form"),
        ([f"tsk_ä{HIDDEN}"], "the key of entry 1 does not have the form"),
        (["", "tsk_a"], "the key of entry 1 does not have the form"),
        ([f"{HIDDEN}:tsk_a", f"{HIDDEN}:tsk_b"], "the name of entry 2 is there twice"),
        ([f"a:tsk_{HIDDEN}", f"b:tsk_{HIDDEN}:read"], "the key of entry 2 is there twice"),
        ([f"tsk_{HIDDEN}", f"b:tsk_{HIDDEN}"], "the key of entry 2 is there twice"),
        ([f"a:tsk_{HIDDEN}:read"], "every key is for reading only"),
    ],
)
def test_what_cannot_be_right_is_named_and_no_key_is_shown(entries: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        listed(*entries)
    assert HIDDEN not in str(caught.value)
    assert "tsk_a" not in str(caught.value)


@given(st.lists(st.text(max_size=20)))
def test_whatever_is_written_is_read_or_refused(entries: list[str]) -> None:
    try:
        found = listed(*entries)
    except ValueError:
        return
    assert len({name for name, _, _ in found}) == len(found) == len(entries)


def test_only_those_that_may_create_are_offered_and_all_are_found() -> None:
    port = KeptCredentials({"tripo": parsed("tripo", ["main:tsk_a", "old:tsk_b:read"], FORM)})
    assert port.names("tripo") == port.names("tripo", "shop") == ("main",)
    assert port.get("tripo", "old") is not None
    assert port.get("tripo", "other") is port.get("qwen-image", "main") is None
    assert port.names("qwen-image") == ()
    assert "tsk_" not in repr(port)


def test_a_key_that_was_given_a_name_is_still_found_by_the_one_it_had() -> None:
    ((unnamed, _, _),) = listed("tsk_a")
    port = KeptCredentials({"tripo": parsed("tripo", ["new:tsk_b", "old:tsk_a:read"], FORM)})
    found = port.get("tripo", unnamed)
    assert found is not None
    assert (found.name, found.may_create) == ("old", False)
    assert set(port.kin("tripo", "new")) == {"old"}
    assert port.kin("qwen-image", "new") == ()


def test_a_name_that_is_not_there_is_unauthorized() -> None:
    port = keys("tripo", main="tsk_a", strange="not a key\r\n")
    assert secret(port, "tripo", "main", FORM) == "tsk_a"
    for name in ("other", "strange", "x" * 5000, "\ud800\r\n"):
        with pytest.raises(Unauthorized) as caught:
            secret(port, "tripo", name, FORM)
        assert len(caught.value.message) < 120
        assert caught.value.message.isprintable()
