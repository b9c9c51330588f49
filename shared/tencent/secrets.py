"""Secrets by name: settings that are kept in Tencent's Secrets Manager (SSM).

从腾讯云凭据管理系统读取密钥。
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shared.secret_values import SecretsUnavailable, by_variable
from shared.tencent.clients import EndpointWrong, RegionMissing, TencentError, call
from shared.tencent.credentials import CredentialsMissing

SCHEME = "tencent-ssm"
CURRENT = "SSM_Current"
"""The version of a secret that was made without naming one (CreateSecret)."""

_SECONDS = 3.0
_TRIES = 2


def read(url: str) -> dict[str, str]:
    """Settings by the name of their environment variable.

    `tencent-ssm:///maquette-dev` is the secret of that name, one JSON object of such names, in the
    region of the process; `?version=v2` reads another version than the one it was made with. Raises
    `SecretsUnavailable`.

    按地址读取密钥。
    """
    name, version = _named(url)
    wanted = {"SecretName": name, "VersionId": version}
    try:
        answer = call("ssm", "GetSecretValue", wanted, seconds=_SECONDS, tries=_TRIES)
        return by_variable(_text(answer))
    except (TencentError, RegionMissing, EndpointWrong, CredentialsMissing, ValueError) as error:
        raise SecretsUnavailable(f"the secret at {url} cannot be read: {error}") from None


def _named(url: str) -> tuple[str, str]:
    """The name and the version of the secret at a URL."""
    parts = urlsplit(url)
    name = parts.path.lstrip("/")
    if parts.scheme != SCHEME or parts.netloc or not name:
        raise SecretsUnavailable(f"write it as {SCHEME}:///NAME, with three slashes")
    return name, parse_qs(parts.query).get("version", [CURRENT])[0]


def _text(answer: Mapping[str, Any]) -> str:
    text = answer.get("SecretString")
    if not isinstance(text, str) or not text:
        raise ValueError("it holds no text")
    return text
