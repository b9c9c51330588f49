"""Where people find what was made: `results/<job>/model.glb` in the state folder, on every cloud.

人们查看成果的位置。
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

FOLDER = "results"

_NO_LINKS = frozenset(
    (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EACCES)
)
"""Another file system, or one that knows no links, or a file that has all that it may have."""


def link(source: Path, path: Path) -> None:
    """Make `path` another name of a file, so that it takes no place; a copy, where a link cannot
    be. What lay there is replaced. Raises `OSError`.

    建立硬链接；无法链接时才复制。
    """
    aside = _aside(path)
    try:
        try:
            os.link(source, aside)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copyfile(source, aside)
        os.replace(aside, path)
    finally:
        # A link to the very file that is there already is left by a rename.
        aside.unlink(missing_ok=True)


def write(chunks: Iterable[bytes], path: Path) -> None:
    """Write a file whole or not at all, piece by piece. Raises `OSError`.

    写入文件。
    """
    aside = _aside(path)
    try:
        with aside.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def shown(path: str) -> str:
    """A path as it is reached from where one stands.

    相对于当前目录的路径。
    """
    try:
        return os.path.relpath(path)
    except (OSError, ValueError):  # the folder one stands in is gone, say
        return path


def _aside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{uuid4().hex}")
