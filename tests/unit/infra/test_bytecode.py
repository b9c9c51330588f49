"""Bytecode that is packed: the same bytes each time, and good for the Python that reads it.

打包用字节码的测试。
"""

from __future__ import annotations

import importlib.util
import marshal
import subprocess
import sys
from pathlib import Path

from infra import bytecode
from infra.paths import ROOT
from infra.tencent.build import interpreter

SOURCE = """
def odd(values):
    return [odd_loop_name for odd_loop_name in values if odd_loop_name in {"a", "b", "c", "d"}]
"""
TWICE = """
import sys
from pathlib import Path
from infra import bytecode
first, second = map(Path, sys.argv[1:])
assert bytecode.add(first, "/opt") == []
# Put together at run time: as a constant it would be in memory from the start.
held = sys.intern("_".join(["odd", "loop", "name"]))
assert bytecode.add(second, "/opt") == []
"""


def compiled(folder: Path, name: str = "module.py") -> bytes:
    return Path(importlib.util.cache_from_source(str(folder / name))).read_bytes()


def written(folder: Path, **modules: str) -> Path:
    for name, text in modules.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(text)
    return folder


def test_the_bytes_do_not_depend_on_what_else_is_in_memory(tmp_path: Path) -> None:
    first, second = (written(tmp_path / name, module=SOURCE) for name in ("first", "second"))
    # In SCF's own Python, 3.10, what it writes by itself does; newer ones happen not to here.
    python = interpreter.find() or sys.executable
    command = [python, "-s", "-c", TWICE, str(first), str(second)]
    subprocess.run(command, cwd=ROOT, check=True)
    made = [path.read_bytes() for path in sorted(tmp_path.rglob("*.pyc"))]
    assert len(made) == 2
    assert made[0] == made[1]


def test_python_reads_it_without_a_look_at_the_source(tmp_path: Path) -> None:
    folder = written(tmp_path / "code", module="import traceback\nplace = __file__\n1/0\n")
    assert bytecode.add(folder, "/var/user") == []
    (folder / "module.py").write_text("another = 1\n")
    done = subprocess.run(
        [sys.executable, "-B", "-c", "import module"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ZeroDivisionError" in done.stderr
    assert marshal.loads(compiled(folder)[16:]).co_filename == "/var/user/module.py"


def test_a_module_that_is_none_is_named_and_the_others_are_made(tmp_path: Path) -> None:
    folder = written(tmp_path / "code", broken="def (", whole="x = 1\n", null="\0")
    faults = bytecode.add(folder, "/opt")
    assert [fault.split(":")[0] for fault in faults] == ["broken.py", "null.py"]
    assert compiled(folder, "whole.py")
    command = [sys.executable, "-s", bytecode.__file__, str(folder), "/opt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "broken.py" in done.stderr
