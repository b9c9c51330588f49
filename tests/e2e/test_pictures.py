"""Pictures by the real Qwen-Image service on a tiny model, run beside the local bundle."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gpu_inference.tiny.data import Scene, Thing, draw
from gpu_inference.tiny.judge import Seen, look
from infra.local.cloud.generators import QWEN_PYTHON
from tests.local import Command, environment, processes

RUN = "infra.local.cli.run"
KIND = "text-to-image"
KEPT = (0, 112, 128, 128)  # the strip at the bottom that a mask leaves alone


def run(home: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """A finished `run --json`: its status and its one job."""
    env = {**environment(home), "QWEN_IMAGE_BASE_URL": ""}
    with Command(RUN, "--json", *arguments, env=env) as command:
        status = command.wait(110)
    (job,) = json.loads(command.output)["jobs"]
    return status, job


@pytest.mark.timeout(240)
def test_words_and_a_picture_become_what_was_asked_for_on_a_machine_without_a_gpu(
    tmp_path: Path,
) -> None:
    assert QWEN_PYTHON.exists(), "./scripts/test installs the service"
    home = tmp_path / "home"
    asked = "a red circle on a blue background"
    status, job = run(home, "--kind", KIND, asked, "--option", "seed=1")
    assert (status, job["status"]) == (0, "succeeded"), job
    image, thumbnail = job["artifacts"]
    assert (image["role"], thumbnail["role"]) == ("image", "thumbnail")
    data = Path(image["path"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == image["sha256"]
    made = Image.open(io.BytesIO(data))
    assert made.size == (128, 128)
    assert look(made) == Seen("blue", "red", "circle", "center")

    square, mask = tmp_path / "square.png", tmp_path / "mask.png"
    source = draw(Scene("white", (Thing("square", "green", 0.5, 0.5, 0.25),)))
    source.save(square)
    lets = Image.new("L", source.size, "white")
    lets.paste("black", KEPT)
    lets.save(mask)
    asked = "a yellow star on a black background"
    options = ("--mask", str(mask), "--option", "strength=0.9", "--option", "seed=1")
    status, job = run(home, "--prompt", asked, str(square), *options)
    assert (status, job["kind"], job["status"]) == (0, "image-to-image", "succeeded"), job
    made = Image.open(job["artifacts"][0]["path"]).convert("RGB")
    assert made.crop(KEPT).tobytes() == source.crop(KEPT).tobytes()
    seen = look(made.crop((0, 0, made.width, KEPT[1])))
    assert (seen.background, seen.colour, seen.shape) == ("black", "yellow", "star")
    assert processes(home) == {}


def test_without_the_service_pictures_are_refused_by_name(tmp_path: Path) -> None:
    with Command(RUN, "--kind", KIND, "a red circle", env=environment(tmp_path)) as command:
        assert command.wait(60) == 1
        assert KIND in command.output + command.said
