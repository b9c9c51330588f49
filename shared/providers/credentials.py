"""The credentials a provider is spoken to with: found by name, through one port, at every call.

A job keeps the name, never the secret: a key that is replaced under its name disturbs no task.

生成服务的凭证：按名称查找，任务只记名称不记密钥。
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import SecretStr

from shared.providers.base import Unauthorized

READ_ONLY = ":read"
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,39}):(.*)", re.DOTALL)


@dataclass(frozen=True)
class Credential:
    """A provider's account: its name, its secret (empty where none is asked for).

    With `may_create` False it only reads: tasks begun with it are looked at, searched for and
    canceled, and their files fetched, but nothing is made with it.

    一个凭证：名称、密钥，以及是否可用于创建。
    """

    name: str
    secret: SecretStr
    may_create: bool = True


class Credentials(Protocol):
    """Where credentials are found; safe to share between threads, and asked at every call.

    查找凭证的接口。
    """

    def names(self, provider: str, caller: str | None = None) -> Sequence[str]:
        """The names of those that may create, for a caller's job (None: for anybody's).

        可用于创建的凭证名称。
        """

    def get(self, provider: str, name: str) -> Credential | None:
        """The credential of this name, for reading only or not; None where there is none.

        按名称取凭证。
        """

    def kin(self, provider: str, name: str) -> Sequence[str]:
        """The other names under which a task of this one may be known, after a key was replaced.

        同一所有者的其他凭证名称。
        """


@dataclass(frozen=True)
class KeptCredentials:
    """The deployment's own credentials, by provider.

    部署者自己的凭证。
    """

    kept: Mapping[str, Sequence[Credential]] = field(default_factory=dict)

    def names(self, provider: str, caller: str | None = None) -> Sequence[str]:
        """The names of those that may create; every caller's jobs use the same.

        可用于创建的凭证名称。
        """
        return tuple(one.name for one in self.kept.get(provider, ()) if one.may_create)

    def get(self, provider: str, name: str) -> Credential | None:
        """The credential of this name; None where there is none.

        按名称取凭证。
        """
        own = self.kept.get(provider, ())
        named = (one for one in own if one.name == name)
        # A key that was given a name since is still the one that had none.
        return next(named, None) or next(
            (one for one in own if _unnamed(provider, one.secret.get_secret_value()) == name), None
        )

    def kin(self, provider: str, name: str) -> Sequence[str]:
        """All the others: they belong to the same operator.

        其余全部凭证。
        """
        return tuple(one.name for one in self.kept.get(provider, ()) if one.name != name)


def secret(credentials: Credentials, provider: str, name: str, form: str) -> str:
    """The secret of a provider's credential; raises `Unauthorized` where there is none.

    One that does not match `form` would not pass through an HTTP header: it counts as none.

    取出密钥；没有或格式不对则视为未授权。
    """
    known = credentials.get(provider, name)
    if known is None:
        shown = name if re.fullmatch(r"[\w.-]{1,64}", name) else "this"
        raise Unauthorized(f"no credential named {shown} is configured")
    text = known.secret.get_secret_value()
    if not re.fullmatch(form, text):
        raise Unauthorized(f"the key of {name} does not have the form of a key")
    return text


def parsed(provider: str, entries: Sequence[str], form: str) -> tuple[Credential, ...]:
    """Credentials from settings: each entry a key, or `name:key`, with `:read` after it or not.

    A key without a name is named after the provider and its hash. `form` is the pattern of a key.
    Raises `ValueError`, which tells places and never a key or a name: where the colon was
    misplaced, the name is the key itself.

    解析设置里的凭证列表。
    """
    found: list[Credential] = []
    for number, entry in enumerate(entries, 1):
        name, key, may_create = _split(provider, entry, form)
        if not re.fullmatch(form, key):
            raise ValueError(f"the key of entry {number} does not have the form of a key")
        if any(name == one.name for one in found):
            raise ValueError(f"the name of entry {number} is there twice")
        if any(key == one.secret.get_secret_value() for one in found):
            raise ValueError(f"the key of entry {number} is there twice")
        found.append(Credential(name, SecretStr(key), may_create))
    if found and not any(one.may_create for one in found):
        raise ValueError("every key is for reading only; one at least must create")
    return tuple(found)


def _split(provider: str, entry: str, form: str) -> tuple[str, str, bool]:
    """An entry's name, key, and whether it may create."""
    bare = entry.removesuffix(READ_ONLY)
    named = _NAMED.fullmatch(bare)
    # Keys may have colons themselves: `tsk_a:b` is one of Tripo's, and no name.
    if named is not None and re.fullmatch(form, named[2]):
        return named[1], named[2], bare == entry
    return _unnamed(provider, bare), bare, bare == entry


def _unnamed(provider: str, key: str) -> str:
    """What a key without a name is called."""
    return f"{provider}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
