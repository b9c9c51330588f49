"""The generators that can run beside the bundle: the stand-in for Tripo, the Qwen-Image service.

可在本机运行的生成服务。
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.local.cloud.kept_server import Server
from infra.paths import ROOT

SECONDS = 3.0
"""How long the stand-in takes for a task; long enough to be watched, short enough to wait for."""


def tripo(seconds: float = SECONDS) -> Server:
    """The stand-in for Tripo; `seconds` is how long a task takes.

    Tripo 的替身。
    """

    def command(home: Path, port: int) -> Sequence[str]:
        made = [sys.executable, "-m", "infra.local.standins.tripo", "--watch-stdin"]
        made += ["--state", str(home / "standin"), "--seconds", str(seconds)]
        return [*made, "--port", str(port)]

    return Server("standin", "the stand-in for Tripo", command)


QWEN_PYTHON = ROOT / ".venv-gpu" / "bin" / "python"
"""The Qwen-Image service's own Python; `use_tool gpu` in the scripts makes it."""
_IN_PART = "it is installed in part only"


def qwen_is_there() -> bool:
    """Whether the Qwen-Image service was installed on this machine, be it in part.

    本机是否安装过 Qwen-Image 服务。
    """
    return os.path.lexists(_qwen_folder())


def qwen_image(*flags: str, log: str | None = "qwen-image.log") -> Server:
    """The Qwen-Image service, on a tiny model where the operator names no other; `flags` are more
    of its own.

    本机的 Qwen-Image 服务。
    """

    def command(home: Path, port: int) -> Sequence[str]:
        return [str(QWEN_PYTHON), "-m", "infra.local.cloud.qwen", str(home), str(port), *flags]

    return Server(
        "qwen-image",
        "the Qwen-Image service",
        command,
        "/health",
        600.0,  # a large model takes minutes to load
        log,
        _qwen_lacks,
        _qwen_remedy,
    )


def _qwen_lacks() -> str | None:
    # The stamp is written when all packages are there.
    stamp = _qwen_folder() / ".ready"
    if stamp.is_file() and QWEN_PYTHON.exists():
        return None
    return f"{_IN_PART} ({_qwen_folder().name})"


def _qwen_remedy(why: str) -> str:
    if why.startswith(_IN_PART) or "ImportError" in why or "ModuleNotFoundError" in why:
        anew = './scripts/run --kind text-to-image "a red circle"'
        return f"remove {_qwen_folder().name}, and {anew} installs it anew"
    return "its log is qwen-image.log in the state folder"


def _qwen_folder() -> Path:
    return QWEN_PYTHON.parents[1]
