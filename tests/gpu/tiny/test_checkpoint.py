"""The tiny checkpoint is what it says: the stock pipeline's layout, loaded offline."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, QwenImagePipeline

from gpu_inference.tiny.checkpoint import build


@pytest.fixture(scope="module")
def pipeline(checkpoint: Path) -> QwenImagePipeline:
    loaded = DiffusionPipeline.from_pretrained(checkpoint, local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_the_stock_loader_makes_the_stock_pipeline_of_it(pipeline: QwenImagePipeline) -> None:
    assert type(pipeline) is QwenImagePipeline
    assert type(pipeline.transformer).__name__ == "QwenImageTransformer2DModel"
    assert type(pipeline.vae).__name__ == "AutoencoderKLQwenImage"
    assert type(pipeline.text_encoder).__name__ == "Qwen2_5_VLForConditionalGeneration"


def test_the_template_before_the_prompt_has_the_34_tokens_that_the_pipeline_cuts_off(
    pipeline: QwenImagePipeline,
) -> None:
    before, after = pipeline.prompt_template_encode.split("{}")
    assert len(pipeline.tokenizer(before).input_ids) == pipeline.prompt_template_encode_start_idx
    assert pipeline.prompt_template_encode_start_idx == 34
    assert len(pipeline.tokenizer(after).input_ids) == 5


def test_the_stock_pipeline_draws_with_it(pipeline: QwenImagePipeline) -> None:
    drawn = pipeline(
        "a red circle",
        negative_prompt=" ",
        width=48,
        height=32,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(1),
    ).images
    assert [image.size for image in drawn] == [(48, 32)]
    assert len(drawn[0].getcolors(48 * 32)) > 10


def test_the_same_seed_builds_the_same_weights(checkpoint: Path, tmp_path: Path) -> None:
    again, other = build(tmp_path / "again"), build(tmp_path / "other", seed=1)
    weights = "transformer/diffusion_pytorch_model.safetensors"
    assert (again / weights).read_bytes() == (checkpoint / weights).read_bytes()
    assert (other / weights).read_bytes() != (checkpoint / weights).read_bytes()


def test_it_is_small(checkpoint: Path) -> None:
    files = [file for file in checkpoint.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 8 * 2**20
