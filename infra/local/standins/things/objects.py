"""Small objects: tools, hats, books, sweets.

小物件。
"""

from __future__ import annotations

from infra.local.standins.parts import Kit, Part, box, prism
from infra.local.standins.things.base import Dice


def sword(kit: Kit, dice: Dice) -> list[Part]:
    """A sword, point upwards.

    剑。
    """
    long, guard = dice(0.75, 0.95), dice(0.1, 0.14)
    edge = [(-0.028, 0), (0.028, 0), (0.026, long - 0.1), (0.0, long), (-0.026, long - 0.1)]
    blade = prism(edge, 0.014, "blade").at(y=0.2)
    parts = [
        blade,
        kit.cylinder(0.016, 0.19, role="handle").at(y=0.02),
        kit.ball(0.028).at(y=0.015),
    ]
    return [*parts, kit.tube([(-guard, 0.21, 0), (0, 0.2, 0), (guard, 0.21, 0)], 0.014)]


def hammer(kit: Kit, dice: Dice) -> list[Part]:
    """A hammer standing on its handle.

    锤子。
    """
    long = dice(0.3, 0.38)
    grip = kit.lathe(
        [(0, 0), (0.016, 0), (0.02, 0.03), (0.013, 0.14), (0.013, long), (0, long)], "handle"
    )
    head = box(0.06, 0.05, 0.05).at(-0.01, long - 0.04)
    face = kit.cylinder(0.026, 0.06).turned("z", 90).at(-0.03, long - 0.015)
    claw = prism([(0.015, -0.02), (0.1, -0.035), (0.105, -0.028), (0.015, 0.02)], 0.036).at(
        y=long - 0.01
    )
    return [grip, head, face, claw]


def hat(kit: Kit, dice: Dice) -> list[Part]:
    """A top hat with a band.

    帽子。
    """
    high = dice(0.16, 0.26)
    brim = kit.lathe([(0, 0), (0.24, 0), (0.25, 0.012), (0.24, 0.02), (0, 0.02)])
    return [
        brim,
        kit.cylinder(0.15, high, 0.16).at(y=0.01),
        kit.cylinder(0.155, 0.045, role="roof").at(y=0.018),
    ]


def crown(kit: Kit, dice: Dice) -> list[Part]:
    """A crown with spikes and stones.

    皇冠。
    """
    count, high = round(dice(5, 8)), dice(0.13, 0.18)
    wall = [(0.17, 0.0), (0.18, 0.08), (0.165, 0.08), (0.155, 0.012)]
    band = kit.lathe([(0, 0), *wall, (0, 0.012)])
    parts = [band]
    for number in range(count):
        spike = Kit(4).cylinder(0.05, high, 0).scaled(1, 1, 0.28).at(0, 0.06, 0.17)
        knob = kit.ball(0.016, "petals").at(0, 0.07 + high, 0.17)
        stone = kit.ball(0.018, "roof").scaled(1, 1, 0.5).at(0, 0.04, 0.178)
        parts += [part.turned("y", 360 * number / count) for part in (spike, knob, stone)]
    return parts


def book(kit: Kit, dice: Dice) -> list[Part]:
    """A closed book, standing.

    书。
    """
    wide, high, thick = dice(0.16, 0.2), dice(0.22, 0.28), dice(0.035, 0.06)
    pages = box(wide - 0.008, high - 0.016, thick, "pages").at(0.003, 0.008)
    covers = [box(wide, high, 0.006).at(z=side * (thick / 2 + 0.002)) for side in (-1, 1)]
    spine = box(0.006, high - 0.0005, thick + 0.0035).at(-wide / 2 + 0.0032, 0.0002)
    label = box(wide * 0.6, high * 0.16, 0.003, "lights").at(0, high * 0.6, thick / 2 + 0.005)
    return [part.turned("y", -24) for part in (pages, *covers, spine, label)]


def cake(kit: Kit, dice: Dice) -> list[Part]:
    """A cake of two tiers with candles.

    蛋糕。
    """
    count = round(dice(4, 7))
    parts = [kit.cylinder(0.3, 0.02, role="lid"), kit.cylinder(0.24, 0.15).at(y=0.015)]
    parts += [kit.cylinder(0.16, 0.13).at(y=0.16), kit.ring(0.235, 0.02, "petals").at(y=0.165)]
    parts.append(kit.ring(0.155, 0.018, "petals").at(y=0.29))
    for number in range(count):
        stick = [
            kit.cylinder(0.01, 0.1, role="windows").at(z=0.1, y=0.28),
            kit.ball(0.014, "flame").scaled(1, 1.6, 1).at(z=0.1, y=0.4),
        ]
        parts += [part.turned("y", 360 * number / count + 20) for part in stick]
    return parts


def ice_cream(kit: Kit, dice: Dice) -> list[Part]:
    """An ice cream in a cone.

    冰淇淋。
    """
    cone = kit.lathe([(0, 0), (0.06, 0.19), (0.055, 0.19), (0, 0.175)], "stem")
    size = dice(0.062, 0.072)
    first = kit.ball(size).at(y=0.21)
    return [
        cone,
        first,
        kit.ball(size * 0.86, "petals").at(y=0.21 + size * 1.15),
        kit.ball(0.016, "roof").at(y=0.225 + size * 2),
    ]
