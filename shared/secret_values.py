"""Settings that are secret, as the clouds' services for secrets keep them.

保存在云端密钥服务中的设置。
"""

from __future__ import annotations

import json


class SecretsUnavailable(Exception):
    """The secrets cannot be read; the message says which, and never what they are.

    无法读取密钥。
    """


def by_variable(text: str) -> dict[str, str]:
    """What a secret holds: a JSON object of texts, by the name of the environment variable.

    Raises ValueError, without a word of what is in it.

    解析密钥内容。
    """
    try:
        values = json.loads(text)
    except ValueError:
        raise ValueError("not JSON") from None
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise ValueError("not a JSON object of texts")
    return values
