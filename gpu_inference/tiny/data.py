"""What the tiny model learns from: drawings of plain shapes, made from nothing but dice.

A scene is one or two shapes on a background, as data; `draw` makes its picture and
`captions.caption` a sentence that asks for it. Some combinations of shape, colour and background
are never drawn for training (`held_out`): a model that draws those has understood the words one
by one.

训练数据：程序绘制的简单图形。
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 128
"""Width and height of a drawing, in pixels."""
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (250, 220, 50),
    "green": (40, 155, 70),
    "blue": (40, 85, 210),
    "purple": (130, 55, 175),
    "pink": (250, 150, 190),
    "white": (250, 250, 250),
    "grey": (128, 128, 128),
    "black": (20, 20, 20),
}
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
SIZES = {"small": (0.14, 0.17), "medium": (0.20, 0.23), "large": (0.27, 0.31)}
"""From the middle of a shape to its farthest edge, as a part of the picture's side."""
PLACES = ("center", "left", "right", "top", "bottom")
ORDERS = ("left of", "above")
"""How the first of two shapes lies to the second."""

_FAIR = (0.20, 0.31)  # the size of what no size is said of
_FINE = 4  # drawn so many times larger, for smooth edges
_MARGIN = 0.03
_TWO = 0.25  # the part of scenes that have two shapes
_HELD_OUT = 20  # per cent of combinations that training never sees


@dataclass(frozen=True)
class Thing:
    """One shape: what it is, and its middle and radius as parts of the picture's side.

    一个图形。
    """

    shape: str
    colour: str
    x: float
    y: float
    radius: float
    size: str | None = None  # as a caption says it


@dataclass(frozen=True)
class Scene:
    """A background and one or two shapes; `place` or `order` as a caption says it, or nothing.

    一个场景：背景与一到两个图形。
    """

    background: str
    things: tuple[Thing, ...]
    place: str | None = None
    order: str | None = None


def held_out(shape: str, colour: str, background: str) -> bool:
    """Whether training never draws this combination; decided by its name, the same everywhere.

    该组合是否只用于评测。
    """
    return zlib.crc32(f"{shape} {colour} {background}".encode()) % 100 < _HELD_OUT


def combinations(*, held: bool) -> list[tuple[str, str, str]]:
    """All (shape, colour, background) that are held out, or all others.

    全部保留（或用于训练）的组合。
    """
    return [
        (shape, colour, background)
        for shape in SHAPES
        for colour in COLOURS
        for background in COLOURS
        if colour != background and held_out(shape, colour, background) == held
    ]


def scene(dice: random.Random, spread: float = 1.0) -> Scene:
    """Think of a scene for training; with less `spread`, everything is nearer to its usual place.

    随机生成一个训练场景。
    """
    if dice.random() < _TWO:
        return two(dice, spread)
    shape, colour, background = dice.choice(_TRAINING)
    size, place = dice.choice((None, *SIZES)), dice.choice((None, *PLACES))
    return one(dice, shape, colour, background, size, place, spread)


def one(
    dice: random.Random,
    shape: str,
    colour: str,
    background: str,
    size: str | None = None,
    place: str | None = None,
    spread: float = 1.0,
) -> Scene:
    """Put one shape on a background; what is not said is chosen: a fair size, near the middle.

    在背景上放一个图形。
    """

    def about(low: float, high: float) -> float:
        return _about(dice, low, high, spread)

    radius = about(*(SIZES[size] if size else _FAIR))
    edge = radius + _MARGIN + about(0, 0.04)
    across, down = 0.5 + about(-0.04, 0.04), 0.5 + about(-0.04, 0.04)
    x, y = {
        "left": (edge, down),
        "right": (1 - edge, down),
        "top": (across, edge),
        "bottom": (across, 1 - edge),
    }.get(place or "", (across, down))
    return Scene(background, (Thing(shape, colour, x, y, radius, size),), place)


def two(dice: random.Random, spread: float = 1.0) -> Scene:
    """Put two shapes beside or above each other, each on its half of the picture.

    并排或上下放置两个图形。
    """
    while True:
        background, *colours = dice.sample(list(COLOURS), 3)
        pairs = [(dice.choice(SHAPES), colour) for colour in colours]
        if not any(held_out(shape, colour, background) for shape, colour in pairs):
            break
    order = dice.choice(ORDERS)
    things = []
    for number, (shape, colour) in enumerate(pairs):
        along = 0.26 + 0.48 * number + _about(dice, -0.02, 0.02, spread)
        across = 0.5 + _about(dice, -0.04, 0.04, spread)
        x, y = (along, across) if order == "left of" else (across, along)
        things.append(Thing(shape, colour, x, y, _about(dice, 0.17, 0.20, spread)))
    return Scene(background, tuple(things), order=order)


def _about(dice: random.Random, low: float, high: float, spread: float) -> float:
    middle = (low + high) / 2
    return middle + spread * (dice.uniform(low, high) - middle)


def draw(scene: Scene, side: int = SIDE, dice: random.Random | None = None) -> Image.Image:
    """Draw it as a square RGB picture; with dice, every colour is a little off its name's.

    绘制场景。
    """
    picture = Image.new("RGB", (_FINE * side,) * 2, _tint(scene.background, dice))
    pencil = ImageDraw.Draw(picture)
    for thing in scene.things:
        corners = (outline(thing.shape) * thing.radius + (thing.x, thing.y)) * _FINE * side
        pencil.polygon([(x, y) for x, y in corners.tolist()], fill=_tint(thing.colour, dice))
    return picture.reduce(_FINE)


def outline(shape: str) -> NDArray[np.float64]:
    """Give a shape's corners around (0, 0), y downwards, (n, 2), none farther than 1 along an axis.

    图形的轮廓点。
    """
    return _OUTLINES[shape]


def _tint(colour: str, dice: random.Random | None) -> tuple[int, ...]:
    if dice is None:
        return COLOURS[colour]
    return tuple(min(255, max(0, value + dice.randint(-5, 5))) for value in COLOURS[colour])


def _around(radii: Sequence[float]) -> NDArray[np.float64]:
    angles = np.arange(len(radii)) * (2 * math.pi / len(radii)) - math.pi / 2
    corners: NDArray[np.float64] = np.stack([np.cos(angles), np.sin(angles)], 1)
    corners *= np.asarray(radii)[:, None]
    return corners


def _heart() -> NDArray[np.float64]:
    t = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y], 1) / 16


def _cross(arm: float) -> NDArray[np.float64]:
    quarter = np.array([(-arm, -1.0), (arm, -1.0), (arm, -arm)])
    turns = [quarter]
    for _ in range(3):
        turns.append(np.stack([-turns[-1][:, 1], turns[-1][:, 0]], 1))
    return np.concatenate(turns)


def _middled(points: NDArray[np.float64]) -> NDArray[np.float64]:
    middled: NDArray[np.float64] = points - (points.max(0) + points.min(0)) / 2
    return middled


_OUTLINES = {
    "circle": 0.92 * _around([1.0] * 72),
    "square": 0.85 * np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]),
    "triangle": _middled(_around([1.13] * 3)),
    "star": _middled(_around([1.05, 0.42] * 5)),
    "heart": 0.98 * _middled(_heart()),
    "cross": 0.95 * _cross(0.34),
}
_TRAINING = combinations(held=False)
