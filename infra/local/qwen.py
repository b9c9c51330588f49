"""The Qwen-Image service beside the local bundle; run by its own Python, it imports nothing of ours
but the service.

在本机运行 Qwen-Image 服务，随父进程一同结束。
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from gpu_inference.engine import DiffusersEngine
from gpu_inference.settings import load

_TINY = "qwen-image-tiny"
_SMALL = ("--width", "128", "--height", "128", "--steps", "8")
"""What the tiny model makes in a second or two on a processor."""


def main() -> int:
    """Serve on loopback until standard input ends; arguments are the state folder and a port, and
    after them any flags of the service.

    运行服务。
    """
    from gpu_inference.app import serve

    home, port = Path(sys.argv[1]), sys.argv[2]
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    own = ("--host", "127.0.0.1", "--port", port, "--state", str(home / "qwen-image"))
    more = ("--log-level", "WARNING", "--grace-seconds", "3")
    settings = load([*own, *more, *_model(home), *sys.argv[3:]], os.environ)
    return serve(settings, DiffusersEngine(settings), on_listening=_say)


def _say(url: str) -> None:
    print("listening on", url, flush=True)


def _model(home: Path) -> tuple[str, ...]:
    """Nothing where the operator chose a model; else the tiny one, made on first use."""
    if os.environ.get("QWEN_IMAGE_MODEL"):
        return ()
    from gpu_inference.tiny import build

    folder = home / _TINY
    if not folder.is_dir():
        aside = home / f".{_TINY}.{os.getpid()}"
        build(aside)
        aside.rename(folder)
    return ("--model", str(folder), *_SMALL)


def _end_with_stdin() -> None:
    # Whoever started us holds the other end, and lets go of it even when it is killed.
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
