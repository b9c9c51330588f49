"""Calls to COS: sent again while they may pass, and every failure told by one kind of error.

调用 COS：必要时重试，错误统一表示。
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from shared.buckets.base import BucketUnavailable
from shared.tencent import cos
from shared.tencent.clients import RegionMissing
from shared.tencent.credentials import CredentialsMissing
from shared.tencent.endpoints import EndpointWrong

_MAY_PASS = ("InternalError", "RequestLimitExceeded", "RequestTimeout", "SlowDown")
"""Codes that may come with a status below 500 as well, with 200 even (document 436/7730)."""


class Refused(BucketUnavailable):
    """COS's own refusal, with its code (the status, where it has none) and status.

    COS 拒绝了请求。
    """

    def __init__(self, operation: str, code: str, status: int) -> None:
        super().__init__(f"COS refuses {operation}: {code}")
        self.code = code
        self.status = status


class NoAnswer(BucketUnavailable):
    """Nobody knows what became of the request.

    请求没有得到应答。
    """


def ask(
    bucket: str, operation: str, parameters: Mapping[str, Any], seconds: float, tries: int
) -> Any:
    """One call of the SDK's by its name, sent `tries` times in all while COS does not answer or is
    busy, as long as `seconds` have not passed; an answer may keep silent for as long.

    `parameters` are the SDK's; a `Body` is sent with its MD5, which COS compares, and a `source` is
    a key of the same bucket to copy. Raises `Refused`, `NoAnswer`, and `BucketUnavailable` where
    nothing could be sent.

    调用一次 COS，必要时重试。
    """
    from tenacity import (
        Retrying,
        retry_if_exception,
        stop_after_attempt,
        stop_after_delay,
        wait_random_exponential,
    )

    again = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(tries) | stop_after_delay(seconds),
        wait=wait_random_exponential(multiplier=0.1, max=2.0),
        reraise=True,
    )
    return again(_once, bucket, operation, parameters, seconds)


def _once(bucket: str, operation: str, parameters: Mapping[str, Any], seconds: float) -> Any:
    """One call, sent once.

    发送一次请求。
    """
    given = dict(parameters)
    with answering(operation), _sent(given.pop("Body", None)) as body:
        sender = cos.client(bucket, seconds=seconds)
        if "source" in given:
            given["CopySource"] = cos.source(bucket, given.pop("source"))
        return getattr(sender, operation)(Bucket=bucket, **given, **body)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, Refused):
        return error.status >= 500 or error.code in _MAY_PASS
    return isinstance(error, NoAnswer)


@contextmanager
def answering(operation: str) -> Iterator[None]:
    """Turns what the SDK raises into `BucketUnavailable`, with codes and names only: a message of
    COS may quote what was sent.

    统一 COS 的错误。
    """
    from xml.etree.ElementTree import ParseError

    from qcloud_cos.cos_exception import CosClientError, CosServiceError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (CredentialsMissing, RegionMissing, EndpointWrong) as error:
        raise BucketUnavailable(f"COS cannot be asked: {error}") from None
    except CosServiceError as error:
        raise _refused(operation, error) from error
    except (CosClientError, HTTPError, ParseError, OSError) as error:
        met = error.__context__ or error  # the SDK keeps the text alone, which has the URL in it
        if isinstance(met, cos.LedElsewhere):
            raise BucketUnavailable(f"COS refuses {operation}: {met}") from None
        raise NoAnswer(f"COS does not answer {operation}: {type(met).__name__}") from error


def _refused(operation: str, error: Any) -> Refused:
    """A refusal by its code, or by its status where the answer has no code.

    得到 COS 的错误码。
    """
    status = int(error.get_status_code())
    told = error.get_origin_msg()  # the SDK reads it only where no field is missing
    text = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
    code = re.search(r"<Code>([A-Za-z0-9.]+)</Code>", text)
    return Refused(operation, code[1] if code else str(status), status)


def member(found: Mapping[str, Any], name: str) -> str:
    """What an answer must hold, whatever the case of its name; `NoAnswer` where it does not.

    取出应答中必有的一项。
    """
    for known, value in found.items():
        if known.lower() == name.lower() and value:
            return str(value)
    raise NoAnswer(f"COS does not answer with {name}")


def goes_on(page: Mapping[str, Any]) -> bool:
    """Whether more follows a page of a list. An answer that does not say so is no list.

    列表之后是否还有内容。
    """
    told = page.get("IsTruncated")
    if told not in ("true", "false"):
        raise NoAnswer("COS does not answer with a list")
    return bool(told == "true")


@contextmanager
def _sent(body: bytearray | bytes | None) -> Iterator[dict[str, Any]]:
    """A body and its MD5, which COS compares, by the SDK's names; nothing where there is none."""
    if body is None:
        yield {}
        return
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    with memoryview(body) as view:  # let go of at the end: a part is used again
        sent = _Sent(view) if body else b""
        yield {"Body": sent, "ContentMD5": b64encode(digest).decode()}


class _Sent:
    """A body as it is sent: in pieces, each of which has the time-out for itself, and no copy."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._place = 0

    def __len__(self) -> int:
        return len(self._view)

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(1 << 14), b"")

    def read(self, size: int = -1) -> bytes:
        end = len(self._view) if size < 0 else self._place + size
        found = bytes(self._view[self._place : end])
        self._place += len(found)
        return found

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> None:
        self._place = place
