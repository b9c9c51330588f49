"""multipart/form-data, strictly: python-multipart finds the parts, this holds the limits.

Parts stay in memory, since the body is there already; nothing is written to disk.

严格解析表单：限制分段数量与大小。
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from shared.errors import InvalidInput, TooLarge

# It warns of every malformed body, in the sender's own words; the answer says it already.
logging.getLogger("python_multipart.multipart").setLevel(logging.ERROR)

MAX_PARTS = 64
TEXT_BYTES = 2**20
"""All text fields together; files are limited by the body's own size."""

# RFC 2046 5.1.1, somewhat wider: browsers and SDKs send letters, digits and dashes.
_BOUNDARY = re.compile(rb"[!-~ ]{0,199}[!-~]")


@dataclass(frozen=True)
class Part:
    """One part of a form: its name, whether it was sent as a file, its content.

    表单中的一段。
    """

    name: str
    is_file: bool
    data: bytes = field(repr=False)


def parse(body: bytes, content_type: str) -> list[Part]:
    """The parts of a form in their order; `InvalidInput` for anything that is not well-formed.

    解析表单正文。
    """
    _, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed("Content-Type names no usable boundary", "Content-Type")
    collector = _Collector()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": collector.begin,
            "on_header_field": collector.header_name,
            "on_header_value": collector.header_value,
            "on_header_end": collector.header_end,
            "on_headers_finished": collector.headers_finished,
            "on_part_data": collector.data,
            "on_part_end": collector.end,
        },
    )
    try:
        parser.write(body)
    except FormParserError:
        raise _malformed("The body is not well-formed multipart/form-data", "body") from None
    if parser.state != MultipartState.END:
        raise _malformed("The multipart body ends too early", "body")
    return collector.parts


def _malformed(message: str, param: str) -> InvalidInput:
    return InvalidInput(f"{message}.", code="invalid_multipart", param=param)


class _Collector:
    """Puts together what the parser calls out."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._text_left = TEXT_BYTES
        self._name = ""
        self._is_file = False
        self._pieces: list[bytes] = []
        self._headers: dict[bytes, bytes] = {}
        self._header_name = b""
        self._header_value = b""

    def begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise _malformed(f"The form has more than {MAX_PARTS} parts", "body")
        self._pieces = []
        self._headers = {}

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def headers_finished(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        kind, parameters = parse_options_header(disposition.decode("latin-1"))
        if kind.strip().lower() != b"form-data" or not parameters.get(b"name"):
            raise _malformed("A part has no Content-Disposition with a name", "body")
        try:
            self._name = parameters[b"name"].decode("utf-8")
        except UnicodeDecodeError:
            raise _malformed("The name of a part is not UTF-8", "body") from None
        self._is_file = b"filename" in parameters

    def data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._text_left -= end - start
            if self._text_left < 0:
                raise TooLarge(
                    f"The form's text fields hold more than {TEXT_BYTES} bytes.", param=self._name
                )
        self._pieces.append(data[start:end])

    def end(self) -> None:
        self.parts.append(Part(self._name, self._is_file, b"".join(self._pieces)))
