"""The packages of a layer: exactly those that its lock file names, as SCF's system needs them.

A lock file names every package with its version and the sha256 of its file, what the packages need
themselves included: pip would decide by the Python that it runs on which of those are needed, and
the functions run on another one. The same lock gives the same layer, today and next year.

按锁文件安装依赖层。
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra import packing
from infra.packing import PackError
from infra.paths import ROOT
from infra.tencent.build import elf
from infra.tencent.build.interpreter import VERSION

LOCKS = ROOT / "infra" / "tencent" / "build" / "locks"
PLATFORMS = (
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux2010_x86_64",
    "manylinux1_x86_64",
)
"""Wheels that run on glibc 2.17. One document tells SCF's 3.10 to have that of CentOS 7, another
that of CentOS 8 (2.28)."""
MACHINE = "x86_64"
SOURCE = "crcmod"
"""The one package without wheels. Its setup compiles a part of it for this machine where it finds a
compiler, so its sources are unpacked instead; COS's SDK does with them."""

_ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+) --hash=sha256:[0-9a-f]{64}$")
_SELFTESTS = "Crypto/SelfTest"


def requirements(function: str) -> list[Path]:
    """The requirements files of a function on Tencent Cloud.

    函数的依赖清单。
    """
    folder = ROOT / "functions" / function
    web = folder / "requirements-web.txt"
    own = web if web.exists() else folder / "requirements.txt"
    return [own, ROOT / "shared" / "tencent" / "requirements.txt"]


def locked(path: Path) -> dict[str, str]:
    """The lines of a lock file by the package's name; raises `PackError`.

    读取锁文件。
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        raise PackError(
            f"there is no {path.relative_to(ROOT)}; make it: python -m infra.tencent.build.lock"
        ) from None
    entries = [line for line in lines if line and not line.startswith("#")]
    found: dict[str, str] = {}
    for line in entries:
        match = _ENTRY.fullmatch(line)
        if match is None:
            raise PackError(f"{path.name}: {line!r} is not NAME==VERSION --hash=sha256:…")
        found[match["name"]] = line
    return found


def install(layer: str, target: Path, aside: Path) -> None:
    """Put a layer's packages into a folder, less what nobody reads; raises `PackError`.

    `aside` is a folder for what is needed meanwhile.

    安装一个依赖层。
    """
    lines = locked(LOCKS / f"{layer}.txt")
    wheels = [line for name, line in lines.items() if name != SOURCE]
    what = ["--no-deps", "--require-hashes", "-r", str(_written(aside / "wheels.txt", wheels))]
    packing.install(target, VERSION, PLATFORMS, what)
    if SOURCE in lines:
        _unpack_source(lines[SOURCE], target, aside)
    packing.remove(packing.needless(target))
    packing.remove(target.glob(_SELFTESTS))
    if faults := list(unfit(target)):
        raise PackError("these do not run on SCF: " + "; ".join(faults))


def unfit(folder: Path) -> Iterator[str]:
    """What is wrong with each compiled library that SCF's system could not load.

    列出 SCF 无法加载的编译库。
    """
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            if file.read(4) != elf.MAGIC:
                continue
        name = path.relative_to(folder)
        try:
            library = elf.read(path.read_bytes())
        except elf.NotElf as error:
            yield f"{name}: {error}"
            continue
        if library.machine != MACHINE:
            yield f"{name} is for {library.machine}"
        if beyond := library.beyond():
            yield f"{name} needs {', '.join(sorted(set(beyond)))}"


def _unpack_source(line: str, target: Path, aside: Path) -> None:
    """Put crcmod's Python sources into a folder, and its licence; nothing of it is compiled.

    解开 crcmod 的源码。
    """
    listed = _written(aside / "sources.txt", [line])
    what = ("--no-deps", f"--no-binary={SOURCE}", "--require-hashes", "-r", str(listed))
    packing.pip("download", "--dest", str(aside), *what)
    (archive,) = aside.glob(f"{SOURCE}-*.tar.gz")
    top = archive.name.removesuffix(".tar.gz")
    kept = {f"{top}/LICENSE": f"{top}.dist-info/licenses/LICENSE"}
    kept[f"{top}/PKG-INFO"] = f"{top}.dist-info/METADATA"
    for name in ("__init__", "crcmod", "predefined", "_crcfunpy"):
        kept[f"{top}/python3/{SOURCE}/{name}.py"] = f"{SOURCE}/{name}.py"
    with tarfile.open(archive) as packed:
        for inside, outside in kept.items():
            file = packed.extractfile(inside)
            if file is None:
                raise PackError(f"{inside} is not in {archive.name}")
            (target / outside).parent.mkdir(parents=True, exist_ok=True)
            (target / outside).write_bytes(file.read())


def _written(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path
