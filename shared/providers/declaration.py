"""How a provider declares itself: what it makes, its settings, how its adapter is made.

Declaring imports no HTTP library: the adapter is made when something is first asked of it.

生成服务的自我声明：能力、设置与适配器的创建方式。
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr

from shared.clock import Clock
from shared.providers.base import Adapter
from shared.providers.credentials import Credential, Credentials


class ProviderSettings(BaseModel):
    """The settings of one provider; each field's `validation_alias` is its environment variable.

    一个生成服务的设置。
    """

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    def credentials(self) -> Sequence[Credential]:
        """The deployment's credentials for it; none where the provider is not in use.

        部署者为它设置的凭证。
        """
        raise NotImplementedError


S = TypeVar("S", bound=ProviderSettings)


@dataclass(frozen=True)
class Surroundings:
    """What every adapter is made with: where credentials are found, the clock, the size of a file.

    创建适配器时所需的外部条件。
    """

    credentials: Credentials
    clock: Clock
    max_download_bytes: int


@dataclass(frozen=True)
class Declaration(Generic[S]):
    """A provider as it is known before its adapter is made; the first members are the protocol's.

    `key_variable` is the environment variable of its keys, `switch` the one that brings it into
    use.

    创建适配器之前已知的信息。
    """

    name: str
    options: Mapping[str, type[BaseModel]]
    key_seconds: float | None
    check_limit: int
    settings: type[S]
    make: Callable[[S, Surroundings], Adapter]
    key_variable: str
    switch: str


def _parts(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _plain(value: str) -> str:
    try:
        parts = urlsplit(value)
        plain = parts.hostname and parts.username is None and parts.port != 0
    except ValueError:
        plain = False
    if value and (not plain or parts.query or parts.fragment):
        raise ValueError("must be a plain http or https URL")
    return value.rstrip("/")


Keys = Annotated[tuple[SecretStr, ...], BeforeValidator(_parts)]
"""A list of keys, separated by commas."""

BaseUrl = Annotated[str, AfterValidator(_plain)]
"""Where a service answers: http or https, without user, query or a slash at its end."""
