"""Makes the lock files of the layers: `python -m infra.tencent.build.lock`, after a change of
requirements.

Needs Python 3.10: pip decides by the Python it runs on what packages need. What it decides on is
then looked for as wheels for the oldest system that SCF may have, and written down with its hash.

生成依赖层的锁文件。
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from infra.packing import PackError
from infra.tencent.build import interpreter, packages
from infra.tencent.service import read

LEFT_OUT = {"greenlet": "SQLAlchemy needs it where asyncio is used"}
"""Packages that are asked for and that nothing here imports, with the reason."""

_HEAD = """\
# What layer {layer} holds, made by: python -m infra.tencent.build.lock
# 依赖层锁文件，由上面的命令生成。
"""
_FILE = re.compile(r"(?P<name>[A-Za-z0-9_.]+?)-(?P<version>[0-9][^-]*?)(?:-.*\.whl|\.tar\.gz)")


@dataclass(frozen=True)
class Layer:
    """A layer of serverless.yml, the layers below it, and the functions it is made for.

    一个依赖层。
    """

    name: str
    below: tuple[str, ...]
    functions: tuple[str, ...]


def main() -> int:
    """The command; returns the exit status.

    命令行入口。
    """
    python = interpreter.find()
    if python is None:
        print(f"Python {interpreter.VERSION} is needed, and is not here", file=sys.stderr)
        return 1
    try:
        packages.LOCKS.mkdir(exist_ok=True)
        made: dict[str, Mapping[str, str]] = {}
        for layer in layers():
            made[layer.name] = locked_lines(python, layer, [made[name] for name in layer.below])
            lines = made[layer.name].values()
            text = _HEAD.format(layer=layer.name) + "".join(f"{line}\n" for line in lines)
            (packages.LOCKS / f"{layer.name}.txt").write_text(text)
            print(f"{layer.name}: {len(lines)} packages", file=sys.stderr)
    except PackError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def layers() -> list[Layer]:
    """The layers of serverless.yml, those that lie below others first; raises `PackError`.

    A layer holds what its functions need that no layer below it holds. Which functions those are:
    the ones that name it last.

    各依赖层，底层在前。
    """
    found: dict[str, Layer] = {}
    for key, function in read("dev", environ={}).functions.items():
        if not function.layers:
            continue
        *below, name = function.layers
        before = found.setdefault(name, Layer(name, tuple(below), ()))
        if before.below != tuple(below):
            raise PackError(f"functions.{key}.layers: {name} lies above other layers elsewhere")
        found[name] = Layer(name, before.below, (*before.functions, key))
    return sorted(found.values(), key=lambda layer: len(layer.below))


def locked_lines(
    python: str, layer: Layer, below: Sequence[Mapping[str, str]]
) -> Mapping[str, str]:
    """A lock file's lines by the package's name; raises `PackError`.

    `below` are those of the layers below.

    生成锁文件内容。
    """
    files = {path: None for function in layer.functions for path in packages.requirements(function)}
    versions = _resolved(python, [part for path in files for part in ("-r", str(path))])
    for name, line in (pair for lines in below for pair in lines.items()):
        if name in versions and not line.startswith(f"{name}=={versions[name]} "):
            raise PackError(f"{layer.name} needs {name} {versions[name]}, and below it is: {line}")
        versions.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        for name, version in versions.items():
            _download(python, f"{name}=={version}", name == packages.SOURCE, folder)
        found = {}
        for path in Path(folder).iterdir():
            match = _FILE.fullmatch(path.name)
            assert match is not None, path.name
            name = normal(match["name"])
            digest = sha256(path.read_bytes()).hexdigest()
            found[name] = f"{name}=={versions[name]} --hash=sha256:{digest}"
    return {name: found[name] for name in sorted(found)}


def _resolved(python: str, arguments: Sequence[str]) -> dict[str, str]:
    """The packages by name, with their versions, that these requirements come to.

    解析出全部依赖及其版本。
    """
    command = [python, "-I", "-m", "pip", "install", "--quiet", "--no-input", "--dry-run"]
    command += ["--disable-pip-version-check", "--ignore-installed", "--only-binary=:all:"]
    command += [f"--no-binary={packages.SOURCE}", "--report", "-", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise PackError("the requirements do not come together; see above")
    report = json.loads(done.stdout[done.stdout.index("{") :])
    found = {normal(one["metadata"]["name"]): one["metadata"] for one in report["install"]}
    return {name: one["version"] for name, one in found.items() if name not in LEFT_OUT}


def _download(python: str, wanted: str, source: bool, folder: str) -> None:
    """Get a package's file for SCF's system, or its sources; raises `PackError`.

    下载一个依赖包。
    """
    command = [python, "-I", "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--dest", folder, wanted]
    if source:
        command += [f"--no-binary={packages.SOURCE}"]
    else:
        command += ["--only-binary=:all:", "--implementation=cp"]
        command += [f"--python-version={interpreter.VERSION}"]
        command += [f"--platform={platform}" for platform in packages.PLATFORMS]
    if subprocess.run(command, check=False).returncode:
        raise PackError(f"{wanted} has no wheel for SCF's system; see above")


def normal(name: str) -> str:
    """A package's name as PEP 503 writes it.

    规范化包名。
    """
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
