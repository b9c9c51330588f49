"""Logs: one JSON object (or one line of text) each on stderr, with the id of its request.

日志：每行一个 JSON，带请求编号。
"""

from __future__ import annotations

import contextvars
import json
import logging
import sys
from datetime import datetime, timezone

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request_id", default=None)
"""The request being worked on."""

_TEXT = "%(asctime)s %(levelname)-7s %(name)s %(message)s"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON, without what nobody has.

        把日志写成一行 JSON。
        """
        when = datetime.fromtimestamp(record.created, timezone.utc)
        line = {
            "level": record.levelname,
            "timestamp": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "name": record.name,
            "request_id": getattr(record, "request_id", None) or request_id.get(),
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # Values that nobody has are left out.
        return json.dumps(
            {name: value for name, value in line.items() if value is not None},
            ensure_ascii=False,
            default=str,
        )


def set_up_logs(level: str, style: str = "json") -> None:
    """Send the service's lines, and warnings of the libraries, to stderr: `json` or `text`.

    初始化日志。
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else logging.Formatter(_TEXT))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel("WARNING")
    logging.getLogger("qwen_image").setLevel(level.upper())
