"""The GPU measurement without a GPU: its dry run, its arithmetic, and what its table says."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import QwenImageTransformer2DModel
from PIL import Image

from gpu_inference.engine import accelerations
from scripts.bench import gpu, gpu_card, gpu_model
from scripts.bench.gpu_report import Result, difference, report, table

CPU = torch.device("cpu")


def test_the_dry_run_passes_and_says_that_nothing_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert gpu.main(["--dry", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("not measured") == len(gpu.CELLS)
    assert "nothing was measured" in printed
    assert "passed" in printed
    figures = json.loads(file.read_text())
    assert figures["measured"] is False
    assert figures["rates"] == {}
    stock, engine, *_, fp8, cached = figures["cells"]
    assert all(cell["seconds_per_image"] is None for cell in figures["cells"])
    assert stock["contrast"] > 5
    # What the engine changes without FP8 is no more than rounding; FP8 is more than nothing.
    assert engine["furthest"] <= 1
    assert 0 < fp8["furthest"] < 60
    assert cached["computed"] > 0


def test_without_time_every_cell_is_left_out_and_said_to_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gpu.main(["--dry", "--seconds", "1"]) == 0
    assert capsys.readouterr().out.count("left out: no time") == len(gpu.CELLS)


def test_a_cell_that_fails_is_named_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_cache(*_: Any) -> None:
        raise RuntimeError("no such cache")

    monkeypatch.setattr(accelerations, "_step_cache", no_cache)
    monkeypatch.setattr(gpu, "CELLS", (gpu.CELLS[0], gpu.CELLS[-1], gpu.CELLS[2]))
    assert gpu.main(["--dry"]) == 1
    printed = capsys.readouterr().out
    assert printed.count("failed: LoadFailed: step_cache: no such cache") == 1
    assert printed.count("not measured") == len(gpu.CELLS) - 1


@pytest.mark.parametrize(
    ("side", "tflop"), [(512, 16.2), (1024, 70.0), (1328, 131.0), (1536, 191.0), (2048, 424.0)]
)
def test_a_forward_of_the_full_size_is_the_work_it_is_known_to_be(side: int, tflop: float) -> None:
    config = SimpleNamespace(**gpu_model.FULL.transformer)
    assert gpu_card.forward_tflop(config, side, 100) == pytest.approx(tflop, rel=0.01)


def test_the_full_size_has_the_twenty_billion_weights_of_the_real_one() -> None:
    with torch.device("meta"):
        transformer = QwenImageTransformer2DModel(**gpu_model.FULL.transformer)
    assert sum(weight.numel() for weight in transformer.parameters()) == 20_430_401_088


def test_the_model_is_the_same_every_time_and_its_prompt_as_long_as_asked_for() -> None:
    one, other = (gpu_model.build(gpu_model.DRY, CPU, torch.float32) for _ in range(2))
    for part in ("transformer", "vae", "text_encoder"):
        weights = [getattr(pipeline, part).state_dict() for pipeline in (one, other)]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    embedded, _ = one.encode_prompt(gpu_model.prompt_of(one, 100))
    assert embedded.shape[1] == 100


def test_another_attention_kernel_is_taken_where_it_is_clearly_faster() -> None:
    assert gpu_card.best_attention({"": 400.0, "_native_cudnn": 600.0}) == "_native_cudnn"
    assert gpu_card.best_attention({"": 600.0, "_native_cudnn": 605.0}) == ""
    # This one refuses the padding of a batch.
    assert gpu_card.best_attention({"": 400.0, "_native_flash": 600.0}) == ""
    assert gpu_card.best_attention({"": 400.0}) == ""


def test_the_difference_of_pictures_is_in_decibels_and_at_its_furthest() -> None:
    grey, other = (
        Image.new("RGB", (4, 4), (100, 100, 100)),
        Image.new("RGB", (4, 4), (100, 100, 110)),
    )
    assert difference(grey, grey) == (math.inf, 0)
    psnr, furthest = difference(grey, other)
    assert furthest == 10
    assert psnr == pytest.approx(10 * math.log10(255**2 * 3 / 100))


@pytest.mark.parametrize(("share", "verdict"), [(0.66, "met"), (0.71, "missed")])
def test_the_table_holds_what_was_measured_and_judges_it(share: float, verdict: str) -> None:
    rates = {"bf16": 790.0, "float8": 1300.0, "attention": {"": 450.0}}
    stock = Result("stock", seconds_per_image=18.5, share_of_limit=0.48, of_stock=1.0, peak_gb=44.0)
    exact = Result("engine", exact=True, seconds_per_image=12.2, of_stock=share)
    exact.psnr, exact.furthest = math.inf, 0
    late = Result("late", note="left out: no time")
    written = table([stock, exact, late], rates)
    for words in ("18.50", "48%", "12.20", "44.0", "left out: no time", verdict, "790", "1300"):
        assert words in written
    cells = report("H100", [stock, exact, late], rates)["cells"]
    assert [cell["psnr"] for cell in cells] == [None, "equal", None]
