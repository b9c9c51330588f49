"""`./scripts/deploy aws` against an emulated AWS: made, tried, deployed again, previewed."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.aws.building import RUNTIME
from infra.aws.emulator import Emulator
from infra.paths import ROOT
from shared.aws import clients
from shared.aws.clients import client

STAGE = "try"
STACK = f"maquette-{STAGE}"
OWN = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
UNUSED = ("numpy*", "PIL", "pillow*", "trimesh*", "scipy*")
"""Packages that are imported once there is a model or a picture; two thirds of what SAM packs."""
SECRETS = {"MAQUETTE_API_KEYS", "MAQUETTE_LINK_SECRET", "MAQUETTE_WEBHOOK_SECRETS"}


@dataclass(frozen=True)
class Said:
    """What a run of the command printed, and how it ended."""

    status: int
    text: str


@dataclass(frozen=True)
class Account:
    """An empty AWS account, and what is to be deployed to it."""

    built: Path
    environ: dict[str, str]

    def deploy(self, *more: str) -> Said:
        command = [sys.executable, "-m", "infra.aws.deploy", "--stage", STAGE]
        command += ["--built", str(self.built), *more]
        # The emulator runs functions with this very Python.
        command += ["--set", f"PythonRuntime={RUNTIME}", "--set", f"Architecture={OWN}"]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        return Said(done.returncode, done.stdout)


@pytest.fixture(scope="module")
def account(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with Emulator() as own, pytest.MonkeyPatch.context() as patch:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        home = str(tmp_path_factory.mktemp("home"))
        for name, value in own.environ.items():
            patch.setenv(name, value)
        clients.forget()
        yield Account(
            _light(built, tmp_path_factory.mktemp("light")), {**plain, **own.environ, "HOME": home}
        )
        clients.forget()


def _light(built: Path, folder: Path) -> Path:
    """The build without what no function imports here: it is packed three times."""
    light = shutil.copytree(built, folder / "build", copy_function=os.link)
    for pattern in UNUSED:
        for package in light.glob(f"*/python/{pattern}"):
            shutil.rmtree(package)
    return light


def parameters() -> dict[str, str]:
    pages = client("ssm").get_paginator("get_parameters_by_path")
    found = [
        item
        for page in pages.paginate(Path=f"/maquette/{STAGE}", WithDecryption=True)
        for item in page["Parameters"]
    ]
    assert all(item["Type"] == "SecureString" for item in found)
    return {item["Name"].rpartition("/")[2]: item["Value"] for item in found}


def stacks() -> list[dict[str, Any]]:
    found = client("cloudformation").describe_stacks()["Stacks"]
    return [one for one in found if one["StackName"] == STACK]


@pytest.mark.timeout(600)
def test_a_deployment_is_made_tried_made_again_and_only_shown_when_asked(account: Account) -> None:
    shown = account.deploy("--preview")
    assert shown.status == 0, shown.text
    assert "Add" in shown.text
    assert parameters() == {}
    functions = client("lambda").list_functions()["Functions"]
    assert functions == []

    made = account.deploy("--yes")
    assert made.status == 0, made.text
    for line in ("GET /health                200", "GET /api/v1/jobs           401"):
        assert line in made.text
    for name in ("poll", "postprocess", "callback"):
        assert f"  {name:<26} ran" in made.text
    assert "Maquette is up at https://" in made.text
    assert "put Tripo's into" in made.text
    kept = parameters()
    assert set(kept) == SECRETS
    assert not any(secret in made.text for secret in kept.values())
    (stack,) = stacks()
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")

    again = account.deploy("--yes")
    assert again.status == 0, again.text
    assert parameters() == kept


def test_nobody_is_asked_where_nobody_is_there(account: Account) -> None:
    said = account.deploy()
    assert said.status == 1
    assert "--yes" in said.text
