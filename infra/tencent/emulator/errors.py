"""The Cloud API's way to say no.

云 API 的错误。
"""

from __future__ import annotations


class ApiError(Exception):
    """An action that is refused: `code` is the API's own, `message` what a person reads.

    被拒绝的操作。
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Dropped(Exception):
    """An action after which the connection is to be cut: its caller never learns how it ended.

    处理后断开连接。
    """
