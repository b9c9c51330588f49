"""What the emulated clouds have in common: whose settings are whose, and how results are fetched.

各模拟云共用的部件。
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from pydantic import SecretStr

from infra.local.cloud import results
from infra.local.cloud.payloads import Gateway, HttpRequest
from shared.config import Settings

log = logging.getLogger("maquette.local")

ANSWER_SECONDS = 35.0
"""A little more than API Gateway's own patience, 30 seconds."""
HOPS = frozenset(("connection", "date", "expect", "keep-alive", "te", "transfer-encoding"))
"""Headers about one connection, of which there are two here."""
_PIECE = 1 << 20


def parted(
    settings: Settings, environ: Mapping[str, str], clouds: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The settings for the functions' environments, and those that are secrets; without those that
    say where on a cloud things are (`clouds`): it knows, the state folder does not.

    区分普通设置与密钥。
    """
    plain: dict[str, str] = {}
    secret: dict[str, str] = {}
    for variable, value in settings.by_variable().items():
        if variable in environ and variable not in clouds:
            found = secret if _is_secret(value) else plain
            found[variable] = environ[variable]
    # Or the cloud would make up an address of its own.
    return {**plain, "MAQUETTE_PUBLIC_URL": settings.public_url}, secret


def place(job: dict[str, Any], folder: Path, gateway: Gateway, public_url: str) -> None:
    """Fetch each artifact by its permanent link, as a caller would, and say where it lies.

    下载成果文件并给出路径。
    """
    for artifact in job["artifacts"]:
        path = folder / Path(artifact["name"]).name
        try:
            _fetch(artifact["url"], path, gateway, public_url)
        except (OSError, ValueError) as error:
            log.warning("%s could not be fetched: %s", artifact["url"], error)
            artifact["path"] = None
        else:
            artifact["path"] = str(path.absolute())


def _fetch(link: str, path: Path, gateway: Gateway, public_url: str) -> None:
    """Copy what a permanent link leads to into a file.

    下载一个成果。
    """
    parts = urlsplit(link.removeprefix(public_url))
    headers = (("host", "localhost"),)
    answer = gateway.request(HttpRequest("GET", parts.path, parts.query, headers)).result()
    found = dict(answer.headers).get("location")
    if found is None:
        raise ValueError(f"the answer is {answer.status}")
    with urlopen(found, timeout=ANSWER_SECONDS) as source:
        results.write(iter(lambda: source.read(_PIECE), b""), path)


def _is_secret(value: Any) -> bool:
    return isinstance(value, SecretStr) or (
        isinstance(value, tuple) and any(isinstance(item, SecretStr) for item in value)
    )
