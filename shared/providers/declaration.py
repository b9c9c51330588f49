"""How a provider declares itself: what it makes, its settings, how its adapter is made.

Declaring imports no HTTP library: the adapter is made when something is first asked of it.

生成服务的自我声明：能力、设置与适配器的创建方式。
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
)

from shared.clock import Clock
from shared.providers.base import Adapter, Judge
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


@dataclass(frozen=True)
class Timeouts:
    """How long calls of a provider may take, in seconds: to connect, TLS included; between two
    bytes read; for a piece of 64 KiB written; in all, but for the download of a file. And how often
    a call that creates nothing is made before it counts as failed.

    调用生成服务的超时与尝试次数。
    """

    connect: float = 5.0
    read: float = 20.0
    write: float = 20.0
    total: float = 600.0
    tries: int = 3


USUAL = Timeouts()


class HttpSettings(ProviderSettings):
    """The settings of a provider that is called over HTTP; `named` gives their variables.

    通过 HTTP 调用的生成服务的设置。
    """

    connect_seconds: Annotated[float, Field(ge=0.1, le=60)] = Timeouts.connect
    read_seconds: Annotated[float, Field(ge=0.1, le=300)] = Timeouts.read
    write_seconds: Annotated[float, Field(ge=0.1, le=300)] = Timeouts.write
    total_seconds: Annotated[float, Field(ge=1, le=3600)] = Timeouts.total
    tries: Annotated[int, Field(ge=1, le=10)] = Timeouts.tries

    def timeouts(self) -> Timeouts:
        """What its calls are made with.

        调用所用的超时。
        """
        return Timeouts(
            self.connect_seconds,
            self.read_seconds,
            self.write_seconds,
            self.total_seconds,
            self.tries,
        )


def named(prefix: str) -> AliasGenerator:
    """The environment variables of a provider's settings: the prefix, and the field in capitals.

    设置对应的环境变量名。
    """
    return AliasGenerator(validation_alias=lambda field: f"{prefix}_{field.upper()}")


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

    `judge` tells what is beyond the limits that the provider told; None where it tells none.
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
    judge: Judge | None = None


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
