"""Words, Chinese words and a large photo together: models that the Khronos validator accepts.

用 Khronos 官方校验器检查生成的模型。
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pygltflib
import pytest
import trimesh
from PIL import Image

from infra.local.cloud import ahead
from infra.local.standins.tripo import Standin
from tests.local import Command, environment, processes
from tests.models import box_model, pack

HERE = Path(__file__).parent / "validator"
KEPT = Path(sys.prefix) / "gltf-validator"
"""Where the validator is installed: in the virtual environment, not among the tracked files."""
ORIENTATION, ON_ITS_SIDE = 0x0112, 6  # EXIF's tag, and its value for a quarter turn


@dataclass(frozen=True)
class Made:
    """One input and what became of it."""

    job: dict[str, Any]
    model: Path


def photo(path: Path) -> Path:
    """A camera's picture of twelve megapixels, noisy, on its side: more than a request takes."""
    thing = np.hypot(*np.mgrid[-300:300, -400:400]) < 200
    scene = np.where(thing[..., None], [160, 82, 45], [235, 235, 240]).astype(np.int16)
    noise = np.random.default_rng(7).normal(0, 14, (500, 500, 1)).astype(np.int16)
    pixels = scene.repeat(5, axis=0).repeat(5, axis=1) + np.tile(noise, (6, 8, 1))
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    assert pixels.shape == (3000, 4000, 3)
    exif = Image.Exif()
    exif[ORIENTATION] = ON_ITS_SIDE
    Image.fromarray(pixels).save(path, quality=92, exif=exif)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Made]]:
    """Three inputs through one `./scripts/run`: words, Chinese words, a photo."""
    folder = tmp_path_factory.mktemp("validator")
    picture = photo(folder / "大照片.jpg")
    assert picture.stat().st_size > 4_500_000 > ahead.FORM_BYTES
    with Standin(seconds=0.5) as tripo:
        env = environment(
            folder / "home",
            TRIPO_API_KEY="tsk_test",
            TRIPO_BASE_URL=tripo.url,
            MAQUETTE_POLL_FIRST_SECONDS="0.3",
        )
        arguments = ("--json", "a wooden chair", "一把木椅", str(picture))
        with Command("infra.local.cli.run", *arguments, env=env) as command:
            assert command.wait(60) == 0, command.said
    assert "longer side" not in command.said  # it went ahead of its job, as it is
    jobs = json.loads(command.output)["jobs"]
    found: dict[str, Made] = {}
    for name, job in zip(("words", "chinese", "photo"), jobs, strict=True):
        assert job["status"] == "succeeded", job
        (model,) = (item for item in job["artifacts"] if item["role"] == "model")
        found[name] = Made(job, Path(model["path"]))
    assert processes(folder / "home") == {}
    yield found
    shutil.rmtree(folder, ignore_errors=True)


each = pytest.mark.parametrize("name", ["words", "chinese", "photo"])


@pytest.fixture(scope="module")
def validator() -> Path:
    """The folder with the validator's package, installed on first use."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: install Node.js 18 or newer with npm")
    lock = (HERE / "package-lock.json").read_bytes()
    folder = KEPT / hashlib.sha256(lock).hexdigest()[:16]
    if not folder.is_dir():
        KEPT.mkdir(exist_ok=True)
        aside = Path(mkdtemp(dir=KEPT))
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(HERE / name, aside / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=aside, capture_output=True, text=True, timeout=100)
        if done.returncode != 0:
            shutil.rmtree(aside)
            reason = f"npm could not install the validator: {done.stderr[-500:]}"
            # Where nobody looks at what was skipped, it must not go unnoticed.
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        try:
            aside.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(aside)
    return folder


def reports(validator: Path, *models: Path) -> list[dict[str, Any]]:
    command = ["node", str(HERE / "validate.js"), *map(str, models)]
    done = subprocess.run(command, cwd=validator, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_khronos_validator_finds_no_fault(validator: Path, made: dict[str, Made]) -> None:
    found = reports(validator, *(one.model for one in made.values()))
    for (name, one), report in zip(made.items(), found, strict=True):
        issues = report["issues"]
        assert issues["numErrors"] == 0, (name, issues["messages"])
        assert issues["numWarnings"] == 0, (name, issues["messages"])
        (model,) = (item for item in one.job["artifacts"] if item["role"] == "model")
        assert report["info"]["totalTriangleCount"] == model["facts"]["triangles"]


def test_the_validator_would_have_found_one(validator: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.glb", tmp_path / "broken.glb"
    whole.write_bytes(box_model())
    broken.write_bytes(pack({"asset": {"version": "2.0"}, "scene": 3}, b"1234"))
    first, second = reports(validator, whole, broken)
    assert first["issues"]["numErrors"] == 0
    assert second["issues"]["numErrors"] > 0


@each
def test_other_programs_open_it_and_it_is_closed(made: dict[str, Made], name: str) -> None:
    one = made[name]
    assert pygltflib.GLTF2().load(str(one.model)).meshes
    mesh = trimesh.load(one.model, force="mesh")
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0


@each
def test_it_is_the_file_that_was_promised(made: dict[str, Made], name: str) -> None:
    (model,) = (item for item in made[name].job["artifacts"] if item["role"] == "model")
    data = made[name].model.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (model["bytes"], model["sha256"])


def test_different_words_make_different_models(made: dict[str, Made]) -> None:
    assert len({one.model.read_bytes() for one in made.values()}) == 3


def test_a_photo_on_its_side_is_kept_upright(made: dict[str, Made]) -> None:
    kept = made["photo"].job["input"]["image"]
    assert (kept["width"], kept["height"]) == (3000, 4000)


def test_each_was_asked_for_once(made: dict[str, Made]) -> None:
    assert [one.job["receipt"]["creates"] for one in made.values()] == [1, 1, 1]
