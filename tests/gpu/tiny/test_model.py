"""The trained tiny model draws what it is asked for: by the stock pipelines, and by the engine."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from diffusers import QwenImagePipeline
from PIL import Image

from gpu_inference.engine.pipeline import DiffusersEngine
from gpu_inference.settings import Settings
from gpu_inference.tiny import MODEL, captions, data, judge, sheet
from gpu_inference.tiny.evaluate import held_out_scenes, image_to_image, load, score, strange
from gpu_inference.work.protocol import Spec

SIDE = data.SIDE
SOME = 24
"""How many held-out scenes are asked for; `scores.json` is about 200."""


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return load(MODEL)


@pytest.fixture(scope="module")
def engine() -> Iterator[DiffusersEngine]:
    made = DiffusersEngine(Settings(model=str(MODEL), device="cpu", min_side=32))
    made.load()
    yield made
    made.close()


def test_its_weights_are_ten_megabytes_at_most_and_of_the_real_layout(pipeline: Any) -> None:
    weights = list(MODEL.rglob("*.safetensors"))
    assert sum(file.stat().st_size for file in weights) <= 10_000_000
    assert type(pipeline) is QwenImagePipeline
    before, _ = pipeline.prompt_template_encode.split("{}")
    assert len(pipeline.tokenizer(before).input_ids) == pipeline.prompt_template_encode_start_idx


@pytest.mark.parametrize(
    "way", [captions.english, captions.chinese, strange], ids=["english", "chinese", "strange"]
)
def test_combinations_that_it_never_saw_are_drawn_as_asked(pipeline: Any, way: Any) -> None:
    scenes = held_out_scenes(SOME)
    asked = [way(scene, random.Random(number)) for number, scene in enumerate(scenes)]
    scores = score(sheet.draw(pipeline, asked, seed=1), scenes)
    assert scores["background"] >= 0.9
    assert scores["colour"] >= 0.9
    assert scores["shape"] >= 0.65


def test_its_scores_are_those_that_it_was_made_for() -> None:
    scores = json.loads((MODEL / "scores.json").read_text())
    plain = scores["plain"]
    assert min(plain["background"], plain["colour"]) >= 0.95
    assert plain["shape"] >= 0.70
    for way in ("other words", "chinese"):
        for name in ("background", "colour", "shape"):
            assert scores[way][name] >= plain[name] - 0.10


def test_a_strength_of_eight_tenths_redraws_and_of_two_tenths_keeps(pipeline: Any) -> None:
    scores = image_to_image(pipeline, 6)
    assert scores["becomes the prompt's at 0.8"] >= 0.6
    assert scores["stays at 0.2"] >= 0.8


def test_a_blue_square_becomes_a_red_circle_at_eight_tenths_through_the_engine(
    engine: DiffusersEngine, tmp_path: Path
) -> None:
    square = data.Scene("white", (data.Thing("square", "blue", 0.5, 0.5, 0.25),))
    data.draw(square).save(tmp_path / "square.png")
    source = (tmp_path / "square.png").read_bytes()
    prompt = "a red circle on a white background"
    seen = []
    for strength in (0.8, 0.2):
        spec = Spec(prompt, " ", SIDE, SIDE, 20, sheet.GUIDANCE, 3, source, strength)
        seen.append(judge.look(engine.generate([spec], lambda done, of: None)[0]))
    assert (seen[0].background, seen[0].colour, seen[0].shape) == ("white", "red", "circle")
    assert (seen[1].background, seen[1].colour, seen[1].shape) == ("white", "blue", "square")


def test_the_engine_draws_a_whole_batch_as_asked(engine: DiffusersEngine) -> None:
    scenes = held_out_scenes(4)
    batch = [
        Spec(captions.plain(scene), " ", SIDE, SIDE, sheet.STEPS, sheet.GUIDANCE, number)
        for number, scene in enumerate(scenes)
    ]
    made = engine.generate(batch, lambda done, of: None)
    assert all(isinstance(picture, Image.Image) for picture in made)
    assert score(made, scenes)["colour"] >= 0.75
