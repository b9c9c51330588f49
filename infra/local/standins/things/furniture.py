"""Furniture.

家具。
"""

from __future__ import annotations

from infra.local.standins.parts import Kit, Part, box, pair
from infra.local.standins.things.base import Dice, legs


def chair(kit: Kit, dice: Dice) -> list[Part]:
    """A chair with a back of rails.

    椅子。
    """
    seat, wide, back = dice(0.42, 0.5), dice(0.44, 0.52), dice(0.42, 0.56)
    parts = legs(kit, wide - 0.07, 0.38, seat, 0.025)
    parts += [box(wide, 0.05, 0.46).at(y=seat)]
    posts = pair(kit.cylinder(0.022, back).at(wide / 2 - 0.04, seat + 0.04, -0.2))
    rails = [box(wide - 0.06, 0.07, 0.025).at(0, seat + back * part, -0.2) for part in (0.4, 0.8)]
    return parts + posts + rails


def stool(kit: Kit, dice: Dice) -> list[Part]:
    """A round stool on three legs.

    凳子。
    """
    high, splay = dice(0.42, 0.62), dice(0.1, 0.15)
    parts = [
        kit.lathe([(0, 0), (0.17, 0), (0.19, 0.02), (0.19, 0.04), (0.17, 0.06), (0, 0.06)]).at(
            y=high
        )
    ]
    for turn in (0, 120, 240):
        leg = kit.tube([(splay + 0.06, 0, 0), (splay * 0.7, high + 0.02, 0)], 0.022)
        parts.append(leg.turned("y", turn + 30))
    return [*parts, kit.ring(splay + 0.015, 0.012).at(y=high * 0.35)]


def table(kit: Kit, dice: Dice) -> list[Part]:
    """A table on four legs.

    桌子。
    """
    wide, deep, high = dice(1.1, 1.5), dice(0.65, 0.85), dice(0.66, 0.76)
    top = box(wide, 0.045, deep).at(y=high)
    frame = box(wide - 0.14, 0.08, deep - 0.14).at(y=high - 0.075)
    return [*legs(kit, wide - 0.14, deep - 0.14, high - 0.02, 0.035), frame, top]


def bed(kit: Kit, dice: Dice) -> list[Part]:
    """A bed with a head board, a mattress and pillows.

    床。
    """
    wide, head = dice(1.3, 1.7), dice(0.7, 1.0)
    parts = [box(wide, 0.16, 2.0).at(y=0.16), *legs(kit, wide - 0.2, 1.8, 0.17, 0.05)]
    parts += [box(wide + 0.06, head, 0.07).at(z=-1.02), box(wide + 0.04, 0.5, 0.06).at(z=1.02)]
    parts.append(box(wide - 0.08, 0.2, 1.86, "cushion").at(y=0.3))
    pillow = kit.ball(0.3, "cushion").scaled(1, 0.3, 0.6).at(wide / 4, 0.56, -0.7)
    return parts + pair(pillow)


def sofa(kit: Kit, dice: Dice) -> list[Part]:
    """A sofa for two.

    沙发。
    """
    wide, back = dice(1.5, 1.9), dice(0.72, 0.85)
    parts = [box(wide, 0.3, 0.8).at(y=0.1), box(wide, back, 0.2).at(0, 0.12, -0.38)]
    arm = box(0.2, 0.5, 0.84).at(wide / 2, 0.09)
    parts += pair(arm)
    parts += pair(box(wide / 2 - 0.13, 0.14, 0.62, "cushion").at(wide / 4 - 0.05, 0.38, 0.09))
    return parts + [part.named("legs") for part in legs(kit, wide, 0.6, 0.11, 0.04)]


def lamp(kit: Kit, dice: Dice) -> list[Part]:
    """A table lamp.

    台灯。
    """
    high, shade = dice(0.34, 0.48), dice(0.15, 0.2)
    base = kit.lathe([(0, 0), (0.13, 0), (0.13, 0.015), (0.03, 0.045), (0, 0.045)])
    pole = kit.cylinder(0.014, high).at(y=0.03)
    top = kit.cylinder(shade, 0.22, shade * 0.55, "shade").at(y=high - 0.02)
    return [base, pole, top, kit.ball(0.02, "joints").at(y=high + 0.215)]


def shelf(kit: Kit, dice: Dice) -> list[Part]:
    """A bookshelf with some books.

    书架。
    """
    wide, rows = dice(0.8, 1.1), 4
    high = rows * 0.36
    parts = [*pair(box(0.04, high + 0.04, 0.3).at(wide / 2)), box(wide, high, 0.02).at(z=-0.139)]
    parts += [
        box(wide - 0.02, 0.03, 0.28).at(y=0.015 + row * 0.36, z=0.003) for row in range(rows + 1)
    ]
    colors = ("roof", "windows", "leaves", "pages", "stem", "lights")
    for row in range(rows):
        x = -wide / 2 + 0.04
        for number in range(round(dice(4, 9))):
            thick = dice(0.03, 0.06)
            spine = box(
                thick, dice(0.2, 0.28), dice(0.16, 0.2), colors[(row + number) % len(colors)]
            )
            parts.append(spine.at(x + thick / 2, 0.04 + row * 0.36, -0.01))
            x += thick + 0.004
    return parts
