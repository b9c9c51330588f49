"""Plants and fruit.

植物与水果。
"""

from __future__ import annotations

import math

from infra.local.standins.parts import Kit, Part, pair
from infra.local.standins.things.base import Dice


def tree(kit: Kit, dice: Dice) -> list[Part]:
    """A leafy tree.

    树。
    """
    high = dice(0.7, 0.95)
    parts = [kit.cylinder(0.1, high + 0.2, 0.06, "stem")]
    crowns = (
        (0, 0.36, 0, 0.36),
        (0.24, 0.16, 0.08, 0.27),
        (-0.24, 0.2, -0.06, 0.28),
        (0.02, 0.12, -0.24, 0.26),
    )
    for x, y, z, radius in (*crowns, (0.0, 0.14, 0.24, 0.24)):
        crown = kit.ball(radius * dice(0.92, 1.08), "leaves").turned("y", dice(0, 90))
        parts.append(crown.at(x, high + y, z))
    return parts


def pine(kit: Kit, dice: Dice) -> list[Part]:
    """A fir tree.

    松树。
    """
    tiers = 3 + round(dice(0, 1))
    parts = [kit.cylinder(0.08, 0.4, role="stem")]
    for tier in range(tiers):
        radius = 0.46 * (1 - tier / (tiers + 0.8))
        parts.append(
            kit.cylinder(radius, 0.52, 0, "leaves").turned("y", 17 * tier).at(y=0.24 + 0.29 * tier)
        )
    return parts


def flower(kit: Kit, dice: Dice) -> list[Part]:
    """A flower with leaves.

    花。
    """
    high, count = dice(0.42, 0.55), round(dice(6, 9))
    bend = dice(0.02, 0.05)
    parts = [kit.tube([(0, 0, 0), (bend, high * 0.5, 0), (0, high, 0)], 0.012, "leaves")]
    heart = kit.ball(0.055, "flame").scaled(1, 1, 0.5).at(0, high, 0.02)
    for number in range(count):
        petal = kit.ball(0.075).scaled(0.62, 1, 0.22).at(y=0.1)
        parts.append(petal.turned("z", 360 * number / count).at(0, high, 0.001 * number))
    leaf = kit.ball(0.1, "leaves").scaled(1, 0.32, 0.16).turned("z", 38).at(0.1, high * 0.4, 0)
    return [*parts, heart, *pair(leaf)]


def mushroom(kit: Kit, dice: Dice) -> list[Part]:
    """A mushroom with dots.

    蘑菇。
    """
    cap, high = dice(0.19, 0.26), dice(0.2, 0.28)
    stem = kit.lathe([(0, 0), (0.07, 0), (0.06, 0.08), (0.05, high), (0, high)], "pages")
    angles = [math.radians(a) for a in range(0, 90, 10)]
    dome = [(cap * math.cos(a), high + cap * 0.75 * math.sin(a)) for a in angles]
    top = kit.lathe([(0, high - 0.02), (cap * 0.9, high - 0.02), *dome, (0, high + cap * 0.75)])
    parts = [stem, top]
    for turn, lift in ((20, 30), (95, 45), (160, 25), (230, 40), (300, 28), (0, 72)):
        dot = kit.ball(cap * 0.15, "dots").scaled(1, 0.4, 1).at(y=cap).turned("x", 90 - lift)
        parts.append(dot.turned("y", turn).scaled(1, 0.76, 1).at(y=high))
    return parts


def cactus(kit: Kit, dice: Dice) -> list[Part]:
    """A cactus in a pot.

    仙人掌。
    """
    high = dice(0.4, 0.55)
    pot = kit.lathe([(0, 0), (0.11, 0), (0.14, 0.16), (0.16, 0.16), (0.16, 0.2), (0, 0.2)], "roof")
    body = kit.ball(0.1).scaled(1, high / 0.2, 1).at(y=0.12 + high / 2)
    parts = [pot, body]
    for side, low in ((1, dice(0.3, 0.42)), (-1, dice(0.36, 0.5))):
        bend = [
            (0.0, low, 0.0),
            (side * 0.1, low, 0.0),
            (side * 0.15, low + 0.04, 0.0),
            (side * 0.16, low + 0.2, 0.0),
        ]
        parts += [kit.tube(bend, 0.04), kit.ball(0.0401).at(side * 0.16, low + 0.2, 0)]
    return [*parts, kit.ball(0.045, "petals").scaled(1, 0.7, 1).at(y=0.13 + high)]


def apple(kit: Kit, dice: Dice) -> list[Part]:
    """An apple.

    苹果。
    """
    squash = dice(0.86, 1.0)
    angles = [math.radians(a) for a in range(-80, 81, 10)]
    flesh = [
        (0.09 * math.cos(a) * (1 + 0.12 * math.sin(a)), 0.08 * squash * math.sin(a)) for a in angles
    ]
    body = kit.lathe([(0, -0.066 * squash), *flesh, (0, 0.06 * squash)]).at(y=0.08 * squash)
    stem = kit.tube([(0, 0.13 * squash, 0), (0.006, 0.165, 0), (0.018, 0.19, 0)], 0.005, "stem")
    leaf = kit.ball(0.035, "leaves").scaled(1, 0.2, 0.5).turned("z", 24).at(0.045, 0.175, 0)
    return [body, stem, leaf]
