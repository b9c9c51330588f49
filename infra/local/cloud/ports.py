"""Ports of this machine's own address.

本机端口。
"""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def any_port() -> int:
    """A port that nobody listens on now.

    找一个空闲端口。
    """
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether somebody could listen on this port now.

    端口是否空闲。
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError:
            return False
    return True
