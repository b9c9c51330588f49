"""Does a deployment work? Every function is called once; nothing is created, nothing paid for.

检查部署是否可用；不会创建任务，也不会产生费用。
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

BACKGROUND = ("poll", "postprocess", "callback")
"""The functions that no HTTP request reaches."""

_PATIENCE = 60.0
"""A new API takes a moment to answer (and on a new domain, its name to be found)."""
_PAUSE = 2.0
_SECONDS = 30.0


def run(
    url: str,
    key: str,
    invoked: Mapping[str, Callable[[], str | None]],
    *,
    say: Callable[[str], None],
) -> list[str]:
    """Try an API and call the other functions; what is wrong, nothing if all is well.

    `key` is a caller's API key. Of `invoked`, by the functions' names, each calls one and says what
    it failed with.

    逐个检查各函数，返回发现的问题。
    """
    faults = []
    for path, expected, token in (
        ("/health", 200, None),
        ("/openapi.json", 200, None),
        ("/api/v1/jobs", 401, None),
        ("/api/v1/jobs?limit=1", 200, key),
    ):
        seen = _status(url, path, token, expected)
        say(f"  GET {path:<22} {seen}")
        if seen != expected:
            faults.append(f"GET {path} answered {seen}, not {expected}")
    for name, call in invoked.items():
        error = call()
        say(f"  {name:<26} {'ran' if error is None else 'failed'}")
        if error is not None:
            faults.append(f"{name}: {error}")
    return faults


def _status(url: str, path: str, token: str | None, expected: int) -> int | str:
    """The status, asked again for a while if it is not the expected one."""
    end = time.monotonic() + _PATIENCE
    while True:
        seen = _asked(url, path, token)
        if seen == expected or (isinstance(seen, int) and seen < 500 and seen != 404):
            return seen
        if time.monotonic() > end:
            return seen
        time.sleep(_PAUSE)


def _asked(url: str, path: str, token: str | None) -> int | str:
    """Return the status of a GET, or in words why there is none.

    请求一次并返回状态码。
    """
    request = urllib.request.Request(url + path)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return f"nothing ({error})"
