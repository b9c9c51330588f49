"""A connection to addresses that were already checked, with one deadline over all it does.

httpcore, the engine inside httpx, lets its network side be replaced; httpx itself does not. So
the host name stays in the URL, and TLS verifies it, while the socket goes where it is told.
Time-outs of HTTP libraries are per read: a receiver that drips bytes would never meet one.
Whoever asks for it hears every piece that is read as well, before httpcore does: it gives no status
before it has understood every header, and does not count the bytes that are not of the body.

只连接已核对过的地址，并限制总时长。
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import httpcore

from shared.clock import Deadline

MOST_ADDRESSES = 4
"""How many addresses one try connects to at most: of a long list, each would get no time."""


class PinnedNetwork(httpcore.NetworkBackend):
    """Connects to the first of these addresses that answers, whatever host is asked for.

    `connect` is how many seconds opening a connection may take; each address gets an equal share
    of what is left of them, so that one that is silent leaves time for the next, and shaking hands
    for TLS may take as many again. `deadline` ends everything, a request's own time-outs each read
    and write besides; it may be brought forward meanwhile, which a read notices soon.
    `hear` is given what the other side sends; what it raises ends the request.

    只连接指定地址的网络层。
    """

    def __init__(
        self,
        addresses: Sequence[str],
        connect: float,
        deadline: Deadline,
        hear: Callable[[bytes], None],
    ) -> None:
        self._addresses = addresses[:MOST_ADDRESSES]
        self._connect = connect
        self._deadline = deadline
        self._hear = hear
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Open a connection; raises httpcore's `ConnectError` or `ConnectTimeout`.

        建立连接。
        """
        budget = Deadline.after(min(self._connect, self._deadline.remaining()))
        problem: Exception = httpcore.ConnectError("no address to connect to")
        for place, address in enumerate(self._addresses):
            if budget.remaining() <= 0:
                raise httpcore.ConnectTimeout("timed out")
            share = budget.remaining() / (len(self._addresses) - place)
            try:
                stream = self._sockets.connect_tcp(
                    address, port, budget.limit(share), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                problem = failure
            else:
                return _TimedStream(stream, self._deadline, self._connect, self._hear)
        raise problem


# A write is cut into pieces of this size, so that the deadline is looked at between them.
_PIECE = 16 * 1024


_GLANCE = 0.5
"""Seconds that a read waits at most before it looks at the deadline again: a stop brings that
forward, and the other side may stay silent for as long as it likes."""


class _TimedStream(httpcore.NetworkStream):
    """A stream whose every read and write ends at the deadline; `hear` is given what is read."""

    def __init__(
        self,
        stream: httpcore.NetworkStream,
        deadline: Deadline,
        connect: float,
        hear: Callable[[bytes], None],
    ) -> None:
        self._stream = stream
        self._deadline = deadline
        self._connect = connect
        self._hear = hear

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        piece = self._waited(max_bytes, self._deadline.within(timeout or math.inf))
        self._hear(piece)
        return piece

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            left = self._left(httpcore.WriteTimeout, timeout)
            self._stream.write(buffer[start : start + _PIECE], left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = min(self._connect, self._left(httpcore.ConnectTimeout, timeout))
        within = self._stream.start_tls(ssl_context, server_hostname, left)
        return _TimedStream(within, self._deadline, self._connect, self._hear)

    def _waited(self, max_bytes: int, wait: Deadline) -> bytes:
        """What comes before `wait` ends."""
        while (left := wait.remaining()) > 0:
            with suppress(httpcore.ReadTimeout):
                return self._stream.read(max_bytes, min(left, _GLANCE))
        raise httpcore.ReadTimeout("timed out")

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _left(self, overdue: type[httpcore.TimeoutException], most: float | None) -> float:
        left = self._deadline.remaining()
        if left <= 0:
            raise overdue("timed out")
        return left if most is None else min(left, most)
