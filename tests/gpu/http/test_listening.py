"""The socket that the service listens on."""

from __future__ import annotations

from gpu_inference.http import app
from tests.listening import holds_back


def test_no_answer_of_the_service_is_held_back() -> None:
    assert not holds_back(app._bound("127.0.0.1", 0))
