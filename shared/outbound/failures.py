"""What a request that failed on the way is said to have failed of: in fixed words.

用固定的话描述网络错误。
"""

from __future__ import annotations

import ssl

import httpcore

FAILURES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    OSError,
)
"""What a request of httpcore raises where the network or the other side is at fault."""

_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "connection reset"),
    (BrokenPipeError, "connection reset"),
    (ssl.SSLError, "no TLS connection could be made"),
    (httpcore.ConnectTimeout, "timed out while connecting"),
    (httpcore.WriteTimeout, "timed out while sending"),
    (httpcore.TimeoutException, "timed out while waiting for the answer"),
    (httpcore.LocalProtocolError, "the message could not be written as HTTP"),
    (httpcore.RemoteProtocolError, "no valid HTTP answer"),
    (httpcore.ConnectError, "no connection could be made"),
)


def describe(problem: BaseException) -> str:
    """A few fixed words for a network error: its own text may hold addresses.

    用固定的话描述网络错误。
    """
    causes: list[BaseException] = []
    cause: BaseException | None = problem
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    for found in causes:
        if isinstance(found, ssl.SSLCertVerificationError):
            return f"the TLS certificate is not valid: {found.verify_message}"[:200]
    for kind, words in _WORDS:
        if any(isinstance(found, kind) for found in causes):
            return words
    return "the connection failed"
