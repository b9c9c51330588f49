"""Score the tiny model: ask for pictures it never saw the like of, and let the judge look.

Every prompt names a combination of shape, colour and background that training left out. The same
200 wishes are asked in plain English, in other English words, in Chinese, and in sentences whose
pattern was never trained; pairs of shapes and image-to-image are scored apart.

评测：用训练中从未出现的组合生成图片，由判读器评分。
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import QwenImageImg2ImgPipeline, QwenImagePipeline
from PIL import Image
from tqdm import tqdm

from gpu_inference.tiny import MODEL, captions, data, judge, sheet

PROMPTS = 200
_AT_ONCE = 20
_STRANGE = (
    "给我看{background}背景里的{what}",
    "could you sketch {what}? The backdrop should be {background}.",
    "{what} surrounded by {background}",
    "I need {what}; behind it everything is {background}",
    "poster: {background} ground showing {what}",
)
"""Patterns that training has nothing like."""


def main() -> None:
    """Score the checkpoint and write its scores and its sheet beside it.

    命令行入口。
    """
    parser = argparse.ArgumentParser(prog="evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    report(asked.model, asked.prompts)


def report(folder: Path, count: int = PROMPTS) -> None:
    """Score a checkpoint; print its scores, and write them and a sheet of pictures beside it.

    评测并保存得分与样图。
    """
    pipeline = load(folder)
    scores = json.dumps(evaluate(pipeline, count), indent=2)
    print(scores)
    (folder / "scores.json").write_text(scores + "\n")
    sheet.make(pipeline, seed=0).save(folder / "sheet.png")


def load(folder: Path) -> Any:
    """The stock pipeline of a checkpoint, in float32.

    加载模型。
    """
    pipeline = QwenImagePipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def evaluate(pipeline: Any, count: int = PROMPTS) -> dict[str, dict[str, float]]:
    """All scores, as parts of 1 that are right.

    计算全部得分。
    """
    scenes = held_out_scenes(count)
    ways: dict[str, Callable[[data.Scene, random.Random], str]] = {
        "plain": lambda scene, dice: captions.plain(scene),
        "other words": captions.english,
        "chinese": captions.chinese,
        "strange patterns": strange,
    }
    scores = {}
    for name, way in ways.items():
        asked = [way(scene, random.Random(f"{name} {n}")) for n, scene in enumerate(scenes)]
        pictures = _pictures(pipeline, asked, name)
        scores[name] = score(pictures, scenes)
    scores["pairs"] = _pairs(pipeline, count // 2)
    scores["image-to-image"] = image_to_image(pipeline, max(4, count // 5))
    return scores


def held_out_scenes(count: int) -> list[data.Scene]:
    """Scenes of combinations that training left out, half of them with a size, half with a place.

    训练中未出现的场景。
    """
    dice = random.Random("held out")
    left_out = data.combinations(held=True)
    dice.shuffle(left_out)
    return [
        data.one(
            dice,
            *left_out[number % len(left_out)],
            dice.choice((None, None, None, *data.SIZES)),
            dice.choice((None, None, None, None, None, *data.PLACES)),
        )
        for number in range(count)
    ]


def strange(scene: data.Scene, dice: random.Random) -> str:
    """Ask in a pattern that was never trained.

    以训练中没有的句式描述。
    """
    pattern = dice.choice(_STRANGE[1:] if scene.place else _STRANGE)
    if "背景" in pattern:
        what = captions.chinese_thing(scene.things[0], dice)
        return pattern.format(what=what, background=captions.chinese_colour(scene.background, dice))
    what = captions.plain(scene).removesuffix(f" {scene.background} background")
    return pattern.format(
        what=what.removesuffix(" on an").removesuffix(" on a"), background=scene.background
    )


def score(pictures: Sequence[Image.Image], scenes: Sequence[data.Scene]) -> dict[str, float]:
    """How many of the pictures have what their scenes have; place only where one was asked for.

    为图片评分。
    """
    seen = [judge.look(picture) for picture in pictures]
    pairs = list(zip(seen, scenes, strict=True))
    placed = [(each, scene) for each, scene in pairs if scene.place]
    return {
        "background": _part([each.background == scene.background for each, scene in pairs]),
        "colour": _part([each.colour == scene.things[0].colour for each, scene in pairs]),
        "shape": _part([each.shape == scene.things[0].shape for each, scene in pairs]),
        "place": _part([each.place == scene.place for each, scene in placed]),
    }


def image_to_image(pipeline: Any, count: int) -> dict[str, float]:
    """Turn drawn shapes into others: how many become the prompt's at 0.8, and stay at 0.2.

    图生图评分。
    """
    change = QwenImageImg2ImgPipeline(**pipeline.components)
    change.set_progress_bar_config(disable=True)
    dice = random.Random("image to image")
    left_out = data.combinations(held=True)
    became, stayed = [], []
    for number in tqdm(range(count), desc="image-to-image", leave=False):
        before, after = (data.one(dice, *dice.choice(left_out)) for _ in range(2))
        results = [
            judge.look(
                change(
                    captions.plain(after),
                    image=data.draw(before),
                    negative_prompt=" ",
                    width=data.SIDE,
                    height=data.SIDE,
                    strength=strength,
                    num_inference_steps=20,
                    true_cfg_scale=sheet.GUIDANCE,
                    generator=torch.Generator().manual_seed(number),
                ).images[0]
            )
            for strength in (0.8, 0.2)
        ]
        became.append(_is(results[0], after))
        stayed.append(_is(results[1], before))
    return {"becomes the prompt's at 0.8": _part(became), "stays at 0.2": _part(stayed)}


def _is(seen: judge.Seen, scene: data.Scene) -> bool:
    thing = scene.things[0]
    return (seen.background, seen.colour, seen.shape) == (
        scene.background,
        thing.colour,
        thing.shape,
    )


def _pairs(pipeline: Any, count: int) -> dict[str, float]:
    """Draw scenes of two things; returns how often each thing's features are as asked, 0 to 1.

    评估两个物体的画面。
    """
    dice = random.Random("pairs")
    scenes = [data.two(dice) for _ in range(count)]
    pictures = _pictures(pipeline, [captions.plain(scene) for scene in scenes], "pairs")
    backgrounds, colours, shapes = [], [], []
    for picture, scene in zip(pictures, scenes, strict=True):
        assert scene.order is not None
        for seen, thing in zip(
            judge.look_at_halves(picture, scene.order), scene.things, strict=True
        ):
            backgrounds.append(seen.background == scene.background)
            colours.append(seen.colour == thing.colour)
            shapes.append(seen.shape == thing.shape)
    return {"background": _part(backgrounds), "colour": _part(colours), "shape": _part(shapes)}


def _pictures(pipeline: Any, asked: list[str], name: str) -> list[Image.Image]:
    pictures: list[Image.Image] = []
    for first in tqdm(range(0, len(asked), _AT_ONCE), desc=name, leave=False):
        some = asked[first : first + _AT_ONCE]
        pictures += sheet.draw(pipeline, some, seed=1000 + first)
    return pictures


def _part(right: Sequence[bool]) -> float:
    return round(sum(right) / len(right), 4) if right else 0.0


if __name__ == "__main__":
    main()
