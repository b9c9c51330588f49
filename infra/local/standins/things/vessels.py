"""Things that hold something: vases, cups, bottles, a candle.

容器与蜡烛。
"""

from __future__ import annotations

import math

from infra.local.standins.parts import Kit, Part
from infra.local.standins.things.base import Dice


def vase(kit: Kit, dice: Dice) -> list[Part]:
    """A vase, hollow.

    花瓶。
    """
    belly, neck, lip, high = dice(0.14, 0.2), dice(0.05, 0.08), dice(0.08, 0.12), dice(0.42, 0.56)
    steps = 14
    outside = []
    for step in range(steps + 1):
        t = step / steps
        wave = 0.5 - 0.5 * math.cos(math.pi * min(1.0, t / 0.42))
        foot = 0.09 + (belly - 0.09) * wave
        fall = 0.5 + 0.5 * math.cos(math.pi * min(1.0, max(0.0, (t - 0.42) / 0.4)))
        rise = max(0.0, (t - 0.82) / 0.18)
        radius = foot if t <= 0.42 else neck + (belly - neck) * fall
        outside.append((radius + (lip - neck) * rise**1.5, t * high))
    inside = [(radius - 0.012, height) for radius, height in reversed(outside[2:])]
    return [kit.lathe([(0, 0), *outside, *inside, (0, outside[2][1])])]


def cup(kit: Kit, dice: Dice) -> list[Part]:
    """A cup with a handle, hollow.

    杯子。
    """
    radius, high = dice(0.038, 0.046), dice(0.08, 0.105)
    wall = 0.004
    profile = [(0, 0), (radius * 0.92, 0), (radius, 0.008), (radius, high), (radius - wall, high)]
    body = kit.lathe([*profile, (radius - wall, 0.01), (0, 0.01)])
    angles = [math.radians(a) for a in range(-80, 81, 16)]
    bend = [
        (radius - 0.002 + 0.026 * math.cos(a), high / 2 + high * 0.32 * math.sin(a), 0.0)
        for a in angles
    ]
    return [body, kit.tube(bend, 0.005)]


def bowl(kit: Kit, dice: Dice) -> list[Part]:
    """A bowl, hollow.

    碗。
    """
    deep = dice(0.9, 1.1)
    angles = [math.radians(a) for a in range(14, 91, 8)]
    outer = [(0.09 * math.sin(a), 0.075 * deep * (1 - math.cos(a)) + 0.008) for a in angles]
    inner = [
        (0.084 * math.sin(a), 0.069 * deep * (1 - math.cos(a)) + 0.015) for a in reversed(angles)
    ]
    foot = [(0, 0), (0.034, 0), (0.034, 0.008)]
    return [kit.lathe([*foot, *outer[1:], (0.087, outer[-1][1] + 0.003), *inner[:-1], (0, 0.015)])]


def bottle(kit: Kit, dice: Dice) -> list[Part]:
    """A bottle with a cork.

    瓶子。
    """
    shoulder, neck = dice(0.17, 0.21), dice(0.27, 0.3)
    curve = [
        (0.014 + 0.024 * math.cos(t), shoulder + 0.05 * math.sin(t))
        for t in (0.0, 0.4, 0.8, 1.2, 1.5)
    ]
    body = [
        (0, 0),
        (0.036, 0),
        (0.038, 0.004),
        *curve,
        (0.0145, neck),
        (0.017, neck),
        (0.017, neck + 0.012),
    ]
    cork = kit.cylinder(0.012, 0.03, role="lid").at(y=neck)
    return [kit.lathe([*body, (0, neck + 0.012)]), cork]


def teapot(kit: Kit, dice: Dice) -> list[Part]:
    """A round teapot.

    茶壶。
    """
    squash = dice(0.75, 0.9)
    body = kit.ball(0.1).scaled(1, squash, 1).at(y=0.1 * squash)
    top = 0.2 * squash
    lid = kit.lathe([(0, 0), (0.05, 0), (0.045, 0.012), (0, 0.024)], "lid").at(y=top - 0.014)
    knob = kit.ball(0.013, "lid").at(y=top + 0.016)
    spout = kit.tube([(0.08, 0.06, 0), (0.13, 0.08, 0), (0.15, 0.12, 0), (0.175, 0.16, 0)], 0.014)
    angles = [math.radians(a) for a in range(100, 261, 16)]
    bend = [(-0.085 + 0.065 * math.cos(a), 0.09 + 0.055 * math.sin(a), 0.0) for a in angles]
    return [body, lid, knob, spout, kit.tube(bend, 0.009)]


def candle(kit: Kit, dice: Dice) -> list[Part]:
    """A burning candle in a dish.

    蜡烛。
    """
    high = dice(0.14, 0.24)
    dish = kit.lathe(
        [(0, 0), (0.06, 0), (0.08, 0.02), (0.074, 0.02), (0.056, 0.006), (0, 0.006)], "lid"
    )
    flame = [(0, 0), (0.007, 0.006), (0.011, 0.016), (0.009, 0.026), (0.004, 0.036), (0, 0.044)]
    wick = kit.cylinder(0.002, 0.014, role="eyes").at(y=high)
    return [
        dish,
        kit.cylinder(0.03, high).at(y=0.004),
        wick,
        kit.lathe(flame, "flame").at(y=high + 0.009),
    ]
