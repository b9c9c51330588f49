"""Settings: read from the environment, checked at start, every fault named at once.

启动时读取并检查全部设置。
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from shared import misspelt
from shared.jobs.policy import Policy
from shared.providers.declaration import ProviderSettings
from shared.providers.registry import PROVIDERS

Seconds = Annotated[float, Field(gt=0, le=30 * 24 * 3600)]
Bytes = Annotated[int, Field(gt=0, le=5 * 2**30)]
Listed = tuple[str, ...]
Secrets = tuple[SecretStr, ...]

_NEEDED_OUTSIDE_LOCAL = ("MAQUETTE_API_KEYS", "MAQUETTE_PUBLIC_URL")
_NOT_ABOVE = (
    ("image_min_side", "image_max_side"),
    ("poll_first_seconds", "poll_ceiling_seconds"),
    ("retry_first_seconds", "retry_ceiling_seconds"),
)

SCHEMES: Mapping[str, tuple[str, ...]] = {
    "store_url": ("dynamodb", "mysql", "sqlite"),
    "bucket_url": ("cos", "file", "s3"),
    "wake_url": ("", "lambda", "scf"),
    "secrets_url": ("", "secretsmanager", "ssm", "tencent-ssm"),
}
"""What the URLs of parts may begin with; `shared.wiring` has an adapter for each."""
_NAMED = ("dynamodb", "s3", "lambda")
_PATHS = ("file", "secretsmanager", "ssm")
_MYSQL_OPTION = r"(ssl_mode=(REQUIRED|VERIFY_CA|VERIFY_IDENTITY)|ssl_ca=[^\s&#]+)"
_FORMS: Mapping[str, tuple[str, str]] = {
    "cos": (r"cos://[a-z0-9][a-z0-9-]*-[0-9]{5,12}", "cos://NAME-APPID"),  # document 436/13312
    "mysql": (
        r"mysql://[^\s/@:?#]+(:[^\s/@?#]*)?@[^\s/@:?#]+(:\d{1,5})?/[^\s/?#]+"
        rf"(\?{_MYSQL_OPTION}(&{_MYSQL_OPTION})*)?",
        "mysql://USER:PASSWORD@HOST:PORT/DATABASE, whatever is no letter and no digit in a name as "
        "%XX; ?ssl_mode=REQUIRED, VERIFY_CA or VERIFY_IDENTITY and &ssl_ca=FILE may follow",
    ),
    "scf": (r"scf://[A-Za-z][\w-]*(\?namespace=[\w-]+)?", "scf://PREFIX[?namespace=NAME]"),
    "tencent-ssm": (
        r"tencent-ssm:///[A-Za-z0-9][\w-]*(\?version=[\w.-]+)?",
        "tencent-ssm:///NAME[?version=NAME], with three slashes",
    ),
}
"""URLs of one form alone: an expression for it, and how it is written."""

# As browsers write an origin: no path, not even its slash, and the host in lower case.
_ORIGIN = re.compile(r"https?://(?:[^\s/?#@:\[\]*A-Z]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_HOST = re.compile(r"[\w.-]+")


def checked_url(setting: str, value: str) -> str:
    """The URL of a part, `store_url` say; raises `ValueError`, in words that hold nothing of it,
    where its scheme is not known or its form is not the scheme's.

    检查地址的协议与写法。
    """
    known = SCHEMES[setting]
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError("is no URL") from None
    if parts.scheme not in known or (value and not parts.scheme):
        choices = ", ".join(f"{name}:" for name in known if name)
        raise ValueError(f"{parts.scheme!r} is not known; choose from {choices}")
    if parts.scheme in _NAMED and not parts.netloc:
        raise ValueError(f"write it as {parts.scheme}://NAME")
    if parts.scheme in _PATHS and (parts.netloc or not parts.path.strip("/")):
        raise ValueError(f"write it as {parts.scheme}:///PATH, with three slashes")
    expression, form = _FORMS.get(parts.scheme, (".*", ""))
    if not re.fullmatch(expression, value, re.ASCII | re.DOTALL):
        raise ValueError(f"write it as {form}")
    return value


class SettingsError(Exception):
    """One or more settings are wrong; `faults` names each, never its secret value.

    设置有误；列出所有问题。
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults

    def report(self) -> str:
        """What to print before exiting with status 2.

        打印给操作者看的说明。
        """
        lines = "\n".join(f"  - {fault}" for fault in self.faults)
        return f"Maquette cannot start, {len(self.faults)} setting(s) are wrong:\n{lines}"


