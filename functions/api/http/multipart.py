"""multipart/form-data: python-multipart finds the parts, `email` reads their headers, this holds
the limits.

Parts stay in memory, since the body is there already; nothing is written to disk.

解析表单：限制分段数量与大小，兼容各种客户端的写法。
"""

from __future__ import annotations

import binascii
import logging
import re
from dataclasses import dataclass, field
from email.message import Message

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from shared.errors import InvalidInput

# It warns of every malformed body, in the sender's own words; the answer says it already.
logging.getLogger("python_multipart.multipart").setLevel(logging.ERROR)

MAX_PARTS = 64
NAMELESS = "blob"
"""The file name that browsers and Node give a Blob that has none (XMLHttpRequest, FormData)."""

_BOUNDARY_BYTES = 200
_UNENCODED = frozenset({"", "7bit", "8bit", "binary"})


@dataclass(frozen=True)
class Part:
    """One part of a form: its field's name, its content, whether that has a file's name of its
    own, and the charset of a text ("" where it names none).

    表单中的一段。
    """

    name: str
    data: bytes = field(repr=False)
    is_named: bool = False
    charset: str = ""


def parse(body: bytes, content_type: str) -> list[Part]:
    """The parts of a form in their order; `InvalidInput` for anything that is not well-formed.

    File inputs that nobody chose a file for, and texts that hold nothing, are left out.

    解析表单正文。
    """
    boundary = _boundary(content_type)
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
    start = _first_delimiter(body, b"--" + boundary)
    try:
        parser.write(body[start:] if start else body)
    except FormParserError:
        raise _malformed("The body is not well-formed multipart/form-data", "body") from None
    if parser.state != MultipartState.END:
        raise _malformed("The multipart body ends too early", "body")
    return collector.parts


def _boundary(content_type: str) -> bytes:
    """The boundary of a Content-Type; raises InvalidInput where it names none that can be used."""
    _, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary", b"")
    # RFC 2046 5.1.1, somewhat wider: browsers and SDKs send letters, digits and dashes.
    usable = 0 < len(boundary) <= _BOUNDARY_BYTES and boundary[-1:] != b" "
    if not usable or any(byte < 0x20 or byte > 0x7E for byte in boundary):
        raise _malformed("Content-Type names no usable boundary", "Content-Type")
    return boundary


def _first_delimiter(body: bytes, delimiter: bytes) -> int:
    """Where the first part's delimiter begins: what stands before it, a preamble, means nothing
    (RFC 2046 5.1.1).

    第一个分隔符的位置。
    """
    found = re.search(rb"(?:\A|\n)(%s)(?=\r?\n|--)" % re.escape(delimiter), body)
    if found is None:
        raise _malformed("The body holds no part after the boundary of Content-Type", "body")
    if body[found.end() : found.end() + 1] == b"\n":
        raise _malformed("The lines of a multipart body must end in CRLF", "body")
    return found.start(1)


def _malformed(message: str, param: str) -> InvalidInput:
    return InvalidInput(f"{message}.", code="invalid_multipart", param=param)


def _headers(lines: list[tuple[bytes, bytes]]) -> Message:
    """A part's headers; raises InvalidInput where they do not name a field of a form.

    一段的头部。
    """
    message = Message()
    for name, value in lines:
        try:
            # Browsers send names and file names as they are, in UTF-8.
            message[name.decode("ascii")] = value.decode("utf-8")
        except UnicodeDecodeError:
            raise _malformed("A header of a part is not UTF-8", "body") from None
    if message.get_content_disposition() != "form-data" or not _name(message):
        raise _malformed("A part has no Content-Disposition with a name", "body")
    return message


def _name(message: Message) -> str:
    """The field's name; several files of one field are `image[]` by PHP's habit."""
    name = message.get_param("name", "", "content-disposition")
    return (name.removesuffix("[]") or name) if isinstance(name, str) else ""


def _part(message: Message, data: bytes) -> Part:
    """A part as its headers tell it: a file's name may come by RFC 2231 alone, as `filename*`.

    由头部和内容得到一段。
    """
    named = message.get_param("filename", "", "content-disposition")
    filename = named[2] if isinstance(named, tuple) else named
    charset = message.get_param("charset", "")
    return Part(
        _name(message),
        _decoded(message, data),
        filename not in ("", NAMELESS),
        charset.lower() if isinstance(charset, str) else "",
    )


def _decoded(message: Message, data: bytes) -> bytes:
    """A part's bytes: MIME libraries encode them still, although RFC 7578 4.7 advises against it.

    解码后的内容。
    """
    encoding = str(message.get("content-transfer-encoding", "")).strip().lower()
    if encoding in _UNENCODED:
        return data
    try:
        if encoding == "base64":
            return binascii.a2b_base64(data)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(data)
    except binascii.Error:
        pass
    param = _name(message)
    raise _malformed(f"{param} is not in the Content-Transfer-Encoding that it names", param)


class _Collector:
    """Puts together what the parser calls out."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._count = 0
        self._headers = Message()
        self._lines: list[tuple[bytes, bytes]] = []
        self._header_name = b""
        self._header_value = b""
        self._pieces: list[bytes] = []

    def begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise _malformed(f"The form has more than {MAX_PARTS} parts", "body")
        self._pieces = []
        self._lines = []

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def header_end(self) -> None:
        self._lines.append((self._header_name, self._header_value))
        self._header_name = self._header_value = b""

    def headers_finished(self) -> None:
        self._headers = _headers(self._lines)

    def data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def end(self) -> None:
        part = _part(self._headers, b"".join(self._pieces))
        # An input of a page that nobody filled, or chose a file for (`filename=""`).
        if part.data or part.is_named:
            self.parts.append(part)
