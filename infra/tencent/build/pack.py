"""Packs what serverless.yml names: a zip for each function's code and one for each layer.

`osls package` and the deployer call it. It needs nothing but a Python (3.10 or newer) with pip; one
of SCF's own version, if there is one here, makes the bytecode.

    python -m infra.tencent.build.pack --into FOLDER <functions.json

reads what serverless.yml has under `functions`, as JSON.

打包全部函数与依赖层。
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import packing
from infra.packing import PackError
from infra.paths import ROOT
from infra.tencent.build import archive, entries, interpreter, packages

CODE_AT, LAYERS_AT = "/var/user", "/opt"
"""Where SCF unpacks a function's code and its layers; both are on Python's path (583/14570)."""
UNPACKED_BYTES = 500 * 2**20
"""The most that a function's code and its layers may have, unpacked (583/11637)."""


@dataclass(frozen=True)
class Wanted:
    """A function that is to be packed: its folder's name, whether it serves HTTP, its layers.

    待打包的函数。
    """

    name: str
    web: bool
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Package:
    """A zip: where it lies, its bytes, what it has unpacked, its sha256 in hexadecimal.

    一个 zip 包。
    """

    path: Path
    bytes: int
    unpacked: int
    sha256: str


def wanted(functions: Mapping[str, Mapping[str, Any]]) -> list[Wanted]:
    """The functions that have code, of those that serverless.yml names; an image needs none.

    需要打包代码的函数。
    """
    return [
        Wanted(name, one.get("type") == "web", tuple(one.get("layers") or ()))
        for name, one in functions.items()
        if one.get("image") is None
    ]


def pack(functions: Sequence[Wanted], into: Path, say: Callable[[str], None]) -> dict[str, Package]:
    """Pack these functions and their layers into a folder, `<function>.zip` and
    `layer-<layer>.zip`; the packages by these names without their endings.

    Those of an earlier time are replaced. `say` is told what is done. Raises `PackError`.

    打包函数及其依赖层。
    """
    python = interpreter.find()
    if python is None:
        say(
            f"WITHOUT PYTHON {interpreter.VERSION} HERE THE PACKAGES HAVE NO BYTECODE: they work, "
            "but each cold start compiles them anew. Install it and pack again"
        )
    into.mkdir(parents=True, exist_ok=True)
    made: dict[str, Package] = {}
    with tempfile.TemporaryDirectory(prefix="maquette-package-") as folder:
        aside = Path(folder)
        for one in functions:
            made[one.name] = _function(one, into, aside, python)
        for layer in dict.fromkeys(layer for one in functions for layer in one.layers):
            say(f"installing the packages of the layer {layer} …")
            made[f"layer-{layer}"] = _layer(layer, into, aside, python)
    _check_sizes(functions, made)
    for package in made.values():
        size, unpacked = package.bytes / 2**20, package.unpacked / 2**20
        say(f"{package.path.name}: {size:.1f} MiB, {unpacked:.1f} unpacked, {package.sha256}")
    return made


def _function(one: Wanted, into: Path, aside: Path, python: str | None) -> Package:
    """Pack a function's code: its entry in the root, its folder, and what all functions share.

    打包一个函数的代码。
    """
    folder = aside / f"function-{one.name}"
    packing.copy_code(one.name, folder)
    for part in entries.ALSO.get(one.name, ()):
        _copy(ROOT / part, folder / part)
    if one.web:
        start = folder / entries.BOOTSTRAP
        start.write_text(entries.bootstrap(), newline="\n")
        start.chmod(entries.BOOTSTRAP_MODE)
    # The HTTP function has one as well: it can be deployed as an event function.
    (folder / entries.ENTRY).write_text(entries.entry(one.name), newline="\n")
    return _zipped(folder, into / f"{one.name}.zip", CODE_AT, python)


def _layer(name: str, into: Path, aside: Path, python: str | None) -> Package:
    folder, meanwhile = aside / f"layer-{name}", aside / f"{name}-meanwhile"
    meanwhile.mkdir()
    packages.install(name, folder, meanwhile)
    return _zipped(folder, into / f"layer-{name}.zip", LAYERS_AT, python)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _zipped(folder: Path, path: Path, place: str, python: str | None) -> Package:
    if python is not None:
        packing.add_bytecode(folder, place, python)
    archive.write(folder, path)
    size = path.stat().st_size
    return Package(path, size, archive.unpacked_bytes(path), archive.digest(path))


def _check_sizes(functions: Sequence[Wanted], made: Mapping[str, Package]) -> None:
    for one in functions:
        whole = made[one.name].unpacked
        whole += sum(made[f"layer-{layer}"].unpacked for layer in one.layers)
        if whole > UNPACKED_BYTES:
            raise PackError(
                f"{one.name} with its layers has {whole / 2**20:.0f} MiB unpacked, and SCF takes "
                f"{UNPACKED_BYTES // 2**20}"
            )


def main() -> int:
    """The command; returns the exit status.

    命令行入口。
    """
    parser = argparse.ArgumentParser(description="Pack the functions and layers of serverless.yml.")
    parser.add_argument("--into", required=True, type=Path, metavar="FOLDER")
    given = parser.parse_args()
    try:
        pack(wanted(json.load(sys.stdin)), given.into, lambda text: print(text, file=sys.stderr))
    except PackError as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
