"""Every provider there is, by its name: one line adds one.

全部生成服务的登记表：新增一家只需一行。
"""

from __future__ import annotations

from typing import Any

from shared.providers.declaration import Declaration
from shared.providers.qwen_image.declaration import QWEN_IMAGE
from shared.providers.tripo.declaration import TRIPO

PROVIDERS: dict[str, Declaration[Any]] = {
    TRIPO.name: TRIPO,
    QWEN_IMAGE.name: QWEN_IMAGE,
}
"""In the order in which they are asked for a kind; one whose settings give no credentials is left
out."""
