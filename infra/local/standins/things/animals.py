"""Animals, and a snowman.

动物与雪人。
"""

from __future__ import annotations

from infra.local.standins.parts import Kit, Part, pair, prism
from infra.local.standins.things.base import Dice


def snowman(kit: Kit, dice: Dice) -> list[Part]:
    """A snowman with a hat and a carrot.

    雪人。
    """
    low, middle, head = dice(0.34, 0.4), dice(0.25, 0.29), 0.19
    up = low * 1.85 + middle * 0.85
    top = up + middle * 0.8 + head * 0.7
    parts = [kit.ball(low).at(y=low * 0.95), kit.ball(middle).at(y=up), kit.ball(head).at(y=top)]
    parts.append(kit.cylinder(0.035, 0.18, 0, "beak").turned("x", 90).at(0, top, head - 0.02))
    parts += pair(kit.ball(0.024, "eyes").at(0.07, top + 0.05, head * 0.9))
    parts += [kit.ball(0.026, "eyes").at(0, up + lift, middle * 0.97) for lift in (-0.08, 0.02)]
    parts += [
        kit.cylinder(0.22, 0.025, role="lid").at(y=top + 0.12),
        kit.cylinder(0.14, 0.2, role="lid").at(y=top + 0.13),
    ]
    arm = kit.tube(
        [
            (middle * 0.8, up + 0.02, 0),
            (middle + 0.16, up + 0.12, 0.02),
            (middle + 0.26, up + 0.22, 0.02),
        ],
        0.015,
        "stem",
    )
    return [*parts, *pair(arm)]


def _beast(
    kit: Kit, dice: Dice, *, long: float, high: float, head: float, snout: float
) -> list[Part]:
    """A four-legged animal without ears and tail: trunk, head, legs, face.

    四足动物的身体。
    """
    thick = head * 0.95
    trunk = kit.ball(1.0).scaled(thick, thick, long / 2).at(y=high + thick * 0.6)
    front, up = long / 2 + head * 0.25, high + thick * 1.35
    skull = kit.ball(head).at(0, up, front)
    face = kit.ball(head * 0.5).scaled(1, 0.8, snout).at(0, up - head * 0.25, front + head * 0.75)
    nose = kit.ball(head * 0.15, "eyes").at(
        0, up - head * 0.12, front + head * (0.75 + 0.47 * snout)
    )
    parts = [trunk, skull, face, nose]
    parts += pair(
        kit.ball(head * 0.13, "eyes").at(head * 0.4, up + head * 0.25, front + head * 0.84)
    )
    for z in (-long * 0.32, long * 0.3):
        parts += pair(
            kit.cylinder(head * 0.3, high + thick * 0.4, head * 0.34).at(thick * 0.55, 0, z)
        )
    return parts


def cat(kit: Kit, dice: Dice) -> list[Part]:
    """A cat with its tail up.

    猫。
    """
    long, high, head = dice(0.42, 0.52), dice(0.14, 0.19), dice(0.13, 0.15)
    parts = _beast(kit, dice, long=long, high=high, head=head, snout=0.5)
    up, front = high + head * 0.95 * 1.35, long / 2 + head * 0.25
    ear = Kit(4).cylinder(head * 0.36, head * 0.7, 0).turned("y", 45).scaled(1, 1, 0.6)
    parts += pair(ear.turned("z", -16).at(head * 0.5, up + head * 0.62, front))
    tail = [
        (0, high + 0.1, -long * 0.42),
        (0, high + 0.16, -long * 0.62),
        (0, high + 0.32, -long * 0.7),
        (0.03, high + 0.44, -long * 0.6),
    ]
    return [*parts, kit.tube(tail, 0.024), kit.ball(0.0241).at(*tail[-1])]


def dog(kit: Kit, dice: Dice) -> list[Part]:
    """A dog with hanging ears.

    狗。
    """
    long, high, head = dice(0.52, 0.66), dice(0.2, 0.28), dice(0.13, 0.15)
    parts = _beast(kit, dice, long=long, high=high, head=head, snout=1.25)
    up, front = high + head * 0.95 * 1.35, long / 2 + head * 0.25
    ear = (
        kit.ball(head * 0.62, "ears")
        .scaled(0.28, 1, 0.55)
        .at(head * 1.0, up + head * 0.05, front - head * 0.1)
    )
    tail = [
        (0, high + 0.16, -long * 0.44),
        (0, high + 0.26, -long * 0.58),
        (0, high + 0.36, -long * 0.6),
    ]
    return [*parts, *pair(ear), kit.tube(tail, 0.022), kit.ball(0.0221).at(*tail[-1])]


