"""A robot and vehicles.

机器人与交通工具。
"""

from __future__ import annotations

import math

from infra.local.standins.parts import Kit, Part, box, pair, prism
from infra.local.standins.things.base import Dice, wheels


def robot(kit: Kit, dice: Dice) -> list[Part]:
    """A boxy robot with an antenna.

    机器人。
    """
    wide, high, head = dice(0.36, 0.46), dice(0.4, 0.5), dice(0.24, 0.32)
    base = 0.34
    parts = [
        box(wide, high, 0.26).at(y=base),
        box(head, head * 0.85, 0.24).at(y=base + high + 0.05),
    ]
    parts.append(kit.cylinder(0.05, 0.08, role="joints").at(y=base + high - 0.01))
    parts += pair(box(0.12, base, 0.14, "limbs").at(wide / 4, 0.05))
    parts += pair(box(0.15, 0.07, 0.24, "joints").at(wide / 4, 0, 0.04))
    shoulder = (wide / 2 + 0.02, base + high * 0.86, 0.0)
    hand = (wide / 2 + dice(0.1, 0.2), base + high * dice(0.1, 0.3), dice(0.06, 0.16))
    elbow = (hand[0] + 0.02, (shoulder[1] + hand[1]) / 2, 0.0)
    parts += pair(kit.tube([shoulder, elbow, hand], 0.035, "limbs"))
    parts += pair(kit.ball(0.055, "joints").at(*hand))
    parts += pair(kit.ball(0.06, "joints").at(*shoulder))
    middle = base + high + 0.05 + head * 0.45
    eye = kit.cylinder(0.045, 0.03, role="eyes").turned("x", 90).at(head * 0.23, middle, 0.11)
    light = kit.cylinder(0.025, 0.04, role="pupils").turned("x", 90).at(head * 0.23, middle, 0.115)
    parts += [
        *pair(eye),
        *pair(light),
        box(head * 0.5, 0.025, 0.02, "eyes").at(0, middle - head * 0.28, 0.12),
    ]
    parts.append(box(wide * 0.55, high * 0.3, 0.02, "lid").at(0, base + high * 0.42, 0.13))
    top = base + high + 0.04 + head * 0.85
    parts += [
        kit.cylinder(0.012, 0.12, role="joints").at(y=top),
        kit.ball(0.032, "flame").at(y=top + 0.13),
    ]
    return parts


def car(kit: Kit, dice: Dice) -> list[Part]:
    """A small car.

    汽车。
    """
    long, cabin = dice(1.7, 2.1), dice(0.36, 0.44)
    half = long / 2
    low = [(-half, 0.3), (-half + 0.06, 0.2), (half - 0.06, 0.2), (half, 0.32), (half - 0.06, 0.5)]
    hood = [(half * 0.45, 0.58), (-half * 0.95, 0.58), (-half, 0.5)]
    body = prism(low + hood, 0.8).turned("y", -90)
    upper = [(-half * 0.82, 0.56), (half * 0.42, 0.56), (half * 0.12, 0.56 + cabin)]
    roof = prism([*upper, (-half * 0.62, 0.56 + cabin)], 0.7).turned("y", -90)
    glass = [(-half * 0.72, 0.6), (half * 0.32, 0.6), (half * 0.1, 0.52 + cabin)]
    windows = prism([*glass, (-half * 0.58, 0.52 + cabin)], 0.73, "windows").turned("y", -90)
    front = (
        box(0.6, 0.02, cabin * 0.95, "windows")
        .turned("x", 58)
        .at(0, 0.6 + cabin * 0.08, half * 0.42)
    )
    lamps = pair(
        kit.cylinder(0.07, 0.05, role="lights").turned("x", 90).at(0.27, 0.42, half - 0.05)
    )
    return [
        *(body, roof, windows, front),
        *lamps,
        *wheels(kit, 0.19, 0.14, 0.38, (-half * 0.6, half * 0.6)),
    ]


def bus(kit: Kit, dice: Dice) -> list[Part]:
    """A bus with windows along its sides.

    公交车。
    """
    long, count = dice(2.6, 3.1), round(dice(5, 7))
    parts = [box(0.9, 0.95, long).at(y=0.22), box(0.84, 0.06, long * 0.96).at(y=1.14)]
    step = (long - 0.3) / count
    for number in range(count):
        z = -long / 2 + 0.15 + step * (number + 0.5)
        parts += pair(box(0.02, 0.36, step * 0.8, "windows").at(0.45, 0.66, z))
    parts.append(box(0.78, 0.42, 0.02, "windows").at(0, 0.62, long / 2))
    parts += pair(box(0.14, 0.08, 0.03, "lights").at(0.3, 0.34, long / 2))
    return parts + wheels(kit, 0.22, 0.16, 0.4, (-long * 0.3, long * 0.32))


