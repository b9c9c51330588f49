"""A Python of SCF's version on this machine: it resolves the packages, and makes bytecode.

在本机寻找与 SCF 同版本的 Python。
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

VERSION = "3.10"
"""Python3.10 is the newest runtime of SCF (583/56126, and the SDK's model)."""

_SAYS = "import sys; print('%d.%d' % sys.version_info[:2])"


def find() -> str | None:
    """The interpreter's path, none if there is none: the one running, one on the path, pyenv's.

    返回解释器路径。
    """
    return next((python for python in _candidates() if _is_right(python)), None)


def _candidates() -> Iterator[str]:
    yield sys.executable
    yield f"python{VERSION}"
    versions = Path.home() / ".pyenv" / "versions"
    for path in sorted(versions.glob(f"{VERSION}.*/bin/python{VERSION}"), reverse=True):
        yield str(path)


def _is_right(python: str) -> bool:
    try:
        said = subprocess.run(
            [python, "-I", "-S", "-c", _SAYS], capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return (said.returncode, said.stdout.strip()) == (0, VERSION)
