"""Each acceleration that a CPU can run: it is on, it says so, and how far the picture moves."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, QwenImagePipeline
from diffusers.models.attention_dispatch import _AttentionBackendRegistry
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image
from pydantic import ValidationError

from gpu_inference.engine import accelerations
from gpu_inference.engine.pipeline import DiffusersEngine
from gpu_inference.settings import Settings
from gpu_inference.work.protocol import LoadFailed, Spec

MakeSettings = Callable[..., Settings]
SPEC = Spec("a red circle", "", 64, 64, 6, 4.0, 3)


def drawn(engine: DiffusersEngine) -> np.ndarray:
    [image] = engine.generate([SPEC], lambda done, of: None)
    return np.asarray(image).astype(int)


@pytest.fixture
def with_settings(make_settings: MakeSettings) -> Iterator[Callable[..., DiffusersEngine]]:
    engines = []

    def load(**changes: Any) -> DiffusersEngine:
        engine = DiffusersEngine(make_settings(**changes))
        engines.append(engine)
        engine.load()
        return engine

    yield load
    for engine in engines:
        engine.close()


@pytest.fixture(scope="module")
def usual(tiny_engine: DiffusersEngine) -> np.ndarray:
    return drawn(tiny_engine)


@pytest.fixture(scope="module")
def lora(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LoRA weights in diffusers' own file format, large enough to see."""
    pipeline = DiffusionPipeline.from_pretrained(checkpoint, local_files_only=True)
    torch.manual_seed(0)
    targets = LoraConfig(
        r=4, lora_alpha=4, init_lora_weights=False, target_modules=["to_q", "to_k"]
    )
    pipeline.transformer.add_adapter(targets)
    folder = tmp_path_factory.mktemp("lora")
    QwenImagePipeline.save_lora_weights(
        folder, transformer_lora_layers=get_peft_model_state_dict(pipeline.transformer)
    )
    return folder


@pytest.mark.parametrize("side", [(8, 8), (6, 10), (1, 1)])
def test_the_single_frame_shortcut_computes_what_the_whole_vae_does(
    checkpoint: Path, side: tuple[int, int]
) -> None:
    whole = DiffusionPipeline.from_pretrained(checkpoint, local_files_only=True).vae
    short = DiffusionPipeline.from_pretrained(checkpoint, local_files_only=True).vae
    accelerations.single_frame(short)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 16, 1, *side, generator=generator)
    picture = torch.rand(2, 3, 1, side[0] * 8, side[1] * 8, generator=generator) * 2 - 1
    with torch.no_grad():
        for exact, fast in (
            (whole.decode(latents).sample, short.decode(latents).sample),
            (whole.encode(picture).latent_dist.mean, short.encode(picture).latent_dist.mean),
        ):
            assert exact.std() > 0.01
            torch.testing.assert_close(fast, exact, atol=2e-5, rtol=1e-5)


def test_the_single_frame_shortcut_leaves_films_alone(checkpoint: Path) -> None:
    whole = DiffusionPipeline.from_pretrained(checkpoint, local_files_only=True).vae
    short = DiffusionPipeline.from_pretrained(checkpoint, local_files_only=True).vae
    accelerations.single_frame(short)
    latents = torch.randn(1, 16, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact, fast = whole.decode(latents).sample, short.decode(latents).sample
    assert exact.shape[2] == 5
    torch.testing.assert_close(fast, exact, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({"vae_single_frame": True}, 1),
        ({"attention": "native"}, 1),
        # Weights that lie elsewhere in memory are summed in another order.
        ({"offload": "group"}, 1),
        ({"offload": "model"}, 1),
        ({"threads": 1}, 0),
    ],
    ids=["vae_single_frame", "attention", "group offload", "model offload", "threads"],
)
def test_what_changes_no_picture_changes_at_most_its_rounding(
    with_settings: Callable[..., DiffusersEngine],
    usual: np.ndarray,
    changes: dict[str, Any],
    most: int,
) -> None:
    engine = with_settings(**changes)
    assert np.abs(drawn(engine) - usual).max() <= most
    # The other pipeline shares its parts, and what hangs on them.
    source = io.BytesIO()
    Image.new("RGB", (64, 64), "orange").save(source, "PNG")
    edit = replace(SPEC, image=source.getvalue(), strength=0.5)
    assert len(engine.generate([edit], lambda done, of: None)) == 1
    assert np.abs(drawn(engine) - usual).max() <= most
    assert engine.info()["accelerations"] == [name for name in changes if name != "threads"]


@pytest.mark.parametrize(
    "changes",
    [
        {"fp8": True},
        {"lightning_schedule": True},
        {"step_cache": "first-block", "step_cache_threshold": 0.9},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_changes_pictures_changes_them_the_same_way_each_time(
    with_settings: Callable[..., DiffusersEngine], usual: np.ndarray, changes: dict[str, Any]
) -> None:
    engine = with_settings(**changes)
    first = drawn(engine)
    assert np.abs(first - usual).max() > 0
    assert np.abs(drawn(engine) - first).max() == 0
    assert engine.info()["accelerations"] == [next(iter(changes))]


def test_fp8_keeps_the_weights_of_the_blocks_in_eight_bits(
    with_settings: Callable[..., DiffusersEngine],
) -> None:
    block = with_settings(fp8=True)._text.transformer.transformer_blocks[0]
    assert block.attn.to_q.weight.dtype == torch.float8_e4m3fn


def test_a_lora_moves_the_picture_as_far_as_its_scale_says(
    with_settings: Callable[..., DiffusersEngine], usual: np.ndarray, lora: Path
) -> None:
    full = with_settings(lora=str(lora))
    assert full.info()["accelerations"] == ["lora"]
    little = with_settings(lora=str(lora), lora_scale=0.01)
    far, near = (np.abs(drawn(engine) - usual).mean() for engine in (full, little))
    assert far > near
    assert far > 0


def test_a_tiled_vae_still_makes_the_whole_picture(
    with_settings: Callable[..., DiffusersEngine],
) -> None:
    engine = with_settings(vae_tiling=True, max_side=512, max_pixels=2**20)
    spec = Spec("a red circle", "", 288, 272, 2, 1.0, 3)
    [image] = engine.generate([spec], lambda done, of: None)
    assert image.size == (288, 272)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"attention": "no_such_backend"}, "attention"),
        ({"lora": "/nowhere/at/all"}, "lora"),
    ],
)
def test_an_acceleration_that_cannot_be_had_fails_the_load_by_its_name(
    with_settings: Callable[..., DiffusersEngine], changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(LoadFailed) as failed:
        with_settings(**changes)
    assert failed.value.reason.startswith(f"{named}: ")


def test_an_attention_that_takes_no_padding_is_refused_together_with_batches(
    make_settings: MakeSettings,
) -> None:
    backends = _AttentionBackendRegistry._backends
    assert len(backends) > 20
    for name, function in backends.items():
        refuses = "`attn_mask` is not supported for" in inspect.getsource(function)
        assert make_settings(attention=name.value, batch_size=1)
        if refuses:
            with pytest.raises(ValidationError, match="takes no padding"):
                make_settings(attention=name.value)
        else:
            assert make_settings(attention=name.value)
