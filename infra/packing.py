"""What packing the functions has in common on every cloud: their code, their packages, bytecode.

It needs nothing but a Python with pip: packages are taken as wheels for the cloud's system,
whatever this machine is. All is packed with its bytecode, since a function keeps none that it
makes: without it a cold start takes three times as long.

各云共用的打包步骤。
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from infra.paths import ROOT

_KEPT_OF_PACKAGING = ("METADATA", "entry_points.txt", "licenses", "LICENSE*", "NOTICE*", "AUTHORS*")


class PackError(Exception):
    """What keeps it from being packed; the message says what to do.

    无法打包的原因。
    """


def copy_code(name: str, target: Path) -> None:
    """A function's own code and what the functions share; nothing else of the checkout.

    复制函数代码。
    """
    hidden = shutil.ignore_patterns("__pycache__", "requirements*.txt")
    for part in (f"functions/{name}", "shared"):
        shutil.copytree(ROOT / part, target / part, ignore=hidden, dirs_exist_ok=True)
    shutil.copy(ROOT / "functions" / "__init__.py", target / "functions")


def install(target: Path, version: str, platforms: Iterable[str], what: Sequence[str]) -> None:
    """Put wheels for Python `version` ("3.12") and these platforms into a folder.

    `what` are pip's further arguments, the requirements among them. Raises `PackError`.

    把依赖包装入目录。
    """
    command = ["install", "--no-compile", "--target", str(target)]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]
    command += [f"--platform={platform}" for platform in platforms]
    pip(*command, *what)


def pip(*words: str) -> None:
    """Run pip, which says nothing unless it fails; raises `PackError`.

    运行 pip。
    """
    command = [sys.executable, "-I", "-m", "pip", words[0], "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", *words[1:]]
    # Packing for elsewhere is no installation: pip warns of nothing that is here.
    environ = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    if subprocess.run(command, env=environ, check=False).returncode:
        raise PackError(f"pip {words[0]} failed; see above")


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders; one that went with another is no fault.

    删除文件和目录。
    """
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def needless(packages: Path) -> Iterator[Path]:
    """What nobody reads in a function: commands, tests, type stubs, packaging notes.

    列出运行时用不到的文件。
    """
    for name in ("bin", "include", "lib64", "share"):
        yield from packages.glob(name)
    yield from packages.rglob("tests")
    yield from packages.rglob("*.pyi")
    for notes in packages.glob("*.dist-info"):
        kept = {path for pattern in _KEPT_OF_PACKAGING for path in notes.glob(pattern)}
        yield from set(notes.iterdir()) - kept


def add_bytecode(folder: Path, place: str, python: str = sys.executable) -> None:
    """Bytecode beside every module, good whatever the files' times are (unzipping sets them).

    `place` is where the folder will lie, for tracebacks; `python` an interpreter of the version
    that is to read it. The same sources give the same bytes. Raises `PackError`.

    生成字节码。
    """
    command = [python, "-s", str(ROOT / "infra" / "bytecode.py"), str(folder), place]
    # Sets of texts among the constants are written in the order of their hashes.
    environ = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    if subprocess.run(command, env=environ, check=False).returncode:
        raise PackError("a module could not be compiled; see above")
