"""A command where the picture service is the one of another folder, installed in part, say.

测试用：指定图片服务所在的目录再运行命令。
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from infra.local.cloud import generators


def main() -> int:
    """Run a module's command: FOLDER MODULE [its arguments].

    运行命令。
    """
    folder, module, *arguments = sys.argv[1:]
    generators.QWEN_PYTHON = Path(folder) / "bin" / "python"
    status: int = importlib.import_module(module).main(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
