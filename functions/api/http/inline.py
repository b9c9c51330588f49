"""A file within a text: a `data:` URL (RFC 2397) or bare Base64 (RFC 4648).

写在文本里的文件：data: 链接或 Base64。
"""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes

from shared.errors import InvalidInput

_URL_SAFE = str.maketrans("-_", "+/")


def decode(text: str, param: str) -> bytes:
    """The bytes that a text stands for; `InvalidInput` if it is neither a data: URL nor Base64.

    Both alphabets of Base64 are read, broken into lines or not, with or without its padding.

    解码文本中的文件。
    """
    if text[:5].lower() != "data:":
        return _base64(text, param)
    head, comma, content = text.partition(",")
    if not comma:
        raise InvalidInput(f"{param} is a data: URL without a comma, so without data.", param=param)
    if not head.rstrip().lower().endswith(";base64"):
        return unquote_to_bytes(content)
    if "%" in content:
        content = unquote_to_bytes(content).decode("latin-1")
    return _base64(content, param)


def _base64(text: str, param: str) -> bytes:
    compact = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except ValueError:
        pass
    raise InvalidInput(
        f"{param} is no file: a text here is Base64, or a data: URL of it.", param=param
    )
