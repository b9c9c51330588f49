"""The secrets that a deployment can make itself, the same on every cloud.

部署时自动生成的密钥。
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from shared.deliveries.signing import new_secret


def long_secret() -> str:
    """A text that nobody guesses.

    生成随机密钥。
    """
    return secrets.token_urlsafe(32)


def _first_key() -> str:
    return f"first:{long_secret()}"


MADE: Mapping[str, Callable[[], str]] = {
    "MAQUETTE_API_KEYS": _first_key,
    "MAQUETTE_LINK_SECRET": long_secret,
    "MAQUETTE_WEBHOOK_SECRETS": new_secret,
}
"""What a deployment cannot do without, and how each is made."""

PROVIDERS = ("TRIPO_API_KEY", "QWEN_IMAGE_BASE_URL")
"""Any of these makes a provider; the second may be set beside the secrets instead."""


def first_key(listed: str) -> str:
    """The first caller's key of MAQUETTE_API_KEYS (`name:key,…`), to try a deployment with.

    取第一个调用方密钥。
    """
    return listed.split(",")[0].partition(":")[2]
