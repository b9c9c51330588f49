"""Signatures, checked by the library that receivers use."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from shared.deliveries.signing import new_secret, parse_secrets, sign

NOW = time.time_ns() // 1_000_000
BODY = json.dumps({"type": "job.succeeded", "prompt": "一只戴帽子的猫 🐱"}, ensure_ascii=False)


def test_a_signed_message_with_chinese_text_is_verified_by_the_standard_library() -> None:
    secret = new_secret()
    headers = sign([secret], "evt_1", BODY.encode(), NOW)
    verified = Webhook(secret).verify(BODY.encode(), dict(headers))
    assert verified["prompt"] == "一只戴帽子的猫 🐱"


def test_the_headers_are_the_three_of_the_standard() -> None:
    headers = sign([new_secret()], "evt_1", b"{}", 1_800_000_000_999)
    assert headers["webhook-id"] == "evt_1"
    assert headers["webhook-timestamp"] == "1800000000"
    assert headers["webhook-signature"].startswith("v1,")
    assert len(headers) == 3


def test_while_a_secret_rotates_holders_of_the_old_and_of_the_new_one_both_verify() -> None:
    new, old = new_secret(), new_secret()
    headers = dict(sign([new, old], "evt_1", BODY.encode(), NOW))
    Webhook(new).verify(BODY, headers)
    Webhook(old).verify(BODY, headers)
    first, second = headers["webhook-signature"].split(" ")
    assert [first] == sign([new], "evt_1", BODY.encode(), NOW)["webhook-signature"].split(" ")
    assert first.startswith("v1,")
    assert second.startswith("v1,")


def test_a_secret_that_is_no_longer_listed_does_not_verify() -> None:
    headers = dict(sign([new_secret(), new_secret()], "evt_1", BODY.encode(), NOW))
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers)


def test_a_changed_body_or_id_does_not_verify() -> None:
    secret = new_secret()
    headers = dict(sign([secret], "evt_1", BODY.encode(), NOW))
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY + " ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, {**headers, "webhook-id": "evt_2"})


def test_nothing_is_signed_without_a_secret() -> None:
    with pytest.raises(ValueError, match="no webhook secret"):
        sign([], "evt_1", b"{}", NOW)


def test_new_secrets_are_well_formed_and_never_the_same() -> None:
    made = [new_secret() for _ in range(20)]
    assert parse_secrets(made) == made


def test_blanks_around_a_secret_are_removed_and_the_order_is_kept() -> None:
    first, second = new_secret(), new_secret()
    assert parse_secrets([f" {first}\n", second]) == [first, second]


def _secret(size: int) -> str:
    return "whsec_" + base64.b64encode(bytes(range(size))).decode()


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ("", "does not begin with whsec_"),
        ("hunter2-hunter2-hunter2-hunter2", "does not begin with whsec_"),
        ("whsec_???", "is not base64"),
        ("whsec_密钥", "is not base64"),
        (_secret(32).rstrip("="), "is not base64"),
        (_secret(23), "holds 23 bytes"),
        (_secret(65), "holds 65 bytes"),
        (_secret(24), "repeats an earlier one"),
    ],
)
def test_a_wrong_secret_is_named_by_its_place_and_never_shown(wrong: str, fault: str) -> None:
    with pytest.raises(ValueError, match="webhook secrets: entry 2 of 2") as caught:
        parse_secrets([_secret(24), wrong])
    assert fault in str(caught.value)
    assert not wrong or wrong.removeprefix("whsec_") not in str(caught.value)
    assert caught.value.__cause__ is None


def test_every_wrong_secret_is_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"entry 1 of 3 .*; entry 3 of 3 "):
        parse_secrets(["a", _secret(64), "b"])


@given(st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=4, unique=True))
def test_every_listed_secret_verifies_every_message(keys: list[bytes]) -> None:
    texts = parse_secrets(["whsec_" + base64.b64encode(key).decode() for key in keys])
    headers = dict(sign(texts, "evt_1", BODY.encode(), time.time_ns() // 1_000_000))
    for text in texts:
        Webhook(text).verify(BODY, headers)
