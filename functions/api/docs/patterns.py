"""What a text must look like, said as JSON Schema says it: by patterns and lengths.

They allow nothing that the server refuses for its text, and almost all that it takes.

用 JSON Schema 的正则与长度描述文本的要求。
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from shared.config import Settings
from shared.outbound.url_policy import LONGEST_URL

_CONTROL = r"\u0000-\u0008\u000b-\u001f\u007f-\u009f"
_UNSEEN = (
    r"\s\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680"
    r"\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff"
    # As they are: beyond \uffff the escapes of different languages differ.
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
"""Characters that show nothing: blanks, joiners, directions, fillers, selectors of variants.
`shared.prompt_text` has the rule itself."""

_PADDED = r"(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_INLINE = rf"(?:data:[A-Za-z0-9.+/-]*;base64,)?{_PADDED}"

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = rf"(?:{_LABEL}\.){{1,3}}[A-Za-z]{{2,12}}"
_INWARD = r"(?:localhost|local|localdomain|internal|home\.arpa|lan)"
_PUBLIC = rf"(?![^/?:]*\.{_INWARD}(?:[/?]|$)){_NAME}"
_REST = r"(?:[/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]*)?"


def prompt(longest: int) -> dict[str, Any]:
    """A prompt: no control characters but newline and tab, and something that can be seen.

    提示词：不含控制字符，且至少有一个可见字符。
    """
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": longest,
        "pattern": rf"^[^{_CONTROL}]*[^{_CONTROL}{_UNSEEN}][^{_CONTROL}]*$",
        "examples": ["a small red toy robot"],
    }


def callback_url(settings: Settings) -> dict[str, Any]:
    """A URL that a webhook may be sent to, as far as its text can tell.

    回调地址：仅凭文本可判断的部分。
    """
    return _url(settings, settings.callback_hosts)


def input_url(settings: Settings) -> dict[str, Any]:
    """A URL that an input may be fetched from, as far as its text can tell.

    网络输入的地址：仅凭文本可判断的部分。
    """
    return _url(settings, settings.input_hosts)


def file_text(settings: Settings) -> str:
    """The pattern of a text that stands for a file: its https URL, a data: URL, or Base64.

    以文本表示文件的正则。
    """
    return rf"^(?:{_INLINE}|https://(?:{_PUBLIC}){_REST})$"


def _url(settings: Settings, listed: Sequence[str]) -> dict[str, Any]:
    """An https URL with a public host name; hosts that the operator lists go as well.

    公网 https 地址的正则。
    """
    hosts = [re.escape(host) for host in listed if ":" not in host]
    if settings.is_local:
        hosts += ["localhost", r"127\.0\.0\.1"]
    own = rf"|https?://(?:{'|'.join(hosts)})(?::[1-9][0-9]{{3}})?" if hosts else ""
    pattern = rf"^(?:https://{_PUBLIC}{own}){_REST}$"
    return {"format": "uri", "maxLength": LONGEST_URL, "pattern": pattern}
