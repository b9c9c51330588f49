"""TC3-HMAC-SHA256: whether a request to the Cloud API is signed by somebody who may be known.

Pure: a request in, its caller out, or the error that Tencent Cloud answers. After the guide
"Signature v3" (https://www.tencentcloud.com/document/api/583/33846) and its list of error codes.

校验 TC3-HMAC-SHA256 签名。
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

ALGORITHM = "TC3-HMAC-SHA256"
TOLERATED_SECONDS = 300
"""How far a request's time may be from the service's, either way."""

_MUST_SIGN = ("content-type", "host")
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^/,\s]+)/(\d{{4}}-\d\d-\d\d)/([a-z0-9]+)/tc3_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)


class Refused(Exception):
    """A request that is not let in: `code` is the Cloud API's own, `message` says what is wrong.

    请求被拒绝。
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Key:
    """A secret key that is known, and the session token that must come with it, if one must.

    一个已知的密钥。
    """

    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Caller:
    """Who signed a request, and what is asked of which service.

    请求的签名者和所请求的操作。
    """

    secret_id: str
    service: str
    action: str
    version: str
    region: str


def verify(
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    keys: Mapping[str, Key],
    *,
    now: float,
    query: str = "",
) -> Caller:
    """Say who signed a request to `/`, by the `keys` known (by secret id); raises `Refused`.

    `headers` may be spelt in any case; `now` is seconds since 1970, `query` what follows the `?` as
    it was sent.

    校验请求的签名，返回调用者。
    """
    given = {name.lower(): value for name, value in headers.items()}
    found = _AUTHORIZATION.fullmatch(given.get("authorization", ""))
    if found is None:
        raise Refused("AuthFailure.InvalidAuthorization", "Authorization is missing or malformed")
    secret_id, date, service, signed, signature = found.groups()
    for name in ("x-tc-action", "x-tc-version", "x-tc-timestamp"):
        if not given.get(name):
            raise Refused("MissingParameter", f"the header {name} is missing")
    moment = _fresh(given["x-tc-timestamp"], date, now)
    key = keys.get(secret_id)
    if key is None:
        raise Refused("AuthFailure.SecretIdNotFound", "the secret id is not known")
    if key.token != given.get("x-tc-token"):
        raise Refused("AuthFailure.TokenFailure", "the token is not this key's")
    request = _canonical(method, query, given, signed.split(";"), body)
    scope = f"{date}/{service}/tc3_request"
    expected = _signature(key.secret_key, date, service, f"{ALGORITHM}\n{moment}\n{scope}", request)
    if not hmac.compare_digest(expected, signature):
        raise Refused(
            "AuthFailure.SignatureFailure",
            "The provided credentials could not be validated. Please check your signature is "
            "correct.",
        )
    return Caller(
        secret_id,
        service,
        given["x-tc-action"],
        given["x-tc-version"],
        given.get("x-tc-region", ""),
    )


def _fresh(timestamp: str, date: str, now: float) -> int:
    """The request's moment, if it is one near `now` on the day that it was signed for."""
    if not re.fullmatch(r"\d{1,11}", timestamp):
        raise Refused("InvalidParameter", "X-TC-Timestamp is no number of seconds")
    moment = int(timestamp)
    if abs(moment - now) > TOLERATED_SECONDS:
        raise Refused("AuthFailure.SignatureExpire", "X-TC-Timestamp is more than 5 minutes off")
    if datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d") != date:
        raise Refused("AuthFailure.SignatureFailure", f"X-TC-Timestamp is not of {date}")
    return moment


def _canonical(
    method: str, query: str, headers: Mapping[str, str], signed: list[str], body: bytes
) -> str:
    """The canonical request: what of the request its signature stands for.

    规范化请求串。
    """
    if signed != sorted(set(signed)) or not set(_MUST_SIGN) <= set(signed):
        raise Refused(
            "AuthFailure.InvalidAuthorization",
            f"SignedHeaders must be in order and have {' and '.join(_MUST_SIGN)} among them",
        )
    unknown = [name for name in signed if name not in headers]
    if unknown:
        raise Refused(
            "AuthFailure.InvalidAuthorization", f"the signed header {unknown[0]} did not come"
        )
    # The guide has names and values in lower case; the SDK signs a content type as it is sent,
    # which is in lower case already, and so is a host.
    lines = "".join(f"{name}:{headers[name].strip().lower()}\n" for name in signed)
    digest = hashlib.sha256(body).hexdigest()
    return "\n".join([method.upper(), "/", query, lines, ";".join(signed), digest])


def _signature(secret_key: str, date: str, service: str, head: str, request: str) -> str:
    key = f"TC3{secret_key}".encode()
    for text in (date, service, "tc3_request"):
        key = hmac.new(key, text.encode(), hashlib.sha256).digest()
    text = f"{head}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
