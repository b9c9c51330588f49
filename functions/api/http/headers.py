"""Request headers with a meaning of their own: Idempotency-Key, Prefer, If-None-Match, traceparent.

解析有特殊含义的请求头。
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from starlette.requests import Request

from shared.errors import InvalidInput

# Time that an invocation keeps for reading the job and writing the answer after a wait.
_SPARE_SECONDS = 3

# A comma stands for two header lines that a gateway has joined, unless quotes hold it together.
_KEY = re.compile(r'"([!#-~]{1,255})"|(?!")([!-+\--~]{1,255})')
_WAIT = re.compile(r'wait(?:\s*=\s*"?([0-9]+)"?)?', re.IGNORECASE)
_WAIT_DIGITS = 9
# W3C Trace Context: version ff is forbidden, as are ids of zeros only; 00 has nothing after flags.
_TRACEPARENT = re.compile(
    r"(?:00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    r"|(?!00|ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,200})?)"
)


def idempotency_key(request: Request) -> str | None:
    """The caller's key, its quotes taken off; `InvalidInput` if it is not 1 to 255 visible ASCII.

    Two lines are refused also where a gateway made one of them: API Gateway and Function URLs join
    the lines of a header by commas. Hence a key holds a comma only in quotes.

    读取幂等键。
    """
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    found = _KEY.fullmatch(given[0].strip())
    if len(given) > 1 or found is None:
        raise InvalidInput(
            "Idempotency-Key must be sent once, as 1 to 255 visible ASCII characters, in quotes if "
            "a comma is among them.",
            code="idempotency_key_invalid",
            param="Idempotency-Key",
        )
    return found[1] or found[2]


def wait_seconds(request: Request, longest: int, asked: int | None = None) -> int | None:
    """How long this answer may take: `asked` by the query, or by `Prefer: wait` (RFC 7240); None
    where neither says.

    Never longer than `longest`, nor than the invocation lasts. What is malformed is passed over,
    as the RFC demands; a number that is none anybody can mean is `InvalidInput`.

    读取愿意等待的秒数。
    """
    if asked is not None:
        return max(0, min(asked, longest, _invocation_lasts(request)))
    for line in request.headers.getlist("prefer"):
        for preference in line.split(","):
            found = _WAIT.fullmatch(preference.partition(";")[0].strip())
            if found:
                digits = found[1]
                if digits is not None and len(digits) > _WAIT_DIGITS:
                    raise InvalidInput(
                        f"Prefer: wait has more than {_WAIT_DIGITS} digits.", param="Prefer"
                    )
                asked = longest if digits is None else int(digits)
                return max(0, min(asked, longest, _invocation_lasts(request)))
    return None


def wants_picture(request: Request) -> bool:
    """Whether `Accept` names pictures, and no JSON (RFC 9110, 12.5.1).

    是否只接受图片。
    """
    named = ",".join(request.headers.getlist("accept")).lower().split(",")
    types = [item.partition(";")[0].strip() for item in named]
    return any(item.startswith("image/") for item in types) and "application/json" not in types


def matches(lines: Sequence[str], tag: str) -> bool:
    """Whether `If-None-Match` names the entity tag `tag` (without its quotes), weakly or not, or
    says `*` (RFC 9110, 13.1.2).

    是否已有同一文件。
    """
    known = [one.strip().removeprefix("W/") for line in lines for one in line.split(",")]
    return "*" in known or f'"{tag}"' in known


def trace(request: Request) -> Mapping[str, str]:
    """What travels on to webhooks: the request's id, and a well-formed traceparent.

    需要继续传递的追踪信息。
    """
    kept = {"x-request-id": str(request.state.request_id)}
    given = request.headers.get("traceparent", "")
    if _TRACEPARENT.fullmatch(given):
        kept["traceparent"] = given
    return kept


def _invocation_lasts(request: Request) -> int:
    remaining = getattr(request.scope.get("aws.context"), "get_remaining_time_in_millis", None)
    return 10**9 if remaining is None else int(remaining() / 1000) - _SPARE_SECONDS
