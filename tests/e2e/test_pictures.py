"""Pictures by the real Qwen-Image service on a tiny model, run beside the local bundle."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infra.local.standin import QWEN_PYTHON
from tests.functions.pictures import picture
from tests.local import Command, environment, processes

RUN = "infra.local.run"
KIND = "text-to-image"


def run(home: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """A finished `run --json`: its status and its one job."""
    env = {**environment(home), "QWEN_IMAGE_BASE_URL": ""}
    with Command(RUN, "--json", *arguments, env=env) as command:
        status = command.wait(110)
    (job,) = json.loads(command.output)["jobs"]
    return status, job


@pytest.mark.timeout(240)
def test_words_and_a_picture_become_pictures_on_a_machine_without_a_gpu(tmp_path: Path) -> None:
    assert QWEN_PYTHON.exists(), "./scripts/test installs the service"
    home = tmp_path / "home"
    status, job = run(home, "--kind", KIND, "a red circle", "--option", "width=64")
    assert (status, job["status"]) == (0, "succeeded"), job
    image, thumbnail = job["artifacts"]
    assert (image["role"], thumbnail["role"]) == ("image", "thumbnail")
    data = Path(image["path"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == image["sha256"]
    assert Image.open(io.BytesIO(data)).size == (64, 128)

    photo = tmp_path / "photo.png"
    photo.write_bytes(picture("PNG", (96, 64)))
    status, job = run(home, "--prompt", "a blue square", str(photo))
    assert (status, job["kind"], job["status"]) == (0, "image-to-image", "succeeded"), job
    assert processes(home) == {}


def test_without_the_service_pictures_are_refused_by_name(tmp_path: Path) -> None:
    with Command(RUN, "--kind", KIND, "a red circle", env=environment(tmp_path)) as command:
        assert command.wait(60) == 1
        assert KIND in command.output + command.said
