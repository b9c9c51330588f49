"""What keeps a deployment from going on.

部署错误。
"""

from __future__ import annotations


class DeployError(Exception):
    """What keeps a deployment from going on; the message says what to do.

    部署无法继续的原因。
    """
