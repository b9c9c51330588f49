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

from gpu_inference.__main__ import checked
from gpu_inference.settings import SettingsError
from gpu_inference.tiny import MODEL

_TINY = (
    *("--model", str(MODEL)),
    *("--width", "128", "--height", "128", "--steps", "12", "--guidance", "2"),
)
"""The model in the repository, and what it was trained to make: a picture in a second or two."""


def main() -> int:
    """Serve on loopback until standard input ends; arguments are the state folder and a port, and
    after them any flags of the service.

    运行服务。
    """
    home, port = Path(sys.argv[1]), sys.argv[2]
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    own = ("--host", "127.0.0.1", "--port", port, "--state", str(home / "qwen-image"))
    more = ("--log-level", "WARNING", "--grace-seconds", "3")
    model = () if os.environ.get("QWEN_IMAGE_MODEL") else _TINY  # the operator's goes first
    try:
        settings = checked([*own, *more, *model, *sys.argv[3:]])
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    # After the settings: these take seconds to import.
    from gpu_inference.engine.pipeline import DiffusersEngine
    from gpu_inference.http.app import serve

    return serve(settings, DiffusersEngine(settings), on_listening=_say)


def _say(url: str) -> None:
    print("listening on", url, flush=True)


def _end_with_stdin() -> None:
    # Whoever started us holds the other end, and lets go of it even when it is killed.
    # Not by sys.stdin: an interpreter that ends meanwhile stumbles over the lock of its buffer.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
