"""The head of a receiver's answer, as far as it has come: its status, and when to try again.

Read leniently, beside the HTTP library: the status line says whether the message was taken, and no
broken header, endless head or cut connection after it can unsay that.

接收方应答的首部：状态行一旦读到即算数。
"""

from __future__ import annotations

import re

_LONGEST = 64 * 1024
"""Bytes of one head that are kept; what follows them is not looked at."""

# Complete once something follows the digits: of "HTTP/1.1 20" the rest may be on its way.
_STATUS = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})[ \r\n]")
_HEAD_END = re.compile(rb"\r?\n\r?\n")


class AnswerHead:
    """What was heard of an answer. Interim answers (1xx) come before the one that counts.

    已收到的应答首部。
    """

    def __init__(self) -> None:
        self._heard = b""

    def hear(self, piece: bytes) -> None:
        """Take in what was read from the connection.

        接收一段数据。
        """
        self._heard += piece[: _LONGEST - len(self._heard)]
        while self._interim() and (end := _HEAD_END.search(self._heard)):
            self._heard = self._heard[end.end() :]

    @property
    def status(self) -> int | None:
        """The status of the answer; None while its status line has not been read.

        应答的状态码。
        """
        found = _STATUS.match(self._heard)
        return None if found is None or self._interim() else int(found[1])

    @property
    def retry_after(self) -> str | None:
        """The value of the first Retry-After that is there in full.

        应答要求的等待时间。
        """
        if self.status is None:
            return None
        end = _HEAD_END.search(self._heard)
        head = self._heard[: end.start() + 2] if end else self._heard
        for line in head.split(b"\n")[1:-1]:
            name, colon, value = line.partition(b":")
            if colon and name.strip().lower() == b"retry-after":
                return value.strip().decode("latin-1")
        return None

    def _interim(self) -> bool:
        found = _STATUS.match(self._heard)
        # 101 ends HTTP on this connection: no other answer follows it.
        return found is not None and found[1].startswith(b"1") and found[1] != b"101"
