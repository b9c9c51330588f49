"""The socket that `serve` listens on.

测试 serve 的监听套接字。
"""

from __future__ import annotations

from infra.local.cli import serve
from tests.listening import holds_back


def test_no_answer_of_serve_is_held_back() -> None:
    assert not holds_back(serve._listen("127.0.0.1", 0))
