"""A deployment's secrets in Secrets Manager: those it can make itself are made, once.

Each is one JSON object of variables. What is in one is never changed here. The database's URL holds
a password and is made by nobody here: it is taken from the deployer's environment the first time.

部署所需的密钥：缺少的自动生成，已有的绝不改动。
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from infra.keys import MADE, PROVIDERS
from infra.tencent.deploy.cloud import Cloud
from infra.tencent.deploy.errors import DeployError
from infra.tencent.service import MIGRATE, Function, Service
from shared.config import checked_url
from shared.secret_values import by_variable
from shared.tencent.clients import TencentError
from shared.tencent.secrets import CURRENT, SCHEME

STORE_URL = "MAQUETTE_STORE_URL"
SECRETS_URL = "MAQUETTE_SECRETS_URL"
GIVEN = {False: STORE_URL, True: "MAQUETTE_MIGRATE_STORE_URL"}
"""Where the deployer's environment has a database's URL; the second is that of `migrate`."""

_MISSING = "ResourceNotFound"
_FORM = "mysql://USER:PASSWORD@HOST:3306/DATABASE"


@dataclass(frozen=True)
class Secret:
    """One secret: its name, what it must hold, and what it holds now (None if it is not there).

    一个凭据。
    """

    name: str
    for_migrate: bool
    needed: tuple[str, ...]
    held: Mapping[str, str] | None = field(repr=False)

    @property
    def missing(self) -> tuple[str, ...]:
        """The variables that it must hold and does not.

        缺少的变量。
        """
        return tuple(name for name in self.needed if name not in (self.held or {}))


def look(service: Service, cloud: Cloud, *, renew: bool = False) -> list[Secret]:
    """The secrets that a service's functions read, as they stand. With `renew` a database's URL
    that this environment gives counts as one that is missing.

    查看现有密钥。
    """
    users: dict[str, list[Function]] = {}
    for function in service.functions.values():
        url = urlsplit(function.environment.get(SECRETS_URL, ""))
        if url.scheme == SCHEME:
            users.setdefault(url.path.lstrip("/"), []).append(function)
    found = [_secret(name, functions, cloud) for name, functions in users.items()]
    return [_renewed(one) for one in found] if renew else found


def check(wanted: list[Secret], environ: Mapping[str, str] = os.environ) -> None:
    """Whether all that is missing can be made or was given; raises `DeployError`.

    检查缺少的密钥能否补齐。
    """
    for secret in wanted:
        if STORE_URL in secret.missing and not environ.get(GIVEN[secret.for_migrate]):
            who = "whose user may change tables" if secret.for_migrate else "of the functions' user"
            raise DeployError(
                f"the secret {secret.name} has no {STORE_URL}, the database's URL {who}: put "
                f"{_FORM} into {GIVEN[secret.for_migrate]} of this command's environment; it is "
                "kept in the secret from then on"
            )
        if STORE_URL in secret.missing and not _is_database(environ[GIVEN[secret.for_migrate]]):
            raise DeployError(f"{GIVEN[secret.for_migrate]} is not of the form {_FORM}")


def complete(secret: Secret, cloud: Cloud, environ: Mapping[str, str] = os.environ) -> None:
    """Put what is missing into a secret, and change nothing that is there.

    补齐一个密钥。
    """
    made = {
        name: environ[GIVEN[secret.for_migrate]] if name == STORE_URL else MADE[name]()
        for name in secret.missing
    }
    value = json.dumps({**(secret.held or {}), **made})
    if secret.held is None:
        # Of two who do this at once the second is told.
        cloud.write(
            "CreateSecret",
            "ssm",
            SecretName=secret.name,
            SecretString=value,
            Description="Maquette",
        )
    else:
        cloud.write(
            "UpdateSecret", "ssm", SecretName=secret.name, VersionId=CURRENT, SecretString=value
        )


def without_provider(secrets: list[Secret], service: Service) -> str:
    """The secret in which no provider has a key, though the functions need one; else nothing.

    没有任何生成服务密钥的凭据。
    """
    for secret in secrets:
        said = {name for one in service.functions.values() for name in one.environment}
        if not secret.for_migrate and not set(PROVIDERS) & {*(secret.held or {}), *said}:
            return secret.name
    return ""


def _renewed(secret: Secret, environ: Mapping[str, str] = os.environ) -> Secret:
    """The secret without its database's URL, where the environment has another one."""
    held = dict(secret.held or {})
    if environ.get(GIVEN[secret.for_migrate], held.get(STORE_URL)) == held.get(STORE_URL):
        return secret
    held.pop(STORE_URL, None)
    return replace(secret, held=None if secret.held is None else held)


def _is_database(url: str) -> bool:
    """Whether it is written as a MySQL database's URL; whether that is there is not asked."""
    try:
        return checked_url("store_url", url).startswith("mysql:")
    except ValueError:
        return False


def _secret(name: str, functions: list[Function], cloud: Cloud) -> Secret:
    """A secret as it stands; raises `DeployError` where it holds something else.

    读取一个凭据。
    """
    for_migrate = all(one.key == MIGRATE for one in functions)
    plain = set.intersection(*(set(one.environment) for one in functions))
    needed = {STORE_URL} if for_migrate else {STORE_URL, *MADE}
    try:
        answer = cloud.read("GetSecretValue", "ssm", SecretName=name, VersionId=CURRENT)
        held: Mapping[str, str] | None = by_variable(answer.get("SecretString") or "")
    except TencentError as error:
        if not error.is_a(_MISSING):
            raise
        held = None
    except ValueError:
        raise DeployError(f"the secret {name} is no JSON object of texts") from None
    return Secret(name, for_migrate, tuple(sorted(needed - plain)), held)
