"""What the platform starts in a function's zip: the entry file of its root, and `scf_bootstrap`.

Both are the platform's demand and say nothing of their own: SCF imports an entry from the root of
the zip alone (583/55593), and starts a web function by a program of that name (583/40688).

生成函数包根目录中的入口文件与启动脚本。
"""

from __future__ import annotations

import re

ENTRY = "scf_entry.py"
HANDLER = "scf_entry.main_handler"
"""What SCF's `Handler` says for every event function."""
BOOTSTRAP = "scf_bootstrap"
BOOTSTRAP_MODE = 0o755
PYTHON = "/var/lang/python310/bin/python3.10"

ALSO = {"migrate": ("infra/__init__.py", "infra/migrations")}
"""What a function needs of the checkout besides its own folder and what is shared."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")

_ENTRY = '''"""Where SCF begins: the function `{name}`, called as it is everywhere."""

from functions.{name}.handler import handler
from shared.tencent.runtime import entry

main_handler = entry(handler)
'''

_BOOTSTRAP = """#!/bin/bash
# SCF starts the web function by this file. SCF_PYTHON, SCF_HOST and SCF_PORT are for machines other
# than its own: there, names that begin with SCF_ are the platform's.
cd "$(dirname "${{BASH_SOURCE[0]}}")" || exit 1
export PYTHONPATH="$PWD:/opt${{PYTHONPATH:+:$PYTHONPATH}}" PYTHONUNBUFFERED=1
exec "${{SCF_PYTHON:-{python}}}" -m functions.api.server
"""


def entry(name: str) -> str:
    """The entry file of the function `name` ("poll", say); `ValueError` if it is no module's name.

    入口文件的内容。
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a function")
    return _ENTRY.format(name=name)


def bootstrap() -> str:
    """The web function's `scf_bootstrap`; it must be executable, `BOOTSTRAP_MODE`.

    启动脚本的内容。
    """
    return _BOOTSTRAP.format(python=PYTHON)
