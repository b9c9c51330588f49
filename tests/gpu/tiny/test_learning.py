"""The training: it goes on where it was, several processes learn as one, and it leaves a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from gpu_inference.tiny import autoencode, checkpoint, flow, reading
from gpu_inference.tiny.evaluate import load
from gpu_inference.tiny.learn import Lesson, Share, learn

ROOT = Path(__file__).parents[3]


def _lesson(module: torch.nn.Module, steps: int) -> Lesson:
    """Learn to add two numbers up, eight examples a step."""

    def loss(step: int, share: Share) -> dict[str, torch.Tensor]:
        examples = torch.randn(8, 2, generator=torch.Generator().manual_seed(step))[
            list(share.of(8))
        ]
        return {"loss": (module(examples)[:, 0] - examples.sum(1)).square().mean()}

    optimizer = torch.optim.AdamW(module.parameters(), lr=0.05)
    return Lesson("sums", steps, {"module": module}, [optimizer], loss, lambda step: 1.0)


def _module(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Linear(2, 1)


def _alone(folder: Path, steps: int) -> torch.Tensor:
    """Learn in this process and return the weights."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/alone", rank=0, world_size=1)
    try:
        module = _module()
        learn(_lesson(module, steps), folder, Share(0, 1))
        return torch.cat([weight.detach().flatten() for weight in module.parameters()])
    finally:
        dist.destroy_process_group()
        (folder / "alone").unlink(missing_ok=True)


def _one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/two", rank=rank, world_size=2)
    module = _module(seed=rank)  # the first one's count
    learn(_lesson(module, 150), Path(folder), Share(rank, 2))
    torch.save(module.state_dict(), f"{folder}/weights-{rank}")
    dist.destroy_process_group()


def test_a_training_that_was_ended_ends_where_one_without_a_break_does(tmp_path: Path) -> None:
    (tmp_path / "straight").mkdir()
    (tmp_path / "broken").mkdir()
    straight = _alone(tmp_path / "straight", 150)
    _alone(tmp_path / "broken", 100)
    resumed = _alone(tmp_path / "broken", 150)
    assert torch.equal(straight, resumed)
    assert torch.allclose(straight[:2], torch.ones(2), atol=0.1)
    told = (tmp_path / "straight" / "sums.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in told] == [20, 40, 60, 80, 100, 120, 140]


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    one = _alone(tmp_path / "one", 150)
    # Forked: pytest's way of importing test modules leaves a new process nothing to import.
    mp.start_processes(_one_of_two, (str(tmp_path),), nprocs=2, start_method="fork")
    both = [torch.load(tmp_path / f"weights-{rank}") for rank in (0, 1)]
    found = [torch.cat([weight.flatten() for weight in state.values()]) for state in both]
    assert torch.equal(found[0], found[1])
    assert torch.allclose(found[0], one, atol=1e-4)


@pytest.mark.timeout(300)
def test_the_whole_training_runs_and_leaves_a_checkpoint_with_its_scores(tmp_path: Path) -> None:
    # A thousandth of the effort: nothing is learnt, but everything runs.
    out = tmp_path / "model"
    subprocess.run(
        [
            *(sys.executable, "-m", "gpu_inference.tiny.train", "--effort", "0.001"),
            *("--work", tmp_path / "work", "--out", out, "--prompts", "4", "--processes", "2"),
        ],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=True,
        capture_output=True,
    )
    scores = json.loads((out / "scores.json").read_text())
    assert set(scores["plain"]) == {"background", "colour", "shape", "place"}
    assert (out / "sheet.png").stat().st_size > 1000
    loaded = load(out)
    assert loaded.transformer.dtype == torch.float32
    weights = list(out.rglob("*.safetensors"))
    assert sum(file.stat().st_size for file in weights) <= 10_000_000


def test_every_part_computes_on_the_device_it_is_given() -> None:
    # The meta device computes shapes only, and refuses to mix its tensors with another device's.
    pipeline = checkpoint.pipeline(checkpoint.TRAINED, seed=0).to("meta")
    pipeline.text_encoder.set_attn_implementation("eager")  # the usual one looks at values
    heads = reading.Heads(checkpoint.TRAINED.text_width, seed=0)
    heads.of.to("meta")
    bank = flow.Bank(torch.zeros(9, 64, 64).half(), torch.ones(9, 64))
    for lesson in (
        reading.lesson(pipeline, heads, 0, 1),
        autoencode.lesson(pipeline.vae, 0, 1),
        flow.lesson(pipeline, heads, bank, 0, 1, lambda step: None),
    ):
        losses = lesson.loss(0, Share(0, 1, "meta"))
        next(iter(losses.values())).backward()
        assert {loss.device.type for loss in losses.values()} == {"meta"}
        weights = [weight for part in lesson.modules.values() for weight in part.parameters()]
        assert any(weight.grad is not None for weight in weights)
