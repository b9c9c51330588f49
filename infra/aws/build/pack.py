"""Packs one function or layer of template.yaml; `sam build` runs it by way of the Makefile.

It needs nothing but the Python that Lambda is to run, with pip: packages are taken as wheels for
Lambda's system, whatever this machine is. All is packed with its bytecode, since Lambda keeps none
that it makes: without it a cold start takes three times as long.

打包一个函数或依赖层，附带字节码。
"""

from __future__ import annotations

import argparse
import compileall
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

LAYERS = {"Dependencies": ("api", "poll", "callback"), "Modelling": ("postprocess",)}
"""Which functions' packages a layer holds; every function has one layer."""

SERVICES = ("dynamodb", "lambda", "s3", "secretsmanager", "ssm", "sts")
"""What boto3 is used for; its descriptions of all other services are half of the packages."""

_GLIBC = range(17, 35)
"""Minor versions of the C library that wheels may ask for: that of Amazon Linux 2023 is 2.34."""
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
_KEPT_OF_PACKAGING = ("METADATA", "entry_points.txt", "licenses", "LICENSE*", "NOTICE*", "AUTHORS*")


class PackError(Exception):
    """What keeps it from being packed; the message says what to do.

    无法打包的原因。
    """


def main() -> None:
    """The command; the Makefile says how it is called.

    命令行入口。
    """
    parser = argparse.ArgumentParser(description="Pack a function or layer of template.yaml.")
    parser.add_argument("resource", help="its name there")
    parser.add_argument("--runtime", required=True, help="python3.12, say")
    parser.add_argument("--architecture", required=True, choices=sorted(_MACHINES))
    parser.add_argument("--into", required=True, type=Path, help="an empty folder")
    given = parser.parse_args()
    try:
        _check(given.runtime)
        if given.resource in LAYERS:
            _layer(given.resource, given.into / "python", given.runtime, given.architecture)
        else:
            _function(given.resource.lower(), given.into)
    except PackError as error:
        sys.exit(f"{given.resource}: {error}")


def _check(runtime: str) -> None:
    own = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if runtime != own:
        raise PackError(
            f"this is {own} and cannot compile for {runtime}; set BUILD_PYTHON to one that can, or "
            f"BUILD_RUNTIME={own} (and the parameter PythonRuntime={own})"
        )
    if not (ROOT / "functions").is_dir():
        raise PackError("work on the checkout itself: sam build --build-in-source")


def _function(name: str, target: Path) -> None:
    """Its own code and what the functions share; nothing else of the checkout."""
    for part in (f"functions/{name}", "shared"):
        hidden = shutil.ignore_patterns("__pycache__", "requirements*.txt")
        shutil.copytree(ROOT / part, target / part, ignore=hidden, dirs_exist_ok=True)
    shutil.copy(ROOT / "functions" / "__init__.py", target / "functions")
    _compile(target, "/var/task")


def _layer(name: str, target: Path, runtime: str, architecture: str) -> None:
    _install(LAYERS[name], target, runtime.removeprefix("python"), _MACHINES[architecture])
    for path in list(_needless(target)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    _compile(target, "/opt/python")


def _install(functions: tuple[str, ...], target: Path, version: str, machine: str) -> None:
    """Put the packages of these functions into a folder, as wheels for Lambda; raises PackError.

    把这些函数的依赖包装入目录。
    """
    command = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-compile", "--target", str(target)]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]
    command += [f"--platform=manylinux_2_{minor}_{machine}" for minor in reversed(_GLIBC)]
    command += [f"--platform=manylinux2014_{machine}"]
    for function in functions:
        command += ["-r", str(ROOT / "functions" / function / "requirements.txt")]
    command += ["-r", str(ROOT / "shared" / "aws" / "requirements.txt")]
    if subprocess.run(command, check=False).returncode:
        raise PackError("the packages could not be installed; see above")


def _needless(packages: Path) -> Iterator[Path]:
    """What nobody reads on Lambda: commands, tests, type stubs, packaging notes, other services.

    列出运行时用不到的文件。
    """
    for name in ("bin", "include", "lib64", "share"):
        yield from packages.glob(name)
    yield from packages.rglob("tests")
    yield from packages.rglob("*.pyi")
    for notes in packages.glob("*.dist-info"):
        kept = {path for pattern in _KEPT_OF_PACKAGING for path in notes.glob(pattern)}
        yield from set(notes.iterdir()) - kept
    for service in (packages / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in SERVICES:
            yield service


def _compile(folder: Path, place: str) -> None:
    """Bytecode beside every module, good whatever the files' times are (unzipping sets them)."""
    whole = compileall.compile_dir(
        folder,
        quiet=1,
        stripdir=str(folder),
        prependdir=place,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not whole:
        raise PackError("a module could not be compiled; see above")


if __name__ == "__main__":
    main()