class Settings(BaseModel):
    """Every setting there is; `.env.example` explains each. Lists are separated by commas.

    全部设置项。
    """

    model_config = ConfigDict(extra="ignore", populate_by_name=True, validate_default=True)

    stage: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] = "local"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "json", "text"] = "auto"

    store_url: Annotated[str, Field(repr=False)]  # a database's URL holds its password
    bucket_url: str
    wake_url: str = ""
    secrets_url: str = ""
    cos_acl: Literal["private", "public-read"] = "private"
    cos_encryption: Literal["AES256", "cos/kms", "off"] = "AES256"
    metrics: Literal["off", "cls", "emf"] = "off"
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] = "http://127.0.0.1:8000"
    link_secret: Secrets
    origin_secret: Annotated[SecretStr, Field(min_length=16)] | None = None
    webhook_secrets: Secrets
    api_keys: Secrets = ()
    callback_hosts: Listed = ()
    input_hosts: Listed = ()
    cors_origins: Listed = ()

    providers: Mapping[str, ProviderSettings] = {}
    """Each provider's own, by its name."""
    optional_providers: Listed = ()

    poll_first_seconds: Seconds = 2.0
    poll_factor: Annotated[float, Field(gt=1, le=10)] = 1.3
    poll_ceiling_seconds: Seconds = 30.0
    retry_first_seconds: Seconds = 2.0
    retry_factor: Annotated[float, Field(gt=1, le=10)] = 2.0
    retry_ceiling_seconds: Seconds = 120.0
    jitter: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    queue_seconds: Seconds = 24 * 3600.0
    run_seconds: Seconds = 2 * 3600.0
    store_seconds: Seconds = 6 * 3600.0
    cancel_seconds: Seconds = 3600.0
    find_seconds: Seconds = 900.0
    account_seconds: Seconds = 900.0
    lease_margin_seconds: Seconds = 60.0
    poll_helpers: Annotated[int, Field(ge=0, le=4)] = 0

    body_bytes: Bytes = 24 * 2**20
    image_bytes: Bytes = 20 * 2**20
    model_bytes: Bytes = 150 * 2**20
    image_pixels: Annotated[int, Field(gt=0, le=500_000_000)] = 50_000_000
    image_min_side: Annotated[int, Field(gt=0, le=10_000)] = 20
    image_max_side: Annotated[int, Field(gt=0, le=30_000)] = 6000
    image_formats: Listed = ("image/jpeg", "image/png", "image/webp")
    prompt_characters: Annotated[int, Field(gt=0, le=20_000)] = 1024
    artifact_bytes: Bytes = 2 * 2**30
    measure_below_bytes: Bytes = 64 * 2**20
    preview: Literal["on", "off"] = "on"
    artifact_link_seconds: Annotated[int, Field(ge=10, le=7 * 24 * 3600)] = 900
    wait_seconds: Annotated[int, Field(ge=0, le=25)] = 20

    @field_validator(
        *("callback_hosts", "cors_origins", "image_formats", "input_hosts", "optional_providers"),
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _parts(value) if isinstance(value, str) else value

    @field_validator("link_secret", "webhook_secrets", "api_keys", mode="before")
    @classmethod
    def _split_secrets(cls, value: Any) -> Any:
        return _parts(value) if isinstance(value, str) else value

    @field_validator("image_formats")
    @classmethod
    def _known_formats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(value) - {"image/jpeg", "image/png", "image/webp"}
        if unknown or not value:
            raise ValueError("choose from image/jpeg, image/png, image/webp")
        return value

    @field_validator("optional_providers")
    @classmethod
    def _known_providers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if set(value) - set(PROVIDERS):
            raise ValueError(f"choose from {', '.join(PROVIDERS)}")
        return value

    @field_validator("link_secret")
    @classmethod
    def _long_enough(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not value or any(len(item.get_secret_value()) < 32 for item in value):
            raise ValueError("needs at least 32 characters, and no comma in a secret")
        if len(set(value)) < len(value):
            raise ValueError("the same secret is there twice")
        return value

    @field_validator("store_url", "bucket_url", "wake_url", "secrets_url")
    @classmethod
    def _known_scheme(cls, value: str, info: ValidationInfo) -> str:
        return checked_url(str(info.field_name), value)

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number, origin in enumerate(value, 1):
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"entry {number} is no origin: https://host or https://host:port, in lower "
                    "case, with nothing behind it; or * for all"
                )
        return value

    @field_validator("callback_hosts", "input_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number, host in enumerate(value, 1):
            if not _HOST.fullmatch(host) and not _is_ipv6(host):
                raise ValueError(
                    f"entry {number} is no host: a name or an address, without a scheme, a port, "
                    "a path or a wildcard"
                )
        return value

    @field_validator("api_keys")
    @classmethod
    def _named_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        named_keys(value)
        return value

    @field_validator("webhook_secrets")
    @classmethod
    def _signing_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        from shared.deliveries.signing import parse_secrets

        if not value:
            raise ValueError("needs at least one whsec_ secret")
        parse_secrets([item.get_secret_value() for item in value])
        return value

    @field_validator("public_url")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether this is the one-machine stage, where loopback and plain http are allowed.

        是否为本机环境。
        """
        return self.stage == "local"

    def by_variable(self) -> dict[str, Any]:
        """Every setting's value by its environment variable, the providers' too.

        按环境变量名列出全部设置值。
        """
        own = {variable_of(name): getattr(self, name) for name in _own_fields()}
        for settings in self.providers.values():
            for name, field in type(settings).model_fields.items():
                own[str(field.validation_alias)] = getattr(settings, name)
        return own

    def policy(self) -> Policy:
        """The numbers the lifecycle works with.

        任务流转的时间参数。
        """
        return Policy(
            poll_first=self.poll_first_seconds,
            poll_factor=self.poll_factor,
            poll_ceiling=self.poll_ceiling_seconds,
            retry_first=self.retry_first_seconds,
            retry_factor=self.retry_factor,
            retry_ceiling=self.retry_ceiling_seconds,
            jitter=self.jitter,
            queue=self.queue_seconds,
            run=self.run_seconds,
            store=self.store_seconds,
            cancel=self.cancel_seconds,
            find=self.find_seconds,
            account=self.account_seconds,
            lease_margin=self.lease_margin_seconds,
        )


def named_keys(keys: tuple[SecretStr, ...]) -> dict[str, str]:
    """API keys by their caller's name; each entry is `name:key`, the key 16 characters or more.

    解析调用方的密钥。
    """
    named: dict[str, str] = {}
    for number, item in enumerate(keys, 1):
        name, colon, key = item.get_secret_value().partition(":")
        # Only the place is told: where the colon was forgotten, the name is the key itself.
        if not colon or not name.replace("-", "").replace("_", "").isalnum() or len(name) > 64:
            raise ValueError(f"entry {number} is not of the form name:key")
        if len(key) < 16:
            raise ValueError(f"the key of entry {number} is shorter than 16 characters")
        if name in named:
            raise ValueError(f"the name of entry {number} is there twice")
        if key in named.values():
            raise ValueError(f"the key of entry {number} is another caller's as well")
        named[name] = key
    return named


def load(environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """The settings of an environment (this process's by default), `given` values going first.

    Raises `SettingsError` with every fault found.

    读取设置。
    """
    source = dict(os.environ if environ is None else environ)
    faults: list[str] = []
    providers: dict[str, ProviderSettings] = {}
    for name, declared in PROVIDERS.items():
        model = declared.settings
        try:
            providers[name] = model(**_of_interest(model, {**source, **given}))
        except ValidationError as error:
            faults += _described(error, model)
    values = {"providers": providers, **_of_interest(Settings, source), **given}
    wrong: set[str] = set()
    settings: Settings | None = None
    try:
        settings = Settings(**values)
    except ValidationError as error:
        faults += _described(error, Settings)
        wrong = {str(item["loc"][0]) for item in error.errors()}
    faults += _missing_outside_local(source, given)
    faults += _crossed(values, wrong)
    faults += misspelt.faults((name for name, value in source.items() if value), variables())
    if faults or settings is None:
        raise SettingsError(faults)
    return settings


def read_dotenv(path: Path) -> dict[str, str]:
    """The `NAME=value` lines of a file, empty if there is none.

    读取 .env 文件。
    """
    from dotenv import dotenv_values

    if not path.is_file():
        return {}
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def _of_interest(model: type[BaseModel], source: Mapping[str, Any]) -> dict[str, Any]:
    """What of an environment sets a field of this model, by the name the model reads it by."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        variable = variable_of(name, model)
        if name != "providers" and source.get(variable):
            alias = field.validation_alias
            found[alias if isinstance(alias, str) else name] = source[variable]
    return found


def _crossed(values: Mapping[str, Any], wrong: Collection[str]) -> list[str]:
    """Pairs that do not fit each other; settings that are `wrong` by themselves are left out.

    检查成对的设置。
    """
    faults = []
    for low, high in _NOT_ABOVE:
        if {low, high} & set(wrong):
            continue
        least, most = (
            float(values.get(name, Settings.model_fields[name].default)) for name in (low, high)
        )
        if least > most:
            faults.append(
                f"{variable_of(low)} ({least:g}) must not be above {variable_of(high)} ({most:g})"
            )
    return faults


def variable_of(name: str, model: type[BaseModel] = Settings) -> str:
    """The environment variable that a field is set by.

    字段对应的环境变量名。
    """
    alias = model.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"MAQUETTE_{name.upper()}"


def variables() -> list[str]:
    """Every environment variable that is a setting, the providers' too.

    全部设置的环境变量名。
    """
    found = [variable_of(name) for name in _own_fields()]
    for declared in PROVIDERS.values():
        model = declared.settings
        found += [variable_of(name, model) for name in model.model_fields]
    return found


def _own_fields() -> list[str]:
    return [name for name in Settings.model_fields if name != "providers"]


def _missing_outside_local(source: Mapping[str, str], given: Mapping[str, Any]) -> list[str]:
    """What must be set in every stage but the local one, and is not.

    非本地阶段缺少的设置。
    """
    stage = given.get("stage") or source.get("MAQUETTE_STAGE") or "local"
    if stage == "local":
        return []
    faults = [
        f"{name} must be set in stage {stage}"
        for name in _NEEDED_OUTSIDE_LOCAL
        if not source.get(name, "").strip(" ,")
        and name.removeprefix("MAQUETTE_").lower() not in given
    ]
    url = given.get("public_url") or source.get("MAQUETTE_PUBLIC_URL")
    if url and not url.startswith("https://"):
        faults.append(f"MAQUETTE_PUBLIC_URL must start with https:// in stage {stage}")
    return faults


def _described(error: ValidationError, model: type[BaseModel]) -> list[str]:
    faults = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        variable = variable_of(name, model) if name in model.model_fields else name
        message = item["msg"].removeprefix("Value error, ")
        faults.append(
            f"{variable} must be set" if item["type"] == "missing" else f"{variable}: {message}"
        )
    return faults


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    except ValueError:
        return False
    return True


def _parts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())
