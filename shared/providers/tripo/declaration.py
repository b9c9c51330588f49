"""Tripo declares itself: its settings, and how its adapter is made.

Tripo 的声明与设置。
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import ConfigDict, Field, SecretStr, field_validator

from shared.providers.base import Adapter
from shared.providers.credentials import Credential, parsed
from shared.providers.declaration import (
    BaseUrl,
    Declaration,
    HttpSettings,
    Keys,
    Surroundings,
    named,
)
from shared.providers.tripo.options import BATCH, KEY, NAME, OPTIONS


class TripoSettings(HttpSettings):
    """Where Tripo answers, the keys for it, and how long it is waited for.

    Tripo 的地址、密钥与超时。
    """

    model_config = ConfigDict(alias_generator=named("TRIPO"))

    api_key: Keys = ()
    base_url: Annotated[BaseUrl, Field(pattern=r"^https?://[^\s?#]+$")] = (
        "https://openapi.tripo3d.ai"
    )

    @field_validator("api_key")
    @classmethod
    def _credentials(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        _parsed(value)
        return value

    def credentials(self) -> Sequence[Credential]:
        """One for each key.

        每个密钥一个凭证。
        """
        return _parsed(self.api_key)


def _parsed(keys: tuple[SecretStr, ...]) -> Sequence[Credential]:
    return parsed(NAME, [key.get_secret_value() for key in keys], KEY)


def _make(settings: TripoSettings, around: Surroundings) -> Adapter:
    from shared.providers.tripo.adapter import Tripo

    return Tripo(
        credentials=around.credentials,
        base_url=settings.base_url,
        clock=around.clock,
        max_download_bytes=around.max_download_bytes,
        timeouts=settings.timeouts(),
    )


TRIPO = Declaration(
    name=NAME,
    options=OPTIONS,
    key_seconds=None,
    check_limit=BATCH,
    settings=TripoSettings,
    make=_make,
    key_variable="TRIPO_API_KEY",
    switch="TRIPO_API_KEY",
)
