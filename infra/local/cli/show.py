"""What `./scripts/run` shows: each job's progress while it works, and at the end what came of it.

显示任务进度与结果。
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from infra.local.cloud.results import shown

_LABEL = 40
"""Cells: Chinese characters take two each."""
_BAR = 24
_STATUS = 10
_REST = _STATUS + len("0:00:00") + 3
"""What stands beside label and bar, with a space between each two."""
_NARROW = 60
"""Cells; a terminal of less has no room for a bar."""
_ONE = {
    "triangles": "triangle",
    "vertices": "vertex",
    "materials": "material",
    "textures": "texture",
}
RESULTS = ("model", "image")
"""Roles of what was asked for; all others go along with it."""
_ENDED = ("succeeded", "failed", "canceled", "expired", "refused")


class Board:
    """One line per job on the terminal; without a terminal, a line whenever a status changes.

    任务进度面板。
    """

    def __init__(self, labels: Sequence[str], console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._labels = [short(label) for label in labels]
        self._told: dict[int, str] = {}
        self._progress: Progress | None = None
        if self._console.is_terminal:
            columns, room = _columns(self._console.width)
            self._progress = Progress(*columns, console=self._console)
            width = min(room, max(map(cell_len, self._labels)))
            for label in self._labels:
                fitted = set_cell_size(short(label, width), width)
                self._progress.add_task(fitted, total=100, status="starting")

    def __enter__(self) -> Board:
        if self._progress is not None:
            logging.getLogger("maquette").addHandler(_Above(self._console))
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, number: int, status: str, percent: float) -> None:
        """Where a job stands; `number` counts the labels from 0.

        更新一个任务的进度。
        """
        if self._progress is not None:
            shown = 100.0 if status == "succeeded" else percent
            self._progress.update(self._progress.task_ids[number], completed=shown, status=status)
            if status in _ENDED:
                self._progress.stop_task(self._progress.task_ids[number])
        elif self._told.get(number) != status:
            self.say(f"{self._labels[number]}: {status}")
        self._told[number] = status

    def say(self, text: str) -> None:
        """A line on stderr, above the progress.

        输出一行说明。
        """
        self._console.print(Text(text), soft_wrap=True)


def _columns(width: int) -> tuple[list[ProgressColumn], int]:
    """The columns of a terminal so many cells wide, and the cells that are left for the label: the
    status is never cut.

    按终端宽度安排各列。
    """
    label = TextColumn("{task.description}", markup=False)
    status = TextColumn(f"{{task.fields[status]:<{_STATUS}}}", markup=False)
    if width < _NARROW:
        return [label, status, TimeElapsedColumn()], max(1, width - _REST)
    bar = BarColumn(bar_width=_BAR)
    return [label, bar, status, TimeElapsedColumn()], max(1, width - _REST - _BAR - 1)


class _Above(logging.Handler):
    """Puts log lines above the moving bars, not through them."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(Text(self.format(record)), soft_wrap=True)


def summary(label: str, job: Mapping[str, Any], seconds: float, maker: str) -> str:
    """What came of one job: the path and facts of what was made, the previews, who made it, the
    time taken.

    一个任务的结果说明。
    """
    if job["status"] != "succeeded":
        error = job.get("error") or {}
        reason = error.get("message", f"it is {job['status']}")
        return f"{short(label)}\n  {job['status']}: {reason}"
    made: list[str] = []
    lines: list[str] = []
    for artifact in job["artifacts"]:
        place = shown(artifact["path"]) if artifact["path"] else artifact["url"]
        if artifact["role"] in RESULTS:
            named = "" if made else f"\n  {short(label)}"
            made.append(f"{place}{named}\n  {facts(artifact)}")
        else:
            lines.append(f"  {artifact['role']} {place}")
    lines = made + lines
    lines += [f"  warning: {warning}" for warning in job["warnings"]]
    lines.append(f"  made by {maker}")
    lines.append(f"  {seconds:.1f} s, job {job['id']}")
    return "\n".join(lines)


def facts(artifact: Mapping[str, Any]) -> str:
    """A model's facts in one line: counts, size along x, y and z, bytes; a picture's sides.

    成果的基本数据。
    """
    known = artifact["facts"]
    parts = [
        f"{known[name]:,} {name if known[name] != 1 else _ONE[name]}"
        for name in _ONE
        if isinstance(known.get(name), int)
    ]
    if isinstance(known.get("width"), int):
        parts.append(f"{known['width']} × {known['height']} pixels")
    bounds = known.get("bounds")
    if bounds:
        low, high = bounds
        sides = (f"{b - a:.3g}" for a, b in zip(low, high, strict=True))
        parts.append(" × ".join(sides))
    if isinstance(known.get("watertight"), bool):
        parts.append("watertight" if known["watertight"] else "not watertight")
    parts.append(f"{artifact['bytes']:,} bytes")
    return ", ".join(parts)


def short(label: str, width: int = _LABEL) -> str:
    """A label in one line of at most so many cells, without what would steer a terminal.

    缩短为一行，按显示宽度计算。
    """
    line = " ".join(label.encode(errors="replace").decode().split())
    line = "".join(character for character in line if character.isprintable())
    return line if cell_len(line) <= width else f"{set_cell_size(line, width - 1).rstrip()}…"
