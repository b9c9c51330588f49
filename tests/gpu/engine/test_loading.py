"""What a checkpoint is, by its own word; which may be run; and what a failed load says."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from gpu_inference.engine import loading
from gpu_inference.engine.pipeline import DiffusersEngine
from gpu_inference.settings import Settings
from gpu_inference.work.protocol import LoadFailed, Spec

MakeSettings = Callable[..., Settings]


def a_checkpoint_of(folder: Path, name: str) -> str:
    index = {"_class_name": name, "_diffusers_version": "0.42.1"}
    (folder / "model_index.json").write_text(json.dumps(index))
    return str(folder)


def reason(settings: Settings) -> str:
    with pytest.raises(LoadFailed) as failed:
        DiffusersEngine(settings).load()
    return failed.value.reason


@pytest.mark.parametrize(
    ("name", "kinds", "side_step"),
    [
        ("QwenImagePipeline", ("text-to-image", "image-to-image"), 16),
        ("QwenImageEditPipeline", ("image-to-image",), 16),
        ("QwenImageEditPlusPipeline", ("image-to-image",), 16),
        ("QwenImage21Pipeline", ("text-to-image", "image-to-image"), 32),
    ],
)
def test_a_checkpoint_says_by_itself_what_it_is(
    make_settings: MakeSettings, tmp_path: Path, name: str, kinds: tuple[str, ...], side_step: int
) -> None:
    settings = make_settings(model=a_checkpoint_of(tmp_path, name), accept_research_licence=True)
    family = loading.family_of(settings)
    assert (family.kinds, family.side_step) == (kinds, side_step)
    assert hasattr(diffusers, name)


def test_a_model_under_the_research_licence_needs_its_acceptance(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    model = a_checkpoint_of(tmp_path, "QwenImage21Pipeline")
    assert "accept_research_licence: true" in reason(make_settings(model=model))
    allowed = reason(make_settings(model=model, accept_research_licence=True))
    assert "licence" not in allowed  # there are no weights to load


@pytest.mark.parametrize("content", [None, "{}", "no json", '{"_class_name": "FluxPipeline"}'])
def test_what_is_no_qwen_image_is_refused_with_the_reason(
    make_settings: MakeSettings, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "model_index.json").write_text(content)
    assert str(tmp_path) in reason(make_settings(model=str(tmp_path)))


def test_a_name_that_is_not_on_this_disk_is_refused_when_offline(
    make_settings: MakeSettings,
) -> None:
    assert "nobody/nothing" in reason(make_settings(model="nobody/nothing", offline=True))


def test_a_gpu_that_is_not_there_is_refused(make_settings: MakeSettings) -> None:
    assert "cuda:63" in reason(make_settings(device="cuda:63"))


def test_numbers_are_chosen_by_the_device_or_by_the_settings(make_settings: MakeSettings) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert loading.dtype_of(make_settings(), cpu) == torch.float32
    assert loading.dtype_of(make_settings(), gpu) == torch.bfloat16
    assert loading.dtype_of(make_settings(dtype="float16"), gpu) == torch.float16


def test_in_bfloat16_the_shared_weights_stay_so_for_image_to_image(
    make_settings: MakeSettings,
) -> None:
    engine = DiffusersEngine(make_settings(dtype="bfloat16"))
    engine.load()
    assert engine._image is not engine._text
    assert engine._image.transformer is engine._text.transformer
    assert engine._mask.transformer is engine._text.transformer
    assert engine._text.transformer.dtype == torch.bfloat16
    engine.close()


@pytest.mark.parametrize("name", ["QwenImageEditPipeline", "QwenImage21Pipeline"])
def test_an_edit_model_is_given_its_source_whole_and_one_at_a_time(
    make_settings: MakeSettings, name: str
) -> None:
    """The pipelines need weights of their own; here one that notes what it is called with."""
    calls: list[dict[str, Any]] = []

    class Noting:
        num_timesteps = 2

        def __call__(self, **arguments: Any) -> Any:
            calls.append(arguments)
            for step in range(2):
                arguments["callback_on_step_end"](self, step, None, {})
            made = Image.new("RGB", (arguments["width"], arguments["height"]))
            return type("Made", (), {"images": [made]})

    file = io.BytesIO()
    Image.new("RGB", (70, 30), "navy").save(file, "PNG")
    engine = DiffusersEngine(make_settings())
    engine._family = loading.FAMILIES[name]
    engine._image = Noting()
    specs = [Spec(f"edit {i}", "", 64, 64, 2, 4.0, i, file.getvalue(), 0.6) for i in range(2)]
    told: list[tuple[int, int]] = []
    images = engine.generate(specs, lambda done, of: told.append((done, of)))
    assert [image.size for image in images] == [(64, 64)] * 2
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [call["prompt"] for call in calls] == [["edit 0"], ["edit 1"]]
    assert calls[0]["image"].size == (70, 30)
    assert "strength" not in calls[0]
    # Only what the real pipeline takes is passed.
    taken = inspect.signature(getattr(diffusers, name).__call__).parameters
    assert set(calls[0]) <= set(taken)
    assert not engine.fits(specs)
