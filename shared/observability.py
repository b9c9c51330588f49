"""Logs: JSON lines for machines, readable ones on a terminal; every line names its request.

日志：机器读 JSON，终端读文本，每行都带请求编号。
"""

from __future__ import annotations

import contextvars
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s] %(message)s"


def set_up_logs(level: str, style: Literal["auto", "json", "text"] = "auto") -> None:
    """Send the `maquette` loggers' lines to stderr; calling it again changes the level only.

    初始化日志。
    """
    logger = logging.getLogger("maquette")
    logger.setLevel(level)
    logger.propagate = False
    if logger.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    as_text = style == "text" or (style == "auto" and sys.stderr.isatty())
    handler.setFormatter(_text() if as_text else _json())
    handler.addFilter(_add_request_id)
    logger.addHandler(handler)


@contextmanager
def request(identifier: str) -> Iterator[None]:
    """Name the request that the lines logged inside belong to.

    标明日志所属的请求。
    """
    token = request_id.set(identifier)
    try:
        yield
    finally:
        request_id.reset(token)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True


def _text() -> logging.Formatter:
    return logging.Formatter(_FORMAT, datefmt="%H:%M:%S")


def _json() -> logging.Formatter:
    from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

    return LambdaPowertoolsFormatter(
        utc=True,
        log_record_order=["level", "timestamp", "name", "request_id", "message"],
        name="%(name)s",
    )
