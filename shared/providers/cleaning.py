"""Foreign texts and numbers made fit to be kept and shown, for all adapters alike.

清理外来的文本与数字，使其可以保存和展示。
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args

from shared.providers.base import RemoteFile, Status, TaskState

MESSAGE_LENGTH = 300
CODE_LENGTH = 64
URL_LENGTH = 8192
MOST_FILES = 32
"""Files of one result: with the longest links they still fit into a record."""
LONGEST_ETA = 30 * 24 * 3600.0
MOST_CREDITS = 1e9
LONGEST_RETRY_AFTER = 3600.0

_STATUSES = frozenset(get_args(Status))
# All as text: compiled at a start they took a hundredth of it. `re` keeps them once they are used.
_QUERY = r"(?i)(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*"
_KEY = r"(tsk_|tcli_|\bsk-|Bearer )[^\s\"',;]+"
_VALUE = r"[\"']?[^\s,;()\[\]{}\"'，。；）]+[\"']?"
_NUMBER = r"[-+]?\d[\d.,]*"
# What tells whose account it is, how much is in it, or which request it was: by its own form ...
_FORMS = (
    r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>）]+",
    r"\b(?:[a-z0-9-]+\.)+(?:com|net|org|ai|io|cn|dev|app|cloud|co|example|internal|local)\b\S*",
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)?",
    r"[^\s\"'<>(,;]+@[^\s\"'<>),;]+",
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    r"\b(?:req|request|acct|account|acc|usr|user|org|proj|project|team|cus|key|sess|trace)"
    r"[_-][\w-]*\d[\w-]*",
    r"\b(?=(?:[\w-]*\d){4})(?=[\w-]*[a-z])[\w-]{16,}\b",
    r"\b\d{9,}\b",
    rf"[$€£¥]\s?{_NUMBER}",
    rf"{_NUMBER}\s*(?:usd|cny|rmb|eur|credits?|points?|元|积分|点)",
)
# ... or by the word before it.
_LABELS = (
    r"(?:x-)?(?:[a-z]+[-_])?(?:request|req|trace|correlation|session|log|ray)[ _-]?"
    rf"(?:id|uuid|no\.?|number)\b[\"']?\s*(?:[:=#：]|is\b)?\s*{_VALUE}",
    r"\b(?:account|user|organi[sz]ation|org|team|tenant|project|workspace|customer|uid|wallet)"
    rf"(?:[ _-]?(?:id|name|no\.?|number|key))?\b[\"']?\s*(?:[:=#：]\s*|is\s+){_VALUE}",
    r"\b(?:account|user|organi[sz]ation|org|team|tenant|project|workspace|customer|wallet)"
    r"(?:[ _-]?(?:id|name))?\s+(?:[\"'][^\"']+[\"']|(?=[\w.-]*\d)[\w.-]+)",
    rf"(?:用户|账户|账号|帐户|组织|请求)[^\s\d,，:：]{{0,4}}[\s:：=]*(?=[\w.-]*\d){_VALUE}",
    r"\b(?:balance|credits?|quota|funds)\b[^\d.;]{0,20}?"
    rf"(?:[:=]|\bis\b|\bof\b|\bhas\b|\bat\b)\s*{_NUMBER}",
    rf"(?:余额|额度|积分)[^\d，。]{{0,6}}{_NUMBER}",
)
_PRIVATE = "(?i)" + "|".join((*_LABELS, *_FORMS))
_ISO = r"(?a)(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)?"
_LEFTOVERS = r"[(\[{（]\s*…?\s*[)\]}）]|…(?:[\s:=,;]*…)+"


def loggable(text: str) -> str:
    """A text of any length that every log can be written in: half a surrogate pair is spelled out.

    把文本变成任何日志都能写出的形式。
    """
    return text.encode("utf-8", "backslashreplace").decode()


def clean(text: object, length: int = MESSAGE_LENGTH) -> str:
    """Foreign text fit for the log: no keys, no URL queries, no control characters, not long.

    清理外来文本：去掉密钥和链接签名。
    """
    try:
        line = str(text)[: 20 * length]
    except Exception:  # an object of whatever kind
        line = type(text).__name__
    line = "".join(c if c.isprintable() else " " for c in line)
    return re.sub(_KEY, r"\1…", re.sub(_QUERY, r"\1?…", line))[:length].strip()


def public(text: object, length: int = MESSAGE_LENGTH) -> str:
    """Foreign text fit for callers: as `clean`, and without URLs, ids of requests, or anything of
    the operator's account: its names, addresses and amounts.

    可展示给调用方的文本：不含链接、请求编号与账户信息。
    """
    line = re.sub(_PRIVATE, "…", clean(text, 2 * length))
    return " ".join(re.sub(_LEFTOVERS, "…", line).split())[:length]


def code(given: object) -> str | None:
    """A provider's own error code, where it is one.

    生成服务的错误码。
    """
    text = str(given) if isinstance(given, (str, int)) and not isinstance(given, bool) else ""
    return text if re.fullmatch(rf"[\w.:-]{{1,{CODE_LENGTH}}}", text, re.ASCII) else None


def number(given: Any, low: float, high: float) -> float | None:
    """A foreign number within its bounds; None if it is none, not finite, or below `low`.

    限定范围内的数字。
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return None
    if not low <= given or (isinstance(given, float) and not math.isfinite(given)):
        return None
    return high if given > high else float(given)


