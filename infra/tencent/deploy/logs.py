"""What a function has logged lately, out of its CLS topic. SCF's own GetFunctionLogs is withdrawn.

The fields are those that SCF writes beside a line (583/18032); SearchLog is 614/56447.

查看函数日志。
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from infra.tencent.deploy.cloud import Cloud
from infra.tencent.deploy.errors import DeployError

_MOST = 1000
_CQL = 1


def lines(name: str, cloud: Cloud, *, since: float, now: float, text: str = "") -> Iterator[str]:
    """A function's lines between two moments (seconds since 1970), the oldest first; 1000 at most.

    `text` is a further condition in CLS's own words. Raises `DeployError` where there is no topic.

    按时间列出日志。
    """
    shown = cloud.function(name)
    if shown is None:
        raise DeployError(f"there is no function {name}")
    topic = shown.get("ClsTopicId")
    if not topic:
        raise DeployError(f"{name} has no log topic: set cls in serverless.yml, or in the console")
    query = f'SCF_FunctionName:"{name}"' + (f" AND ({text})" if text else "")
    answer = cloud.read(
        "SearchLog",
        "cls",
        TopicId=topic,
        From=int(since * 1000),
        To=int(now * 1000),
        Query=query,
        SyntaxRule=_CQL,
        Limit=_MOST,
        Sort="asc",
    )
    for one in answer.get("Results") or []:
        yield _line(one)


def _line(found: dict[str, Any]) -> str:
    """One line: when it was logged, and what it says."""
    moment = datetime.fromtimestamp(int(found.get("Time") or 0) / 1000, timezone.utc)
    try:
        held = json.loads(found.get("LogJson") or "{}")
    except ValueError:
        held = {}
    said = held.get("SCF_Message") or json.dumps(held, ensure_ascii=False)
    return f"{moment:%H:%M:%S.%f}"[:-3] + f" {str(said).rstrip()}"
