"""How Tripo shows a task: its state, its result, and the mark in its input.

读取 Tripo 的任务状态，按标记认出任务。
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, FiniteFloat, TypeAdapter, ValidationError

from shared.providers.base import RemoteFile, TaskState
from shared.providers.cleaning import clean, seconds_between

# How long a finished task may be without its files before that is called a failure.
SETTLING_MS = 120_000

Status = Literal["waiting", "running", "succeeded", "failed", "canceled"]
STATUSES: Mapping[str, Status] = {
    "queued": "waiting",
    "running": "running",
    "success": "succeeded",
    "failed": "failed",
    "banned": "failed",
    "expired": "failed",
    "cancelled": "canceled",
    "canceled": "canceled",
}
# v2 words for two kinds of failure, should they still be said.
FAILURES: Mapping[str, tuple[str, str]] = {
    "banned": ("2008", "refused by the provider's content policy"),
    "expired": ("expired", "the task expired at the provider"),
}
# The textured model before the bare one; v3's own name first, then v2's and their variants.
MODEL_KEYS = ("model_url", "pbr_model_url", "pbr_model", "model", "base_model_url", "base_model")

# What the caller wrote is no mark, and may be long.
_PROMPTS = frozenset({"prompt", "negative_prompt"})
_SHORTEST_MARK = 8
_MARK_LENGTH = 512

T = TypeVar("T")
_NUMBER = TypeAdapter(FiniteFloat, config=ConfigDict(strict=True))
_TIME = TypeAdapter(datetime)


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
    given = task.get("output")
    output = given if isinstance(given, dict) else {}
    url = next((output[key] for key in MODEL_KEYS if _is_link(output.get(key))), None)
    if url is not None:
        file = RemoteFile("model", url, "model/gltf-binary")
        took = seconds_between(task.get("created_at"), task.get("completed_at"))
        return TaskState("succeeded", 100, files=(file,), credits=spent, seconds=took)
    done = milliseconds(task.get("completed_at"))
    if done is not None and abs(now - done) < SETTLING_MS:
        # Its links may still be on their way; a paid model is not given up for that.
        return TaskState("running", progress, credits=spent)
    error = ("no_model_in_result", "the task succeeded without a model file")
    return TaskState("failed", progress, error=error, credits=spent)


def marks_of(given: Mapping[str, Any]) -> str:
    """All of a task's input that may be a mark: its large numbers and its texts, a line each.

    任务输入中可能是标记的内容。
    """
    lines: list[str] = []
    waiting: list[Any] = [value for name, value in given.items() if name not in _PROMPTS]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str):
            lines.append(item[:_MARK_LENGTH])
        elif isinstance(item, float) and item.is_integer():
            # Some servers give every number as 1.073741824e9.
            lines.append(str(int(item)))
        elif isinstance(item, int):
            lines.append(str(item))
    return "\n".join(["", *(line for line in lines if len(line) >= _SHORTEST_MARK), ""])


def holds(marks: str, mark: str) -> bool:
    """Whether a mark is among a task's: a number as a whole, a token also within a text.

    任务是否带有某个标记。
    """
    return (f"\n{mark}\n" if mark.isdigit() else mark) in marks


def prompt_of(given: Mapping[str, Any]) -> int | None:
    """A number that stands for an input's prompt, however its words are spaced; None without one.

    代表提示词的数字。
    """
    prompt = given.get("prompt")
    return hash(" ".join(prompt.split())) if isinstance(prompt, str) else None


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


def milliseconds(value: Any) -> int | None:
    """An ISO time or seconds since 1970, as ms; None if it is neither.

    把时间换算成毫秒。
    """
    moment = _or_none(_TIME, value)
    if moment is None:
        return None
    return int(moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp() * 1000)
