"""Plain shapes.

基本形状。
"""

from __future__ import annotations

import math

from infra.local.standins.parts import Kit, Part, box, prism
from infra.local.standins.things.base import Dice


def ball(kit: Kit, dice: Dice) -> list[Part]:
    """A ball.

    球。
    """
    return [kit.ball(0.5 * dice(0.9, 1.1)).at(y=0.5)]


def cube(kit: Kit, dice: Dice) -> list[Part]:
    """A cube.

    立方体。
    """
    return [box(1, 1, 1).turned("y", dice(0, 30))]


def pyramid(kit: Kit, dice: Dice) -> list[Part]:
    """A pyramid on a square.

    金字塔。
    """
    return [Kit(4).cylinder(0.7, dice(0.75, 1.0), 0).turned("y", 45)]


def cone(kit: Kit, dice: Dice) -> list[Part]:
    """A cone.

    圆锥。
    """
    return [kit.cylinder(0.4, dice(0.8, 1.0), 0)]


def cylinder(kit: Kit, dice: Dice) -> list[Part]:
    """A cylinder.

    圆柱。
    """
    return [kit.cylinder(0.35, dice(0.8, 1.0))]


def ring(kit: Kit, dice: Dice) -> list[Part]:
    """A ring, or a doughnut, leaning towards the viewer.

    圆环。
    """
    return [kit.ring(0.36, dice(0.1, 0.15)).turned("x", 60).at(y=0.46)]


def star(kit: Kit, dice: Dice) -> list[Part]:
    """A five-pointed star.

    星星。
    """
    inner = dice(0.2, 0.26)
    turns = [math.radians(90 + 36 * i) for i in range(10)]
    points = [
        (r * math.cos(t), r * math.sin(t)) for t, r in zip(turns, (0.5, inner) * 5, strict=True)
    ]
    return [prism(points, dice(0.14, 0.22)).at(y=0.5)]


def heart(kit: Kit, dice: Dice) -> list[Part]:
    """A heart.

    爱心。
    """
    count = max(12, kit.segments)
    turns = [-2 * math.pi * (i + 0.5) / count for i in range(count)]
    points = [
        (
            16 * math.sin(t) ** 3 / 34,
            (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 34,
        )
        for t in turns
    ]
    return [prism(points, dice(0.18, 0.28)).at(y=0.5)]


def diamond(kit: Kit, dice: Dice) -> list[Part]:
    """A cut gem.

    钻石。
    """
    table = dice(0.24, 0.3)
    gem = Kit(10).lathe([(0, 0), (0.5, 0.52), (table, 0.72), (0, 0.72)])
    return [gem]
