"""Who is calling: API keys, compared in constant time and never kept or logged as they are.

识别调用方：校验 API 密钥。
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from shared import wiring
from shared.config import Settings, named_keys
from shared.errors import Unauthenticated

LOCAL_CALLER = "local"

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="ApiKey",
    description="`Authorization: Bearer <key>`; the keys are those of MAQUETTE_API_KEYS.",
)


async def caller_of(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> str:
    """The name of the caller; raises `Unauthenticated`.

    返回调用方的名字。
    """
    caller = identify(wiring.current().settings, given.credentials if given else None)
    request.state.caller = caller
    return caller


Caller = Annotated[str, Depends(caller_of)]
"""The authenticated caller, as an endpoint's parameter."""


def identify(settings: Settings, key: str | None) -> str:
    """Whose key this is. Without keys, on one machine, everybody is `local`.

    Every configured key is compared, so that the time taken tells nothing.

    判断密钥属于谁。
    """
    if settings.is_local and not settings.api_keys:
        return LOCAL_CALLER
    if not key:
        raise Unauthenticated("Send an API key: Authorization: Bearer <key>.")
    given = _digest(key)
    name: str | None = None
    for known, digest in _digests(settings.api_keys):
        if hmac.compare_digest(digest, given):
            name = known
    if name is None:
        raise Unauthenticated("This API key is not known.")
    return name


@functools.lru_cache(maxsize=4)
def _digests(keys: tuple[SecretStr, ...]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, _digest(key)) for name, key in named_keys(keys).items())


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