def train(kit: Kit, dice: Dice) -> list[Part]:
    """A steam locomotive.

    火车。
    """
    long = dice(1.5, 1.8)
    boiler = kit.cylinder(0.3, long * 0.62).turned("x", 90).at(0, 0.62, -long * 0.12)
    parts = [
        boiler,
        box(0.7, 0.1, long).at(y=0.26),
        box(0.72, 0.72, long * 0.34).at(0, 0.3, -long * 0.32),
    ]
    parts.append(box(0.82, 0.06, long * 0.4, "roof").at(0, 1.02, -long * 0.32))
    parts += pair(box(0.02, 0.24, long * 0.18, "windows").at(0.36, 0.68, -long * 0.32))
    parts.append(kit.cylinder(0.08, 0.34, 0.13, "joints").at(0, 0.86, long * 0.36))
    parts.append(kit.ball(0.12, "lights").at(0, 0.88, long * 0.1))
    parts.append(kit.cylinder(0.09, 0.06, role="lights").turned("x", 90).at(0, 0.62, long * 0.48))
    return parts + wheels(
        kit, 0.18, 0.1, 0.33, (-long * 0.36, -long * 0.08, long * 0.2, long * 0.42)
    )


def boat(kit: Kit, dice: Dice) -> list[Part]:
    """A sailing boat.

    帆船。
    """
    mast, long = dice(1.3, 1.7), dice(0.75, 0.9)
    hull = kit.ball(1.0).scaled(0.32, 0.3, long)
    flat = [min(y, 0.02) for y in hull.points[:, 1]]
    hull.points[:, 1] = flat
    hull = hull.at(y=0.3)
    pole = kit.cylinder(0.025, mast, 0.018, "stem").at(0, 0.25, 0.1)
    big = prism([(-long * 0.85, 0.45), (0.04, 0.45), (0.04, mast + 0.2)], 0.02, "sails").turned(
        "y", -90
    )
    small = prism([(0.16, 0.45), (long * 0.8, 0.45), (0.16, mast)], 0.02, "sails").turned("y", -90)
    return [hull, pole, big, small]


def plane(kit: Kit, dice: Dice) -> list[Part]:
    """An aeroplane.

    飞机。
    """
    span, sweep = dice(0.85, 1.05), dice(0.2, 0.4)
    tail = [
        (0, -1),
        (0.05, -0.9),
        (0.12, -0.5),
        (0.14, 0.0),
        (0.14, 0.5),
        (0.11, 0.78),
        (0.06, 0.93),
        (0, 1),
    ]
    body = kit.lathe(tail).turned("x", 90).at(y=0.3)
    wing = prism(
        [(0.08, -0.22), (span, -0.3 - sweep), (span, -0.1 - sweep), (0.08, 0.24)], 0.035, "wings"
    )
    parts = [body, *pair(wing.turned("x", 90).at(y=0.28, z=0.1))]
    rear = prism([(0.02, -0.12), (0.36, -0.26), (0.36, -0.12), (0.02, 0.1)], 0.03, "wings")
    parts += pair(rear.turned("x", 90).at(y=0.34, z=-0.82))
    fin = prism([(-0.98, 0.32), (-0.6, 0.32), (-0.86, 0.72), (-1.02, 0.72)], 0.03, "wings")
    parts.append(fin.turned("y", -90))
    engine = kit.cylinder(0.065, 0.26, role="joints").turned("x", 90).at(span * 0.45, 0.2, -0.08)
    parts += pair(engine)
    parts.append(kit.ball(0.1, "windows").scaled(0.9, 0.6, 1.5).at(0, 0.38, 0.68))
    return parts


def rocket(kit: Kit, dice: Dice) -> list[Part]:
    """A rocket with fins and a porthole.

    火箭。
    """
    slim = dice(0.2, 0.26)
    curve = [
        (slim * math.cos(a) ** 0.8, 0.8 + 0.5 * math.sin(a)) for a in (0.0, 0.3, 0.6, 0.9, 1.2, 1.4)
    ]
    body = kit.lathe([(0, 0.14), (slim * 0.8, 0.14), (slim * 0.96, 0.4), *curve, (0, 1.3)])
    parts = [body, kit.cylinder(slim * 0.7, 0.12, slim * 0.5, "joints").at(y=0.04)]
    fin = prism(
        [(slim * 0.7, 0.2), (slim * 1.9, 0.0), (slim * 1.9, 0.16), (slim * 0.8, 0.56)],
        0.03,
        "wings",
    )
    parts += [fin.turned("y", turn) for turn in (30, 150, 270)]
    rim = kit.ring(0.085, 0.02, "joints").turned("x", 90).at(0, 0.82, slim - 0.005)
    glass = kit.cylinder(0.08, 0.05, role="windows").turned("x", 90).at(0, 0.82, slim - 0.04)
    return [*parts, rim, glass]
