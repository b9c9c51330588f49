"""Credentials for tests: named ones, and a port whose keys may be replaced.

供测试使用的凭证。
"""

from __future__ import annotations

from pydantic import SecretStr

from shared.providers.credentials import Credential, KeptCredentials


def keys(provider: str, **named: str) -> KeptCredentials:
    """One credential for each name and its key; all of them may create."""
    return KeptCredentials({provider: [Credential(n, SecretStr(key)) for n, key in named.items()]})
