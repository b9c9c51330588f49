"""What a fresh process has imported, module by module.

新进程加载的模块。
"""

from __future__ import annotations

import functools
import subprocess
import sys

from scripts.bench.coldstart import environment


@functools.cache
def modules(code: str, **settings: str) -> frozenset[str]:
    """The modules a fresh process has imported after `code`, run as a function with such
    settings.

    启动后已加载的模块。
    """
    listing = "import sys; print(*(name for name, module in sys.modules.items() if module))"
    names = subprocess.run(
        [sys.executable, "-c", f"{code}\n{listing}"],
        env=environment(settings),
        check=True,
        capture_output=True,
        text=True,
    )
    return frozenset(names.stdout.split())


def packages(names: frozenset[str]) -> set[str]:
    """Top-level packages, without the standard library and what any Python has at its start.

    已加载的第三方包。
    """
    tops = {name.partition(".")[0] for name in names - modules("pass")}
    # _sysconfigdata__… belongs to the standard library, too, but is named after the machine.
    return {name for name in tops - sys.stdlib_module_names if not name.startswith("_")}
