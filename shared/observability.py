"""Logs: JSON lines for machines, readable ones on a terminal; every line names its request.

日志：机器读 JSON，终端读文本，每行都带请求编号。
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from shared import context
from shared.context import invocation, job, request, request_id

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s] %(message)s"
_HIDDEN = "***"
_SHORTEST = 8
"""Characters of a text worth hiding; without shorter ones most lines could not be read."""
_ORDER = ["level", "timestamp", "name", "request_id", "job_id", "message"]


def set_up_logs(level: str, style: Literal["auto", "json", "text"] = "auto") -> None:
    """Send the `maquette` loggers' lines to stderr, on SCF to stdout, which alone its documents
    tell to be collected; calling it again changes the level only.

    初始化日志。
    """
    logger = logging.getLogger("maquette")
    if logger.handlers:
        logger.setLevel(level)
        return
    logger.propagate = False
    handler = _OnStdout() if _on_scf() else _Handler(sys.stderr)
    handler.addFilter(_add_context)
    if style == "text" or (style == "auto" and sys.stderr.isatty()):
        handler.setFormatter(logging.Formatter(_FORMAT, datefmt="%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(level)
    else:
        _write_json(level, handler)


def hide(secrets: Iterable[str]) -> None:
    """Never let these texts into a log line, whoever says them: a provider's error, say, that
    repeats the key it was sent. The last call counts.

    日志中隐藏这些密文。
    """
    global _secrets
    kept = {secret for secret in secrets if len(secret) >= _SHORTEST}
    quoted = {json.dumps(secret, ensure_ascii=False)[1:-1] for secret in kept}
    _secrets = tuple(sorted(kept | quoted, key=len, reverse=True))


_secrets: tuple[str, ...] = ()


def masked(text: str) -> str:
    """The text without what `hide` was told of.

    遮去文本中的密文。
    """
    for secret in _secrets:
        text = text.replace(secret, _HIDDEN)
    return text


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # takes none before 3.11
    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


class _OnStdout(_Handler):
    """Writes to what is standard output at the time: a platform may put another in its place."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stdout


def _on_scf() -> bool:
    return os.environ.get("TENCENTCLOUD_RUNENV") == "SCF"


def _write_json(level: str, handler: logging.Handler) -> None:
    """Let Powertools' Logger take over `maquette`.

    The core goes on logging with Python's own loggers below that one: it knows no SDK, and what
    Powertools adds (the format, X-Ray's trace id, sampling by its variables) reaches their lines as
    well. Ids come from `shared.context` instead of `append_keys`, whose keys are one set for the
    whole process, while many jobs are worked on at once. The formatter alone would cost the same
    40 ms of import (beside boto3): the package imports everything.

    由 Powertools 写 JSON 日志。
    """
    from aws_lambda_powertools import Logger

    Logger(
        service="maquette",
        level=level,
        logger_handler=handler,
        utc=True,
        log_record_order=_ORDER,
        json_deserializer=str,  # a message that looks like JSON stays a text
        json_serializer=_flat if _on_scf() else None,
        serialize_stacktrace=not _on_scf(),
        name="%(name)s",
    )


def _flat(line: Mapping[str, Any]) -> str:
    """A line for CLS: SCF hands on the numbers and texts of a line's first level alone (document
    583/18032), so everything else becomes a text; and ASCII alone, for nothing tells what encoding
    its stdout has."""
    return json.dumps({name: _number_or_text(value) for name, value in line.items()})


def _number_or_text(value: Any) -> Any:
    if isinstance(value, str) or (type(value) in (int, float) and math.isfinite(value)):
        return value
    return json.dumps(value, default=str)


def _add_context(record: logging.LogRecord) -> bool:
    record.request_id = context.request_id.get()
    # None is left out of the JSON.
    record.job_id = context.job_id.get()
    record.__dict__.update(context.function.get())
    return True


__all__ = ["hide", "invocation", "job", "masked", "request", "request_id", "set_up_logs"]
