"""What was made, shown at once: its preview in the terminal, or the file in its own program.

在终端显示预览图，或用系统程序打开成果。
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

_WIDTH = 40
"""Cells; half of a usual terminal."""


def can_show(console: Console) -> bool:
    """Whether a terminal shows pictures: 256 colours or more, and half blocks in its character set.

    终端能否显示图片。
    """
    return (
        console.is_terminal
        and not console.is_dumb_terminal
        and not console.no_color
        and console.color_system in ("256", "truecolor")
        and console.encoding.startswith("utf")
    )


def show(path: Path, console: Console) -> bool:
    """Draw a picture by coloured half blocks; whether it was done.

    在终端画出图片。
    """
    if not can_show(console):
        return False
    from PIL import Image
    from rich_pixels import Pixels

    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGBA")
    except (OSError, ValueError):  # a preview that cannot be read is no reason to fail
        return False
    width = max(2, min(_WIDTH, console.width - 1))
    height = max(2, round(width * picture.height / picture.width / 2) * 2)
    picture.thumbnail((width, min(height, 2 * max(1, console.height - 4))))
    console.print(Pixels.from_image(picture), end="")
    return True


def opener() -> list[str] | None:
    """The command that opens a file in its own program; None where there is none.

    打开文件的系统命令。
    """
    if sys.platform == "darwin":
        return ["open"]
    # Without a screen xdg-open would try text browsers.
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        found = shutil.which("xdg-open")
    else:
        found = shutil.which("wslview")
    return [found] if found else None


def open_file(path: str, note: Callable[[str], None]) -> None:
    """Open a file in the program that is meant for it, and go on; where none can, `note` is told.

    用系统程序打开文件。
    """
    command = opener()
    if command is None:
        note(f"--open: nothing on this machine opens files (no xdg-open, or no screen): {path}")
        return
    try:
        subprocess.Popen(
            [*command, path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        note(f"--open: {command[0]} cannot be run: {error.strerror}")