def bear(kit: Kit, dice: Dice) -> list[Part]:
    """A sitting teddy bear.

    小熊。
    """
    belly, head = dice(0.25, 0.29), dice(0.2, 0.23)
    up = belly * 1.7 + head * 0.75
    parts = [kit.ball(belly).scaled(1, 1.08, 0.92).at(y=belly), kit.ball(head).at(y=up)]
    parts += pair(kit.ball(head * 0.42).scaled(1, 1, 0.6).at(head * 0.75, up + head * 0.72, 0))
    parts.append(
        kit.ball(head * 0.46, "cushion").scaled(1, 0.8, 0.8).at(0, up - head * 0.25, head * 0.8)
    )
    parts.append(kit.ball(head * 0.13, "eyes").at(0, up - head * 0.1, head * 1.16))
    parts += pair(kit.ball(head * 0.11, "eyes").at(head * 0.36, up + head * 0.2, head * 0.88))
    parts += pair(
        kit.ball(0.1).scaled(0.8, 1.6, 0.8).turned("z", 40).at(belly * 1.05, belly * 1.25, 0.04)
    )
    parts += pair(kit.ball(0.12).scaled(0.9, 0.9, 1.5).at(belly * 0.7, 0.12, belly * 0.85))
    return [
        *parts,
        *pair(
            kit.ball(0.07, "cushion").scaled(1, 1, 0.5).at(belly * 0.7, 0.12, belly * 0.85 + 0.165)
        ),
    ]


def rabbit(kit: Kit, dice: Dice) -> list[Part]:
    """A sitting rabbit.

    兔子。
    """
    belly, head, ears = dice(0.2, 0.24), dice(0.14, 0.16), dice(0.3, 0.4)
    up, front = belly * 1.7 + head * 0.6, belly * 0.45
    parts = [kit.ball(belly).scaled(1, 1.1, 1.15).at(y=belly), kit.ball(head).at(0, up, front)]
    ear = (
        kit.ball(0.06)
        .scaled(0.8, ears / 0.12, 0.45)
        .turned("z", -10)
        .at(head * 0.5, up + head * 0.7 + ears * 0.4, front)
    )
    parts += pair(ear)
    parts += pair(kit.ball(head * 0.14, "eyes").at(head * 0.5, up + head * 0.2, front + head * 0.8))
    parts.append(kit.ball(head * 0.13, "petals").at(0, up - head * 0.1, front + head * 0.97))
    parts += pair(kit.ball(0.07).scaled(0.8, 0.7, 1.5).at(belly * 0.55, 0.06, belly * 0.9))
    return [*parts, kit.ball(0.07, "dots").at(0, belly * 0.55, -belly * 1.15)]


def fish(kit: Kit, dice: Dice) -> list[Part]:
    """A fish, seen from its side.

    鱼。
    """
    long, high = dice(0.42, 0.5), dice(0.2, 0.27)
    body = kit.ball(1.0).scaled(long, high, 0.13)
    tail = prism(
        [(-long * 0.85, 0.0), (-long * 1.45, 0.2), (-long * 1.28, 0.0), (-long * 1.45, -0.2)],
        0.04,
        "wings",
    )
    # The notch is seen from its middle, which the outline's own middle is not.
    upper = prism([(-0.16, high * 0.75), (0.16, high * 0.78), (-0.1, high * 1.4)], 0.03, "wings")
    lower = prism([(-0.1, -high * 0.8), (-0.16, -high * 1.3), (0.08, -high * 0.85)], 0.03, "wings")
    eye = kit.ball(0.035, "eyes").at(long * 0.66, high * 0.2, 0.085)
    other = kit.ball(0.035, "eyes").at(long * 0.66, high * 0.2, -0.085)
    return [part.at(y=high * 1.3) for part in (body, tail, upper, lower, eye, other)]


def duck(kit: Kit, dice: Dice) -> list[Part]:
    """A bath duck.

    小鸭子。
    """
    long, head = dice(0.26, 0.31), dice(0.13, 0.15)
    parts = [
        kit.ball(1.0).scaled(0.2, 0.17, long).at(y=0.16),
        kit.ball(head).at(0, 0.38, long * 0.55),
    ]
    parts.append(kit.cylinder(0.1, 0.2, 0).turned("x", -58).at(0, 0.16, -long * 0.62))
    parts.append(kit.ball(0.07, "beak").scaled(1, 0.35, 1.1).at(0, 0.36, long * 0.55 + head * 1.1))
    parts += pair(kit.ball(0.024, "eyes").at(head * 0.5, 0.43, long * 0.55 + head * 0.78))
    return [*parts, *pair(kit.ball(0.13).scaled(0.3, 0.6, 1).turned("x", 12).at(0.18, 0.18, -0.04))]
