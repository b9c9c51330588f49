"""What the Qwen-Image service's answers mean: its errors, its jobs and their results.

解读 Qwen-Image 服务的应答。
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urljoin

from shared.providers.base import (
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    RemoteFile,
    TaskState,
    Unauthorized,
    UnknownOutcome,
)
from shared.providers.cleaning import clean, seconds_between
from shared.providers.http import Answer, retry_after

# Which refusal of a create means what. A status in BARE counts whoever gives it: a gateway that
# says so has not let the request through. The others count only in the service's own format, and
# whatever is in neither is an unknown outcome: it takes keys, so asking again is safe.
BARE: Mapping[int, type[ProviderError]] = {
    401: Unauthorized,
    403: Unauthorized,
    413: Rejected,
    415: Rejected,
    429: RateLimited,
}
OWN: Mapping[int, type[ProviderError]] = {
    **BARE,
    400: Rejected,
    404: ProviderUnavailable,  # no such route: the base URL is wrong, not the request
    405: ProviderUnavailable,
    408: ProviderUnavailable,
    422: Rejected,
    503: ProviderUnavailable,  # loading, draining, out of memory, its disk full
}
# Calls that create nothing: what is in neither table is ProviderUnavailable.
READ: Mapping[int, type[ProviderError]] = {
    401: Unauthorized,
    403: Unauthorized,
    429: RateLimited,
}
STATUSES: Mapping[str, Literal["waiting", "running", "succeeded", "failed", "canceled"]] = {
    "queued": "waiting",
    "running": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}
PICTURES = ("image/png", "image/jpeg", "image/webp")


def created(answer: Answer, now: int) -> str:
    """The id of the job that a create's answer (at `now`, ms) names.

    Raises as `OWN` and `BARE` say for a refusal, and `UnknownOutcome` for every other answer.

    从创建请求的应答中读出任务编号。
    """
    said = _object(answer)
    if answer.status // 100 == 2:
        job_id = said.get("id")
        if isinstance(job_id, str) and re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", job_id):
            return job_id
        raise UnknownOutcome(f"HTTP {answer.status} without a job's id")
    meanings = OWN if _error_of(said) else BARE
    raise _failure(meanings.get(answer.status, UnknownOutcome), answer, said, now)


def read(answer: Answer, now: int) -> dict[str, Any]:
    """The JSON object answered to a call that creates nothing, or the error it stands for.

    解读其他请求的应答。
    """
    said = _object(answer)
    if answer.status // 100 != 2:
        raise _failure(READ.get(answer.status, ProviderUnavailable), answer, said, now)
    if not said:
        raise ProviderUnavailable(f"HTTP {answer.status} without a JSON object")
    return said


def state_of(job: Mapping[str, Any], base: str) -> TaskState | None:
    """A job's state, links made absolute with `base`; None if it cannot be read.

    读取一个任务的状态。
    """
    word = job.get("status")
    if not isinstance(word, str):
        return None
    status = STATUSES.get(word, "running")
    progress = _progress(job.get("progress"))
    if status == "failed":
        return TaskState("failed", progress, error=_reason(job))
    if status != "succeeded":
        return TaskState(status, progress)
    given = job.get("results")
    listed = given if isinstance(given, list) else []
    files = tuple(file for item in listed if (file := _file(item, base)) is not None)
    if not files or len(files) < len(listed):
        error = ("no_picture_in_result", "the job succeeded without a readable list of pictures")
        return TaskState("failed", progress, error=error)
    took = seconds_between(job.get("created_at"), job.get("finished_at"))
    return TaskState("succeeded", 100, files=files, seconds=took)


def _progress(number: Any) -> int | None:
    if isinstance(number, bool) or not isinstance(number, int | float) or number != number:
        return None
    return int(min(max(number, 0), 100))


def _file(item: Any, base: str) -> RemoteFile | None:
    fields = item if isinstance(item, dict) else {}
    url, media_type = fields.get("url"), fields.get("media_type")
    if not isinstance(url, str) or not url or len(url) > 8192 or not url.isprintable():
        return None
    if media_type not in PICTURES:
        return None
    # "/jobs/…" is below the base URL, which may have a path of its own.
    target = base + url if url.startswith("/") else urljoin(f"{base}/", url)
    return RemoteFile("image", target, str(media_type))


def _reason(job: Mapping[str, Any]) -> tuple[str, str]:
    error = _error_of(job)
    code, message = error.get("code"), error.get("message")
    return (
        clean(code, 40) if isinstance(code, str) and code else "task_failed",
        clean(message) if isinstance(message, str) and message else "it failed without a reason",
    )


def _object(answer: Answer) -> dict[str, Any]:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _error_of(said: Mapping[str, Any]) -> Mapping[str, Any]:
    error = said.get("error")
    return error if isinstance(error, dict) else {}


def _failure(
    kind: type[ProviderError], answer: Answer, said: Mapping[str, Any], now: int
) -> ProviderError:
    """An answer as the error it stands for; the request's id goes into the log alone.

    把应答变成错误。
    """
    error = _error_of(said)
    words = [error.get("message"), error.get("param")]
    told = ": ".join(clean(word) for word in words if isinstance(word, str) and word)
    message = f"HTTP {answer.status}: {told or 'no message'}"
    request = said.get("request_id")
    raw = f"{message} (request {clean(request, 80)})" if request else None
    code = clean(error["code"], 40) if isinstance(error.get("code"), str) else None
    if issubclass(kind, RateLimited | ProviderUnavailable):
        return kind(message, code=code, raw=raw, retry_after=retry_after(answer.headers, now))
    return kind(message, code=code, raw=raw)
