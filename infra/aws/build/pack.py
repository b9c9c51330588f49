"""Packs one function or layer of template.yaml; `sam build` runs it by way of the Makefile.

It needs nothing but the Python that Lambda is to run, with pip.

打包一个函数或依赖层，附带字节码。
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from infra import packing
from infra.packing import PackError
from infra.paths import ROOT

LAYERS = {"Dependencies": ("api", "poll", "callback"), "Modelling": ("postprocess",)}
"""Which functions' packages a layer holds; every function has one layer."""

SERVICES = ("dynamodb", "lambda", "s3", "secretsmanager", "ssm", "sts")
"""What boto3 is used for; its descriptions of all other services are half of the packages."""

_GLIBC = range(17, 35)
"""Minor versions of the C library that wheels may ask for: that of Amazon Linux 2023 is 2.34."""
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}


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
    packing.copy_code(name, target)
    packing.add_bytecode(target, "/var/task")


def _layer(name: str, target: Path, runtime: str, architecture: str) -> None:
    """Put a layer's packages into a folder, with what Lambda reads alone; raises PackError.

    打包一个依赖层。
    """
    machine = _MACHINES[architecture]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in reversed(_GLIBC)]
    files = [ROOT / "functions" / function / "requirements.txt" for function in LAYERS[name]]
    files.append(ROOT / "shared" / "aws" / "requirements.txt")
    packing.install(
        target,
        runtime.removeprefix("python"),
        [*platforms, f"manylinux2014_{machine}"],
        [part for file in files for part in ("-r", str(file))],
    )
    packing.remove(packing.needless(target))
    packing.remove(_other_services(target))
    packing.add_bytecode(target, "/opt/python")


def _other_services(packages: Path) -> Iterator[Path]:
    for service in (packages / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in SERVICES:
            yield service


if __name__ == "__main__":
    main()