def seconds_between(begun: object, ended: object) -> float | None:
    """The seconds from one foreign instant to a later one, each an ISO time or seconds since 1970;
    None if they do not tell.

    两个外来时刻之间的秒数。
    """
    first, last = _instant(begun), _instant(ended)
    if first is None or last is None:
        return None
    return number(last - first, 0, LONGEST_ETA)


def _instant(given: object) -> float | None:
    """A foreign instant as seconds since 1970; None if it is none.

    外来的时刻。
    """
    if not isinstance(given, str):
        return number(given, 0, 1e11)
    # Python 3.10 takes neither Z nor a fraction of any length.
    found = re.fullmatch(_ISO, given[:64])
    if found is None:
        return None
    whole, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(whole + ("+00:00" if zone in (None, "Z", "z") else zone))
    except ValueError:
        return None
    return moment.timestamp() + float(fraction or 0)


def state(given: object) -> TaskState | None:
    """A task's state with all in it bounded; None where it cannot count as seen.

    清理后的任务状态；不可用时为空。
    """
    if not isinstance(given, TaskState) or not isinstance(given.status, str):
        return None
    if given.status not in _STATUSES:
        return None
    files = _files(given.files) if given.status == "succeeded" else ()
    if files is None:
        return None
    # Below 0 it is told as 0: it is no more than a hint.
    progress = number(given.progress, -1e9, 100)
    eta = number(given.eta_seconds, 0, LONGEST_ETA)
    return TaskState(
        given.status,
        None if progress is None else int(max(0.0, progress)),
        eta,
        files,
        _error(given.error) if given.status == "failed" else None,
        number(given.credits, 0, MOST_CREDITS),
        number(given.seconds, 0, LONGEST_ETA) if given.status == "succeeded" else None,
    )


def _files(given: Any) -> tuple[RemoteFile, ...] | None:
    """A result's files; None if any of them could not be fetched, for a part is no result."""
    if not isinstance(given, Sequence) or len(given) > MOST_FILES:
        return None
    return tuple(given) if all(map(_is_file, given)) else None


def _is_file(given: Any) -> bool:
    """Whether a file has a role, a link and a media type that can be kept and fetched.

    判断结果文件是否可用。
    """
    if not isinstance(given, RemoteFile):
        return False
    role, url, media_type = given.role, given.url, given.media_type
    if not all(isinstance(text, str) for text in (role, url, media_type)):
        return False
    return (
        re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", role, re.ASCII) is not None
        and re.fullmatch(r"[a-z]+/[!-~]{1,100}", media_type, re.ASCII) is not None
        and url.startswith(("https://", "http://"))
        and len(url) <= URL_LENGTH
        and url.isprintable()
    )


def _error(given: Any) -> tuple[str, str]:
    said = given if isinstance(given, tuple) and len(given) == 2 else (None, None)
    message = public(said[1]) if isinstance(said[1], str) else ""
    return code(said[0]) or "task_failed", message or "it failed without a reason"
