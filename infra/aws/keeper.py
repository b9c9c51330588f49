"""Runs the emulator in this very process, until standard input ends: with it ends the emulator.

Started by `emulator.py` with the emulator's own Python, so it imports nothing of Maquette.

在独立环境中运行 AWS 模拟器，随父进程一同结束。
"""

from __future__ import annotations

import os
import signal
import sys
import threading

_SECONDS_TO_END = 5.0


def _end_with_stdin() -> None:
    # Whoever started us holds the other end, and lets go of it even when it is killed.
    while sys.stdin.buffer.read(4096):
        pass
    threading.Timer(_SECONDS_TO_END, os._exit, (1,)).start()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serve until the end.

    运行模拟器。
    """
    from ministack.app import main as serve

    threading.Thread(target=_end_with_stdin, daemon=True).start()
    serve()


if __name__ == "__main__":
    main()
