"""A receiver's status counts once its status line is read, however it came and whatever follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.deliveries.answer_head import AnswerHead

EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


def heard(*pieces: bytes) -> AnswerHead:
    head = AnswerHead()
    for piece in pieces:
        head.hear(piece)
    return head


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nWarning mysqli\r\nContent-Length: 2\r\n\r\nok", 200),
        (b"HTTP/1.1 204\r\n", 204),
        (b"HTTP/1.0 410 Gone\n", 410),
        (b"HTTP/1.1 200 ", 200),
        (EARLY + b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\n", 500),
        (b"HTTP/1.1 100 Continue\nno colon\n\nHTTP/1.1 202 Yes\n", 202),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n", 101),
        (EARLY, None),
        (EARLY + b"HTTP/1.1 20", None),
        (b"HTTP/1.1 200", None),
        (b"HTTP/2 200 OK\r\n", None),
        (b"220 mail.example ESMTP\r\n", None),
        (b"\r\n\r\nHTTP/1.1 200 OK\r\n", None),
        (b"HTTP/1.1 020 \r\n", None),
        (b"", None),
    ],
)
def test_the_status_is_that_of_the_first_answer_that_is_no_interim_one(
    answer: bytes, status: int | None
) -> None:
    assert heard(answer).status == status
    assert heard(*(bytes([byte]) for byte in answer)).status == status


@given(st.integers(200, 599), st.binary(max_size=300), st.data())
def test_whatever_follows_a_status_line_and_however_it_is_cut_the_status_stays(
    status: int, rest: bytes, data: st.DataObject
) -> None:
    answer = b"HTTP/1.1 %d Words\r\n" % status + rest
    cut = data.draw(st.integers(0, len(answer)))
    assert heard(answer[:cut], answer[cut:]).status == status


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\nretry-after: 9\r\n", "7"),
        (b"HTTP/1.1 503 Busy\nno colon\nRETRY-AFTER:7 \n", "7"),
        (EARLY + b"HTTP/1.1 429 Slow\r\nretry-after : 7\r\n", "7"),
        (b"HTTP/1.1 503 Busy\r\nretry-after: 7", None),
        (b"HTTP/1.1 503 Busy\r\n\r\nretry-after: 7\r\n", None),
        (b"HTTP/1.1 100 Continue\r\nretry-after: 7\r\n", None),
    ],
)
def test_the_wait_is_read_from_a_whole_line_of_the_head(answer: bytes, value: str | None) -> None:
    assert heard(answer).retry_after == value


def test_an_endless_head_is_not_kept() -> None:
    head = heard(b"HTTP/1.1 200 OK\r\n", *(b"x" * 4096 for _ in range(64)))
    assert head.status == 200
    assert len(head._heard) <= 64 * 1024
