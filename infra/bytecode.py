"""Bytecode beside every module of a folder, the same bytes whenever and wherever it is made.

`python infra/bytecode.py FOLDER PLACE`, by a Python of the version that is to read it. What Python
itself writes (`compileall`) depends on what else of the same text is in its memory at the time; the
older form of the format, without references, does not.

生成可复现的字节码。
"""

from __future__ import annotations

import importlib.util
import marshal
import sys
import warnings
from pathlib import Path

UNCHECKED_HASH = 0b01
"""The flags of bytecode that is never compared with its source (PEP 552): unzipping sets times."""
WITHOUT_REFERENCES = 2
"""The last version of the format that has none (`marshal`)."""


def add(folder: Path, place: str) -> list[str]:
    """Compile every module in a folder; what could not be compiled, and why.

    `place` is where the folder will lie, for tracebacks.

    编译目录中的全部模块。
    """
    faults = []
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        source = path.read_bytes()
        try:
            code = compile(source, f"{place}/{name}", "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            faults.append(f"{name}: {error}")
            continue
        made = Path(importlib.util.cache_from_source(str(path)))
        made.parent.mkdir(exist_ok=True)
        head = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH.to_bytes(4, "little")
        head += importlib.util.source_hash(source)
        made.write_bytes(head + marshal.dumps(code, WITHOUT_REFERENCES))
    return faults


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of what packages' sources do; nobody here can mend that
    found = add(Path(sys.argv[1]), sys.argv[2])
    for one in found:
        print(one, file=sys.stderr)
    sys.exit(1 if found else 0)
