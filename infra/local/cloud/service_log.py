"""The log of a server that runs beside the bundle, bounded, and what it said last.

本机服务的日志文件。
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

LARGEST = 1 << 20
"""Bytes; one that is larger is begun anew at the next start."""
_TAIL = 4096
_LINE = 200
_ERROR = re.compile(r"[\w.]*(Error|Exception|Exit)\b: ")
"""How Python tells an exception, below its traceback."""


class ServiceLog:
    """A log file, or, without a path, this process's own stderr, of which nothing is known.

    `begin` is called before each start; `last_words` are of what came since.

    日志文件；没有路径时直接输出到终端。
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._begun = 0

    def begin(self) -> AbstractContextManager[TextIO | None]:
        """The file for a server's stderr; None stands for ours.

        打开日志供服务写入。
        """
        if self._path is None:
            return nullcontext()
        size = self._path.stat().st_size if self._path.is_file() else 0
        self._begun = size if size < LARGEST else 0
        return self._path.open("a" if self._begun else "w")

    def last_words(self) -> str:
        """The last error, else the last line, since the start; empty where it kept silent.

        最后一条错误或最后一行。
        """
        if self._path is None or not self._path.is_file():
            return ""
        with self._path.open("rb") as file:
            file.seek(max(self._begun, self._path.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").split("\n")
        said = [line.strip()[:_LINE] for line in lines if line.strip()]
        errors = [line for line in said if _ERROR.match(line)]
        return (errors or said or [""])[-1]
