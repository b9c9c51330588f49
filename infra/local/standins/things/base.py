"""What things are made with: proportions from a seed, usual colours, legs and wheels.

搭建物体的共用部分。
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infra.local.standins.parts import Kit, Part, pair


@dataclass(frozen=True)
class Dice:
    """Draws proportions from a seed.

    按种子决定比例。
    """

    random: random.Random

    def __call__(self, low: float, high: float) -> float:
        """A number between two.

        两数之间的随机数。
        """
        return self.random.uniform(low, high)


Build = Callable[[Kit, Dice], list[Part]]


@dataclass(frozen=True)
class Thing:
    """A thing: the words for it, its usual colour (sRGB in hex; None: any), how it is built, and
    which part besides its body takes the colour that is named.

    一种物体：名称、常见颜色和搭建方法。
    """

    words: tuple[str, ...]
    color: str | None
    build: Build
    main: str = "body"


def thing(words: str, color: str | None, build: Build, main: str = "body") -> Thing:
    """A thing whose words are given in one text, `_` standing for a space inside one.

    定义一种物体。
    """
    return Thing(tuple(word.replace("_", " ") for word in words.split()), color, build, main)


USUAL: Mapping[str, str] = {
    "wheels": "26282c",
    "eyes": "1d1f24",
    "pupils": "f5f5f5",
    "leaves": "3c8c40",
    "stem": "6f4a2a",
    "windows": "a9d3e6",
    "door": "6a4428",
    "roof": "9c3b2e",
    "shade": "efe2c2",
    "legs": "6d5138",
    "ears": "6d4a2c",
    "beak": "ee8a1d",
    "cushion": "e9e4da",
    "handle": "4a3323",
    "blade": "c9ced3",
    "sails": "f3efe4",
    "petals": "e8618c",
    "flame": "f6a821",
    "dots": "f4f1ea",
    "pages": "f1ecdc",
    "lights": "f5d76e",
    "lid": "4c4f55",
    "joints": "5a5f66",
}
"""The usual colour of parts, sRGB in hex; every other part has the thing's own."""


def legs(kit: Kit, wide: float, deep: float, high: float, thick: float) -> list[Part]:
    """Four legs at the corners of a rectangle.

    四条腿。
    """
    # Sunk a little into what they carry, so that no two parts share an edge.
    one = kit.cylinder(thick, high + 0.01)
    return [one.at(x * wide / 2, 0, z * deep / 2) for x in (-1, 1) for z in (-1, 1)]


def wheels(
    kit: Kit, radius: float, broad: float, side: float, along: tuple[float, ...]
) -> list[Part]:
    """Wheels on both sides at places along z.

    两侧的轮子。
    """
    wheel = kit.disc(radius, broad, "wheels")
    hub = kit.disc(radius * 0.45, broad * 1.25, "joints")
    return [
        mirrored
        for z in along
        for part in (wheel, hub)
        for mirrored in pair(part.at(side, radius, z))
    ]


def circle(radius: float, count: int, x: float = 0, y: float = 0) -> list[tuple[float, float]]:
    """The points of a circle, counter-clockwise.

    圆周上的点。
    """
    turns = [2 * math.pi * i / count for i in range(count)]
    return [(x + radius * math.cos(t), y + radius * math.sin(t)) for t in turns]
