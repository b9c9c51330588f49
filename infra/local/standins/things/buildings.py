"""Buildings.

建筑。
"""

from __future__ import annotations

import math

from infra.local.standins.parts import Kit, Part, box, pair, prism
from infra.local.standins.things.base import Dice, circle


def house(kit: Kit, dice: Dice) -> list[Part]:
    """A house with a gable roof.

    房子。
    """
    wide, deep, high, rise = dice(1.0, 1.3), dice(0.85, 1.0), dice(0.6, 0.75), dice(0.45, 0.6)
    gable = [(-wide / 2, 0), (wide / 2, 0), (wide / 2, high), (0, high + rise), (-wide / 2, high)]
    parts = [prism(gable, deep)]
    slope = math.degrees(math.atan2(rise, wide / 2))
    length = math.hypot(rise, wide / 2) + 0.14
    slab = (
        box(length, 0.06, deep + 0.2, "roof")
        .at(length / 2, 0, 0)
        .turned("z", -slope)
        .at(-0.005, high + rise + 0.01)
    )
    parts += pair(slab)
    front = deep / 2
    parts += [
        box(0.2, 0.4, 0.03, "door").at(0, 0, front),
        kit.ball(0.018, "lights").at(0.06, 0.2, front + 0.02),
    ]
    parts += pair(box(0.2, 0.2, 0.03, "windows").at(wide * 0.31, 0.3, front))
    side = box(0.03, 0.2, 0.22, "windows").at(wide / 2, 0.3, 0)
    chimney = box(0.13, 0.42, 0.13, "joints").at(wide * 0.24, high + rise * 0.35, -deep * 0.2)
    return [*parts, *pair(side), chimney]


def castle(kit: Kit, dice: Dice) -> list[Part]:
    """A castle with four towers.

    城堡。
    """
    wide, tower = dice(0.9, 1.1), dice(0.85, 1.05)
    parts = [box(wide, 0.5, wide), box(wide * 0.46, 0.85, wide * 0.46)]
    count = 6
    for number in range(count):
        along = -wide / 2 + wide * (number + 0.5) / count
        for side in (-1, 1):
            merlon = box(wide / count * 0.55, 0.1, 0.08).at(along, 0.495, side * (wide / 2 - 0.05))
            parts += [merlon, merlon.turned("y", 90)]
    for x in (-1, 1):
        for z in (-1, 1):
            parts.append(kit.cylinder(0.17, tower).at(x * wide / 2, 0, z * wide / 2))
            hat = kit.cylinder(0.23, 0.36, 0, "roof").at(x * wide / 2, tower - 0.01, z * wide / 2)
            parts.append(hat)
    parts.append(kit.cylinder(wide * 0.4, 0.4, 0, "roof").turned("y", 45).at(y=0.84))
    gate = [(-0.13, 0.0), (0.13, 0.0), *[(x, y + 0.2) for x, y in circle(0.13, 16)[0:9]]]
    return [*parts, prism(gate, 0.04, "door").at(z=wide / 2)]


def tower(kit: Kit, dice: Dice) -> list[Part]:
    """A lighthouse: a tower with bands and a lamp.

    灯塔。
    """
    high = dice(1.2, 1.5)
    parts = []
    for band in range(5):
        low, up = band / 5, (band + 1) / 5
        ring = kit.cylinder(
            0.3 - 0.12 * low, high / 5 + 0.002, 0.3 - 0.12 * up, "body" if band % 2 == 0 else "dots"
        )
        parts.append(ring.at(y=low * high))
    parts.append(kit.cylinder(0.27, 0.05, role="joints").at(y=high))
    parts.append(kit.cylinder(0.13, 0.22, role="lights").at(y=high + 0.04))
    parts.append(kit.cylinder(0.2, 0.18, 0, "roof").at(y=high + 0.255))
    return [*parts, box(0.16, 0.28, 0.1, "door").at(0, 0, 0.27)]
