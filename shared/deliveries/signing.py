"""Webhook secrets and signatures, as Standard Webhooks 1.0.0 lays them down.

One list of secrets serves the whole deployment. The first one signs first; while several are
listed, which is how a secret is rotated, every message carries a signature for each of them.

回调通知的密钥与签名。
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

PREFIX = "whsec_"
SHORTEST = 24
LONGEST = 64
"""A secret is 24 to 64 random bytes (Standard Webhooks 1.0.0, "Signature scheme")."""

_NEW = 32


def new_secret() -> str:
    """A fresh secret of 32 random bytes, written as `whsec_` and base64.

    生成一个新的签名密钥。
    """
    return PREFIX + base64.b64encode(secrets.token_bytes(_NEW)).decode()


def parse_secrets(texts: Sequence[str]) -> list[str]:
    """The secrets as they are used: blanks around them removed, their order kept.

    Raises `ValueError` naming every wrong entry by its place in the list, never by its value.

    检查并整理签名密钥。
    """
    kept = [text.strip() for text in texts]
    faults = [
        f"entry {place} of {len(kept)} {fault}"
        for place, text in enumerate(kept, start=1)
        if (fault := _fault(text, kept[: place - 1]))
    ]
    if faults:
        raise ValueError("webhook secrets: " + "; ".join(faults))
    return kept


def sign(secrets: Sequence[str], delivery_id: str, body: bytes, now: int) -> Mapping[str, str]:
    """The three `webhook-…` headers of one message, signed at `now` (milliseconds since 1970).

    `secrets` are some that `parse_secrets` gave. The id stays the same over retries and
    replays; the time is that of this try, so that a receiver may refuse old messages. `body` is
    UTF-8. Raises `ValueError` without any secret: a message must not leave unsigned.

    给一次投递签名，返回三个请求头。
    """
    # The library brings 15 ms of import, which only the function that sends should pay.
    from standardwebhooks import Webhook

    if not secrets:
        raise ValueError("there is no webhook secret to sign with")
    moment = datetime.fromtimestamp(now // 1000, tz=timezone.utc)
    text = body.decode()
    signatures = [Webhook(secret).sign(delivery_id, moment, text) for secret in secrets]
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(now // 1000),
        "webhook-signature": " ".join(signatures),
    }


def _fault(text: str, earlier: Sequence[str]) -> str | None:
    """What is wrong with one secret, in words that do not give it away."""
    if not text.startswith(PREFIX):
        return f"does not begin with {PREFIX}"
    try:
        key = base64.b64decode(text[len(PREFIX) :].encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return "is not base64 with its padding"
    if not SHORTEST <= len(key) <= LONGEST:
        return f"holds {len(key)} bytes, not {SHORTEST} to {LONGEST}"
    return "repeats an earlier one" if text in earlier else None
