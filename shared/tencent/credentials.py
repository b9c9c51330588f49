"""The keys that calls to Tencent Cloud are signed with, read anew whenever one is made.

A function's keys are its role's, hold some hours, and change between two invocations of one
process; so nobody keeps them.

每次调用时读取腾讯云的临时密钥。
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

ROLE = ("TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SESSIONTOKEN")
"""A role's temporary keys, as SCF names them (583/14570); they are valid together alone."""

_SPELLINGS = (
    (ROLE[0], ROLE[1], (ROLE[2],)),
    # What the SDKs and command lines read; the token is tccli's and Terraform's word for it.
    (
        "TENCENTCLOUD_SECRET_ID",
        "TENCENTCLOUD_SECRET_KEY",
        ("TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"),
    ),
)


_changing = threading.Lock()


def _after_fork_in_child() -> None:
    global _changing
    _changing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class CredentialsMissing(Exception):
    """The environment has no keys for Tencent Cloud, or half of them; the message says which.

    环境中没有可用的腾讯云密钥。
    """


@dataclass(frozen=True)
class Credentials:
    """What one call is signed with; `token` goes with temporary keys and is None for lasting ones.

    一次调用所用的密钥。
    """

    secret_id: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def credentials(environ: Mapping[str, str] | None = None) -> Credentials:
    """The keys in an environment (this process's by default), as they are now.

    The platform's spelling goes before that of the SDKs; the parts of the two are never mixed, for
    a token signs for its own key alone. Raises `CredentialsMissing`.

    读取当前的密钥。
    """
    source = _now() if environ is None else environ
    for id_name, key_name, token_names in _SPELLINGS:
        secret_id, secret_key = (source.get(name, "").strip() for name in (id_name, key_name))
        if secret_id and secret_key:
            tokens = (source.get(name, "").strip() for name in token_names)
            return Credentials(secret_id, secret_key, next(filter(None, tokens), None))
        if secret_id or secret_key:
            missing, there = (key_name, id_name) if secret_id else (id_name, key_name)
            raise CredentialsMissing(f"{missing} is not set, though {there} is")
    raise CredentialsMissing(
        "there are no keys for Tencent Cloud: in a function its role gives them "
        "(TENCENTCLOUD_SECRETID, _SECRETKEY and _SESSIONTOKEN); elsewhere set "
        "TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY"
    )


def replace(role: Mapping[str, str]) -> None:
    """Put a role's next keys, all of `ROLE`, into this process's environment: whoever reads them
    meanwhile gets the old ones or the new ones, and no mixture.

    换用新的临时密钥。
    """
    with _changing:
        os.environ.update({name: role[name] for name in ROLE})


def _now() -> dict[str, str]:
    """This process's environment of one moment."""
    with _changing:
        return dict(os.environ)
