"""What Tripo's answers mean: its envelope, and the one table of its errors.

解读 Tripo 的应答与错误码。
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, StrictInt

from shared.providers.base import (
    OutOfCredit,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    Unauthorized,
    UnknownOutcome,
)
from shared.providers.cleaning import clean
from shared.providers.http import Answer, retry_after

# Which failure means what. A row is (HTTP status, the provider's code); None stands for any. Looked
# up from the most exact: (status, code), (status, any), (any, code); else a 2xx or 4xx is Rejected.
#
# It is read only for answers in Tripo's own format, a JSON object with a `code` other than 0. The
# provider then speaks for itself and nothing was created: this holds for 500/1000 and 500/1001
# too, which are repeated later. A 5xx with a code that is not listed may come from a gateway in
# between, and is an unknown outcome, like every answer in another format.
#
#   Unauthorized, OutOfCredit   final until somebody sees to the account
#   RateLimited                 sent again after Retry-After; nothing was done
#   ProviderUnavailable         sent again later; nothing was done
#   Rejected                    final: the request itself is wrong
ERRORS: Mapping[tuple[int | None, int | None], type[ProviderError]] = {
    (401, None): Unauthorized,  # v3 gives several codes with 401: the status alone decides
    (402, None): OutOfCredit,  # not known to occur
    (403, 2010): OutOfCredit,
    (403, 2013): Rejected,  # this account may not ask for priority
    (403, None): Unauthorized,
    (408, None): ProviderUnavailable,
    (409, None): ProviderUnavailable,
    (425, None): ProviderUnavailable,
    (429, None): RateLimited,  # 1007 requests a minute, 2000 tasks at once
    (500, 2014): ProviderUnavailable,  # the content audit broke down
    (None, 1000): ProviderUnavailable,  # unknown server error
    (None, 1001): ProviderUnavailable,  # fatal server error
    (None, 1002): Unauthorized,
    (None, 1003): Rejected,  # malformed body
    (None, 1004): Rejected,  # invalid parameter
    (None, 1005): Unauthorized,  # not allowed
    (None, 1007): RateLimited,
    (None, 2000): RateLimited,
    (None, 2001): Rejected,  # task not found
    (None, 2002): Rejected,  # task type
    (None, 2003): Rejected,  # empty file
    (None, 2004): Rejected,  # file type
    (None, 2008): Rejected,  # content policy
    (None, 2009): Rejected,  # characters in the prompt
    (None, 2010): OutOfCredit,
    (None, 2014): Rejected,  # the content audit refused
    (None, 2015): Rejected,  # model version deprecated
    (None, 2016): Rejected,  # task type deprecated
    (None, 2017): Rejected,  # model version invalid
    (None, 2018): Rejected,  # too complex to remesh
    (None, 2019): Rejected,  # file not found
    (None, 4001): ProviderUnavailable,  # no such route: the base URL is wrong, not the request
}
# Calls that create nothing: these statuses are tried again whatever the body says ...
TRANSIENT = frozenset({408, 409, 425, 429, *range(500, 600)})
# ... and these count without Tripo's format; every other is ProviderUnavailable.
BARE: Mapping[int, type[ProviderError]] = {401: Unauthorized, 413: Rejected, 415: Rejected}


class _Envelope(BaseModel):
    """Tripo's own format."""

    code: StrictInt = 0
    status: Any = None
    message: Any = None
    suggestion: Any = None
    request_id: Any = None
    data: Any = None

    @property
    def refuses(self) -> bool:
        return self.code != 0 or self.status == "error"

    def meaning(self, status: int) -> type[ProviderError] | None:
        """Which error a refusal is, by `ERRORS`; None if it may not be Tripo's own."""
        if self.code == 0:
            return None
        for row in ((status, self.code), (status, None), (None, self.code)):
            if row in ERRORS:
                return ERRORS[row]
        return Rejected if status // 100 in (2, 4) else None


def created(answer: Answer, now: int) -> str:
    """The id of the task that a create's answer (at `now`, ms) names.

    Raises as `ERRORS` says for a refusal in Tripo's own format, and `UnknownOutcome` for every
    other answer, a refusal that names a task included.

    从创建请求的应答中读出任务编号。
    """
    said = _envelope(answer)
    task_id = said.data.get("task_id") if said and isinstance(said.data, dict) else None
    if not isinstance(task_id, str) or not re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", task_id):
        task_id = None
    if said is not None and said.refuses:
        kind = said.meaning(answer.status) if task_id is None else None
        raise _error(kind or UnknownOutcome, answer, said, now)
    if task_id is None or answer.status // 100 != 2:
        raise UnknownOutcome(f"HTTP {answer.status} without a task's id in Tripo's format")
    return task_id


def read(answer: Answer, now: int) -> Any:
    """The `data` of an answer to a call that creates nothing, or the error it stands for.

    解读其他请求的应答。
    """
    said = _envelope(answer)
    if answer.status in TRANSIENT:
        kind: type[ProviderError] = RateLimited if answer.status == 429 else ProviderUnavailable
    elif said is not None and said.refuses:
        kind = said.meaning(answer.status) or ProviderUnavailable
    elif said is None or answer.status // 100 != 2:
        kind = BARE.get(answer.status, ProviderUnavailable)
    else:
        return said.data
    raise _error(kind, answer, said, now)


def _envelope(answer: Answer) -> _Envelope | None:
    try:
        value = json.loads(answer.body)
        # The SDK also takes a usage list that comes without an envelope.
        return _Envelope.model_validate({"data": value} if isinstance(value, list) else value)
    except (ValueError, RecursionError):
        return None


def _error(
    kind: type[ProviderError], answer: Answer, said: _Envelope | None, now: int
) -> ProviderError:
    """An answer as the error it stands for; the request's id goes into the log alone.

    把应答变成错误。
    """
    words = [said.message, said.suggestion] if said else []
    message = ": ".join(clean(word) for word in words if isinstance(word, str) and word)
    message = f"HTTP {answer.status}: {message or 'no message'}"
    raw = f"{message} (request {clean(said.request_id, 80)})" if said and said.request_id else None
    code = clean(said.code, 40) if said and said.code else None
    if kind is RateLimited:
        wait = retry_after(answer.headers, now)
        return RateLimited(message, code=code, raw=raw, retry_after=wait)
    return kind(message, code=code, raw=raw)
