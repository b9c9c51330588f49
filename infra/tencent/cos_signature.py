"""COS's signature, checked as COS checks it, in header or query, with its time and token.

Document 436/7778 ("Request Signature"). It holds a request to the method, the path, and those
headers and parameters that its own lists name: what they do not name may be added by anybody. The
body is not signed.

校验 COS 的请求签名。
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

TOKEN = "x-cos-security-token"
SIGNED = (
    "q-sign-algorithm",
    "q-ak",
    "q-sign-time",
    "q-key-time",
    "q-header-list",
    "q-url-param-list",
    "q-signature",
)
"""What a signature is made of, whether it comes in the header or in the query."""

_TIMES = re.compile(r"([0-9]{1,12});([0-9]{1,12})")


@dataclass(frozen=True)
class Secret:
    """The secret key of a SecretId, and the token of a temporary one.

    密钥及其临时令牌。
    """

    key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Asked:
    """A request as it is signed: `path` decoded, with its slash and without a bucket; `query`
    decoded, in its order; header names in lower case.

    待校验的请求。
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Refusal:
    """Why a request is not let in: COS's code, its words, and the status.

    拒绝的原因。
    """

    code: str
    message: str
    status: int = 403


_DENIED = Refusal("AccessDenied", "Access Denied.")
_DIFFERS = Refusal(
    "SignatureDoesNotMatch", "The Signature you specified is invalid, what was signed differs."
)


def parts_of(asked: Asked) -> dict[str, str] | None:
    """What a request's signature says of itself, or None where it carries none.

    取出请求中的签名。
    """
    written = asked.headers.get("authorization", "")
    if written:
        pairs = (pair.partition("=") for pair in written.split("&"))
        return {name.strip(): value for name, _, value in pairs}
    query = dict(asked.query)
    return {name: query.get(name, "") for name in SIGNED} if "q-signature" in query else None


def check(asked: Asked, secrets: Mapping[str, Secret], now: int) -> Refusal | str:
    """The SecretId that a request is signed with, or why it is refused; `now` in seconds.

    校验签名，返回密钥编号或拒绝原因。
    """
    found = parts_of(asked)
    if found is None:
        return _DENIED
    times = _TIMES.fullmatch(found.get("q-sign-time", ""))
    if found.get("q-sign-algorithm") != "sha1" or times is None:
        return Refusal("InvalidArgument", "Authorization is malformed.", 400)
    secret = secrets.get(found.get("q-ak", ""))
    if secret is None:
        return Refusal("InvalidAccessKeyId", "The Access Key Id you provided is invalid.")
    if secret.token is not None and not _same(_token(asked), secret.token):
        return Refusal("InvalidAccessKeyId", "The security token is missing or another key's.")
    if not int(times[1]) <= now <= int(times[2]) or found.get("q-key-time") != times[0]:
        return Refusal("AccessDenied", "Request has expired")
    expected = _signature(asked, found, secret.key)
    return found["q-ak"] if _same(found.get("q-signature", ""), expected) else _DIFFERS


def _signature(asked: Asked, found: Mapping[str, str], key: str) -> str:
    """What a request's signature must be, over the headers and parameters that it lists itself.

    计算请求应有的签名。
    """
    query = [(name, value) for name, value in asked.query if name not in SIGNED]
    signed = "\n".join(
        (
            asked.method.lower(),
            asked.path,
            _listed(found.get("q-url-param-list", ""), query),
            _listed(found.get("q-header-list", ""), list(asked.headers.items())),
            "",
        )
    )
    digest = hashlib.sha1(signed.encode("utf-8", "surrogateescape")).hexdigest()
    text = f"sha1\n{found['q-sign-time']}\n{digest}\n"
    return _hmac(_hmac(key, found["q-key-time"]), text)


def _listed(names: str, values: Sequence[tuple[str, str]]) -> str:
    """The named ones in their canonical form. One that the request lacks counts as empty, one that
    is there twice as both: either way the signature differs.

    规范化签名列出的项。
    """
    by_encoded: dict[str, str] = {}
    for name, value in values:
        encoded = _encoded(name).lower()
        by_encoded[encoded] = by_encoded.get(encoded, "") + value
    pairs = []
    for name in sorted(name.lower() for name in names.split(";") if name):
        value = by_encoded.get(name, "")
        if name == "host":  # signed without its port
            value = re.sub(r":[0-9]+$", "", value)
        pairs.append(f"{name}={_encoded(value)}")
    return "&".join(pairs)


def _token(asked: Asked) -> str:
    return asked.headers.get(TOKEN) or dict(asked.query).get(TOKEN, "")


def _encoded(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="-_.~")


def _hmac(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode("utf-8", "surrogateescape"), "sha1").hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
