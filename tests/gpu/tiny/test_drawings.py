"""What the tiny model is taught: drawings, their captions, and the judge that looks at them."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from diffusers import QwenImagePipeline
from PIL import Image

from gpu_inference.tiny import captions, data, judge
from gpu_inference.tiny.evaluate import held_out_scenes, strange


def _scenes(count: int) -> list[data.Scene]:
    dice = random.Random(7)
    return [data.scene(dice) for _ in range(count)]


def test_the_judge_is_right_about_ninety_nine_drawings_of_a_hundred() -> None:
    asked, right = 0, Counter[str]()
    for number, scene in enumerate(_scenes(400)):
        picture = data.draw(scene, dice=random.Random(number))
        if scene.order:
            seen = judge.look_at_halves(picture, scene.order)
        else:
            seen = (judge.look(picture),)
            right["place"] += seen[0].place == (scene.place or "center")
        for each, thing in zip(seen, scene.things, strict=True):
            asked += 1
            right["background"] += each.background == scene.background
            right["colour"] += each.colour == thing.colour
            right["shape"] += each.shape == thing.shape
    assert min(right[name] for name in ("background", "colour", "shape")) >= 0.99 * asked
    assert right["place"] >= 0.99 * sum(1 for scene in _scenes(400) if not scene.order)


def test_the_judge_sees_no_shape_where_there_is_none() -> None:
    seen = judge.look(Image.new("RGB", (128, 128), data.COLOURS["green"]))
    assert seen == judge.Seen("green", None, None, None)


@pytest.mark.parametrize("shape", data.SHAPES)
def test_the_judge_knows_a_shape_by_its_outline_whatever_its_size(shape: str) -> None:
    for radius in (0.15, 0.22, 0.31):
        thing = data.Thing(shape, "red", 0.5, 0.5, radius)
        picture = data.draw(data.Scene("white", (thing,)), side=96)
        assert judge.look(picture).shape == shape


def test_training_never_draws_what_the_model_is_scored_with() -> None:
    held = {(*combination,) for combination in data.combinations(held=True)}
    drawn = {
        (thing.shape, thing.colour, scene.background)
        for scene in _scenes(3000)
        for thing in scene.things
    }
    assert not drawn & held
    assert len(held) > 90
    for scene in held_out_scenes(200):
        assert (scene.things[0].shape, scene.things[0].colour, scene.background) in held


def test_a_scene_stays_within_its_picture() -> None:
    for scene in _scenes(500):
        for thing in scene.things:
            assert thing.radius < thing.x < 1 - thing.radius
            assert thing.radius < thing.y < 1 - thing.radius


def test_the_plainest_caption_says_everything_in_a_fixed_order() -> None:
    thing = data.Thing("star", "orange", 0.3, 0.5, 0.2, "large")
    alone = data.Scene("grey", (thing,), place="left")
    assert captions.plain(alone) == "a large orange star on the left on a grey background"
    other = data.Thing("heart", "pink", 0.7, 0.5, 0.2)
    pair = data.Scene("orange", (other, thing), order="left of")
    assert (
        captions.plain(pair) == "a pink heart left of a large orange star on an orange background"
    )


def test_a_scene_is_asked_for_in_many_ways() -> None:
    scene = data.one(random.Random(1), "circle", "red", "blue")
    dice = random.Random(2)
    english = {captions.english(scene, dice) for _ in range(300)}
    chinese = {captions.chinese(scene, dice) for _ in range(300)}
    assert len(english) > 200
    assert len(chinese) > 150
    assert all("red" in text.lower() and "blue" in text.lower() for text in english)
    assert all("红" in text and "蓝" in text for text in chinese)


def test_strange_patterns_name_everything_too() -> None:
    for number, scene in enumerate(held_out_scenes(60)):
        text = strange(scene, random.Random(number))
        if text.isascii():
            assert scene.background in text
            assert scene.things[0].colour in text
            assert scene.things[0].shape in text
        else:
            assert captions.chinese_colour(scene.background, random.Random(0))[0] in text


def test_between_meaningless_words_everything_is_named_once() -> None:
    scene = data.one(random.Random(1), "circle", "red", "blue", "large", "top")
    texts = {captions.loose(scene, random.Random(number)) for number in range(200)}
    assert len(texts) == 200
    for text in texts:
        red, blue = ("red", "blue") if text.isascii() else ("红", "蓝")
        assert text.count(red) == text.count(blue) == 1


def test_no_word_of_a_caption_is_cut_into_bytes(checkpoint: Path) -> None:
    tokenizer = QwenImagePipeline.from_pretrained(checkpoint).tokenizer
    dice = random.Random(3)
    for scene in _scenes(200):
        way = dice.choice((captions.english, captions.chinese))
        pieces = tokenizer.batch_decode([[i] for i in tokenizer(way(scene, dice)).input_ids])
        assert "\N{REPLACEMENT CHARACTER}" not in "".join(pieces)
