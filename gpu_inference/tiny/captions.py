"""What people call a scene: many ways of asking for the same picture, in English and Chinese.

场景的中英文描述。
"""

from __future__ import annotations

import random
import re

from gpu_inference.tiny.data import COLOURS, Scene, Thing

_CHINESE = 0.35  # the part of captions
_LOOSE_EVERY = 5  # training steps; mixed in, such long captions would slow every step down

_Words = dict[str, tuple[str, ...]]

_COLOURS_EN: _Words = {"grey": ("grey", "gray"), "purple": ("purple", "purple", "violet")}
_SHAPES_EN: _Words = {
    "circle": ("circle", "circle", "disc", "round shape"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star", "star", "five-pointed star"),
    "heart": ("heart", "heart", "heart shape"),
    "cross": ("cross", "cross", "plus sign"),
}
_SIZES_EN: _Words = {
    "small": ("small", "small", "little", "tiny"),
    "medium": ("medium", "medium sized"),
    "large": ("large", "large", "big", "huge"),
}
_PLACES_EN: _Words = {
    "center": ("in the center", "in the middle", "in the centre", "at the center"),
    "left": ("on the left", "on the left side", "at the left"),
    "right": ("on the right", "on the right side", "at the right"),
    "top": ("at the top", "near the top", "in the upper part"),
    "bottom": ("at the bottom", "near the bottom", "in the lower part"),
}
_ORDERS_EN: _Words = {
    "left of": ("left of", "to the left of", "on the left of"),
    "above": ("above", "over", "on top of"),
}
_BEGINNINGS_EN = (
    *("",) * 8,
    *("draw ", "paint ", "please draw ", "show me ", "make ", "generate ", "I want ", "create "),
    *("an image of ", "a picture of ", "a drawing of ", "an illustration of ", "a photo of "),
    *("a simple drawing of ", "make a picture of ", "draw me a picture of ", "there is "),
)
_PATTERNS_EN = (
    *("{what}{where} on a {background} background",) * 3,
    "{what}{where}, {background} background",
    "{what}{where} on {background}",
    "{what}{where} in front of a {background} background",
    "{what}{where} against a {background} background",
    "{what}{where} with a {background} background",
    "{what}{where}, the background is {background}",
    "{what} on a {background} background{where}",
    "{what} on a {background} background,{where}",
    "{what} on {background},{where}",
    "a {background} background with {what}{where}",
    "{background} background, {what}{where}",
    "{background} background and {what}{where}",
    "a {background} picture with {what}{where}",
    "on a {background} background, {what}{where}",
    "on {background}, {what}{where}",
)
_ENDS_EN = ("", "", "", "", ".", ".", ", please", "!")

_COLOURS_ZH: _Words = {
    "red": ("红", "红色"),
    "orange": ("橙", "橙色"),
    "yellow": ("黄", "黄色"),
    "green": ("绿", "绿色"),
    "blue": ("蓝", "蓝色"),
    "purple": ("紫", "紫色"),
    "pink": ("粉", "粉色"),
    "white": ("白", "白色"),
    "grey": ("灰", "灰色"),
    "black": ("黑", "黑色"),
}
_SHAPES_ZH: _Words = {
    "circle": ("圆形", "圆", "圆圈"),
    "square": ("正方形", "方形", "方块"),
    "triangle": ("三角形", "三角"),
    "star": ("星星", "五角星", "星形"),
    "heart": ("心形", "爱心", "心"),
    "cross": ("十字", "十字形", "加号"),
}
_SIZES_ZH: _Words = {
    "small": ("小", "小小的", "很小的"),
    "medium": ("中等大小的", "中等的"),
    "large": ("大", "大大的", "很大的"),
}
_PLACES_ZH: _Words = {
    "center": ("中间", "中央", "正中间"),
    "left": ("左边", "左侧"),
    "right": ("右边", "右侧"),
    "top": ("上方", "上面", "顶部"),
    "bottom": ("下方", "下面", "底部"),
}
_ORDERS_ZH: _Words = {
    "left of": ("{0}在{1}的左边", "{0}在{1}左侧", "左边是{0}，右边是{1}"),
    "above": ("{0}在{1}的上方", "{0}在{1}上面", "上面是{0}，下面是{1}"),
}
_BEGINNINGS_ZH = ("", "", "", "", "画", "请画", "画一张图：", "生成", "一张图片，", "我想要")
_PATTERNS_ZH = (
    "{background}背景上的{what}",
    "{background}背景上有{what}",
    "{what}，{background}背景",
    "{what}，背景是{background}",
    "{background}的背景，{what}",
    "在{background}背景上画{what}",
    "{background}背景，{what}",
    "{background}底{what}",
    "{what}，{background}底",
)
_PLACED_ZH = (
    "{background}背景的{where}有{what}",
    "{what}在{where}，{background}背景",
    "{background}背景，{what}在{where}",
    "{background}背景，{where}有{what}",
    "{what}，{background}背景，位于{where}",
    "{where}有{what}，背景是{background}",
)
_ENDS_ZH = ("", "", "。")

_LETTERS = "aaaabcdeeeeefghhiiijklmnnooopqrrsssttttuuvwxyz"
_SIGNS_EN = ("",) * 8 + (",", ":", ".", ";", "?")
_SIGNS_ZH = ("，", "：", "。")
_USED_ZH = frozenset(f"{_COLOURS_ZH}{_SHAPES_ZH}{_SIZES_ZH}{_PLACES_ZH}{_ORDERS_ZH}")


def caption(scene: Scene, dice: random.Random, step: int = 0) -> str:
    """Ask for the scene in one of many ways; some steps of a training have `loose` ones only.

    用中文或英文描述场景。
    """
    if step % _LOOSE_EVERY == _LOOSE_EVERY - 1:
        return loose(scene, dice)
    return chinese(scene, dice) if dice.random() < _CHINESE else english(scene, dice)


def plain(scene: Scene) -> str:
    """Ask for it in the plainest English: "a large red circle on the left on a blue background".

    最直白的英文描述。
    """
    things = [_thing(thing.size, thing.colour, thing.shape) for thing in scene.things]
    what = f" {_ORDERS_EN[scene.order][0]} ".join(things) if scene.order else things[0]
    where = f" {_PLACES_EN[scene.place][0]}" if scene.place else ""
    return _articles(f"{what}{where} on a {scene.background} background")


def english(scene: Scene, dice: random.Random) -> str:
    """Ask for it in English: other words, another order, with a beginning and an end.

    英文描述。
    """
    what, where, background = _parts_en(scene, dice)
    where = f" {where}" if where else ""
    asked = dice.choice(_PATTERNS_EN).format(what=what, where=where, background=background)
    text = _articles(dice.choice(_BEGINNINGS_EN) + asked.strip(" ,") + dice.choice(_ENDS_EN))
    return text[0].upper() + text[1:] if dice.random() < 0.3 else text


def chinese(scene: Scene, dice: random.Random) -> str:
    """Ask for it in Chinese, in as many ways.

    中文描述。
    """
    what, where, background = _parts_zh(scene, dice)
    pattern = dice.choice(_PLACED_ZH if where else _PATTERNS_ZH)
    asked = pattern.format(what=what, where=where, background=background)
    return dice.choice(_BEGINNINGS_ZH) + asked + dice.choice(_ENDS_ZH)


def loose(scene: Scene, dice: random.Random) -> str:
    """Name what is wanted among words that mean nothing, as in "Nomi blue tafi zu: a red circle".

    So a reader learns to pass over words it does not know, and sentences no pattern foresees.

    把所求之物夹在无意义的词语之间。
    """
    in_chinese = dice.random() < _CHINESE
    noise, space = (_noise_zh, "") if in_chinese else (_noise_en, " ")
    what, where, background = (_parts_zh if in_chinese else _parts_en)(scene, dice)
    if dice.random() < 0.5:
        background += "背景" if in_chinese else " background"
    parts = [what, background]
    dice.shuffle(parts)
    if where:
        parts.insert(parts.index(what) + 1, where)
    pieces = [noise(dice) for _ in range(dice.randint(0, 2))]
    for part in parts:
        least = 0 if part == what and where else 1
        pieces += [part, *(noise(dice) for _ in range(dice.randint(least, 2)))]
    return _articles(space.join(pieces))


def chinese_thing(thing: Thing, dice: random.Random) -> str:
    """Name a thing in Chinese.

    图形的中文说法。
    """
    colour, shape = dice.choice(_COLOURS_ZH[thing.colour]), dice.choice(_SHAPES_ZH[thing.shape])
    size = dice.choice(_SIZES_ZH[thing.size]) if thing.size else ""
    of = "的" if len(colour) > 1 and dice.random() < 0.6 else ""
    number = dice.choice(("", "一个", "一个"))
    return f"{number}{size}{colour}{of}{shape}"


def chinese_colour(colour: str, dice: random.Random) -> str:
    """Name a colour in Chinese.

    颜色的中文说法。
    """
    return dice.choice(_COLOURS_ZH[colour])


def words() -> list[str]:
    """Every word and sign a caption may have, for the tokenizer to learn.

    描述中可能出现的全部词语。
    """
    english: list[tuple[str, ...]] = [_PATTERNS_EN, _BEGINNINGS_EN, _ENDS_EN]
    english += [tuple(COLOURS), ("a", "an", "in")]
    chinese = [_PATTERNS_ZH, _PLACED_ZH, _BEGINNINGS_ZH, _ENDS_ZH, ("一个", "的")]
    for table in (_COLOURS_EN, _SHAPES_EN, _SIZES_EN, _PLACES_EN, _ORDERS_EN):
        english += list(table.values())
        english.append(tuple(table))
    for others in (_COLOURS_ZH, _SHAPES_ZH, _SIZES_ZH, _PLACES_ZH, _ORDERS_ZH):
        chinese += list(others.values())
    found = [_bare(text) for texts in english for text in texts]
    found += [f"{text[0].upper()}{text[1:]}" for text in found if text]
    found += [piece for texts in chinese for text in texts for piece in _bare(text).split()]
    return [f" {word}" for text in found for word in text.split()] + found


def _parts_en(scene: Scene, dice: random.Random) -> tuple[str, str, str]:
    """What is on the picture, where (or ""), and the background's colour.

    英文描述的三个部分。
    """
    things = [
        _thing(
            dice.choice(_SIZES_EN[thing.size]) if thing.size else None,
            dice.choice(_COLOURS_EN.get(thing.colour, (thing.colour,))),
            dice.choice(_SHAPES_EN[thing.shape]),
            dice,
        )
        for thing in scene.things
    ]
    what = f" {dice.choice(_ORDERS_EN[scene.order])} ".join(things) if scene.order else things[0]
    where = dice.choice(_PLACES_EN[scene.place]) if scene.place else ""
    return what, where, dice.choice(_COLOURS_EN.get(scene.background, (scene.background,)))


def _parts_zh(scene: Scene, dice: random.Random) -> tuple[str, str, str]:
    """The same in Chinese."""
    things = [chinese_thing(thing, dice) for thing in scene.things]
    what = dice.choice(_ORDERS_ZH[scene.order]).format(*things) if scene.order else things[0]
    where = dice.choice(_PLACES_ZH[scene.place]) if scene.place else ""
    return what, where, chinese_colour(scene.background, dice)


def _noise_en(dice: random.Random) -> str:
    """A word of no language, and now and then a sign."""
    length = dice.choice((2, 3, 3, 4, 5, 6))
    word = "".join(dice.choice(_LETTERS) for _ in range(length))
    return (word.capitalize() if dice.random() < 0.2 else word) + dice.choice(_SIGNS_EN)


def _noise_zh(dice: random.Random) -> str:
    """A character that no caption has a use for, or a sign."""
    while chr(number := dice.randrange(0x4E00, 0x9FA5)) in _USED_ZH:
        pass
    return dice.choice((chr(number),) * 4 + _SIGNS_ZH)


def _articles(text: str) -> str:
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)


def _bare(pattern: str) -> str:
    for hole in ("{what}", "{where}", "{background}", "{0}", "{1}"):
        pattern = pattern.replace(hole, " ")
    return pattern.strip()


def _thing(size: str | None, colour: str, shape: str, dice: random.Random | None = None) -> str:
    parts = [colour, shape] if size is None else [size, colour, shape]
    if dice is not None and size is None and dice.random() < 0.12:
        parts = [shape, "in", colour]
    if dice is not None and dice.random() < 0.15:
        return " ".join(parts)
    return " ".join(["a", *parts])
