"""Does a deployment on AWS work?

检查 AWS 上的部署是否可用。
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from infra import smoke
from shared.aws.clients import client
from shared.events import WAKE


def run(stack: str, url: str, key: str, *, say: Callable[[str], None]) -> list[str]:
    """Try a stack's API and call its other functions; what is wrong, nothing if all is well.

    `key` is a caller's API key.

    逐个检查各函数，返回发现的问题。
    """
    invoked = {name: partial(_invoked, f"{stack}-{name}") for name in smoke.BACKGROUND}
    return smoke.run(_reachable(url), key, invoked, say=say)


def _reachable(url: str) -> str:
    """Where an API is asked: at its own address, or at the one endpoint of an emulated AWS."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return url
    identifier = urlsplit(url).netloc.partition(".")[0]
    return f"{endpoint}/_aws/execute-api/{identifier}/$default"


def _invoked(function: str) -> str | None:
    """What a function fails with when it is called; None if it does not."""
    answer: dict[str, Any] = client("lambda", seconds=150.0, tries=1).invoke(
        FunctionName=function, Payload=json.dumps(WAKE).encode()
    )
    if "FunctionError" not in answer:
        return None
    told = json.loads(answer["Payload"].read())
    return f"{told.get('errorType')}: {told.get('errorMessage')}"
