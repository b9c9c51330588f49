"""The lock files of the layers against the requirements that they were made from.

锁文件与依赖清单必须一致。
"""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from infra.packing import PackError
from infra.tencent.build import lock, packages

LAYERS = {layer.name: layer for layer in lock.layers()}
SCF = {"python_version": "3.10", "python_full_version": "3.10.0"}


def pins(path: Path) -> dict[str, str]:
    """What a requirements file and those it names pin for SCF's Python."""
    found: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("-r "):
            found |= pins(path.parent / line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate(SCF):
                ((_, version),) = ((each.operator, each.version) for each in one.specifier)
                found[lock.normal(one.name)] = version
    return found


def locked(layer: str) -> dict[str, str]:
    lines = packages.locked(packages.LOCKS / f"{layer}.txt")
    return {name: line.split(" ")[0].partition("==")[2] for name, line in lines.items()}


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_layer_s_lock_holds_what_its_functions_pin_or_a_layer_below_does(name: str) -> None:
    layer = LAYERS[name]
    held = {**locked(name), **{key: one for low in layer.below for key, one in locked(low).items()}}
    for function in layer.functions:
        for path in packages.requirements(function):
            wanted = pins(path)
            assert wanted
            assert wanted.items() <= held.items(), path


def test_no_package_is_in_two_layers() -> None:
    assert sum(map(len, map(locked, LAYERS))) == len(set().union(*map(locked, LAYERS)))


def test_there_are_no_locks_of_layers_that_are_gone() -> None:
    assert {path.stem for path in packages.LOCKS.iterdir()} == set(LAYERS)


@pytest.mark.parametrize("line", ["numpy==2.2.6", "numpy>=2 --hash=sha256:0", "-r other.txt"])
def test_a_line_that_pins_no_file_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "layer.txt"
    path.write_text(f"# a comment\n{line}\n")
    with pytest.raises(PackError, match=r"is not NAME==VERSION --hash=sha256"):
        packages.locked(path)
