"""Runs a web function's `scf_bootstrap` until standard input ends: with it ends the function.

Started by its path, so it imports nothing of Maquette.

运行 Web 函数，随父进程一同结束。
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """Run the program `sys.argv[1]` in this process's group; its exit status.

    运行启动脚本。
    """
    program = subprocess.Popen([sys.argv[1]], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    return program.wait()


def _end_with_stdin() -> None:
    # Whoever started us holds the other end, and lets go of it even when it is killed.
    while sys.stdin.buffer.read(4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
