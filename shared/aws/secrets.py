"""Secrets by name: settings that are kept in Parameter Store or Secrets Manager.

从参数存储或密钥管理服务读取密钥。
"""

from __future__ import annotations

from urllib.parse import urlsplit

from shared.aws.clients import client
from shared.secret_values import SecretsUnavailable, by_variable

_SECONDS = 5.0


def read(url: str) -> dict[str, str]:
    """Settings by the name of their environment variable.

    `ssm:///maquette/dev` is every parameter right under that path, named like the variable
    (`/maquette/dev/MAQUETTE_LINK_SECRET`); `secretsmanager:///maquette/dev` is the one secret of
    that name (without the first slash), a JSON object of such names. Raises `SecretsUnavailable`.

    按地址读取密钥。
    """
    from botocore.exceptions import BotoCoreError, ClientError

    parts = urlsplit(url)
    try:
        if parts.scheme == "ssm":
            return _parameters(parts.path)
        if parts.scheme == "secretsmanager":
            return _secret(parts.path.lstrip("/"))
    except (BotoCoreError, ClientError, ValueError) as error:
        words = type(error).__name__ if isinstance(error, ValueError) else str(error)
        raise SecretsUnavailable(f"the secrets at {url} cannot be read: {words}") from None
    raise SecretsUnavailable(f"{parts.scheme!r} is not known; choose from secretsmanager:, ssm:")


def _parameters(path: str) -> dict[str, str]:
    pages = client("ssm", seconds=_SECONDS).get_paginator("get_parameters_by_path")
    return {
        parameter["Name"].rpartition("/")[2]: parameter["Value"]
        for page in pages.paginate(Path=path, WithDecryption=True)
        for parameter in page["Parameters"]
    }


def _secret(name: str) -> dict[str, str]:
    answer = client("secretsmanager", seconds=_SECONDS).get_secret_value(SecretId=name)
    return by_variable(answer["SecretString"])
