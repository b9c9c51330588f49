"""How Tripo shows its tasks: their states, the lists they come in, and the marks in their inputs.

读取 Tripo 的任务状态与列表，按标记认出任务。
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, FiniteFloat, TypeAdapter, ValidationError

from shared.providers.base import ProviderUnavailable, RemoteFile, Request, TaskState
from shared.providers.http import clean

# How long a finished task may be without its files before that is called a failure.
SETTLING_MS = 120_000

Status = Literal["waiting", "running", "succeeded", "failed", "canceled"]
STATUSES: Mapping[str, Status] = MappingProxyType(
    {
        "queued": "waiting",
        "running": "running",
        "success": "succeeded",
        "failed": "failed",
        "banned": "failed",
        "expired": "failed",
        "cancelled": "canceled",
        "canceled": "canceled",
    }
)
# v2 words for two kinds of failure, should they still be said.
FAILURES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "banned": ("2008", "refused by the provider's content policy"),
        "expired": ("expired", "the task expired at the provider"),
    }
)
# The textured model before the bare one; v3's own name first, then v2's and their variants.
MODEL_KEYS = ("model_url", "pbr_model_url", "pbr_model", "model", "base_model_url", "base_model")

T = TypeVar("T")
_NUMBER = TypeAdapter(FiniteFloat, config=ConfigDict(strict=True))
_TIME = TypeAdapter(datetime)


def tasks_of(data: Any) -> Mapping[str, Mapping[str, Any] | None]:
    """A list of tasks by id, None for those the key does not know; the illegible are left out.

    读取任务列表。
    """
    given = data if isinstance(data, dict) else {}
    tasks, missed = given.get("tasks"), given.get("missed")
    if isinstance(tasks, list):
        tasks = {str(task.get("task_id")): task for task in tasks if isinstance(task, dict)}
    if not isinstance(tasks, dict) and not isinstance(missed, list):
        raise ProviderUnavailable("a list of tasks that cannot be read")
    found: dict[str, Mapping[str, Any] | None] = {}
    if isinstance(missed, list):
        found.update((id, None) for id in missed if isinstance(id, str))
    if isinstance(tasks, dict):
        found.update((id, task) for id, task in tasks.items() if isinstance(task, dict))
    return found


def state_of(task: Mapping[str, Any], now: int) -> TaskState | None:
    """A task's state at `now` (ms); None if it cannot be read.

    读取一个任务的状态。
    """
    word = task.get("status")
    if not isinstance(word, str):
        return None
    status = STATUSES.get(word.lower(), "running")
    number = _or_none(_NUMBER, task.get("progress"))
    progress = None if number is None else int(min(max(number, 0), 100))
    spent = _or_none(_NUMBER, task.get("credits_consumed"))
    if status == "failed":
        return TaskState("failed", progress, error=_failure(task, word.lower()), credits=spent)
    if status != "succeeded":
        left = _or_none(_NUMBER, task.get("running_left_time"))
        eta = left if left is not None and left > 0 else None
        return TaskState(status, progress, eta, credits=spent)
    output = task.get("output")
    for url in map(output.get, MODEL_KEYS) if isinstance(output, dict) else ():
        if _is_link(url):
            file = RemoteFile("model", url, "model/gltf-binary")
            return TaskState("succeeded", 100, files=(file,), credits=spent)
    done = _milliseconds(task.get("completed_at"))
    if done is not None and abs(now - done) < SETTLING_MS:
        # Its links may still be on their way; a paid model is not given up for that.
        return TaskState("running", progress, credits=spent)
    error = ("no_model_in_result", "the task succeeded without a model file")
    return TaskState("failed", progress, error=error, credits=spent)


def usage_of(data: Any) -> Sequence[tuple[str, int | None]]:
    """One page of the account's usage: the id of each task and when it was created (ms), if said.

    读取一页账户用量。
    """
    items = data.get("items") if isinstance(data, dict) else data
    page: list[tuple[str, int | None]] = []
    for item in items if isinstance(items, list) else [None]:
        if not isinstance(item, dict) or not isinstance(item.get("task_id"), str):
            raise ProviderUnavailable("a list of tasks that cannot be read")
        page.append((item["task_id"], _milliseconds(item.get("created_at"))))
    return page


def is_past(page: Sequence[tuple[str, int | None]], since: int) -> bool:
    """Whether a page, the newest first, lies wholly before `since`: nothing after it matters.

    判断这一页是否全都早于给定时间。
    """
    known = [at for _, at in page if at is not None]
    newest_first = len(known) == len(page) > 1 and known[0] > known[-1]
    return newest_first and max(known) < since


def carries(task: Mapping[str, Any], request: Request) -> bool:
    """Whether a task came of this request; raises `ProviderUnavailable` if that cannot be read.

    判断任务是否由这个请求创建。
    """
    given = task.get("input")
    if not isinstance(given, dict):
        raise ProviderUnavailable("a recent task's input could not be read")
    if not _holds(given, request.mark or ""):
        return False
    ours, theirs = json.loads(request.body).get("prompt"), given.get("prompt")
    if not isinstance(ours, str) or not isinstance(theirs, str):
        return True
    return ours.split() == theirs.split()


def _holds(value: Any, mark: str) -> bool:
    """Whether the mark is anywhere in a JSON value, as a number or within a text."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str) and not mark.isdigit():
            if mark in item:
                return True
        else:
            # Some servers give every number as 1.073741824e9.
            whole = isinstance(item, float) and item.is_integer()
            if str(int(item) if whole else item) == mark:
                return True
    return False


def _failure(task: Mapping[str, Any], word: str) -> tuple[str, str]:
    code, message = FAILURES.get(word, ("task_failed", "the task failed without a reason"))
    given = task.get("error_code")
    if isinstance(given, (int, str)) and not isinstance(given, bool) and given:
        code = clean(given, 40)
    for said in (task.get("error_message"), task.get("error_msg")):
        if isinstance(said, str) and said.strip():
            return code, clean(said)
    return code, message


def _is_link(url: Any) -> bool:
    if not isinstance(url, str) or len(url) > 8192 or not url.isprintable():
        return False
    return url.startswith(("https://", "http://"))


def _or_none(adapter: TypeAdapter[T], value: Any) -> T | None:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None


def _milliseconds(value: Any) -> int | None:
    """An ISO time or seconds since 1970, as ms; None if it is neither."""
    moment = _or_none(_TIME, value)
    if moment is None:
        return None
    return int(moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp() * 1000)
