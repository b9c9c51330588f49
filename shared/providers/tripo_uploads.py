"""The bodies that carry a picture to Tripo: streamed in constant memory, of known length.

把图片上传给 Tripo 的请求体。
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from shared.clock import Deadline
from shared.providers.base import InputImage, ProviderUnavailable
from shared.providers.tripo_options import EXTENSIONS

CHUNK = 1 << 20

Body = tuple[dict[str, str], Iterator[bytes]]
"""A body's headers and its bytes. Its length is among the headers: without, httpx would send it
chunked, which not every server takes."""


def plain(image: InputImage, deadline: Deadline) -> Body:
    """The picture as it is; reading it raises `ProviderUnavailable` if its length is another.

    What opening the picture raises goes on as it is.

    图片原样作为请求体。
    """
    headers = {"Content-Type": image.media_type, "Content-Length": str(image.bytes)}
    return headers, _pieces(image, deadline)


def form(image: InputImage, boundary: str, deadline: Deadline) -> Body:
    """The same as the field `file` of a form (RFC 7578).

    图片作为表单字段。
    """
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
        f'filename="image.{EXTENSIONS[image.media_type]}"\r\n'
        f"Content-Type: {image.media_type}\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + image.bytes + len(tail)),
    }
    return headers, chain([head], _pieces(image, deadline), [tail])


def token_of(data: Any) -> str:
    """The file's token that an upload's answer names; raises `ProviderUnavailable`.

    读取上传后的文件标识。
    """
    token = data.get("file_token") if isinstance(data, dict) else None
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]{8,256}", token):
        raise ProviderUnavailable("the upload's answer has no file token")
    return token


def _pieces(image: InputImage, deadline: Deadline) -> Iterator[bytes]:
    left = image.bytes
    with image.open() as reader:
        while left >= 0 and (chunk := reader.read(CHUNK)):
            if deadline.remaining() <= 0:
                raise ProviderUnavailable("the time ran out during an upload")
            left -= len(chunk)
            if left >= 0:
                yield chunk
    if left != 0:
        raise ProviderUnavailable("an input picture does not have the length that was recorded")
