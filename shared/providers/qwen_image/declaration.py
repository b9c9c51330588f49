"""Qwen-Image declares itself: its settings, and how its adapter is made.

Qwen-Image 的声明与设置。
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

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
from shared.providers.qwen_image.options import BATCH, KEY, KEY_SECONDS, NAME, OPTIONS


class QwenImageSettings(HttpSettings):
    """Where the service answers (empty, or `off`: there is none), the keys it wants, if any, and
    how long it is waited for.

    Qwen-Image 服务的地址、密钥与超时。
    """

    model_config = ConfigDict(alias_generator=named("QWEN_IMAGE"))

    base_url: Annotated[BaseUrl, Field(pattern=r"^(https?://[^\s?#]+)?$")] = ""
    api_key: Keys = ()

    @field_validator("base_url", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return "" if value == "off" else value

    @field_validator("api_key")
    @classmethod
    def _credentials(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        _parsed(value)
        return value

    def credentials(self) -> Sequence[Credential]:
        """One for each key; one that is open where the service asks for none.

        每个密钥一个凭证；无需密钥时为一个公开凭证。
        """
        if not self.base_url:
            return ()
        return _parsed(self.api_key) or (Credential(f"{NAME}-open", SecretStr("")),)


def _parsed(keys: tuple[SecretStr, ...]) -> Sequence[Credential]:
    return parsed(NAME, [key.get_secret_value() for key in keys], KEY)


def _make(settings: QwenImageSettings, around: Surroundings) -> Adapter:
    from shared.providers.qwen_image.adapter import QwenImage

    return QwenImage(
        credentials=around.credentials,
        base_url=settings.base_url,
        clock=around.clock,
        max_download_bytes=around.max_download_bytes,
        timeouts=settings.timeouts(),
    )


def _judge(
    told: Mapping[str, Any], kind: str, options: Mapping[str, Any], roles: Collection[str]
) -> tuple[str, str] | None:
    from shared.providers.qwen_image.limits import fault

    return fault(told, kind, options, roles)


QWEN_IMAGE = Declaration(
    name=NAME,
    options=OPTIONS,
    key_seconds=KEY_SECONDS,
    check_limit=BATCH,
    settings=QwenImageSettings,
    make=_make,
    judge=_judge,
    key_variable="QWEN_IMAGE_API_KEY",
    switch="QWEN_IMAGE_BASE_URL",
)
