"""What the platform starts in a function's zip: SCF imports an entry file from its root alone
(583/55593), so one is written there, which calls the handler.

生成函数包根目录中的入口文件。
"""

from __future__ import annotations

import re

ENTRY = "scf_entry.py"
HANDLER = "scf_entry.main_handler"
"""What SCF's `Handler` says for every event function."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")

_ENTRY = '''"""Where SCF begins: the function `{name}`, called as it is everywhere."""

from functions.{name}.handler import handler
from shared.tencent.runtime import entry

main_handler = entry(handler)
'''


def entry(name: str) -> str:
    """The entry file of the function `name` ("poll", say); `ValueError` if it is no module's name.

    入口文件的内容。
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a function")
    return _ENTRY.format(name=name)
