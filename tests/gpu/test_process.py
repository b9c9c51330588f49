"""`python -m gpu_inference` over the tiny checkpoint: port, end by SIGTERM, next start."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gpu_inference import checkpoints
from tests.gpu.servers import until

ROOT = Path(__file__).resolve().parents[2]
ASK = {"prompt": "a cat", "width": 64, "height": 64, "guidance": 1.0, "seed": 7}
FLAGS = ["--device", "cpu", "--threads", "1", "--port", "0", "--min-side", "32", "--offline"]


@contextlib.contextmanager
def serving(
    checkpoint: Path, folder: Path, grace: float
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    told = ["--model", str(checkpoint), "--state", str(folder / "state")]
    log = folder / f"log-{grace}"
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "gpu_inference", *told, *FLAGS, "--grace-seconds", str(grace)],
            cwd=ROOT,
            stderr=lines,
        )
        try:
            yield until(lambda: address(log), bool), process
        finally:
            process.kill()
            process.wait()


def address(log: Path) -> str | None:
    for line in log.read_text().splitlines():
        with contextlib.suppress(ValueError):
            message = str(json.loads(line)["message"])
            if message.startswith("listening on "):
                return message.removeprefix("listening on ")
    return None


def ready(url: str) -> None:
    until(lambda: httpx.get(f"{url}/ready").status_code, lambda status: status == 200)


def submitted(url: str, count: int, steps: int) -> list[str]:
    ask = {**ASK, "steps": steps}
    return [
        httpx.post(f"{url}/jobs", json=ask, headers={"Idempotency-Key": f"{number}"}).json()["id"]
        for number in range(count)
    ]


def test_sigterm_in_the_middle_loses_none_it_accepted(checkpoint: Path, tmp_path: Path) -> None:
    with serving(checkpoint, tmp_path, 0.2) as (url, process):
        # The port answers though the model is not there yet.
        assert httpx.get(f"{url}/health").status_code == 200
        ready(url)
        ids = submitted(url, 6, 40)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    with serving(checkpoint, tmp_path, 20) as (url, _):
        ready(url)
        assert submitted(url, 6, 40) == ids
        for job_id in ids:
            job = until(
                lambda job_id=job_id: httpx.get(f"{url}/jobs/{job_id}").json(),
                lambda job: job["status"] == "succeeded",
            )
            assert len(job["results"]) == 1


def test_a_model_that_is_not_there_is_told_before_anything_is_loaded_or_asked(
    tmp_path: Path,
) -> None:
    flags = ["--model", str(tmp_path / "nowhere"), "--state", str(tmp_path / "state")]
    # Neither torch nor a hub's client is imported by then, so nobody was asked.
    code = (
        "import sys; from gpu_inference.__main__ import main\n"
        "status = main(sys.argv[1:])\n"
        "print(sorted({'torch', 'diffusers', 'huggingface_hub', 'httpx'} & set(sys.modules)))\n"
        "sys.exit(status)"
    )
    told = [sys.executable, "-c", code, *flags]
    ran = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (2, "[]\n"), ran.stderr
    assert f"model: there is no folder '{tmp_path / 'nowhere'}'" in ran.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "model", ["./here", "here", "~/here", "a/b/c", "/here", "..", "models/qwen"]
)
def test_what_is_no_name_on_a_hub_is_a_folder(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    wrong = checkpoints.fault(model)
    assert wrong is not None
    assert "model_index.json" in wrong if model == ".." else f"no folder {model!r}" in wrong


@pytest.mark.parametrize("model", ["Qwen/Qwen-Image", "Qwen/Qwen-Image-2.1", "o_O/v1.0"])
def test_a_name_with_its_owner_is_a_models_on_a_hub(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert checkpoints.fault(model) is None


def test_a_file_and_a_folder_without_a_model_are_told_as_what_they_are(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    assert "is a file" in (checkpoints.fault(str(file)) or "")
    assert "no model_index.json" in (checkpoints.fault(str(tmp_path)) or "")
    (tmp_path / "model_index.json").touch()
    assert checkpoints.fault(str(tmp_path)) is None
