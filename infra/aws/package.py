"""The functions' code as the zip that is deployed: functions/ and shared/, with compiled files.

把函数代码打包成部署用的 zip。
"""

from __future__ import annotations

import io
import py_compile
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from infra.paths import ROOT

FOLDERS = ("functions", "shared")
"""What a function's code consists of; everything else it imports is in the packages."""

_CACHE = "__pycache__"


def code(root: Path = ROOT, folders: Sequence[str] = FOLDERS) -> bytes:
    """The zip's bytes, of these folders, and what makes packages of those above them.

    Its compiled files are those of the running Python. They are valid whatever the times of the
    unpacked sources are; others would be compiled anew at each cold start.

    生成代码包。
    """
    packed = io.BytesIO()
    with (
        tempfile.TemporaryDirectory() as aside,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for path in _files(root, folders):
            name = path.relative_to(root)
            archive.write(path, name)
            if path.suffix == ".py":
                beside = name.parent / _CACHE / f"{name.stem}.{sys.implementation.cache_tag}.pyc"
                archive.writestr(beside.as_posix(), _compiled(path, name, aside))
    return packed.getvalue()


def _files(root: Path, folders: Sequence[str]) -> list[Path]:
    above = {root / one / "__init__.py" for folder in folders for one in Path(folder).parents}
    packages = sorted(path for path in above if path.is_file())
    found = (path for folder in folders for path in sorted((root / folder).rglob("*")))
    return packages + [path for path in found if path.is_file() and _CACHE not in path.parts]


def _compiled(path: Path, name: Path, aside: str) -> bytes:
    made = Path(aside, "module.pyc")
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(path), str(made), str(name), doraise=True, invalidation_mode=mode)
    return made.read_bytes()
